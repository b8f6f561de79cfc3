"""Five fields → sets of values, in both dialects, with all messages and the words for people.

Inside, Monday is always 0, and the day fields are `days` (of the month) and `days_of_week`. Three rules need
more than the sets:

- **Either day field, or both.** Two day fields that both leave out something mean: a day matches when either
  does. Unix cron has an exception: if one of them begins with `*` (as in `*/2`), a day must match both. The
  dialect "unix" keeps it. In the dialect "autocron" `*/2` restricts like any list, and `&` in front of a day
  field says "both" in so many words: `"0 9 &mon * 1-7"` is the first Monday of the month.
- **Wildcards.** An entry whose minute or hour field begins with `*` follows the wall clock when summer time
  begins or ends; one with neither has fixed times (see schedule.py).
- **All is all.** A field that leaves out nothing (`0-59`) is the same as `*`. Only in the day fields of the
  dialect "unix" it is not: there `1-31` beside a restricted day of the week means every day, as in cron.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .errors import CrontabError

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
MONTH_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # 29 February does come

_MINUTES, _HOURS, _DAYS, _MONTHS, _WEEK = range(60), range(24), range(1, 32), range(1, 13), range(7)
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
    names: Mapping[str, int]
    allowed: str
    steps: int

    def values(self, text: str) -> set[int]:
        """The values that a comma-separated list means."""
        return {value for item in text.split(",") for value in self._item(item, text)}

    def _item(self, item: str, text: str) -> range:
        found = _ITEM.fullmatch(item)
        if not item:
            raise self._refusal(f"a value is missing in {text!r}, allowed are {self.allowed}")
        if not found or (found["first"] == "*" and found["last"]):
            forms = 'the star "*", lists "1,2", ranges "1-5", steps "*/2"'
            raise self._refusal(f"{item!r} cannot be read, allowed are {self.allowed}, {forms}")
        first, last, step = found.group("first", "last", "step")
        low = self.low if first == "*" else self._number(first)
        high = self.high if first == "*" or step else low
        if last:
            high = self._number(last)
            if high == 0 < low and self.high == 7 and last.isalpha():
                high = 7  # fri-sun: at the end of a range Sunday is 7
        if high < low:
            order = f'is in reverse order; to go past the end write "{first}-{self.high},{self.low}-{last}"'
            raise self._refusal(f"{item!r} {order}, allowed are {self.allowed}")
        return range(low, high + 1, self._step(step, item) if step else 1)

    def _number(self, text: str) -> int:
        # A number with thousands of digits would be refused by int() itself, in other words.
        value = int(text) if text.isdigit() and len(text) <= 9 else self.names.get(text.lower(), -1)
        if not self.low <= value <= self.high:
            raise self._refusal(f"{text} is not allowed, only {self.allowed}")
        return value

    def _step(self, text: str, item: str) -> int:
        value = int(text) if text.isdigit() and len(text) <= 9 else 0
        if not 1 <= value <= self.steps:
            # Cron takes */90 and fires every hour; nobody who writes it means that.
            raise self._refusal(f"step {text} in {item!r} is not allowed, only 1-{self.steps}")
        return value

    def _refusal(self, problem: str) -> CrontabError:
        return CrontabError(f'field "{self.label}": {problem}')


def _field(label: str, values: range, note: str = "", names: Mapping[str, int] | None = None) -> _Field:
    steps = 7 if names is _UNIX_WEEK_NAMES else len(values)  # Sunday is there twice
    return _Field(label, values[0], values[-1], names or {}, f"{values[0]}-{values[-1]}{note}", steps)


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


@dataclass(frozen=True, slots=True)
class Crontab:
    """The values at which an entry fires; made by `parse` or `from_fields`, which refuse what can never fire.

    >>> Crontab.parse("30 9 0,2 * *").describe()
    'at 09:30 on Monday and Wednesday'
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    days_of_week: tuple[int, ...]  # Monday is 0
    minutes_wildcard: bool = False  # written as `*` or `*/n`
    hours_wildcard: bool = False
    both_days: bool = False  # of two restricted day fields a day must match both, not either

    @classmethod
    def parse(cls, text: str, dialect: str = "autocron") -> Crontab:
        """Read five fields, or a macro such as `@daily`.

        "autocron": `minutes hours days-of-week months days-of-month`, Monday is 0. "unix": `minute hour
        day-of-month month day-of-week`, Sunday is 0 or 7. CrontabError (a ValueError) says what is wrong, and
        whether the other dialect would take it.

        >>> Crontab.parse("30 9 0,2 * *") == Crontab.parse("30 9 * * mon,wed", dialect="unix")
        True
        """
        check_dialect(dialect)
        if not isinstance(text, str):
            raise CrontabError(f'crontab {text!r} is not a string of five fields such as "30 9 * * *"')
        if text.strip().startswith("@"):
            text, dialect = _expanded(text.strip()), "unix"
        try:
            return _parse(text, dialect)
        except CrontabError as error:
            raise CrontabError(f'crontab "{text}": {error}{_hint(text, dialect, error)}') from None

    @classmethod
    def from_fields(
        cls,
        minutes: Iterable[int] | int | None = None,
        hours: Iterable[int] | int | None = None,
        days: Iterable[int] | int | None = None,
        months: Iterable[int] | int | None = None,
        days_of_week: Iterable[int] | int | None = None,
    ) -> Crontab:
        """Take lists of numbers, or one number; None means every. CrontabError names the list and the value.

        >>> Crontab.from_fields(minutes=[30], hours=[9], days_of_week=[0, 2]).to_string()
        '30 9 0,2 * *'
        """
        return _build(
            "days",
            _listed("minutes", minutes, _MINUTES),
            _listed("hours", hours, _HOURS),
            _listed("days", days, _DAYS),
            _listed("months", months, _MONTHS),
            _listed("days_of_week", days_of_week, _WEEK, " (Monday is 0)"),
        )

    @property
    def days_restricted(self) -> bool:
        """Whether some days of the month are left out."""
        return len(self.days) < len(_DAYS)

    @property
    def days_of_week_restricted(self) -> bool:
        """Whether some days of the week are left out."""
        return len(self.days_of_week) < len(_WEEK)

    @property
    def is_wildcard(self) -> bool:
        """Whether the entry follows the wall clock when summer time begins or ends."""
        return self.minutes_wildcard or self.hours_wildcard

    def days_in(self, first_weekday: int, length: int) -> tuple[int, ...]:
        """The matching days of a month that begins on this weekday (Monday is 0) and has so many days."""
        is_union = self.days_restricted and self.days_of_week_restricted and not self.both_days
        matches = any if is_union else all
        return tuple(
            day
            for day in range(1, length + 1)
            if matches((day in self.days, (first_weekday + day - 1) % 7 in self.days_of_week))
        )

    def to_string(self, dialect: str = "autocron") -> str:
        """The canonical five fields in a dialect: `parse(to_string(d), d)` is the same crontab.

        >>> Crontab.parse("@weekly").to_string("unix")
        '0 0 * * 0'
        """
        check_dialect(dialect)
        minutes = _spelled(self.minutes, _MINUTES, self.minutes_wildcard)
        hours = _spelled(self.hours, _HOURS, self.hours_wildcard)
        months, days = _spelled(self.months, _MONTHS), _spelled(self.days, _DAYS)
        if dialect == "autocron":
            both = "&" if self.both_days else ""
            return f"{minutes} {hours} {both}{_spelled(self.days_of_week, _WEEK)} {months} {days}"
        unix_week = sorted((day + 1) % 7 for day in self.days_of_week)
        week = _spelled(unix_week, _WEEK)
        if self.both_days and 1 in self.days:
            days = _spelled(self.days, _DAYS, starred=True)
        elif self.both_days:
            # Cron itself can say "both" only with a star, which always contains the first value.
            week = _spelled(unix_week, _WEEK, starred=True) if 0 in unix_week else f"&{week}"
        return f"{minutes} {hours} {days} {months} {week}"

    def describe(self) -> str:
        """The same in words.

        >>> Crontab.parse("*/15 9-17 mon-fri apr,jul *").describe()
        'every 15 minutes from 09:00 to 17:45 on weekdays in April and July'
        """
        time, days = _time_words(self.minutes, self.hours), self._day_words()
        if not days and not (len(self.hours) == len(_HOURS) or time.endswith("hours")):
            days = " every day"
        if len(self.months) == len(_MONTHS):
            return f"{time}{days}"
        has_two = self.days_restricted and self.days_of_week_restricted
        return f"{time}{days}{', only in' if has_two else ' in'} {_listing(self.months, MONTHS)}"

    def _day_words(self) -> str:
        week = {(0, 1, 2, 3, 4): "weekdays", (5, 6): "weekends"}.get(self.days_of_week)
        on_week = f" on {week or _listing(self.days_of_week, WEEKDAYS, first=0)}"
        on_days = f" on the {_listing(self.days, [_ordinal(day) for day in _DAYS])}"
        if self.days_restricted and self.days_of_week_restricted:
            return f"{on_week}{', but only' if self.both_days else ' and also'}{on_days}"
        return on_days if self.days_restricted else on_week if self.days_of_week_restricted else ""


def check_dialect(dialect: str) -> None:
    """CrontabError for what is none."""
    if dialect not in ("autocron", "unix"):
        raise CrontabError(f'dialect {dialect!r} is not known, only "autocron" and "unix"')


def _expanded(macro: str) -> str:
    if macro.lower() == "@reboot":
        raise CrontabError('crontab "@reboot" is not supported: it has no fire times, call the function instead')
    if macro.lower() not in _MACROS:
        raise CrontabError(f'crontab "{macro}" is not known; known are {", ".join(_MACROS)}')
    return _MACROS[macro.lower()]


def _parse(text: str, dialect: str) -> Crontab:
    fields, texts = _DIALECTS[dialect], text.split()
    if len(texts) != len(fields):
        extra = "; seconds and years are not supported" if len(texts) > len(fields) else ""
        labels = " ".join(field.label for field in fields)
        raise CrontabError(f"{len(texts)} fields, but 5 are needed: {labels}{extra}")
    sign = ("&", "*") if dialect == "unix" else ("&",)
    both_days = texts[2].startswith(sign) or texts[4].startswith(sign)
    bare = [each.removeprefix("&") if place in (2, 4) else each for place, each in enumerate(texts)]
    minutes, hours, days, months, week = (field.values(each) for field, each in zip(fields, bare, strict=True))
    if dialect == "autocron":
        days, week = week, days
    else:
        week = {(day - 1) % 7 for day in week}
        if not both_days and (len(days) == len(_DAYS) or len(week) == len(_WEEK)):
            days, week = set(_DAYS), set(_WEEK)  # either matches, and one of them always does
    wildcards = texts[0].startswith("*"), texts[1].startswith("*")
    label = fields[4 if dialect == "autocron" else 2].label
    return _build(label, minutes, hours, days, months, week, wildcards=wildcards, both_days=both_days)


def _hint(text: str, dialect: str, error: CrontabError) -> str:
    """Whether the other dialect would take this string, and what the refused field means there."""
    other = "unix" if dialect == "autocron" else "autocron"
    try:
        _parse(text, other)
    except CrontabError:
        return ""
    meaning = ""
    for mine, its, value in zip(_DIALECTS[dialect], _DIALECTS[other], text.split(), strict=True):
        if f'"{mine.label}"' in str(error):
            meaning = f" ({its.label} {value})"
    return f'; in the dialect "{other}" this string is valid{meaning}: pass dialect="{other}"'


def _listed(label: str, values: Iterable[int] | int | None, allowed: range, note: str = "") -> set[int]:
    if values is None:
        return set(allowed)
    only = f"allowed is a list of integers {allowed[0]}-{allowed[-1]}{note}, or None for every"
    if isinstance(values, int) and not isinstance(values, bool):
        values = (values,)
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise CrontabError(f'field "{label}": {values!r} is not a list; {only}')
    listed: set[int] = set()
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
            raise CrontabError(f'field "{label}": {value!r} is not allowed; {only}')
        listed.add(int(value))
    if not listed:
        raise CrontabError(f'field "{label}": an empty list never fires; {only}')
    return listed


def _build(
    label: str, *fields: set[int], wildcards: tuple[bool, bool] = (False, False), both_days: bool = False
) -> Crontab:
    minutes, hours, days, months, week = (tuple(sorted(values)) for values in fields)
    has_two = len(days) < len(_DAYS) and len(week) < len(_WEEK)
    longest = max(MONTH_LENGTHS[month - 1] for month in months)
    if days[0] > longest and (both_days or not has_two):
        never = f"{_numbered('day', days)} of {_listing(months, MONTHS)} will never come"
        raise CrontabError(f'field "{label}": {never}, allowed are days up to {longest}')
    minutes_wildcard, hours_wildcard = wildcards[0] or len(minutes) == 60, wildcards[1] or len(hours) == 24
    return Crontab(minutes, hours, days, months, week, minutes_wildcard, hours_wildcard, both_days and has_two)


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each stretch without a hole; a stretch of two counts as two."""
    runs: list[tuple[int, int]] = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], value
        else:
            runs.append((value, value))
    return [run for low, high in runs for run in ([(low, low), (high, high)] if high - low == 1 else [(low, high)])]


def _spelled(values: Sequence[int], allowed: range, starred: bool = False) -> str:
    """One field of a string; `starred`: it must begin with a star."""
    if len(values) == len(allowed):
        return "*"
    parts = []
    if starred:
        step = next(n for n in range(1, len(allowed) + 1) if set(allowed[::n]) <= set(values))
        parts, values = [f"*/{step}"], [value for value in values if value not in allowed[::step]]
    parts += [f"{low}-{high}" if high > low else str(low) for low, high in _runs(values)]
    return ",".join(parts)


def _listing(values: Sequence[int], words: Sequence[str] | None = None, first: int = 1) -> str:
    """Values as "1, 3 and 5 to 9", or with a word for each."""
    word = str if words is None else lambda value: words[value - first]
    return _joined([word(low) if low == high else f"{word(low)} to {word(high)}" for low, high in _runs(values)])


def _joined(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _ordinal(day: int) -> str:
    return f"{day}{'th' if day in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"


def _numbered(word: str, values: Sequence[int]) -> str:
    return f"{word}{'s' if len(values) > 1 else ''} {_listing(values)}"


def _step_of(values: Sequence[int]) -> int:
    """The distance between neighbours if it is the same for all, else 0."""
    steps = {high - low for low, high in pairwise(values)}
    return steps.pop() if len(steps) == 1 else 0


def _time_words(minutes: Sequence[int], hours: Sequence[int]) -> str:
    step, hour_step = _step_of(minutes), _step_of(hours)
    last = f"{hours[-1]:02}:{minutes[-1]:02}"
    is_even = minutes[0] == 0 and step * len(minutes) == 60  # and so on in the next hour
    if is_even and (hour_step == 1 or len(hours) == 1 < len(minutes) - 1):
        every = "every minute" if step == 1 else f"every {step} minutes"
        return every if len(hours) == 24 else f"{every} from {hours[0]:02}:00 to {last}"
    if len(minutes) * len(hours) <= 6:
        return f"at {_joined([f'{hour:02}:{minute:02}' for hour in hours for minute in minutes])}"
    if minutes == (0,) and hours[0] == 0 and hour_step * len(hours) == 24:
        return "every hour" if hour_step == 1 else f"every {hour_step} hours"
    if minutes == (0,) and hour_step == 1:
        return f"every hour from {hours[0]:02}:00 to {last}"
    at = "every minute" if len(minutes) == 60 else f"at {_numbered('minute', minutes)}"
    return f"{at} of {'every hour' if len(hours) == 24 else _numbered('hour', hours)}"
