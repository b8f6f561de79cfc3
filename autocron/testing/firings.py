"""When entries fire next."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ..job import Entry
from ..registry import registry
from ..schedule import Schedule, zone_called
from .jobs import AnyTask, address_of_task, name_of


class Firing(NamedTuple):
    """A fire time to come."""

    at: datetime
    task: str  # the address of the task
    expr: str  # the crontab, in the dialect "autocron"


class Firings(list[Firing]):
    """Fire times in their order; printed, a table."""

    def __str__(self) -> str:
        width = max((len(name_of(each.task)) for each in self), default=0)
        return "\n".join(f"{each.at:%a %Y-%m-%d %H:%M %Z}  {name_of(each.task):{width}}  {each.expr}" for each in self)


def entries_of(task: AnyTask | None) -> list[Entry]:
    """The entries of a task, or all."""
    address = None if task is None else address_of_task(task)
    return [entry for entry in registry.entries.values() if address in (None, entry.task)]


def upcoming(n: int, task: AnyTask | None, after: float, tz: str | tzinfo | None) -> Firings:
    """The next `n` fire times later than `after` (UTC epoch seconds), shown in this zone or each in its own."""
    if not isinstance(n, int) or n < 0:
        raise ValueError(f"n={n!r}: how many fire times, from 0 on")
    zone = zone_called(tz) if isinstance(tz, str) else tz
    merged = heapq.merge(*(_firings(entry, after) for entry in entries_of(task)))
    return Firings(
        Firing(_shown(at, zone or _zone_of(entry)), entry.task, entry.crontab) for at, entry in islice(merged, n)
    )


def _firings(entry: Entry, after: float) -> Iterator[tuple[float, Entry]]:
    schedule = Schedule(entry.crontab, tz=entry.tz or None)
    with suppress(ValueError):  # the end of the calendar
        while True:
            after = schedule.next_fire(after)
            yield after, entry


def _zone_of(entry: Entry) -> tzinfo | None:
    return ZoneInfo(entry.tz) if entry.tz else None


def _shown(at: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(zone)
