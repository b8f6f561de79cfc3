"""`autocron info`: what there is, and who works on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from .. import messages
from ..interface import Interface
from ..job import Status
from ..schedule import Schedule
from .database import Database
from .output import emit, iso, json_option, printable, readable, table


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
        overview = database.ask(messages.OVERVIEW)
        document = {
            "database": database.address,
            "monitor": database.find_monitor(),
            "applications": [{"pid": pid} for pid in overview["applications"]],
            "workers": [_worker(each) for each in overview["workers"]],
            "jobs": _counts(overview["counts"]),
            "settings": overview["settings"],
            "cron_entries": [_entry(each, interface.clock.time()) for each in overview.get("entries", ())],
        }
    emit(document, as_json, _render)


def _worker(worker: Mapping[str, Any]) -> dict[str, Any]:
    state = "running" if worker["running"] else "idle"
    if worker["ending"] or not worker["ready"]:
        state = "ending" if worker["ending"] else "starting"
    return {"pid": worker["pid"], "state": state, "jobs": worker["running"], "task": worker.get("task") or None}


def _counts(counts: Mapping[int, int]) -> dict[str, int]:
    stored = [status for status in Status if status is not Status.UNAVAILABLE]
    return {status.name.lower(): counts.get(status, 0) for status in stored}


def _entry(state: Sequence[Any], now: float) -> dict[str, Any]:
    key, spec, last_fire, *_ = state
    *fields, tz = f"{spec} ".split(" ")[:6]
    crontab = " ".join(fields)
    next_fire = None
    zone = None
    try:
        schedule = Schedule(crontab, tz=tz or None)
        zone = schedule.tz
        next_fire = iso(schedule.next_fire(now), zone)
    except ValueError:
        pass  # of another version, or in a zone that is not known here
    return {
        "key": key,
        "crontab": crontab,
        "tz": tz or None,
        "last_fire": iso(last_fire, zone),
        "next_fire": next_fire,
    }


def _render(document: Mapping[str, Any]) -> Iterable[Any]:
    monitor = "running" if document["monitor"] else "not running: nothing is run until an application starts"
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
        yield table((each.values() for each in document["workers"]), "worker", "state", "jobs", "task")
    if document["cron_entries"]:
        yield table(
            (
                (each["key"], each["crontab"], each["tz"] or "local", readable(each["next_fire"]))
                for each in document["cron_entries"]
            ),
            "cron entry",
            "crontab",
            "time zone",
            "next fire time",
        )
