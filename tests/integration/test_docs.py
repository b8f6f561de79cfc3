"""The documentation does what it says: every snippet runs, every setting is in it, and it can be built."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from documentation import Page, blocks, checked, commands, pattern, unmarked

from autocron.cli.output import printable
from autocron.settings import BOUNDS, Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
ELSEWHERE = ("testing",)  # its examples are run one by one, and in other ways too: test_testing_docs.py


@pytest.mark.parametrize("page", [each for each in PAGES if each.stem not in ELSEWHERE], ids=lambda page: page.stem)
def test_every_snippet_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """style 16: documentation cannot rot."""
    assert unmarked(page) == []
    Page(page, tmp_path).run()


def test_the_site_can_be_built(tmp_path: Path) -> None:
    """style 16: strictly: no dead link, no page outside of the navigation; and offline."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {each.parent.name for each in (tmp_path / "site").glob("*/index.html")}
    assert {page.stem for page in PAGES} - {"index"} <= pages
    for page in (tmp_path / "site").rglob("*.html"):
        remote = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert [each for each in remote if not each.startswith("https://github.com/")] == [], page


def test_the_table_of_settings_is_that_of_the_code() -> None:
    """style 16: every setting is found in the docs, with its default and its bounds, made from settings.py."""
    text = (DOCS / "settings.md").read_text()
    table = re.search(r"^\| setting .*?\n\n", text, re.MULTILINE | re.DOTALL)
    assert table is not None
    rows = "".join(
        f"| `{name}` | {printable(default)} | {_allowed(name, default)} | {BOUNDS[name].about} |\n"
        for name, default in Settings._field_defaults.items()
    )
    assert table[0] == f"| setting | default | allowed | what |\n|---|---|---|---|\n{rows}\n"


def _allowed(name: str, default: object) -> str:
    if BOUNDS[name].choices:
        return ", ".join(BOUNDS[name].choices)
    if isinstance(default, bool):
        return "yes, no"
    return f"from {BOUNDS[name].low:g} on"


SLOW = """
import os
import signal
from pathlib import Path
import autocron

@autocron.delay
def slow():
    Path("looked").read_text()

if __name__ == "__main__":
    os.mkfifo("looked")  # opened for both ways it waits for nobody, and lets the job go on
    autocron.start("slow.db")
    slow()
    print("it runs", flush=True)
    signal.pause()
"""


def test_a_command_that_only_looks_is_repeated(tmp_path: Path) -> None:
    """style 16: as a reader would, who is faster than the job."""
    page = tmp_path / "page.md"
    page.write_text(
        f'```python title="slow.py"\n{SLOW}```\n'
        '```console title="a terminal"\n$ python slow.py\nit runs\n```\n'
        "```console\n$ autocron info slow.db --json > shown; : <> looked; grep ready shown\n"
        '    "ready": 1,\n```\n'
    )
    Page(page, tmp_path).run()


def test_the_mechanism_itself(tmp_path: Path) -> None:
    """style 16: a snippet that does something else than the page shows is found."""
    page = tmp_path / "page.md"

    def run(text: str) -> None:
        page.write_text(text)
        Page(page, tmp_path).run()

    run("```python\nx = 1 + 1\nx  # → 2\n```\n")
    hello = '```python title="a.py"\nprint("hello 7")\n```\n'
    run(hello + "```console\n$ python a.py\nhello …\n$ ls *.py \\\n> a.py\n…\n```\n")
    for wrong in (
        "```python\n1 + 1  # → 3\n```\n",
        "```python\n# test_a.py\ndef test_a():\n    assert False\n```\n",
        "```python\nraise ValueError\n```\n",
        "```console\n$ echo a\nb\n```\n",
        "```console\n$ false\n```\n",
        '```console title="a terminal"\n$ echo a\nb\n```\n',
    ):
        with pytest.raises(AssertionError):
            run(wrong)
    page.write_text("<!-- illustrative: no systemd -->\n```ini\nx\n```\n\n```ini\ny\n```\n```\ndrawing\n```\n")
    assert [each.reason for each in blocks(page)] == ["no systemd", "", ""]
    assert len(unmarked(page)) == 1
    assert list(commands("$ a \\\n  b\nout\n$ c\n")) == [("a b", "out\n"), ("c", "")]
    assert pattern("a…\n…\nz\n").fullmatch("abc\n1\n2\nz\n")
    assert not pattern("a\nz\n").fullmatch("a\n1\nz\n")
    with pytest.raises(SyntaxError):
        checked("x = 1  # → 1\n")
