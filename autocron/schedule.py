"""Crontab + time zone → next fire time. Everything is computed by jumps over fields, nothing is tried out.

A *wall* is what the clock on the wall shows, as seconds since 1970-01-01 00:00 of the wall; a *second* is UTC
epoch seconds. wall = second + offset, and a zone is a row of *pieces*, stretches of time with one offset.

What happens where two pieces meet, as in vixie cron:

                 the offset grows: a gap,          the offset shrinks: an overlap,
                 walls are skipped                 walls come twice
    fixed time   fires once, right after the gap   fires in the first pass only
    wildcard     is skipped with the wall          fires in both passes

An entry is a wildcard if its minute or hour field begins with `*`. It holds for every gap and overlap: of 30
minutes (Lord Howe), by a change of the standard time, of a whole day (Apia, 30 December 2011).
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import accumulate
from math import floor
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from .crontab import Crontab, check_dialect

_DAY_S = 86400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WALL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall has no zone
_SECOND = timedelta(seconds=1)
_EPOCH_ORDINAL = _WALL_EPOCH.toordinal()
_FIRST_DAY, _LAST_DAY = date.min.toordinal() - _EPOCH_ORDINAL, date.max.toordinal() - _EPOCH_ORDINAL
_MAX_WINDOWS = 4096  # days of offsets that are kept for a zone


@dataclass(frozen=True, init=False, repr=False)
class Schedule:
    """When an entry fires: a crontab in a time zone. Immutable, hashable, picklable; equal if both parts are.

    crontab: five fields in the dialect, or a `Crontab`; if given, the lists are ignored. minutes, hours,
    days, months, days_of_week (or `dow`): lists of numbers, None means every. tz: an IANA name or a tzinfo;
    None means the local zone for `next_fire`, that of the moment for aware moments, none for naive ones.

    ValueError for a crontab that cannot be read or never fires, an unknown zone, `days_of_week` beside `dow`.

    >>> Schedule("30 9 0,2 * *", tz="Europe/Berlin").next_after(datetime(2027, 1, 1))
    datetime.datetime(2027, 1, 4, 9, 30)
    """

    crontab: Crontab
    tz: tzinfo | None
    _walls: _Walls = field(compare=False)
    _offsets: _Offsets = field(compare=False)

    def __init__(
        self,
        crontab: str | Crontab | None = None,
        minutes: Iterable[int] | int | None = None,
        hours: Iterable[int] | int | None = None,
        days: Iterable[int] | int | None = None,
        months: Iterable[int] | int | None = None,
        days_of_week: Iterable[int] | int | None = None,
        dialect: str = "autocron",
        tz: str | tzinfo | None = None,
        *,
        dow: Iterable[int] | int | None = None,
    ) -> None:
        check_dialect(dialect)
        if crontab is None:
            if dow is not None and days_of_week is not None:
                raise ValueError("dow and days_of_week are two spellings of one argument: give only one")
            week = dow if days_of_week is None else days_of_week
            crontab = Crontab.from_fields(minutes, hours, days, months, week)
        elif not isinstance(crontab, Crontab):
            crontab = Crontab.parse(crontab, dialect)
        zone = zone_called(tz) if isinstance(tz, str) else tz
        if not isinstance(zone, tzinfo | None):
            raise ValueError(f'tz={tz!r}: an IANA name such as "Europe/Berlin", a tzinfo, or None is needed')
        for name, value in (
            ("crontab", crontab),
            ("tz", zone),
            ("_walls", _Walls(crontab)),
            ("_offsets", _offsets_of(zone)),
        ):
            object.__setattr__(self, name, value)

    def next_after(self, moment: datetime) -> datetime:
        """The first fire time strictly later than this moment.

        Aware in, aware out, in the zone of the schedule, or that of the moment if it has none. Naive in,
        naive out: walls of the schedule's zone (`fold` tells the passes of an overlap apart, a wall in a gap
        counts as just before its end), or without a zone walls of which none is ever skipped or doubled.
        ValueError if there is no fire time before the year 10000, TypeError for what is no datetime.
        """
        if not isinstance(moment, datetime):
            raise TypeError(f"moment={moment!r}: a datetime is needed")
        moment = _plain(moment)
        is_aware = moment.utcoffset() is not None
        try:
            if not is_aware and self.tz is None:
                return _WALL_EPOCH + timedelta(seconds=self._walls.at_or_after(_wall_of(moment) + 1))
            tz, offsets = self.tz, self._offsets
            if tz is None:
                tz, offsets = moment.tzinfo, _offsets_of(moment.tzinfo)
            second = (moment - _EPOCH) // _SECOND if is_aware else offsets.second_of(_wall_of(moment), moment.fold)
            fire = _moment(self._fire_after(second, offsets), tz)
        except OverflowError:
            raise _no_more() from None
        return fire if is_aware else fire.replace(tzinfo=None)

    def upcoming(self, start: datetime, n: int) -> list[datetime]:
        """The next `n` fire times strictly later than `start`, each as `next_after` gives it."""
        return list(accumulate(range(n), lambda moment, _: self.next_after(moment), initial=start))[1:]

    def next_fire(self, after: float) -> float:
        """The first fire time strictly later than `after`, both UTC epoch seconds. No zone: the local one.

        >>> Schedule("@hourly", tz="UTC").next_fire(0.0)
        3600.0
        """
        return float(self._fire_after(floor(after), self._offsets))

    def crontab_string(self) -> str:
        """The crontab in the dialect "autocron", to be stored."""
        return self.crontab.to_string("autocron")

    def tz_name(self) -> str:
        """The IANA name of the zone, "" for the local one; ValueError if the tzinfo has no name."""
        name = _name_of(self.tz)
        if name is None:
            raise ValueError(f'tz={self.tz!r} has no name that can be stored; give one such as "Europe/Berlin"')
        if name:
            zone_called(name)  # as the monitor will
        return name

    def _fire_after(self, second: int, offsets: _Offsets) -> int:
        walls, is_fixed = self._walls, not self.crontab.is_wildcard
        piece = offsets.piece_at(second)
        wall = second + piece.offset + 1
        if is_fixed and wall < piece.new_from:
            wall = piece.new_from  # until then it is the second pass of an overlap
        wall = walls.at_or_after(wall)
        while wall >= piece.end + piece.offset:
            # Offsets differ by 26 hours at most. So only in the next two days walls may come again, and only
            # two days around it this one may be skipped: there every piece counts, between nothing fires.
            is_near = piece.end <= second + 2 * _DAY_S
            piece = offsets.piece_at(piece.end if is_near else max(piece.end, wall - piece.offset - 2 * _DAY_S))
            if not is_fixed:
                wall = walls.at_or_after(piece.start + piece.offset)
            elif wall < piece.start + piece.offset:
                return piece.start
        return wall - piece.offset

    def __reduce__(self) -> tuple[Any, ...]:
        return Schedule, (self.crontab, None, None, None, None, None, "autocron", self.tz)

    def __repr__(self) -> str:
        return f"Schedule({self.crontab_string()!r}{f', tz={_label(self.tz)!r}' if self.tz else ''})"

    def __str__(self) -> str:
        return f"{self.crontab.describe()}{f' ({_label(self.tz)})' if self.tz else ''}"


class _Walls:
    """The walls that match a crontab, on a clock that knows no summer time."""

    def __init__(self, crontab: Crontab) -> None:
        self._crontab = crontab
        self._times = [3600 * hour + 60 * minute for hour in crontab.hours for minute in crontab.minutes]
        self._days_in = lru_cache(crontab.days_in)  # there are only 28 kinds of month
        self._known = (0, -1)  # a day, and the first matching one from there on

    def at_or_after(self, wall: int) -> int:
        day, time = divmod(wall, _DAY_S)
        index = bisect_left(self._times, time)
        if index == len(self._times):
            day, index = day + 1, 0
        low, high = self._known
        found = high if low <= day <= high else self._day(day)
        return found * _DAY_S + self._times[index if found == day else 0]

    def _day(self, day: int) -> int:
        if day > _LAST_DAY:
            raise _no_more()
        start = date.fromordinal(max(day, _FIRST_DAY) + _EPOCH_ORDINAL)
        for year in range(start.year, date.max.year + 1):
            for month in self._crontab.months:
                if (year, month) < (start.year, start.month):
                    continue
                days = self._days_in(*monthrange(year, month))
                is_first = (year, month) == (start.year, start.month)
                index = bisect_left(days, start.day) if is_first else 0
                if index < len(days):
                    found = date(year, month, days[index]).toordinal() - _EPOCH_ORDINAL
                    self._known = (day, found)
                    return found
        raise _no_more()


class _Piece(NamedTuple):
    """A stretch of time with one offset from UTC, or a part of it."""

    start: int  # UTC epoch seconds
    end: int
    offset: int  # seconds
    new_from: int  # the first wall that no earlier piece has shown


class _Offsets:
    """The offsets of a zone, asked of it a day at a time and kept.

    Only conversions from UTC are used: they are right with any tzinfo, and need no `fold`. Two changes that
    undo each other within a day would not be seen; the closest in the database of zones are a week apart.
    """

    def __init__(self, tz: tzinfo | None) -> None:
        self._tz = tz
        self._windows: dict[int, list[_Piece]] = {}

    def piece_at(self, second: int) -> _Piece:
        number = second // _DAY_S
        for piece in self._windows.get(number) or self._window(number):
            if second < piece.end:
                return piece
        raise AssertionError("a window ends with its last piece")

    def second_of(self, wall: int, fold: int) -> int:
        """The UTC second at which the zone shows this wall; in a gap the last one before its end."""
        piece, shown = self.piece_at(wall - _DAY_S), []
        while piece.start <= wall + _DAY_S:
            following = self.piece_at(piece.end)
            if piece.start + piece.offset <= wall < piece.end + piece.offset:
                shown.append(wall - piece.offset)
            elif not shown and piece.end + piece.offset <= wall < piece.end + following.offset:
                return piece.end - 1
            piece = following
        return shown[-1 if fold else 0]

    def _window(self, number: int) -> list[_Piece]:
        if len(self._windows) >= _MAX_WINDOWS:
            self._windows.clear()
        start, pieces = number * _DAY_S, []
        # The day before counts too: its walls may come again, and no overlap is longer than a day.
        latest = start - 2 * _DAY_S
        for low, high, offset in self._stretches(start - _DAY_S, start + _DAY_S):
            latest = max(latest, low + offset)
            if high > start:
                pieces.append(_Piece(max(low, start), high, offset, latest))
            latest = max(latest, high + offset)
        self._windows[number] = pieces
        return pieces

    def _stretches(self, low: int, end: int) -> list[tuple[int, int, int]]:
        """The parts of a time that have one offset each: start, end, offset."""
        stretches = []
        while low < end:
            offset = self._offset_at(low)
            high = self._change(low, min(end, (low // _DAY_S + 1) * _DAY_S), offset)
            stretches.append((low, high, offset))
            low = high
        return stretches

    def _change(self, low: int, high: int, offset: int) -> int:
        """The first second from low to high that has another offset, or high."""
        if self._offset_at(high) == offset:
            return high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._offset_at(middle) == offset else (low, middle)
        return high

    def _offset_at(self, second: int) -> int:
        # At both ends of the calendar the wall of a zone would leave it.
        inside = min(max(second, (_FIRST_DAY + 1) * _DAY_S), _LAST_DAY * _DAY_S)
        return (_moment(inside, self._tz).utcoffset() or timedelta()) // _SECOND


class _LocalOffsets(_Offsets):
    """Those of the local zone, which changes with the environment (tests do that)."""

    def piece_at(self, second: int) -> _Piece:
        piece = super().piece_at(second)
        if any(piece.offset != self._offset_at(each) for each in (second, piece.end - 1)):
            self.forget()  # what is known is of another zone
            piece = super().piece_at(second)
        return piece

    def forget(self) -> None:
        """The zone has changed; one that looks alike at a moment cannot be told from the one before."""
        self._windows.clear()


local_offsets = _LocalOffsets(None)


_known_offsets = lru_cache(maxsize=64)(_Offsets)


def _offsets_of(tz: tzinfo | None) -> _Offsets:
    if tz is None:
        return local_offsets
    try:
        return _known_offsets(tz)
    except TypeError:  # a tzinfo that has no hash
        return _Offsets(tz)


def _moment(second: int, tz: tzinfo | None) -> datetime:
    return (_EPOCH + timedelta(seconds=second)).astimezone(tz)


def _plain(moment: datetime) -> datetime:
    """A datetime of a library (pendulum, pandas) as one of Python, whose differences are plain too."""
    if type(moment) is datetime:
        return moment
    day = moment.year, moment.month, moment.day
    time = moment.hour, moment.minute, moment.second, moment.microsecond
    return datetime(*day, *time, moment.tzinfo, fold=moment.fold)  # noqa: DTZ001 - or naive, as it was


def _wall_of(moment: datetime) -> int:
    return (moment.replace(tzinfo=None) - _WALL_EPOCH) // _SECOND


def _name_of(tz: tzinfo | None) -> str | None:
    if tz is None or tz is UTC:
        return "" if tz is None else "UTC"
    name = getattr(tz, "key", None)
    return str.__str__(name) if isinstance(name, str) else None  # exactly str, not an enumeration that is one, too


def _label(tz: tzinfo | None) -> object:
    return _name_of(tz) or tz


def zone_called(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(str.__str__(name))
    except (KeyError, ValueError, OSError):
        import difflib  # noqa: PLC0415 - for who has mistyped one

        similar = difflib.get_close_matches(name, available_timezones(), 3)
        hint = f"similar are {', '.join(similar)}" if similar else 'names are such as "Europe/Berlin"'
        raise ValueError(f"tz={name!r} is not a known time zone; {hint}") from None


def _no_more() -> ValueError:
    return ValueError("there is no fire time before the year 10000")
