"""`autocron info`: what there is, and who works on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from ..interface import Interface
from .crons import entry, entry_table
from .database import Database
from .output import emit, json_option, printable, table
from .selecting import STATUSES
from .workers import worker, worker_table


@click.command()
@click.argument("db")
@json_option
@click.pass_obj
def info(interface: Interface, /, db: str, as_json: bool) -> None:
    """Show the state of a database: its processes, jobs, settings and cron entries.

    A running monitor is asked; otherwise the database is opened. Nothing is started or created.

    \b
    Example:
      autocron info app.db
    """
    with Database(interface, db) as database:
        overview = database.overview()
        now = interface.clock.time()
        announced = overview.get("announced", ())
        document = {
            "database": database.address,
            "monitor": database.find_monitor(),
            "monitor_pid": database.monitor_pid or None,
            "monitor_version": overview.get("version"),
            "draining": overview.get("draining", False),
            "paused": overview["settings"]["paused"],
            "applications": [{"pid": each.get("pid", 0)} for each in overview["applications"]],
            "workers": [worker(each) for each in overview["workers"]],
            "jobs": counts(overview["counts"]),
            "settings": overview["settings"],
            "cron_entries": [entry(each, now, announced) for each in overview["entries"]],
        }
    emit(document, as_json, _render)


def counts(found: Mapping[int, int]) -> dict[str, int]:
    """How many jobs there are in each state."""
    return {name: found.get(status, 0) for name, status in STATUSES.items()}


def _render(document: Mapping[str, Any]) -> Iterable[Any]:
    monitor = "not running: nothing is run until an application starts"
    if document["monitor"]:
        monitor = f"running, pid {document['monitor_pid'] or 'unknown'}, autocron {document['monitor_version']}"
    if document["draining"]:
        monitor += "; draining: it is gone when what runs has ended, or the grace period is over"
    if document["paused"]:
        monitor += "; paused: jobs wait and no entry fires until `autocron resume`"
    jobs = ", ".join(f"{count} {status}" for status, count in document["jobs"].items())
    settings = ", ".join(f"{name} {printable(value)}" for name, value in document["settings"].items())
    yield table(
        [
            ("database", document["database"]),
            ("monitor", monitor),
            ("applications", ", ".join(str(each["pid"]) for each in document["applications"]) or None),
            ("jobs", jobs),
            ("settings", settings),
            ("cron entries", len(document["cron_entries"])),
        ]
    )
    if document["workers"]:
        yield worker_table(document["workers"])
    if document["cron_entries"]:
        yield entry_table(document["cron_entries"])
