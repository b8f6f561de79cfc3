"""`autocron top`: a live view."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from .. import messages
from ..errors import AutocronError
from ..interface import Interface
from ..job import Selection, Status, Stored
from .crons import entry
from .database import Database
from .info import counts
from .output import brief, emit, is_terminal, iso, readable, short, shortened, table
from .results import ABOUT
from .selecting import registered, short_ids
from .workers import worker, worker_table

SHOWN: Final = 5  # of the next fire times, of the newest errors


@click.command()
@click.argument("db")
@click.option(
    "-i", "--interval", type=click.FloatRange(0.1), default=1.0, show_default=True, metavar="SECONDS", help="How often."
)
@click.option(
    "-n", "number", type=click.IntRange(0), metavar="N", default=0, help="End after so many views; 0: with Ctrl-C."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document in a line for each view.")
@click.pass_obj
def top(interface: Interface, /, db: str, interval: float, number: int, as_json: bool) -> None:
    """Show workers, jobs, throughput, the next fire times and the newest errors, again and again.

    \b
    Example:
      autocron top app.db --interval 2
    """
    if not isfinite(interval):
        raise click.BadParameter(f"{interval}: a number of seconds, and an end, is needed", param_hint="--interval")
    views = _views(interface, db, interval, number)
    first = next(views)  # what cannot be shown at all is an error, as in every command
    with contextlib.suppress(KeyboardInterrupt):  # that is how one ends it
        _show(itertools.chain([first], views), as_json)


def _show(views: Iterable[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        for each in views:
            click.echo(json.dumps(each))
    elif is_terminal():
        console = Console(markup=False, highlight=False, emoji=False)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            for each in views:
                live.update(_screen(each), refresh=True)
    else:
        for each in views:
            emit(each, False, _render)
            click.echo()


def _views(interface: Interface, db: str, interval: float, number: int) -> Iterator[dict[str, Any]]:
    """A document at each interval. An error after the first view is shown in the next, and may pass."""
    clock = interface.clock
    before: tuple[float, int] | None = None
    view: dict[str, Any] = {}
    for count in itertools.count(1):
        try:
            # A link for each view: the monitor may go and come in between.
            with Database(interface, db) as database:
                view, settled = _view(interface, database)
        except (AutocronError, OSError) as error:
            if not view:
                raise
            view = {**view, "error": str(error), "jobs_per_s": None}
            before = None
        else:
            now = clock.monotonic()
            if before is not None and settled >= before[1] and now > before[0]:
                view["jobs_per_s"] = round((settled - before[1]) / (now - before[0]), 1)
            before = (now, settled) if view["monitor"] else None
        yield view
        if count == number:
            return
        interface.spawner.wait([], clock.time() + interval)


def _view(interface: Interface, database: Database) -> tuple[dict[str, Any], int]:
    overview = database.overview()
    now = interface.clock.time()
    entries = [entry(each, now, overview.get("announced", ())) for each in overview["entries"]]
    firing = sorted((each for each in entries if each["fires"] and each["next_fire"]), key=_next_fire)
    # One look, not a search: what is older than some thousand jobs is not news.
    selection = tuple(Selection((int(Status.ERROR),), newest_first=True))
    errors, _ = database.ask(messages.JOBS, (selection, SHOWN, False))
    return {
        "time": iso(now, None),
        "database": database.address,
        "error": None,
        "monitor": database.find_monitor(),
        "monitor_pid": database.monitor_pid or None,
        "paused": overview["settings"]["paused"],
        "applications": [each.get("pid", 0) for each in overview["applications"]],
        "jobs": counts(overview["counts"]),
        "jobs_per_s": None,
        "workers": [worker(each) for each in overview["workers"]],
        "next_fires": [{"key": each["key"], "next_fire": each["next_fire"]} for each in firing[:SHOWN]],
        "newest_errors": [
            {"id": each.id.hex(), "task": each.task, "registered": iso(registered(each.id), None), "error": each.error}
            for each in map(Stored._make, errors)
        ],
    }, overview.get("settled", 0)


def _next_fire(found: Mapping[str, Any]) -> str:
    return str(found["next_fire"])


def _screen(view: Mapping[str, Any]) -> Group:
    parts: list[Any] = []
    for each in _render(view):
        parts += [each, Text()]
    return Group(*parts)


def _render(view: Mapping[str, Any]) -> Iterable[Any]:
    monitor = f"running, pid {view['monitor_pid'] or 'unknown'}" if view["monitor"] else "not running"
    rate = view["jobs_per_s"]
    jobs = ", ".join(f"{count} {status}" for status, count in view["jobs"].items())
    yield table(
        [
            ("database", view["database"]),
            ("at", readable(view["time"])),
            ("monitor", monitor + ("; paused" if view["paused"] else "")),
            ("applications", ", ".join(map(str, view["applications"])) or None),
            ("jobs", jobs),
            ("done", "-" if rate is None else f"{rate:g} jobs/s"),
        ]
    )
    if view["error"]:
        yield Text(f"the last view is shown, because {view['error']}", style="red")
    if view["workers"]:
        yield worker_table(view["workers"])
    if view["next_fires"]:
        yield table(
            ((short(each["key"]), readable(each["next_fire"])) for each in view["next_fires"]),
            "cron entry",
            "next fire time",
        )
    if errors := view["newest_errors"]:
        yield table(
            (
                (
                    id,
                    brief(each["registered"]),
                    short(each["task"]),
                    shortened(each["error"], ABOUT),
                )
                for id, each in zip(short_ids([each["id"] for each in errors]), errors, strict=True)
            ),
            "failed",
            "registered",
            "task",
            "error",
        )
