"""`autocron tasks`: how it stands with each task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import click

from ..interface import Interface
from ..job import Status
from .database import Database
from .output import brief, emit, iso, json_option, short, shortened, table
from .results import ABOUT
from .selecting import STATUSES, Chosen, registered, selecting


@click.command()
@click.argument("db")
@selecting(ids=False)
@json_option
@click.pass_obj
def tasks(interface: Interface, /, db: str, chosen: Chosen, as_json: bool) -> None:
    """Show the tasks of which there are jobs: how many in which state, and the newest error of each.

    \b
    Example:
      autocron tasks app.db --since 1h
    """
    found: dict[str, dict[str, Any]] = {}
    with Database(interface, db) as database:
        for job in chosen.jobs(database):
            task = found.setdefault(job.task, {"counts": Counter(), "newest": 0.0, "due": None, "error": None})
            task["counts"][job.status] += 1
            task["newest"] = max(task["newest"], registered(job.id))
            task["error"] = job.error or task["error"]
            if job.status == Status.WAITING:
                task["due"] = job.due if task["due"] is None else min(task["due"], job.due)
        document = {
            "database": database.address,
            "tasks": [_described(name, each) for name, each in sorted(found.items())],
        }
    emit(document, as_json, _render)


def _described(name: str, task: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task": name,
        **{status: task["counts"][value] for status, value in STATUSES.items()},
        "next_due": None if task["due"] is None else iso(task["due"], None),
        "newest": iso(task["newest"], None),
        "newest_error": task["error"],
    }


def _render(document: Mapping[str, Any]) -> Iterable[Any]:
    if not document["tasks"]:
        yield "no such jobs"
        return
    yield table(
        (
            (
                short(each["task"]),
                *(each[status] for status in STATUSES),
                brief(each["next_due"]),
                brief(each["newest"]),
                shortened(each["newest_error"] or "-", ABOUT),
            )
            for each in document["tasks"]
        ),
        "task",
        *STATUSES,
        "next due",
        "newest job",
        "newest error",
    )
