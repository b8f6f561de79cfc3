"""What a schedule promises, for any crontab: the fire times of a search minute by minute, and of other crons.

The oracles here are written from the contract, slow and plain, and share no code with what they check: fields
are made as numbers and written down as text, so that nothing needs to be parsed, and days, hours and minutes
are tried one by one.
"""

from __future__ import annotations

import calendar
import functools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from autocron.crontab import Crontab
from autocron.errors import CrontabError
from autocron.schedule import Schedule

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of their own imports; not ours to mend
    from croniter import croniter
    from cronsim import CronSim

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
WEEK_NAMES = dict(enumerate(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]))
UNIX_WEEK_NAMES = dict(enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"]))  # 7 only as a number
MONTH_NAMES = {number: name.lower() for number, name in enumerate(calendar.month_abbr) if name}


def quick(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


# -- crontabs, as text and as the numbers they stand for -----------------------------------------------------


@dataclass(frozen=True)
class Field:
    text: str
    values: frozenset[int]
    has_range_of_one: bool = False  # "5-5", which other crons read in their own ways

    @property
    def starred(self) -> bool:
        return self.text.startswith("*")


@st.composite
def items(draw: st.DrawFn, low: int, high: int, names: dict[int, str]) -> Field:
    """One item of a list: a number, a name, a range, a star, each with a step or not."""
    size = len(names) if names else high - low + 1

    def written(value: int) -> str:
        name = names.get(value)
        return draw(st.sampled_from([str(value), name, name.upper()])) if name else str(value)

    kind = draw(st.sampled_from(["one", "one", "range", "star", "open"]))
    first = draw(st.integers(low, high))
    step = draw(st.integers(1, size))
    if kind == "one":
        return Field(written(first), frozenset([first]))
    if kind == "open":
        return Field(f"{written(first)}/{step}", frozenset(range(first, high + 1, step)))
    if kind == "star":
        return Field("*" if step == 1 else f"*/{step}", frozenset(range(low, high + 1, step)))
    last = draw(st.integers(first, high))
    text = f"{written(first)}-{written(last)}"
    if draw(st.booleans()):
        return Field(f"{text}/{step}", frozenset(range(first, last + 1, step)), first == last)
    return Field(text, frozenset(range(first, last + 1)), first == last)


def fields(low: int, high: int, names: dict[int, str] | None = None) -> st.SearchStrategy[Field]:
    some = st.lists(items(low, high, names or {}), min_size=1, max_size=3).map(
        lambda parts: Field(
            ",".join(part.text for part in parts),
            frozenset().union(*(part.values for part in parts)),
            any(part.has_range_of_one for part in parts),
        )
    )
    return st.just(Field("*", frozenset(range(low, high + 1)))) | some


@dataclass(frozen=True)
class Sample:
    """A crontab, and what it means according to the contract."""

    text: str
    dialect: str
    minutes: Field
    hours: Field
    days: Field
    months: Field
    week: Field  # its values with Monday as 0

    def matches_day(self, moment: datetime) -> bool:
        if moment.month not in self.months.values:
            return False
        in_days, in_week = moment.day in self.days.values, moment.weekday() in self.week.values
        if self.dialect == "unix":  # as in cron: a star, in front of a step too, takes no part in "either"
            both = self.days.starred or self.week.starred
        else:
            both = len(self.days.values) == 31 or len(self.week.values) == 7
        return (in_days and in_week) if both else (in_days or in_week)

    def matches(self, moment: datetime) -> bool:
        return moment.minute in self.minutes.values and moment.hour in self.hours.values and self.matches_day(moment)

    def ever(self) -> bool:
        """Whether any day of a leap year and of the years around it, beginning on any weekday, matches."""
        return any(self.matches_day(datetime(2000, 1, 1) + number * DAY) for number in range(366 * 40))

    @property
    def has_range_of_one(self) -> bool:
        return any(field.has_range_of_one for field in (self.minutes, self.hours, self.days, self.months, self.week))

    @property
    def is_wildcard(self) -> bool:
        everything = len(self.minutes.values) == 60 or len(self.hours.values) == 24
        return self.minutes.starred or self.hours.starred or everything


nights = st.lists(st.integers(0, 3) | st.integers(0, 23), min_size=1, max_size=3).map(
    lambda hours: Field(",".join(map(str, hours)), frozenset(hours))
)


@st.composite
def samples(draw: st.DrawFn, dialect: str | None = None, often: bool = False) -> Sample:
    """Any crontab; or `often` one that fires on most days, and mostly at night, when clocks are changed."""
    dialect = dialect or draw(st.sampled_from(["autocron", "unix"]))
    minute, hour = draw(fields(0, 59)), draw(nights | fields(0, 23) if often else fields(0, 23))
    month = draw(st.just(Field("*", frozenset(range(1, 13)))) if often else fields(1, 12, MONTH_NAMES))
    days = draw(st.just(Field("*", frozenset(range(1, 32)))) | fields(1, 31) if often else fields(1, 31))
    if dialect == "autocron":
        week = draw(fields(0, 6, WEEK_NAMES))
        text = " ".join(field.text for field in (minute, hour, week, month, days))
        return Sample(text, dialect, minute, hour, days, month, week)
    spelt = draw(fields(0, 7, UNIX_WEEK_NAMES))
    text = " ".join(field.text for field in (minute, hour, days, month, spelt))
    week = Field(spelt.text, frozenset((value - 1) % 7 for value in spelt.values), spelt.has_range_of_one)
    return Sample(text, dialect, minute, hour, days, month, week)


LEAP = [datetime(year, 2, day) for year in (1896, 1900, 2000, 2024, 2096, 2100) for day in (27, 28)]
starts = st.datetimes(datetime(1890, 1, 1), datetime(2110, 1, 1)) | st.builds(
    lambda start, seconds: start + timedelta(seconds=seconds),
    st.sampled_from(LEAP),
    st.integers(0, 3 * 86400),
)


def searched(sample: Sample, start: datetime) -> Iterator[datetime]:
    """Fire times strictly later than start, day by day and then minute by minute."""
    day = datetime(start.year, start.month, start.day)
    for _ in range(366 * 45):
        if sample.matches_day(day):
            for number in range(24 * 60):
                moment = day + number * MINUTE
                if moment > start and sample.matches(moment):
                    yield moment
        day += DAY


# -- the calendar --------------------------------------------------------------------------------------------


@quick(150)
@given(samples(), starts)
@example(Sample("0 0 * 2 29", "autocron", *(Field("0", frozenset([0])),) * 2, Field("29", frozenset([29])),
                Field("2", frozenset([2])), Field("*", frozenset(range(7)))), datetime(2096, 2, 29))  # fmt: skip
def test_as_a_search_minute_by_minute(sample: Sample, start: datetime) -> None:
    """Contract 2: the five fields, union of the day fields, `next_after` strictly later; in both dialects."""
    try:
        schedule = Schedule(sample.text, dialect=sample.dialect)
    except CrontabError:
        assert not sample.ever()
        return
    oracle = searched(sample, start)
    expected = [moment for moment, _ in zip(oracle, range(5), strict=False)]
    assert expected  # leap days on one day of the week are up to 40 years apart
    assert schedule.upcoming(start, len(expected)) == expected


@quick(150)
@given(samples())
def test_written_and_read_again(sample: Sample) -> None:
    """Design 6: what is stored of an entry means the same when it is read, in either dialect."""
    try:
        crontab = Crontab.parse(sample.text, sample.dialect)
    except CrontabError:
        assume(False)
    for dialect in ("autocron", "unix"):
        assert Crontab.parse(crontab.to_string(dialect), dialect) == crontab
    assert crontab.is_wildcard == sample.is_wildcard
    assert crontab.describe()


subsets = [
    st.none() | st.lists(st.integers(low, high), min_size=1, max_size=high + 1)
    for low, high in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
]


@quick(100)
@given(st.tuples(*subsets))
def test_lists_and_strings(lists: tuple[list[int] | None, ...]) -> None:
    """Contract 2: keyword lists say the same as the fields of a string; None means every."""
    texts = ["*" if each is None else ",".join(map(str, each)) for each in lists]
    minutes, hours, days, months, week = texts
    text = f"{minutes} {hours} {week} {months} {days}"
    try:
        crontab = Crontab.from_fields(*lists)
    except CrontabError:
        with pytest.raises(CrontabError, match="will never come"):
            Crontab.parse(text)
    else:
        assert crontab == Crontab.parse(text)


ALPHABET = st.sampled_from([*"0123456789*/-,& @#?LW", "mon", "7", "60", "\u0663", "\n"])


@quick(200)
@given(st.text() | st.lists(ALPHABET).map("".join) | st.lists(ALPHABET, min_size=5, max_size=5).map(" ".join),
       st.sampled_from(["autocron", "unix"]))  # fmt: skip
def test_any_text_is_read_or_refused(text: str, dialect: str) -> None:
    """Contract 2: every invalid value → ValueError, and nothing else."""
    try:
        crontab = Crontab.parse(text, dialect)
    except ValueError:
        return
    assert Schedule(crontab).next_after(datetime(2027, 1, 1)) > datetime(2027, 1, 1)


# -- other crons ---------------------------------------------------------------------------------------------


@quick(150)
@given(samples("unix"), starts)
def test_as_cronsim(sample: Sample, start: datetime) -> None:
    """Contract 2: dialect "unix" is the familiar one: the same fire times as cronsim has."""
    try:
        schedule = Schedule(sample.text, dialect="unix")
    except CrontabError:
        assume(False)
    assume(not sample.has_range_of_one)  # cronsim reads "5-5/2" as "5/2", and no other cron does
    start = start.replace(microsecond=0)
    theirs = CronSim(sample.text, start)
    assert schedule.upcoming(start, 4) == [next(theirs) for _ in range(4)]


@quick(100)
@given(samples("unix"), starts)
def test_as_croniter(sample: Sample, start: datetime) -> None:
    """Contract 2: dialect "unix" is the familiar one: the same fire times as croniter has."""
    try:
        schedule = Schedule(sample.text, dialect="unix")
    except CrontabError:
        assume(False)
    assume(not sample.has_range_of_one)  # croniter reads "5-5" as "*"
    # In "2/3" of a week it ends at 6, and so misses the Sunday that is 7 everywhere else.
    assume(not any("/" in item and "-" not in item for item in sample.week.text.replace("*/", "").split(",")))
    # It takes a star anywhere in a list for one in front ("1,*").
    assume(",*" not in sample.days.text + sample.week.text)
    start = start.replace(microsecond=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        # The flag makes it treat `*/2` in a day field as cron does.
        theirs = croniter(sample.text, start, implement_cron_bug=True)
        expected = [theirs.get_next(datetime) for _ in range(4)]
    assert schedule.upcoming(start, 4) == expected


# -- summer time ---------------------------------------------------------------------------------------------

CHANGES = [  # zone, day of the change
    ("Europe/Berlin", datetime(2027, 3, 28)),
    ("Europe/Berlin", datetime(2027, 10, 31)),
    ("America/New_York", datetime(2027, 3, 14)),
    ("America/New_York", datetime(2027, 11, 7)),
    ("Europe/Dublin", datetime(2027, 3, 28)),  # negative summer time in winter
    ("Europe/Dublin", datetime(2027, 10, 31)),
    ("Australia/Lord_Howe", datetime(2027, 4, 3)),  # 30 minutes
    ("Australia/Lord_Howe", datetime(2027, 10, 2)),
    ("Antarctica/Troll", datetime(2027, 3, 28)),  # two hours
    ("Antarctica/Troll", datetime(2027, 10, 31)),
    ("America/Sao_Paulo", datetime(2018, 11, 4)),  # midnight is skipped
    ("America/Sao_Paulo", datetime(2019, 2, 17)),  # midnight comes twice
    ("Asia/Beirut", datetime(2027, 3, 28)),
    ("Pacific/Apia", datetime(2011, 12, 30)),  # a whole day is skipped
    ("Pacific/Kwajalein", datetime(1969, 9, 30)),  # 23 hours come twice
    ("Asia/Pyongyang", datetime(2015, 8, 14)),  # standard time changes, and back
    ("Asia/Pyongyang", datetime(2018, 5, 4)),
    ("Europe/Istanbul", datetime(2016, 9, 6)),
    ("Antarctica/Casey", datetime(2010, 3, 4)),  # three hours
    ("Asia/Kathmandu", datetime(1985, 12, 31)),  # 15 minutes
]


PLAIN_CHANGES = ["Europe/Berlin", "America/New_York", "Europe/Dublin", "Antarctica/Troll", "Europe/Istanbul"]


@functools.cache
def minutes_around(change: tuple[str, datetime]) -> list[tuple[datetime, datetime]]:
    """Each UTC minute from two days before a change to two days after it, and what the wall shows then."""
    zone, day = change
    first = (day - 2 * DAY).replace(tzinfo=UTC)
    moments = [first + number * MINUTE for number in range(5 * 24 * 60)]
    return [(moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for moment in moments]


def watched(sample: Sample, minutes: list[tuple[datetime, datetime]]) -> list[datetime]:
    """What a watchman fires who looks at the wall each minute, as vixie cron does."""
    days: dict[tuple[int, int], bool] = {}

    def matches(wall: datetime) -> bool:
        if wall.minute not in sample.minutes.values or wall.hour not in sample.hours.values:
            return False
        date = wall.month, wall.day
        if date not in days:
            days[date] = sample.matches_day(wall)
        return days[date]

    if sample.is_wildcard:
        return [moment for moment, wall in minutes if matches(wall)]
    fires, latest = [], minutes[0][1] - MINUTE
    for moment, wall in minutes:
        is_due = False
        while latest < wall:  # a minute or a gap; after the clock was put back nothing, until it is new again
            latest += MINUTE
            is_due = matches(latest) or is_due
        if is_due:
            fires.append(moment)
    return fires


@quick(250)
@given(samples(often=True), st.sampled_from(CHANGES), st.integers(0, 2 * 1440), st.integers(0, 59_999_999))
def test_as_a_watchman_at_the_wall(sample: Sample, change: tuple[str, datetime], skip: int, micros: int) -> None:
    """Design 6: a skipped fixed time runs once after the gap, a doubled one once, wildcards follow the wall."""
    try:
        schedule = Schedule(sample.text, dialect=sample.dialect, tz=change[0])
    except CrontabError:
        assume(False)
    minutes = minutes_around(change)
    # Any instant may be the start: the one before a fire time, the fire time, one inside an overlap.
    start = minutes[1440 + skip][0] + timedelta(microseconds=micros)
    expected = [moment for moment in watched(sample, minutes) if moment > start]
    last, found = minutes[-1][0], []
    moment = schedule.next_after(start)
    while moment <= last:
        found.append(moment.astimezone(UTC))
        moment = schedule.next_after(moment)
    assert found == expected
    second, seconds = start.timestamp(), []
    while (second := schedule.next_fire(second)) <= last.timestamp():
        seconds.append(second)
    assert seconds == [moment.timestamp() for moment in expected]


@quick(100)
@given(samples("unix", often=True), st.sampled_from(CHANGES), st.integers(0, 3 * 1440))
def test_as_cronsim_when_clocks_change(sample: Sample, change: tuple[str, datetime], skip: int) -> None:
    """Design 6: gaps and overlaps follow vixie cron, as cronsim does."""
    try:
        schedule = Schedule(sample.text, dialect="unix", tz=change[0])
    except CrontabError:
        assume(False)
    assume(not sample.has_range_of_one)
    # With wildcards cronsim fires at a midnight that does not exist, and misses times when half hours change.
    assume(not sample.is_wildcard or change[0] in PLAIN_CHANGES)
    # For us all hours are all hours; cronsim, as vixie cron, takes "0-23" for 24 fixed times.
    assume(sample.is_wildcard == (sample.minutes.starred or sample.hours.starred))
    start = minutes_around(change)[skip][0].astimezone(ZoneInfo(change[0]))
    # Asked while hours come again, cronsim answers with a fixed time of when they came first, which is over.
    assume(not start.fold or sample.is_wildcard)
    theirs = CronSim(sample.text, start)
    expected = [next(theirs) for _ in range(8)]
    assert schedule.upcoming(start, 8) == expected
