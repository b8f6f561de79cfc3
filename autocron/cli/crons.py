"""`autocron crons`: the cron entries, and when they fire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from .. import messages
from ..crontab import Crontab
from ..interface import Interface
from ..job import EntryState, Status, Stored
from ..schedule import Schedule
from .database import Database
from .output import emit, iso, json_option, readable, short, shortened, table
from .results import ABOUT


@click.command()
@click.argument("db")
@json_option
@click.pass_obj
def crons(interface: Interface, /, db: str, as_json: bool) -> None:
    """Show the cron entries: what they mean, when they fire next, and how their last job ended.

    An entry fires while an application that has it is running.

    \b
    Example:
      autocron crons app.db
    """
    with Database(interface, db) as database:
        overview = database.overview()
        now = interface.clock.time()
        document = {
            "database": database.address,
            "monitor": database.find_monitor(),
            "enabled": overview["settings"]["enabled"],
            "paused": overview["settings"]["paused"],
            "cron_entries": [
                {
                    **entry(each, now, overview.get("announced", ())),
                    "last_job": _last_job(database, EntryState._make(each).last_job),
                }
                for each in overview["entries"]
            ],
        }
    emit(document, as_json, _render)


def entry(state: Sequence[Any], now: float, announced: Iterable[str]) -> dict[str, Any]:
    """An entry as a document."""
    key, spec, last_fire, *_ = state
    *fields, tz = f"{spec} ".split(" ")[:6]
    crontab = " ".join(fields)
    words = next_fire = zone = None
    try:
        words = Crontab.parse(crontab).describe()
        schedule = Schedule(crontab, tz=tz or None)
        zone = schedule.tz
        next_fire = iso(schedule.next_fire(now), zone)
    except ValueError:
        pass  # of another version, or in a zone that is not known here
    return {
        "key": key,
        "crontab": crontab,
        "words": words,
        "tz": tz or None,
        "fires": key in announced,
        "last_fire": iso(last_fire, zone),
        "next_fire": next_fire,
    }


def _last_job(database: Database, id: bytes) -> dict[str, Any] | None:
    found = database.ask(messages.RESULT, id) if id else None
    if found is None:
        return None
    job = Stored._make(found)
    return {"id": job.id.hex(), "status": Status(job.status).name.lower(), "error": job.error or None}


def entry_table(entries: Iterable[Mapping[str, Any]]) -> Any:
    """Entries as a table."""
    return table(
        (
            (
                short(each["key"]),
                each["crontab"],
                shortened(each["words"] or "-", ABOUT),
                each["tz"] or "local",
                readable(each["next_fire"]) if each["fires"] else "no running application has it",
            )
            for each in entries
        ),
        "cron entry",
        "crontab",
        "in words",
        "time zone",
        "next fire time",
    )


def _render(document: Mapping[str, Any]) -> Iterable[Any]:
    entries = document["cron_entries"]
    if not entries:
        yield "no cron entries: none of the applications that have started had one"
        return
    yield entry_table(entries)
    if not document["enabled"]:
        yield "switched off: nothing fires until `autocron settings --enabled`"
    if document["paused"]:
        yield "paused: nothing fires until `autocron resume`"
    failed = [each for each in entries if each["last_job"] and each["last_job"]["error"]]
    if failed:
        yield table(
            ((short(each["key"]), shortened(each["last_job"]["error"], ABOUT)) for each in failed), "failed", "error"
        )
