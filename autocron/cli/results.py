"""`autocron results`: jobs, and what came of them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

import click

from ..interface import Interface
from ..job import Status, Stored
from .database import Database
from .output import brief, emit, iso, json_option, readable, short, shortened, table
from .payloads import call_text, value_text
from .selecting import Chosen, registered, selecting, short_ids

ABOUT: Final = 80  # characters of a result in a table


@click.command()
@click.argument("db")
@selecting(statuses="In this state; may be given more than once.")
@click.option(
    "-n", "number", type=click.IntRange(0), metavar="N", default=20, show_default=True, help="At most so many; 0: all."
)
@json_option
@click.pass_obj
def results(interface: Interface, /, db: str, chosen: Chosen, number: int, as_json: bool) -> None:
    """Show jobs and what came of them, the newest first; with one ID, all about that job.

    Payloads are shown as text; pickles are not opened.

    \b
    Examples:
      autocron results app.db --status error --since 2h
      autocron results app.db 019d53c1a2b3
    """
    with Database(interface, db) as database:
        jobs = chosen.jobs(database, newest_first=True, with_payloads=True)
        found = list(itertools.islice(jobs, number + 1 if 0 < number < sys.maxsize else None))
        document = {
            "database": database.address,
            "jobs": [described(each) for each in (found[:number] if number else found)],
            "more": bool(number) and len(found) > number,
        }
    emit(document, as_json, _render_one if len(chosen.ids) == 1 and len(found) == 1 else _render)


def described(job: Stored) -> dict[str, Any]:
    """A job as a document."""
    ended = job.status in (Status.READY, Status.ERROR)
    return {
        "id": job.id.hex(),
        "task": job.task,
        "status": Status(job.status).name.lower(),
        "arguments": call_text(job.payload),
        "result": value_text(job.result) if job.status == Status.READY else None,
        "error": job.error or None,
        "entry": job.entry or None,
        "deaths": job.deaths,
        "registered": iso(registered(job.id), None),
        "due": iso(job.due, None),
        "kept_until": iso(job.expires, None) if ended and job.expires else None,
    }


def _render(document: Mapping[str, Any]) -> Iterable[Any]:
    if not document["jobs"]:
        yield "no such jobs"
        return
    yield table(
        (
            (
                id,
                brief(each["registered"]),
                each["status"],
                shortened(f"{short(each['task'])}({each['arguments']})", ABOUT),
                shortened(each["error"] or each["result"] or _waits(each), ABOUT),
            )
            for id, each in zip(short_ids([each["id"] for each in document["jobs"]]), document["jobs"], strict=True)
        ),
        "id",
        "registered",
        "status",
        "call",
        "result",
    )
    if document["more"]:
        yield "there are more: -n 0 shows all"


def _waits(job: Mapping[str, Any]) -> str:
    return f"due {brief(job['due'])}" if job["status"] == "waiting" else ""


def _render_one(document: Mapping[str, Any]) -> Iterable[Any]:
    yield table((name.replace("_", " "), _one(name, value)) for name, value in document["jobs"][0].items())


def _one(name: str, value: object) -> object:
    return readable(str(value)) if name in ("registered", "due", "kept_until") and value is not None else value
