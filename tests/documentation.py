"""Runs what the documentation shows. A page is a directory; its blocks are executed from top to bottom.

    ```python title="app.py"     is written into the file app.py of the page's directory
    ```python                    whose first line is the comment `# test_app.py` is such a file, and run by pytest
    ```python                    is part of the page's script, which is run at the end of the page
    ```console                   `$ ` begins a command, what follows is its output
    ```console title="… terminal"   its command keeps running until the end of the page, once it has said what follows
    ```yaml, ini, sh, …          has to be marked

A block that cannot be run is marked in the line before it, with the reason: <!-- illustrative: needs a mail server -->

In outputs, `…` stands for anything in a line, a line `…` for any lines, and the width of columns does not matter.
In the page's script, a comment `# → 3`
behind an expression is what its value is. A command that only looks (`curl URL`, `autocron results`, …) is repeated
until it prints what is shown, as a reader would who presses reload. Ports 8000 to 8002 are replaced by free ones.
"""

from __future__ import annotations

import ast
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

PATIENCE_S = 60.0
PAUSE_S = 0.2  # between two looks at a page
FENCE = re.compile(
    r"^(?P<indent> *)(?:<!-- illustrative: (?P<reason>.+?) -->\n\s*)?"
    r"```(?P<lang>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
TEST_FILE = re.compile(r"# (test_\w+\.py)\n")
LOOK = re.compile(r"curl (-s )?http://\S+|autocron (info|tasks|results|workers|crons|top|doctor) .*")
PORTS = (8000, 8001, 8002)  # those of the pages; replaced by free ones
PROSE = ("", "text", "mermaid")  # drawings: nothing that anybody could run


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    where: str
    lang: str
    title: str
    reason: str  # why it is not run
    text: str


def blocks(page: Path, ports: Mapping[int, int] = MappingProxyType({})) -> list[Block]:
    """All blocks of a page."""
    source = page.read_text()
    found = []
    for each in FENCE.finditer(source):
        line = source[: each.start("text")].count("\n")
        text = re.sub(rf"^{each['indent']}", "", each["text"], flags=re.MULTILINE)
        for number, free in ports.items():
            text = re.sub(rf"\b{number}\b", str(free), text)
        found.append(
            Block(f"{page.name}:{line}", each["lang"], each["title"] or "", (each["reason"] or "").strip(), text)
        )
    assert source.count("```") == 2 * len(found), f"{page}: a fence that is not understood; see tests/documentation.py"
    return found


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with its output."""
    command, output = "", ""
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            if command:
                yield command, output
            command, output = line[2:].rstrip("\n"), ""
        elif command.endswith("\\"):
            command = command[:-1] + line.removeprefix("> ").strip()
        else:
            output += line
    assert command, f"no line begins with '$ ': {text!r}"
    yield command, output


def pattern(expected: str) -> re.Pattern[str]:
    """The expected output; `…` stands for anything in a line, a line `…` for any lines."""
    lines = []
    for line in expected.splitlines():
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(".*?".join(map(_flexible, line.rstrip().split("…"))) + r"[ ]*\n")
    return re.compile("".join(lines))


def _flexible(text: str) -> str:
    """The text itself; columns may be wider or narrower than on the page."""
    return " {2,}".join(map(re.escape, re.split(" {2,}", text)))


def checked(script: str) -> str:
    """The script with its comments `# → value` turned into checks."""
    lines = []
    for number, line in enumerate(script.splitlines(), 1):
        code, arrow, value = line.partition("# → ")
        if arrow:
            ast.parse(code.strip(), mode="eval")
            indent = code[: len(code) - len(code.lstrip())]
            lines.append(f"{indent}_check({code.strip()}, {value.strip()!r}, {number})")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


CHECK = """
def _check(value, expected, line):
    assert repr(value) == expected, f"line {line} of the page's script: {value!r}, not {expected}"
"""


class Page:
    """A page that is being executed in its directory."""

    def __init__(self, page: Path, directory: Path) -> None:
        self.directory = directory
        self.blocks = blocks(page, {each: _free_port() for each in PORTS})
        self.terminals: list[tuple[subprocess.Popen[str], Path]] = []
        self.environment = {
            **{name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ},
            "HOME": str(directory),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TZ": "UTC",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "200",
            "PYTEST_ADDOPTS": "-p no:hypothesispytest",  # a reader has none, and it takes a second to import
        }

    def run(self) -> None:
        """Execute all blocks. AssertionError at the first that does not do what the page says."""
        script: list[str] = []
        tests: list[str] = []
        try:
            for block in self.blocks:
                if block.reason or block.lang in PROSE:
                    continue
                if block.lang == "python" and block.title:
                    path = self.directory / block.title
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(block.text)
                elif block.lang == "python" and (named := TEST_FILE.match(block.text)):
                    (self.directory / named[1]).write_text(block.text)
                    tests.append(named[1])
                elif block.lang == "python":
                    script.append(f"# {block.where}\n{block.text}")
                elif "terminal" in block.title:
                    self._terminal(block)
                else:
                    for command, output in commands(block.text):
                        self._command(block, command, output)
            if tests:
                self._command(Block("the page's tests", "", "", "", ""), f"pytest -q {' '.join(tests)}", "…\n")
            if script:
                (self.directory / "page_script.py").write_text(CHECK + checked("\n".join(script)))
                self._command(Block("the page's script", "", "", "", ""), "python page_script.py", "…\n")
        finally:
            self._close()

    def _command(self, block: Block, command: str, expected: str) -> None:
        until = time.monotonic() + PATIENCE_S
        wanted = pattern(expected)
        while True:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self.directory,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            if wanted.fullmatch(done.stdout + ("" if done.stdout.endswith("\n") or not done.stdout else "\n")):
                break
            if not LOOK.fullmatch(command) or time.monotonic() > until:
                raise AssertionError(
                    f"{block.where}: {command}\n{done.stdout}\n--- but the page shows ---\n{expected}{self._said()}"
                )
            time.sleep(PAUSE_S)
        if (not expected and done.returncode) or (block.where.startswith("the page's") and done.returncode):
            raise AssertionError(f"{block.where}: {command}: exit code {done.returncode}\n{done.stdout}{self._said()}")

    def _terminal(self, block: Block) -> None:
        ((command, expected),) = commands(block.text)
        path = self.directory / f".terminal-{len(self.terminals)}"
        with path.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.directory,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        self.terminals.append((process, path))
        until = time.monotonic() + PATIENCE_S
        while not re.search(pattern(expected).pattern, path.read_text()):
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"{block.where}: {command}\n--- the page shows ---\n{expected}{self._said()}")
            time.sleep(PAUSE_S)

    def _said(self) -> str:
        return "".join(f"\n--- a terminal has said ---\n{path.read_text()}" for _, path in self.terminals)

    def _close(self) -> None:
        for process, _ in reversed(self.terminals):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)  # Ctrl-C
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def unmarked(page: Path) -> list[str]:
    """Blocks that are neither run nor marked."""
    return [
        f"{each.where}: a {each.lang} block is not run: mark it as illustrative, with the reason"
        for each in blocks(page)
        if each.lang not in (*PROSE, "python", "console") and not each.reason
    ]


def sections(text: str, level: str = "##") -> dict[str, str]:
    """The sections of a page by their headings."""
    found: dict[str, Any] = {}
    for each in re.split(rf"^{level} ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = each.partition("\n")
        found[heading.strip()] = body
    return found
