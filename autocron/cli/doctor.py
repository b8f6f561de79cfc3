"""`autocron doctor`: what is wrong, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from ..errors import AutocronError
from ..interface import Interface
from .checks import NOTE, PROBLEM, Case, Finding, files, monitor, work
from .output import emit, json_option, table

CHECKS: Final[tuple[Callable[[Case], Iterator[Finding]], ...]] = (
    files.versions,
    files.directory,
    files.private_directory,
    monitor.lock,
    monitor.link,
    files.file,
    files.log,
    monitor.same_versions,
    monitor.workers,
    work.switches,
    work.jobs,
    work.imports,
    work.clock,
)


@click.command()
@click.argument("db")
@json_option
@click.pass_context
def doctor(ctx: click.Context, /, db: str, as_json: bool) -> None:
    """Look for what is wrong with a database and its monitor, and say how to mend it.

    It changes nothing. The exit code is 1 if there is a problem; notes are no problems.

    \b
    Example:
      autocron doctor app.db
    """
    interface: Interface = ctx.obj
    try:
        case = Case(interface, Path(interface.spawner.locate(db)), db)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except FileNotFoundError:
        case = Case(
            interface, Path("~/.autocron", Path(db).expanduser()).expanduser(), db
        )  # the directory is one of the findings
    findings = list(_examine(case))
    document = {
        "database": str(case.path),
        "problems": sum(each.state == PROBLEM for each in findings),
        "notes": sum(each.state == NOTE for each in findings),
        "findings": [
            {"check": each.check, "state": each.state, "found": each.found, "remedy": each.remedy or None}
            for each in findings
        ],
    }
    emit(document, as_json, _render)
    ctx.exit(1 if document["problems"] else 0)


def _examine(case: Case) -> Iterator[Finding]:
    seen = set()
    try:
        for check in CHECKS:
            try:
                yield from check(case)
            except (AutocronError, OSError) as error:
                if str(error) in seen:
                    continue  # the same trouble, met again
                seen.add(str(error))
                yield Finding(check.__name__.replace("_", " "), PROBLEM, str(error), "see the other findings")
    finally:
        if case.database is not None:
            case.database.close()


def _render(document: Mapping[str, Any]) -> Iterable[Any]:
    yield table(((each["state"], each["check"], each["found"]) for each in document["findings"]), "", "check", "found")
    remedies = [each for each in document["findings"] if each["remedy"]]
    if remedies:
        yield table(((each["check"], each["remedy"]) for each in remedies), "to mend", "do")
    problems, notes = document["problems"], document["notes"]
    yield f"{problems or 'no'} problem{'s' * (problems != 1)}, {notes or 'no'} note{'s' * (notes != 1)}"
