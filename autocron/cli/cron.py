"""`autocron cron`: what a crontab means, and when it fires."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import click

from ..crontab import Crontab
from ..errors import CrontabError
from ..interface import Interface
from ..schedule import Schedule
from .moments import epoch
from .output import emit, iso, json_option, readable, table

OTHER: Final = {"autocron": "unix", "unix": "autocron"}


@click.command()
@click.argument("crontab", nargs=-1, required=True, metavar="CRONTAB")
@click.option(
    "--dialect", type=click.Choice(list(OTHER)), default="autocron", show_default=True, help="How to read it."
)
@click.option(
    "-n",
    "number",
    type=click.IntRange(0),
    metavar="N",
    default=5,
    show_default=True,
    help="How many fire times to show.",
)
@click.option("--tz", metavar="NAME", help='Time zone such as "Europe/Berlin".  [default: the local one]')
@click.option("--from", "start", metavar="TIME", help="Show fire times later than this ISO time.  [default: now]")
@json_option
@click.pass_obj
def cron(
    interface: Interface,
    /,
    crontab: Sequence[str],
    dialect: str,
    number: int,
    tz: str | None,
    start: str | None,
    as_json: bool,
) -> None:
    """Explain a crontab: in words, its next fire times, and how it reads in the other dialect.

    "autocron" is minutes hours days-of-week months days-of-month, Monday is 0; "unix" is minute hour day-of-month
    month day-of-week, Sunday is 0 or 7.

    \b
    Example:
      autocron cron "30 9 0,2 * *" --tz Europe/Berlin --from 2027-01-01T00:00
    """
    if len(crontab) > 1:  # and the shell may have made file names of its asterisks
        raise click.UsageError(f"{len(crontab)} arguments: put the crontab in quotes, so that it is one")
    (text,) = crontab
    parsed = Crontab.parse(text, dialect)
    try:
        schedule = Schedule(parsed, tz=tz)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    after = interface.clock.time() if start is None else epoch(start, "--from", schedule.tz)
    try:
        told = iso(after, schedule.tz)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{start!r}; it must be within the years 1 to 9999 in UTC and there", param_hint="--from"
        ) from None
    document = {
        "crontab": text,
        "dialect": dialect,
        "words": parsed.describe(),
        "tz": tz,
        "from": told,
        "fire_times": list(_fire_times(schedule, after, number)),
        "other_dialect": _other(text, parsed, OTHER[dialect]),
    }
    emit(document, as_json, _render)


def _fire_times(schedule: Schedule, after: float, number: int) -> Iterable[str]:
    for _ in range(number):
        try:
            after = schedule.next_fire(after)
            told = iso(after, schedule.tz)
        except (ValueError, OverflowError):
            return  # the calendar ends with the year 9999
        yield told


def _other(text: str, parsed: Crontab, dialect: str) -> dict[str, Any]:
    """The same string, and the same schedule, in the other dialect."""
    words = problem = None
    same = False
    try:
        read = Crontab.parse(text, dialect)
    except CrontabError as error:
        problem = _reason(str(error), text)
    else:
        words, same = read.describe(), read == parsed
    spelled = parsed.to_string(dialect)
    return {"dialect": dialect, "words": words, "error": problem, "same": same, "crontab": spelled}


def _reason(message: str, text: str) -> str:
    """What is wrong, without the hint at the dialect that we come from."""
    return message.removeprefix(f'crontab "{text}": ').partition("; in the dialect ")[0]


def _render(document: Mapping[str, Any]) -> Iterable[Any]:
    other = document["other_dialect"]
    means = "the same" if other["same"] else other["words"] or f"nothing: {other['error']}"
    spelled = other["crontab"]
    if other["dialect"] == "unix" and "&" in spelled:
        spelled += "  (& is understood by autocron only, not by Unix cron)"
    times = [readable(each) for each in document["fire_times"]]
    yield table(
        [
            (f'"{document["crontab"]}"', document["words"]),
            *zip([f"next, {document['tz'] or 'local time'}", *[""] * len(times)], times, strict=False),
            (f'as "{other["dialect"]}" it means', means),
            (f'in "{other["dialect"]}" spell it', spelled),
        ]
    )
