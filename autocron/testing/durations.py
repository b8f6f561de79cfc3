"""Durations and moments as people write them."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Final

Duration = timedelta | float | str  # a number means seconds
Moment = datetime | date | str  # naive: local time, as in production

UNITS: Final = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
LATEST: Final = 253402214400.0  # UTC epoch seconds, the end of 9999-12-30: later moments have no datetime in some zones
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[wdhms])\s*")


def seconds_of(duration: Duration, name: str = "duration") -> float:
    """A duration in seconds. ValueError, which calls it `name`, for one that cannot be read or is negative.

    >>> seconds_of("1d 2h"), seconds_of(timedelta(minutes=1)), seconds_of(2.5)
    (93600.0, 60.0, 2.5)
    """
    seconds = _seconds(duration)
    if seconds is None:
        raise ValueError(f'{name}={duration!r}: seconds, a timedelta or a text such as "1d 2h 30m 15s" is needed')
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{name}={duration!r}: it cannot be negative or endless; `travel_to` goes back in time")
    return seconds


def shown_on(wall: float, said: str) -> float:
    """A wall time (UTC epoch seconds) that a clock can show. ValueError, which begins with what was `said`, if not."""
    if not 0 <= wall <= LATEST:
        raise ValueError(f"{said}: the clock can only stand between 1970-01-01 and 9999-12-30")
    return wall


def _seconds(duration: object) -> float | None:
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, str):
        text = duration.strip()
        if text.startswith("-"):
            seconds = _seconds(text[1:])
            return None if seconds is None else -seconds
        parts = _PART.findall(text)
        if not parts or _PART.sub("", text):
            return None
        return sum(float(number) * UNITS[unit] for number, unit in parts)
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        return float(duration)
    return None


def in_words(seconds: float) -> str:
    """The two largest units of a duration.

    >>> in_words(93600), in_words(0.25), in_words(0)
    ('1d 2h', '0.25s', '0s')
    """
    if seconds < 0:
        return f"-{in_words(-seconds)}"
    if seconds < 1:
        return f"{seconds:.3g}s"
    rest, parts = round(seconds), []
    for unit in "dhms":
        number, rest = divmod(rest, int(UNITS[unit]))
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2])


def epoch_of(moment: Moment, name: str = "when") -> float:
    """A moment as UTC epoch seconds. ValueError, which calls it `name`, for one that cannot be read.

    >>> epoch_of("1970-01-02T00:00Z")
    86400.0
    """
    if isinstance(moment, str):
        try:
            return datetime.fromisoformat(moment.strip()).timestamp()
        except ValueError:
            raise ValueError(f'{name}={moment!r}: an ISO moment such as "2027-01-01T09:30Z" is needed') from None
    if isinstance(moment, datetime):
        return moment.timestamp()
    if isinstance(moment, date):
        return datetime(moment.year, moment.month, moment.day).timestamp()  # noqa: DTZ001 - local, as documented
    raise ValueError(f"{name}={moment!r}: a datetime, a date or an ISO text is needed")
