"""Writes what the tests of this directory prove into docs/servers.md.

python tests/integration/servers/matrix_page.py
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from cells import CELLS, Cell

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "servers.md"
BEGIN, END = "<!-- from the tests, begin -->\n", "<!-- from the tests, end -->\n"
EXAMPLES = {"script": "A plain script", "flask": "Flask", "django": "Django", "fastapi": "FastAPI"}


def page() -> str:
    """The page as it should be."""
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + "\n".join(lines()) + END + after


def lines() -> Iterator[str]:
    """The table of servers, and the sentences of all other tests."""
    yield "\n| server | its processes | beside them | `kill -9` of the process you started | changed code |"
    yield "|---|---|---|---|---|"
    for name, title in EXAMPLES.items():
        yield f"| **{title}** | | | | |"
        yield from (row(each) for each in CELLS if each.example == name)
    for title, file in (("gunicorn", "gunicorn"), ("Reloads and deploys", "reloads"), ("Django", "django")):
        yield f"\n{title}:\n"
        yield from (f"- {each}" for each in sentences(HERE / f"test_{file}.py"))
    yield ""


def row(cell: Cell) -> str:
    """One server."""
    killed = "its own children serve on, autocron with them; then all gone" if cell.survive else "all gone"
    changed = "new jobs run it, running ones end" if cell.reloads else "with the next start"
    return f"| `{cell.documented}` | {cell.processes} | 1 monitor, 2 workers | {killed} | {changed} |"


def sentences(file: Path) -> Iterator[str]:
    """What each test of a file says, without the section it refers to."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            said = " ".join((ast.get_docstring(node) or "").split())
            sentence = re.sub(r"^[\w. ]+?: ", "", said)
            yield sentence[0].upper() + sentence[1:]


if __name__ == "__main__":
    PAGE.write_text(page())
