"""The commands as a whole: what each has, and how errors end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import autocron
from autocron.cli import output
from autocron.cli.output import emit, printable, table
from autocron.cli.root import COMMANDS, root
from autocron.errors import AutocronError, CrontabError
from autocron.settings import Settings
from autocron.stores import open_store


def run(*args: str) -> Result:
    return CliRunner().invoke(root, args)


def test_version() -> None:
    """`--version` tells that of the package."""
    assert autocron.__version__ in run("--version").stdout


def test_help_lists_every_command() -> None:
    """Each command of the table is there."""
    result = run("--help")
    assert result.exit_code == 0
    assert all(f"  {command.name} " in result.stdout for command in COMMANDS)
    assert "..." not in result.stdout.partition("Commands:")[2]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_an_example_and_json(command: click.Command) -> None:
    """`--help` shows how a command is used, and each can print JSON."""
    result = run(str(command.name), "--help")
    assert result.exit_code == 0
    assert f"  autocron {command.name} " in result.stdout
    assert "--json" in result.stdout


def test_every_setting_has_an_option() -> None:
    """The options are made from the settings: a new one is there by itself, with what it is about."""
    shown = " ".join(run("settings", "--help").stdout.split())
    for name in Settings().as_dict():
        assert f"--{name.removesuffix('_s').replace('_', '-')} " in shown
    assert "--enabled / --disabled off: nothing is started" in shown
    assert "--blocking / --no-blocking" in shown
    assert "--ttl SECONDS seconds a result is kept after the job has ended [default: 1800]" in shown
    assert "--pickle auto|on|off" in shown


def test_a_refusal_of_settings_lists_every_problem() -> None:
    """Exit code 2, all problems in one go, and no database is needed for it."""
    result = run("settings", "/nowhere/app.db", "--workers", "0", "--ttl", "soon", "--durability", "some")
    assert result.exit_code == 2
    assert result.stdout == ""
    for problem in ("workers=0: at least 1", "ttl_s='soon': only a number", "durability='some': only full, normal"):
        assert problem in result.stderr


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [(CrontabError("no"), 2), (AutocronError("no"), 1), (PermissionError(13, "no", "/app.db"), 1)],
)
def test_errors_end_as_a_sentence(error: Exception, exit_code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command raises what the library raises; no traceback reaches the user."""

    @click.command()
    def fail() -> None:
        raise error

    monkeypatch.setitem(root.commands, "fail", fail)
    result = run("fail")
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr == f"Error: {error}\n"


def test_what_is_printed_cannot_steer_the_terminal() -> None:
    """Names come from a file that somebody else may have written."""
    assert printable("\x1b[2Jé\n") == r"\x1b[2Jé\n"
    assert [printable(each) for each in (True, False, None, 1800.0, 3)] == ["yes", "no", "-", "1800", "3"]


def test_a_value_that_is_wider_than_the_terminal_is_not_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """command line: all about a job is shown; line breaks are for terminals only."""
    path = "/" + "long/" * 30 + "app.db"
    for is_terminal in (True, False):
        monkeypatch.setattr(output, "is_terminal", lambda answer=is_terminal: answer)
        monkeypatch.setenv("COLUMNS", "60")
        emit({}, False, lambda document: [table([("database", path), ("text", "x" * 20_000)])])
        shown = capsys.readouterr().out
        assert "".join(each[10:] for each in shown.splitlines()) == path + "x" * 20_000
        assert len(shown.splitlines()) == 2 or is_terminal


def test_what_an_encoding_does_not_know_is_escaped(tmp_path: Path) -> None:
    """command line: a database may hold any text, and a terminal may know few."""
    database = tmp_path / "\u2026.db"
    open_store(str(database)).close()
    command = [sys.executable, "-m", "autocron", "info", str(database)]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, capture_output=True, check=False)
    assert (done.returncode, rb"\u2026.db" in done.stdout, done.stderr) == (0, True, b"")
