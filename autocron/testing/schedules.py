"""`assert_schedule`: a year of fire times, checked at once, and explained where the clocks change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from math import ceil
from typing import Any, Final

from ..job import Entry
from ..schedule import Schedule, zone_called
from .changes import Change, changes_between, explain
from .durations import Duration, Moment, in_words, seconds_of
from .firings import entries_of
from .jobs import AnyTask, name_of

Day = str | date | Callable[[datetime], bool]
Days = Day | Iterable[Day]

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SHOWN: Final = 5  # broken fire times


def assert_schedule(
    task_or_expr: AnyTask | Schedule,
    *,
    year: int | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    times: int | None = None,
    only: Days | None = None,
    never: Days | None = None,
    at: str | time | Iterable[str | time] | None = None,
    min_gap: Duration | None = None,
    max_gap: Duration | None = None,
    tz: str | tzinfo | None = None,
    dialect: str = "autocron",
) -> list[datetime]:
    """The entries of a task, or a crontab, fire as described in a year, or from `start` up to and without `end`.

    times: so often. only, never: on these days: names of weekdays, "weekend", "weekday", dates, functions of the
    datetime, or several of them. at: at these times of day, "HH:MM". min_gap, max_gap: so long between two, in
    elapsed time; the latter also to the first one and from the last, so that something must fire. tz: the zone in
    which they are seen, and in which entries fire that have none. dialect: of a crontab.

    Returns the fire times. AssertionError tells about each clause, and what the change of the clocks did.
    """
    __tracebackhide__ = True
    clauses = {"times": times, "only": only, "never": never, "at": at, "min_gap": min_gap, "max_gap": max_gap}
    clauses = {name: value for name, value in clauses.items() if value is not None}
    if not clauses:
        raise TypeError("assert_schedule: nothing is claimed; give times=, only=, never=, at=, min_gap= or max_gap=")
    if times is not None and not isinstance(times, int):
        raise TypeError(f"times={times!r}: a whole number is needed")
    name, schedules = _schedules(task_or_expr, tz, dialect)
    zone = (zone_called(tz) if isinstance(tz, str) else tz) or schedules[0].tz
    low, high = _range(year, start, end, zone)
    seen = _Seen(name, schedules, zone, low, high)
    verdicts = [_CHECKS[clause](seen, value) for clause, value in clauses.items()]
    if not all(verdict.holds for verdict in verdicts):
        given = [f"year={year}"] if year is not None else [f"start={start!r}", f"end={end!r}"]
        written = ", ".join([name, *given, *(f"{clause}={_written(value)}" for clause, value in clauses.items())])
        lines = [f"assert_schedule({written})   {seen.about()}"]
        lines += [
            f"  {clause if clause == 'times' else f'{clause}={_written(value)}'}: {verdict.text}"
            for (clause, value), verdict in zip(clauses.items(), verdicts, strict=True)
        ]
        told = "\n".join(lines)
        lines += [f"  {note}" for note in seen.notes() if note not in told]
        raise AssertionError("\n".join(lines))
    return seen.moments


@dataclass(frozen=True)
class _Verdict:
    """Whether a clause holds, and what is to be said about it."""

    text: str = "ok"
    holds: bool = True


class _Seen:
    """The fire times of a stretch of time, on the wall of a zone."""

    def __init__(self, name: str, schedules: list[Schedule], zone: tzinfo | None, low: float, high: float) -> None:
        self.name = name
        self.schedules = schedules
        self.zone = zone
        seconds = sorted({at for each in schedules for at in _fire_times(each, low, high)})
        self.start, *self.moments, self.end = (
            datetime.fromtimestamp(each, UTC).astimezone(zone) for each in (low, *seconds, high)
        )
        changes = [(each, change) for each in schedules for change in changes_between(each.tz, low, high)]
        self.changes: list[tuple[Schedule, Change]] = sorted(changes, key=lambda pair: pair[1].at)

    def about(self) -> str:
        """The crontab and the zone."""
        expressions = ", ".join(f'"{each.crontab_string()}"' for each in self.schedules)
        return f"expression {expressions}  tz {zone_name(self.zone)}"

    def notes(self) -> list[str]:
        """What the changes of the clocks did to these fire times."""
        return [note for schedule, change in self.changes for note in explain(change, schedule, schedule.tz)]

    def shifted(self, moment: datetime, wall: time) -> str:
        """Why it did not fire at this wall but at that moment; "" if the clocks are not to blame."""
        for schedule, change in self.changes:
            if schedule.tz == self.zone and change.is_gap and moment.timestamp() == change.at and change.skips(wall):
                day = change.day_of(wall)
                return (
                    f"{day:%a %Y-%m-%d} {wall:%H:%M} does not exist in {zone_name(self.zone)} "
                    f'(policy "shift": ran {moment:%H:%M %Z})'
                )
        return ""


def _check_times(seen: _Seen, times: int) -> _Verdict:
    if len(seen.moments) == times:
        return _Verdict()
    text = f"expected {times}, got {len(seen.moments)}"
    if seen.moments:
        text += f": first {shown(seen.moments[0])}, last {shown(seen.moments[-1])}"
    return _Verdict(text, holds=False)


def _check_only(seen: _Seen, only: Days) -> _Verdict:
    is_day = _day_test(only, "only")
    return _broken([moment for moment in seen.moments if not is_day(moment)], "elsewhere")


def _check_never(seen: _Seen, never: Days) -> _Verdict:
    is_day = _day_test(never, "never")
    return _broken([moment for moment in seen.moments if is_day(moment)], "then")


def _broken(moments: list[datetime], where: str) -> _Verdict:
    return _Verdict(f"{len(moments)} {where}: {_some(map(shown, moments))}", holds=False) if moments else _Verdict()


def _check_at(seen: _Seen, at: str | time | Iterable[str | time]) -> _Verdict:
    walls = [_wall(each) for each in (at if isinstance(at, Iterable) and not isinstance(at, str) else [at])]
    wrong = [moment for moment in seen.moments if moment.timetz().replace(tzinfo=None) not in walls]
    if not wrong:
        return _Verdict() if seen.moments else _Verdict("nothing fires", holds=False)
    why = [next(filter(None, (seen.shifted(moment, wall) for wall in walls)), shown(moment)) for moment in wrong]
    right = len(seen.moments) - len(wrong)
    names = " or ".join(f"{wall:%H:%M}" for wall in walls)
    return _Verdict(f"{right} at {names}, {len(wrong)} not: {_some(why)}", holds=False)


def _check_min_gap(seen: _Seen, gap: Duration) -> _Verdict:
    seconds = seconds_of(gap, "min_gap")
    return _gaps(seen.moments, lambda length: length < seconds, "shorter")


def _check_max_gap(seen: _Seen, gap: Duration) -> _Verdict:
    seconds = seconds_of(gap, "max_gap")
    # Before the first and behind the last there is at least as long a gap as is seen of it.
    return _gaps([seen.start, *seen.moments, seen.end], lambda length: length > seconds, "longer")


def _gaps(moments: list[datetime], is_wrong: Callable[[float], bool], how: str) -> _Verdict:
    wrong = []
    for one, next_one in pairwise(moments):
        length = next_one.timestamp() - one.timestamp()
        if is_wrong(length):
            changed = ", the clocks change" if one.utcoffset() != next_one.utcoffset() else ""
            wrong.append(f"{shown(one)} to {shown(next_one)} ({in_words(length)}{changed})")
    return _Verdict(f"{len(wrong)} {how}: {_some(wrong)}", holds=False) if wrong else _Verdict()


_CHECKS: Final[dict[str, Callable[[_Seen, Any], _Verdict]]] = {
    "times": _check_times,
    "only": _check_only,
    "never": _check_never,
    "at": _check_at,
    "min_gap": _check_min_gap,
    "max_gap": _check_max_gap,
}


def _schedules(task_or_expr: AnyTask | Schedule, tz: str | tzinfo | None, dialect: str) -> tuple[str, list[Schedule]]:
    if isinstance(task_or_expr, Schedule):
        crontab = task_or_expr.crontab
        return f'"{task_or_expr.crontab_string()}"', [Schedule(crontab, tz=task_or_expr.tz or tz)]
    if isinstance(task_or_expr, str) and (" " in task_or_expr.strip() or task_or_expr.startswith("@")):
        return f'"{task_or_expr}"', [Schedule(task_or_expr, dialect=dialect, tz=tz)]
    entries: list[Entry] = entries_of(task_or_expr)
    if not entries:
        raise ValueError(f"{task_or_expr!r} has no schedule: it is not decorated with @autocron.cron")
    return name_of(entries[0].task), [Schedule(entry.crontab, tz=entry.tz or tz) for entry in entries]


def _range(year: int | None, start: Moment | None, end: Moment | None, zone: tzinfo | None) -> tuple[float, float]:
    if (year is None) == (start is None or end is None) or (year is not None and (start or end)):
        raise TypeError("assert_schedule: give year=, or both start= and end=")
    if year is not None:
        if not isinstance(year, int) or not 1970 <= year < 9999:
            raise ValueError(f"year={year!r}: a whole number from 1970 to 9998 is needed")
        start, end = datetime(year, 1, 1), datetime(year + 1, 1, 1)  # noqa: DTZ001 - in the zone
    assert start is not None
    assert end is not None
    low, high = _second(start, zone, "start"), _second(end, zone, "end")
    if low >= high:
        raise ValueError(f"start={start!r}, end={end!r}: nothing lies between; the end is not in the range")
    return low, high


def _second(moment: Moment, zone: tzinfo | None, name: str) -> float:
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise ValueError(f'{name}={moment!r}: an ISO moment such as "2027-03-01" is needed') from None
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - in the zone
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp()


def _fire_times(schedule: Schedule, low: float, high: float) -> list[float]:
    found = []
    at = schedule.next_fire(ceil(low) - 1)
    while at < high:
        found.append(at)
        at = schedule.next_fire(at)
    return found


def _day_test(days: Days, clause: str) -> Callable[[datetime], bool]:
    if isinstance(days, str) or callable(days) or not isinstance(days, Iterable):
        return _one_day_test(days, clause)
    tests = [_one_day_test(each, clause) for each in days]
    return lambda moment: any(test(moment) for test in tests)


def _one_day_test(day: Day, clause: str) -> Callable[[datetime], bool]:
    if callable(day):
        return day
    if isinstance(day, date):
        wanted = day.date() if isinstance(day, datetime) else day
        return lambda moment: moment.date() == wanted
    name = day.lower() if isinstance(day, str) else ""
    if name in ("weekend", "weekday", "weekdays"):
        return lambda moment: (moment.weekday() >= 5) == (name == "weekend")
    numbers = [number for number, each in enumerate(WEEKDAYS) if len(name) > 2 and each.startswith(name.rstrip("s"))]
    if len(numbers) == 1:
        return lambda moment: moment.weekday() == numbers[0]
    try:
        return _one_day_test(date.fromisoformat(day), clause)
    except (ValueError, TypeError):
        raise ValueError(
            f'{clause}={day!r}: a weekday ("monday", "mon"), "weekend", "weekday", a date or a function is needed'
        ) from None


def _wall(wall: str | time) -> time:
    try:
        return wall if isinstance(wall, time) else time.fromisoformat(wall)
    except (ValueError, TypeError):
        raise ValueError(f'at={wall!r}: a time of day such as "03:00" is needed') from None


def shown(moment: datetime) -> str:
    """A fire time as messages show it."""
    return f"{moment:%a %Y-%m-%d %H:%M %Z}"


def zone_name(zone: tzinfo | None) -> str:
    """How messages call a zone."""
    return "local" if zone is None else str(getattr(zone, "key", None) or zone)


def _some(texts: Iterable[str]) -> str:
    listed = list(texts)
    more = f", and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def _written(value: object) -> str:
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    if isinstance(value, timedelta):
        return f'"{in_words(value.total_seconds())}"'
    return f'"{value}"' if isinstance(value, str) else repr(value)
