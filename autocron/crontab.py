"""Five fields → sets of values, in both dialects, with all messages and the words for people.

Inside, Monday is always 0 and the day fields are called `days` (of the month) and `days_of_week`. Three rules need
more than the sets:

- **Either day field, or both.** Two day fields that both leave out something mean "a day matches when either matches".
  Unix cron has an exception: if one of them begins with `*` (as in `*/2`), a day must match both. The dialect "unix"
  keeps it. In the dialect "autocron" `*/2` restricts like any list, and `&` in front of a day field says
  "both" explicitly: `"0 9 &mon * 1-7"` is the first Monday of the month.
- **Wildcards.** A minute or hour field that begins with `*` makes an entry that follows the wall clock when summer time
  begins or ends; an entry with neither has fixed times (see schedule.py).
- **All is all.** A field that leaves out nothing (`0-59`) is the same as `*`. Only in the day fields of the dialect
  "unix" it is not: there `1-31` beside a restricted day of week means every day, as in cron.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .errors import CrontabError

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
MONTH_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # 29 February does come

_MINUTES, _HOURS, _DAYS, _MONTHS, _WEEK = (range(60), range(24), range(1, 32), range(1, 13), range(7))
_MONTH_NAMES = {name[:3].lower(): number for number, name in enumerate(MONTHS, 1)}
_WEEK_NAMES = {name[:3].lower(): number for number, name in enumerate(WEEKDAYS)}
_UNIX_WEEK_NAMES = {name: (number + 1) % 7 for name, number in _WEEK_NAMES.items()}

_ITEM = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\w+))?", re.ASCII)

_MACROS = {  # in the dialect "unix"; they mean the same in both
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields as a dialect has it."""

    label: str
    low: int
    high: int
    names: dict[str, int]
    allowed: str
    size: int

    def refuse(self, problem: str) -> CrontabError:
        return CrontabError(f'field "{self.label}": {problem}')

    def values(self, text: str) -> set[int]:
        """The values that a comma-separated list means."""
        return {value for item in text.split(",") for value in self._item(item, text)}

    def _item(self, item: str, text: str) -> range:
        found = _ITEM.fullmatch(item)
        if not item:
            raise self.refuse(f"a value is missing in {text!r}, allowed are {self.allowed}")
        if not found or (found["first"] == "*" and found["last"]):
            raise self.refuse(
                f'{item!r} cannot be read, allowed are {self.allowed}, "*", lists "1,2", ranges "1-5", steps "*/2"'
            )
        first, last, step = found.group("first", "last", "step")
        low = self.low if first == "*" else self._number(first)
        if last:
            high = self._number(last)
            if high == 0 and self.high == 7 and last.isalpha():
                high = 7  # fri-sun: at the end of a range Sunday is 7
        else:
            high = self.high if step or first == "*" else low
        if high < low:
            raise self.refuse(
                f"{item!r} is in reverse order, allowed are {self.allowed}; "
                f'to go past the end write "{first}-{self.high},{self.low}-{last}"'
            )
        return range(low, high + 1, self._step(step, item) if step else 1)

    def _number(self, text: str) -> int:
        if text.isdigit():
            # A number with thousands of digits would be refused by int() itself, in other words.
            value = int(text) if len(text) <= 9 else self.high + 1
        else:
            value = self.names.get(text.lower(), -1)
        if not self.low <= value <= self.high:
            raise self.refuse(f"{text} is not allowed, only {self.allowed}")
        return value

    def _step(self, text: str, item: str) -> int:
        value = int(text) if text.isdigit() and len(text) <= 9 else 0
        if not 1 <= value <= self.size:
            raise self.refuse(f"step {text} in {item!r} is not allowed, only 1-{self.size}")
        return value


def _field(label: str, values: range, allowed: str = "", names: dict[str, int] | None = None) -> _Field:
    low, high = values[0], values[-1]
    # In the dialect "unix" Sunday has two numbers, but a week seven days.
    return _Field(label, low, high, names or {}, f"{low}-{high}{allowed}", min(len(values), high or 1, 60) and len(values))


_DIALECTS = {
    "autocron": (
        _field("minutes", _MINUTES),
        _field("hours", _HOURS),
        _field("days-of-week", _WEEK, " (Monday is 0) or mon-sun", _WEEK_NAMES),
        _field("months", _MONTHS, " or jan-dec", _MONTH_NAMES),
        _field("days-of-month", _DAYS),
    ),
    "unix": (
        _field("minute", _MINUTES),
        _field("hour", _HOURS),
        _field("day-of-month", _DAYS),
        _field("month", _MONTHS, " or jan-dec", _MONTH_NAMES),
        _field("day-of-week", range(8), " (Sunday is 0 or 7) or sun-sat", _UNIX_WEEK_NAMES),
    ),
}
