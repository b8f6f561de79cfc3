"""Which jobs a command means: the arguments and options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from ..interface import Interface
from ..job import Selection, Status, Stored
from .database import Database
from .moments import ago

STATUSES: Final = {status.name.lower(): status for status in Status if status is not Status.UNAVAILABLE}
SHORTEST_ID: Final = 6
ID_BYTES: Final = 16
SHOWN_DIGITS: Final = 12  # at least: the moment of registration


@dataclass(frozen=True)
class Chosen:
    """What was chosen on the command line."""

    ids: tuple[str, ...] = ()  # beginnings, in hexadecimal
    task: str = ""
    since: float | None = None  # registered from then on, UTC epoch seconds
    until: float | None = None  # registered before
    statuses: tuple[Status, ...] = ()
    everything: bool = False
    is_change: bool = False  # something is done to them, so that each id is to mean a single job

    def insist(self) -> Chosen:
        """Refuse to act on all jobs because nothing was said, and on several because too little was."""
        if not (self.ids or self.task or self.since is not None or self.until is not None or self.everything):
            raise click.UsageError("which jobs? Give their ids, --task, --since or --until; or --all")
        return replace(self, is_change=True)

    def of(self, *statuses: Status) -> Chosen:
        """The same in these statuses alone."""
        return replace(self, statuses=statuses)

    def jobs(self, database: Database, *, newest_first: bool = False, with_payloads: bool = False) -> Iterator[Stored]:
        """The jobs, in the order of their registration. UsageError for an id that no job has."""
        for beginning in self.ids or ("",):
            number = 0
            for found in database.jobs(self._selection(beginning, newest_first), with_payloads=with_payloads):
                if found.id.hex().startswith(beginning):
                    number += 1
                    yield found
            if beginning and number > 1 and self.is_change:
                raise click.UsageError(f"more than one job has an id that begins with {beginning}: give more of it")
            if beginning and not number:
                statuses = "".join(f"{each.name.lower()} or " for each in self.statuses).removesuffix("or ")
                raise click.UsageError(f"no {statuses}job has an id that begins with {beginning}")

    def _selection(self, beginning: str, newest_first: bool) -> Selection:
        after, before = Selection().after, Selection().before
        if self.since is not None:
            after = _moment(self.since)
        if self.until is not None:
            before = _moment(self.until)
        if beginning:
            # Shorter bytes sort before what begins with them.
            after = max(after, bytes.fromhex(beginning.ljust(len(beginning) + len(beginning) % 2, "0"))[: ID_BYTES - 1])
            before = min(before, bytes.fromhex(beginning + "f" * (len(beginning) % 2)) + b"\xff" * ID_BYTES)
        return Selection(tuple(map(int, self.statuses)), _pattern(self.task), after, before, newest_first)


def _moment(epoch: float) -> bytes:
    return int(max(0.0, epoch) * 1000).to_bytes(6, "big")


def _pattern(task: str) -> str:
    """A pattern of addresses: as it is, or that of a function in any module or class."""
    task = task.replace("[", "[[]")
    if task.partition(":")[0].endswith(".py") and not task.startswith(("/", "*")):
        return f"*/{task}"
    if not task or ":" in task or "*" in task or "?" in task:
        return task or "*"
    return f"*[:.]{task}"


def selecting(
    *, ids: bool = True, statuses: str = "", without: Sequence[str] = (), all_of_them: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the arguments and options; the command is called with `chosen`.

    `ids`: whether ids can be given. `statuses`: what --status is about, "" if there is no such option, `without`: which
    statuses it does not offer.
    `all_of_them`: whether there is --all.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def choose(**given: Any) -> None:
            interface: Interface = click.get_current_context().obj
            now = interface.clock.time()
            chosen = Chosen(
                ids=tuple(map(_checked_id, given.pop("ids", ()))),
                task=given.pop("task") or "",
                since=_maybe_ago(given.pop("since"), "--since", now),
                until=_maybe_ago(given.pop("until"), "--until", now),
                statuses=tuple(STATUSES[each] for each in given.pop("status", ())),
                everything=given.pop("everything", False),
            )
            command(chosen=chosen, **given)

        options = [click.argument("ids", metavar="[ID]...", nargs=-1)] if ids else []
        options += [
            click.option("--task", metavar="NAME", help="A function, module:function, or a pattern with *."),
            click.option("--since", metavar="TIME", help="Registered from then on: an ISO time, or an age such as 2h."),
            click.option("--until", metavar="TIME", help="Registered before: an ISO time, or an age such as 7d."),
        ]
        if statuses:
            names = click.Choice([each for each in STATUSES if each not in without])
            options.append(click.option("--status", type=names, multiple=True, help=statuses))
        if all_of_them:
            options.append(click.option("--all", "everything", is_flag=True, help="All of them."))
        for option in reversed(options):
            choose = option(choose)
        return choose

    return decorate


def _checked_id(text: str) -> str:
    text = text.lower()
    if len(text) < SHORTEST_ID or len(text) > 2 * ID_BYTES or set(text) - set("0123456789abcdef"):
        raise click.UsageError(
            f"{text!r} is no id of a job: give its first {SHORTEST_ID} or more hexadecimal digits, as shown by"
            " `autocron results`"
        )
    return text


def _maybe_ago(text: str | None, option: str, now: float) -> float | None:
    return None if text is None else ago(text, option, now)


def short_ids(ids: Sequence[str]) -> list[str]:
    """As much of each id as tells these jobs apart."""
    for digits in range(SHOWN_DIGITS, 2 * ID_BYTES):
        if len({each[:digits] for each in ids}) == len(set(ids)):
            return [each[:digits] for each in ids]
    return list(ids)


def registered(id: bytes) -> float:
    """When the job was registered, UTC epoch seconds: its id begins with the moment."""
    return int.from_bytes(id[:6], "big") / 1000
