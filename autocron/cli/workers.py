"""`autocron workers`: who works, on what, for how long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from ..interface import Interface
from .database import Database
from .output import emit, json_option, seconds, short, table

NOBODY = "no monitor runs, so there are no workers: nothing is run until an application starts"


@click.command()
@click.argument("db")
@json_option
@click.pass_obj
def workers(interface: Interface, /, db: str, as_json: bool) -> None:
    """Show the worker processes and what they run.

    \b
    Example:
      autocron workers app.db
    """
    with Database(interface, db) as database:
        overview = database.overview()
        document = {
            "database": database.address,
            "monitor": database.find_monitor(),
            "workers": [worker(each) for each in overview["workers"]],
        }
    emit(document, as_json, _render)


def worker(found: Mapping[str, Any]) -> dict[str, Any]:
    """A worker as a document."""
    state = "running" if found["running"] else "idle"
    if found["ending"] or not found["ready"]:
        state = "ending" if found["ending"] else "starting"
    return {
        "pid": found["pid"],
        "state": state,
        "since_s": round(found["since_s"], 3),
        "jobs": found["running"],
        "task": found.get("task") or None,
    }


def worker_table(found: Iterable[Mapping[str, Any]]) -> Any:
    """Workers as a table."""
    return table(
        (
            (each["pid"], each["state"], seconds(each["since_s"]), each["jobs"], short(each["task"] or "-"))
            for each in found
        ),
        "worker",
        "state",
        "for",
        "jobs",
        "task",
    )


def _render(document: Mapping[str, Any]) -> Iterable[Any]:
    if not document["monitor"]:
        yield NOBODY
    elif not document["workers"]:
        yield "the monitor has no workers; is autocron switched off? See `autocron settings`"
    else:
        yield worker_table(document["workers"])
