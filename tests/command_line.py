"""The command line in tests: an application to look at, and commands to run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from autocron.cli.root import root

PATIENCE_S = 60.0

APPLICATION = """
import sys
import autocron

@autocron.delay
def hold(path):
    with open(path) as fifo:     # until somebody writes to it
        return fifo.read()

@autocron.delay
def fail():
    raise LookupError("no such thing")

@autocron.cron("0 3 0 * *", tz="Europe/Berlin")
def tidy(): ...

if __name__ == "__main__":
    autocron.start(sys.argv[1])
    if sys.argv[2:] == ["--fail"]:
        fail()
    elif sys.argv[2:]:
        hold(sys.argv[2])
    print("started", flush=True)
    sys.stdin.read()
    autocron.stop()
"""


class Application:
    """A process that has called `start` and stays until it is told to end."""

    def __init__(self, directory: Path, database: Path, *args: str, cwd: Path | None = None) -> None:
        script = directory / "app.py"
        script.write_text(APPLICATION)
        self.script = str(script)
        self.process = subprocess.Popen(
            [sys.executable, self.script, str(database), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "started\n"

    def end(self) -> None:
        """Let it stop; its monitor has ended when this returns."""
        self.process.communicate(timeout=PATIENCE_S)


def run(*args: object) -> Result:
    return CliRunner().invoke(root, [str(each) for each in args])


def document(*args: object) -> dict[str, Any]:
    result = run(*args, "--json")
    assert result.exit_code == 0, result.stderr
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def info_when(database: Path, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask again until something holds."""
    until = time.monotonic() + PATIENCE_S
    while not holds(found := document("info", database)):
        assert time.monotonic() < until, found
    return found


def is_idle(found: dict[str, Any]) -> bool:
    """Whether there are workers, and all are up."""
    return {each["state"] for each in found["workers"]} == {"idle"}
