"""`autocron retry | purge | run-now | pause | resume`: what a person does to jobs and entries."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import click

from .. import messages
from ..interface import Interface
from ..job import EntryState, Status, Stored
from .database import Database
from .output import emit, json_option, short, table
from .selecting import SHORTEST_ID, STATUSES, Chosen, selecting

GROUP: Final = 500  # jobs that are changed in one transaction

yes_option = click.option("--yes", is_flag=True, help="Do not ask whether to go on.")


@click.command()
@click.argument("db")
@selecting(all_of_them=True)
@json_option
@click.pass_obj
def retry(interface: Interface, /, db: str, chosen: Chosen, as_json: bool) -> None:
    """Run jobs again that ended in error.

    They keep their ids, so whoever holds a Result of one sees its new outcome; deaths are forgiven.

    \b
    Examples:
      autocron retry app.db 019d53c1a2b3
      autocron retry app.db --task send_mail --since 2h
    """
    chosen = chosen.insist().of(Status.ERROR)
    with Database(interface, db) as database:
        # All are looked for before the first runs again: else one that fails at once would be found again.
        ids = [each.id for each in chosen.jobs(database)]
        retried = sum(database.ask(messages.RETRY, group) for group in _groups(ids))
        document = {**_state(database), "retried": retried}
    emit(document, as_json, _render_retry)


@click.command()
@click.argument("db")
@selecting(
    statuses="In this state instead; may be given more than once.  [default: ready, error]",
    without=["processing"],
    all_of_them=True,
)
@yes_option
@json_option
@click.pass_obj
def purge(interface: Interface, /, db: str, chosen: Chosen, yes: bool, as_json: bool) -> None:
    """Remove jobs for good: those that have ended, or with --status waiting those that have not begun.

    What is being processed stays. Without --yes, it is asked before anything is removed.

    \b
    Examples:
      autocron purge app.db --status error --until 7d
      autocron purge app.db --status waiting --task send_mail --yes
    """
    if as_json and not yes:
        raise click.UsageError("--json asks nothing: give --yes with it")
    chosen = chosen.insist().of(*(chosen.statuses or (Status.READY, Status.ERROR)))
    with Database(interface, db) as database:
        found = list(chosen.jobs(database))
        if found and not yes:
            click.confirm(f"Remove {_summary(found)} from {database.address}?", abort=True, err=True)
        statuses = list(map(int, chosen.statuses))
        purged = sum(database.ask(messages.PURGE, (group, statuses)) for group in _groups([each.id for each in found]))
        document = {"database": database.address, "purged": purged}
    emit(document, as_json, lambda document: [f"{_jobs(document['purged'])} removed"])


@click.command("run-now")
@click.argument("db")
@click.argument("what", nargs=-1, required=True)
@json_option
@click.pass_obj
def run_now(interface: Interface, /, db: str, what: Sequence[str], as_json: bool) -> None:
    """Run a cron entry once more, or a waiting job that is due later, now.

    WHAT is the key of an entry, the name of its function, or the id of a job. An entry fires at its fire times too,
    whatever comes of this run.

    \b
    Examples:
      autocron run-now app.db weekly_report
      autocron run-now app.db 019d53c1a2b3
    """
    with Database(interface, db) as database:
        overview = database.overview()
        keys = [EntryState._make(each).key for each in overview["entries"]]
        # Nothing is run until everything is known to be there.
        chosen = [(each, _entry_of(each, keys) or _waiting_job(each, database, keys)) for each in what]
        jobs = []
        for _, found in chosen:
            if isinstance(found, Stored):
                database.ask(messages.HASTEN, [found.id])
                jobs.append({"id": found.id.hex(), "task": found.task, "entry": None})
            else:
                id = database.ask(messages.FIRE, found)
                jobs.append({"id": id.hex(), "task": found.rpartition("#")[0], "entry": found})
        document = {**_state(database), "jobs": jobs}
        for _, found in chosen:
            if document["monitor"] and isinstance(found, str) and found not in overview["announced"]:
                click.echo(f"no running application has the entry {found}: its job may fail", err=True)
    emit(document, as_json, _render_run)


@click.command()
@click.argument("db")
@json_option
@click.pass_obj
def pause(interface: Interface, /, db: str, as_json: bool) -> None:
    """Run nothing more until `autocron resume`: jobs are registered and wait, no entry fires.

    What has begun is finished. The pause is stored: it survives every restart.

    \b
    Example:
      autocron pause app.db
    """
    _set_paused(interface, db, True, as_json)


@click.command()
@click.argument("db")
@json_option
@click.pass_obj
def resume(interface: Interface, /, db: str, as_json: bool) -> None:
    """End a pause: what waits is run.

    Of the fire times in the pause each entry makes up for the newest one, if it is not older than its catch_up
    (a day, if nothing else was said).

    \b
    Example:
      autocron resume app.db
    """
    _set_paused(interface, db, False, as_json)


def _set_paused(interface: Interface, db: str, paused: bool, as_json: bool) -> None:
    with Database(interface, db) as database:
        before = database.ask(messages.SETTINGS, {})["paused"]
        database.change({"paused": paused})
        counts = database.overview()["counts"]
        document = {
            "database": database.address,
            "monitor": database.find_monitor(),
            "paused": paused,
            "changed": paused != before,
            "waiting": counts.get(Status.WAITING, 0),
            "processing": counts.get(Status.PROCESSING, 0),
        }
    emit(document, as_json, _render_pause)


def _render_pause(document: Mapping[str, Any]) -> Iterable[Any]:
    what = "paused: jobs wait and no entry fires until `autocron resume`" if document["paused"] else "not paused"
    yield what if document["changed"] else f"{what} (nothing has changed)"
    yield table([("waiting", document["waiting"]), ("processing", document["processing"])])


def _state(database: Database) -> dict[str, Any]:
    """What decides when a job that is due is run."""
    settings = database.change({})
    return {
        "database": database.address,
        "monitor": database.find_monitor(),
        "enabled": settings["enabled"],
        "paused": settings["paused"],
    }


def _hindrances(document: Mapping[str, Any]) -> Iterator[str]:
    if not document["monitor"]:
        yield "no monitor runs: nothing is run until an application starts"
    if not document["enabled"]:
        yield "switched off: nothing is run until `autocron settings --enabled`"
    if document["paused"]:
        yield "paused: nothing is run until `autocron resume`"


def _render_retry(document: Mapping[str, Any]) -> Iterable[Any]:
    yield f"{_jobs(document['retried'])} to be run again"
    yield from _hindrances(document)


def _render_run(document: Mapping[str, Any]) -> Iterable[Any]:
    yield table(((short(each["task"]), each["id"]) for each in document["jobs"]), "due now", "job")
    yield from _hindrances(document)


def _groups(ids: Sequence[bytes]) -> Iterator[list[bytes]]:
    them = iter(ids)
    while group := list(itertools.islice(them, GROUP)):
        yield group


def _jobs(number: int) -> str:
    return f"{number} job{'' if number == 1 else 's'}"


def _summary(found: Sequence[Stored]) -> str:
    counts = Counter(each.status for each in found)
    return f"{_jobs(len(found))} ({', '.join(f'{counts[s]} {name}' for name, s in STATUSES.items() if counts[s])})"


def _entry_of(what: str, keys: Sequence[str]) -> str:
    """The key of the entry that is meant; "" if none is."""
    meant = [key for key in keys if what in _names(key)]
    if len(meant) > 1:
        raise click.UsageError(f"{what!r} may be any of {', '.join(meant)}: give its key")
    return meant[0] if meant else ""


def _names(key: str) -> tuple[str, ...]:
    task = key.rpartition("#")[0]
    name = task.rpartition(":")[2]
    return key, short(key), task, short(task), name, name.rpartition(".")[2]


def _waiting_job(what: str, database: Database, keys: Sequence[str]) -> Stored:
    if len(what) < SHORTEST_ID or set(what.lower()) - set("0123456789abcdef"):
        known = f"known are {', '.join(keys)}" if keys else "there are none"
        raise click.UsageError(f"{what!r} is neither the id of a job nor a cron entry, of which {known}")
    found = list(itertools.islice(Chosen(ids=(what.lower(),)).of(Status.WAITING).jobs(database), 2))
    if len(found) > 1:
        raise click.UsageError(f"more than one waiting job has an id that begins with {what}: give more of it")
    return found[0]
