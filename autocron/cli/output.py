"""One document per command, shown as tables or printed as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import click
from rich.console import Console, RenderableType
from rich.table import Table

WIDE: Final = 1_000_000_000  # where no terminal sets a width, no line is broken

LONGEST_NAME: Final = 40  # of a row
GAP: Final = 2  # between columns

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")


def emit(document: Mapping[str, Any], as_json: bool, render: Callable[[Mapping[str, Any]], Iterable[Any]]) -> None:
    """Print the document; `render` makes texts and tables of it, which an empty line separates."""
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    # Names and paths are data: what looks like markup in them is none.
    console = Console(markup=False, highlight=False, emoji=False, width=None if is_terminal() else WIDE)
    width = console.width
    with console.capture() as captured:
        for number, each in enumerate(render(document)):
            if number:
                console.print()
            console.width = max(width, _least_width(each))
            console.print(each, crop=False)  # what is still too wide is broken by the terminal, and not lost
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def is_terminal() -> bool:
    """Whether somebody looks at a screen."""
    return sys.stdout is not None and sys.stdout.isatty()  # None: `>&-` has closed it


def _least_width(shown: object) -> int:
    """Where a table has less, columns are left out."""
    return sum((each.min_width or 0) + GAP for each in shown.columns) if isinstance(shown, Table) else 0


def table(rows: Iterable[Sequence[object]], *columns: str) -> RenderableType:
    """Rows under their column names; without names, the first column names the row."""
    made = Table(box=None, show_header=bool(columns), pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    cells = [[printable(each) for each in row] for row in rows]
    if not columns:
        made.add_column(style="bold", no_wrap=True)
        for _ in range(1, max(map(len, cells), default=0)):
            made.add_column(overflow="fold")
    for number, name in enumerate(columns):
        width = max(map(len, name.split() or [""]))
        if number == 0:
            # What names a row is what the next command needs: it is not cut, however narrow the terminal.
            width = max(width, min(LONGEST_NAME, max((len(row[0]) for row in cells), default=0)))
        made.add_column(name, no_wrap=number == 0, min_width=width, overflow="fold")
    for row in cells:
        made.add_row(*row)
    return made


def printable(value: object) -> str:
    """A value as text that cannot steer the terminal."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def brief(moment: str | None) -> str:
    """What `iso` has made of a moment in the local zone, for lists."""
    return "-" if moment is None else datetime.fromisoformat(moment).replace(tzinfo=None).isoformat(sep=" ")


def shortened(text: str, most: int) -> str:
    """The first line of a text, in at most so many characters."""
    line, _, more = text.partition("\n")
    return line if len(line) <= most and not more else f"{line[: most - 1]}…"


def short(task: str) -> str:
    """The address of a task or the key of an entry, without the directory of its script."""
    return task.rpartition("/")[2]


def seconds(value: float) -> str:
    """A duration: "0.3 s", "42 s", "5 min", "3 h", "2 d"."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if value >= 2 * length:
            return f"{value / length:.0f} {unit}"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def iso(epoch: float, tz: tzinfo | None) -> str:
    """UTC epoch seconds as ISO 8601 with offset, in this zone (None: the local one)."""
    return datetime.fromtimestamp(epoch, UTC).astimezone(tz).isoformat(timespec="seconds")


def readable(moment: str | None) -> str:
    """What `iso` has made, with the day of the week."""
    if moment is None:
        return "-"
    parsed = datetime.fromisoformat(moment)
    return f"{parsed:%a} {parsed.replace(tzinfo=None).isoformat(sep=' ')} {parsed.isoformat()[19:]}"
