"""Fire times: worked examples, the calendar, and what summer time does to them."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from autocron.crontab import Crontab
from autocron.schedule import Schedule


def walls(schedule: Schedule, start: str, n: int) -> list[str]:
    """The next fire times as "2027-03-28 03:00+02:00", from a naive or aware start."""
    return [moment.isoformat(" ", "minutes") for moment in schedule.upcoming(datetime.fromisoformat(start), n)]


def instants(schedule: Schedule, start: str, n: int) -> list[str]:
    """The same in UTC, computed by `next_fire`."""
    after, found = datetime.fromisoformat(start).timestamp(), []
    for _ in range(n):
        after = schedule.next_fire(after)
        found.append(datetime.fromtimestamp(after, UTC).isoformat(" ", "minutes")[:-6])
    return found


def at(text: str, zone: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


# -- the examples of the contract ----------------------------------------------------------------------------


def test_every_day_twice() -> None:
    """Contract 2: `"15,30 7 * * *"` every day 7:15 and 7:30."""
    assert walls(Schedule("15,30 7 * * *"), "2027-02-28 07:15", 3) == [
        "2027-02-28 07:30",
        "2027-03-01 07:15",
        "2027-03-01 07:30",
    ]


def test_mondays_and_some_days_of_two_months() -> None:
    """Contract 2: `"* 9 0 4,7 10-15"` 9:00–9:59 on Mondays and the 10th–15th, in April and July only."""
    moments = Schedule("* 9 0 4,7 10-15").upcoming(datetime(2027, 1, 1), 20 * 60)
    days = sorted({moment.date() for moment in moments})
    april, july = [5, *range(10, 16), 19, 26], [5, *range(10, 16), 19, 26]
    assert days == [date(2027, 4, day) for day in april] + [date(2027, 7, day) for day in july] + [
        date(2028, 4, 3),
        date(2028, 4, 10),
    ]
    assert {(moment.hour, moment.minute) for moment in moments} == {(9, minute) for minute in range(60)}


def test_string_lists_and_dow_say_the_same() -> None:
    """Contract 2: `"30 9 0,2 * *"` is minutes=[30], hours=[9], days_of_week=[0, 2], or dow=[0, 2]."""
    schedule = Schedule("30 9 0,2 * *")
    assert schedule == Schedule(minutes=[30], hours=[9], days_of_week=[0, 2])
    assert schedule == Schedule(minutes=[30], hours=[9], dow=[0, 2])
    assert schedule == Schedule("30 9 * * mon,wed", dialect="unix")
    assert walls(schedule, "2027-01-01", 3) == ["2027-01-04 09:30", "2027-01-06 09:30", "2027-01-11 09:30"]


def test_every_minute_by_default() -> None:
    """Contract 2: without arguments, every minute."""
    assert walls(Schedule(), "2027-12-31 23:58:30", 2) == ["2027-12-31 23:59", "2028-01-01 00:00"]


def test_crontab_goes_before_the_lists() -> None:
    """Contract 2: if `crontab` is given the other arguments are ignored."""
    assert Schedule("@daily", minutes=[99], days_of_week=[0], dow=[1]) == Schedule("@daily")
    assert Schedule(Crontab.parse("@daily")) == Schedule("@daily")


def test_dow_and_days_of_week() -> None:
    """Contract 2: `dow` is another spelling of `days_of_week`."""
    with pytest.raises(ValueError, match="dow and days_of_week are two spellings"):
        Schedule(days_of_week=[0], dow=[0])


def test_invalid_values() -> None:
    """Contract 2: every invalid value → ValueError."""
    with pytest.raises(ValueError, match=r"days-of-week.*day-of-month 15"):
        Schedule("0 9 15 * *")
    with pytest.raises(ValueError, match='field "hours": 24 is not allowed'):
        Schedule(hours=[24])


# -- strictly later, naive and aware -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "following"),
    [
        (datetime(2027, 1, 1, 8, 59, 59, 999999), datetime(2027, 1, 1, 9, 0)),
        (datetime(2027, 1, 1, 9, 0), datetime(2027, 1, 2, 9, 0)),
        (datetime(2027, 1, 1, 9, 0, 0, 1), datetime(2027, 1, 2, 9, 0)),
        (datetime(2027, 1, 1, 9, 0, 30), datetime(2027, 1, 2, 9, 0)),
    ],
)
def test_strictly_later(moment: datetime, following: datetime) -> None:
    """Contract 2: `next_after` is strictly later."""
    for tz in (None, "UTC", "Asia/Kathmandu"):
        schedule = Schedule("0 9 * * *", tz=tz)
        assert schedule.next_after(moment) == following
        aware = moment.replace(tzinfo=ZoneInfo(tz or "Europe/Berlin"))
        assert schedule.next_after(aware) == following.replace(tzinfo=aware.tzinfo)
        assert schedule.next_fire(aware.timestamp()) == schedule.next_after(aware).timestamp() or tz is None


def test_naive_in_naive_out() -> None:
    """Contract 2: naive in, naive out: the wall of the zone, where summer time counts."""
    schedule = Schedule("30 2 * * *", tz="Europe/Berlin")
    assert schedule.upcoming(datetime(2027, 3, 27), 3) == [
        datetime(2027, 3, 27, 2, 30),
        datetime(2027, 3, 28, 3, 0),
        datetime(2027, 3, 29, 2, 30),
    ]


def test_naive_without_zone_knows_no_summer_time() -> None:
    """Contract 2: naive in, naive out; without a zone nothing is skipped or doubled."""
    assert walls(Schedule("30 2 * * *"), "2027-03-27 12:00", 1) == ["2027-03-28 02:30"]


def test_aware_in_aware_out_in_the_zone_of_the_schedule() -> None:
    """Contract 2: aware in, aware out."""
    moment = at("2027-07-01 12:00", "America/New_York")
    following = Schedule("0 20 * * *", tz="Europe/Berlin").next_after(moment)
    assert following == at("2027-07-01 20:00", "Europe/Berlin")
    assert following.tzinfo == ZoneInfo("Europe/Berlin")


def test_aware_in_aware_out_in_the_zone_of_the_moment() -> None:
    """Contract 2: aware in, aware out; a schedule without zone takes that of the moment."""
    assert walls(Schedule("30 2 * * *"), "2027-03-28 00:00+05:30", 1) == ["2027-03-28 02:30+05:30"]
    moment = Schedule("30 2 * * *").next_after(at("2027-03-28 00:00", "Europe/Berlin"))
    assert moment.isoformat() == "2027-03-28T03:00:00+02:00"


def test_naive_moments_in_a_gap_and_an_overlap() -> None:
    """Design 6: whatever the moment, the fire times after it are found."""
    wildcard, fixed = Schedule("*/30 * * * *", tz="Europe/Berlin"), Schedule("30 2 * * *", tz="Europe/Berlin")
    # 02:10 does not exist; what was skipped is still to come.
    assert fixed.next_after(datetime(2027, 3, 28, 2, 10)) == datetime(2027, 3, 28, 3, 0)
    assert wildcard.next_after(datetime(2027, 3, 28, 2, 40)) == datetime(2027, 3, 28, 3, 0)
    first, second = datetime(2027, 10, 31, 2, 40), datetime(2027, 10, 31, 2, 40, fold=1)
    following = wildcard.next_after(first)
    assert (following, following.fold) == (datetime(2027, 10, 31, 2, 0), 1)
    assert wildcard.next_after(second) == datetime(2027, 10, 31, 3, 0)
    assert fixed.next_after(datetime(2027, 10, 31, 2, 10, fold=1)) == datetime(2027, 11, 1, 2, 30)


# -- the calendar --------------------------------------------------------------------------------------------


def test_leap_days() -> None:
    """Contract 2: 29 February does come, across 2100 after eight years."""
    assert walls(Schedule("0 0 * 2 29"), "2092-03-01", 3) == [
        "2096-02-29 00:00",
        "2104-02-29 00:00",
        "2108-02-29 00:00",
    ]
    assert walls(Schedule("0 0 * 2 29"), "1899-01-01", 1) == ["1904-02-29 00:00"]
    assert walls(Schedule("0 0 29 2 &mon", dialect="unix"), "2072-03-01", 2) == [
        "2112-02-29 00:00",
        "2140-02-29 00:00",
    ]


def test_short_months_are_passed_over() -> None:
    """Contract 2: days 1–31; a month without that day has no fire time."""
    assert [text[5:10] for text in walls(Schedule("0 0 * * 31"), "2027-01-01", 7)] == [
        "01-31",
        "03-31",
        "05-31",
        "07-31",
        "08-31",
        "10-31",
        "12-31",
    ]


class Counting(tzinfo):
    """UTC that counts how often it is asked."""

    asked = 0

    def utcoffset(self, moment: datetime | None) -> timedelta:
        self.asked += 1
        return timedelta(0)

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, moment: datetime | None) -> str:
        return "UTC"


def test_fire_times_are_computed_not_searched() -> None:
    """Design 6: a fire time eight years away is found at once."""
    zone = Counting()
    moment = Schedule("0 0 * 2 29", tz=zone).next_after(datetime(2096, 3, 1, tzinfo=UTC))
    assert moment == datetime(2104, 2, 29, tzinfo=UTC)
    assert zone.asked < 100


@pytest.mark.parametrize("zone", [None, "UTC", "Pacific/Auckland", "Pacific/Honolulu"])
def test_end_of_the_calendar(zone: str | None) -> None:
    """Contract 2: `next_after` is strictly later; where nothing is, a ValueError says so."""
    for schedule in (Schedule("@yearly", tz=zone), Schedule("@daily", tz=zone), Schedule(tz=zone)):
        for moment in (datetime.max, datetime.max.replace(tzinfo=UTC)):
            with pytest.raises(ValueError, match="no fire time before the year 10000"):
                schedule.next_after(moment)
    with pytest.raises(ValueError, match="no fire time"):
        Schedule("@yearly", tz=zone).next_fire(datetime(9999, 6, 1, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("moment", [date(2027, 1, 1), "2027-01-01", None, 0.0])
def test_what_is_no_moment(moment: Any) -> None:
    """Contract 2: `next_after(moment)` takes a datetime; a date has no time of the day."""
    with pytest.raises(TypeError, match=r"moment=.*: a datetime is needed"):
        Schedule("@daily").next_after(moment)


@pytest.mark.parametrize("zone", [None, "UTC", "Pacific/Auckland", "Pacific/Honolulu"])
def test_beginning_of_the_calendar(zone: str | None) -> None:
    """Contract 2: `next_after` works for any moment."""
    assert Schedule("@yearly", tz=zone).next_after(datetime.min) == datetime(2, 1, 1)


# -- summer time ---------------------------------------------------------------------------------------------

GAPS = [
    # zone, day before, fixed times, where they run (UTC)
    ("Europe/Berlin", "2027-03-27 12:00", "30 2 * * *", ["2027-03-28 01:00", "2027-03-29 00:30"]),
    ("Europe/Berlin", "2027-03-27 12:00", "0,15,30 2 * * *", ["2027-03-28 01:00", "2027-03-29 00:00"]),
    ("Europe/Berlin", "2027-03-27 12:00", "0 2,3 * * *", ["2027-03-28 01:00", "2027-03-29 00:00"]),
    ("Europe/Berlin", "2027-03-27 12:00", "5 2,3 * * *", ["2027-03-28 01:00", "2027-03-28 01:05"]),
    ("Australia/Lord_Howe", "2027-10-02 12:00", "15 2 * * *", ["2027-10-02 15:30", "2027-10-03 15:15"]),
    ("Europe/Dublin", "2027-03-27 12:00", "30 1 * * *", ["2027-03-28 01:00", "2027-03-29 00:30"]),
    ("America/Sao_Paulo", "2018-11-03 12:00", "0 0 * * *", ["2018-11-04 03:00", "2018-11-05 02:00"]),
    ("Asia/Beirut", "2027-03-27 12:00", "30 0 * * *", ["2027-03-27 22:00", "2027-03-28 21:30"]),
    (
        "Pacific/Apia",
        "2011-12-29 00:00",
        "0 9 * * *",
        ["2011-12-29 19:00", "2011-12-30 10:00", "2011-12-30 19:00"],
    ),
    ("Pacific/Apia", "2011-12-01 00:00", "0 9 30 12 *", ["2011-12-30 10:00", "2012-12-29 19:00"]),
    ("Asia/Pyongyang", "2018-05-04 12:00", "45 23 * * *", ["2018-05-04 15:00", "2018-05-05 14:45"]),
]


@pytest.mark.parametrize(("zone", "start", "text", "fires"), GAPS)
def test_a_skipped_fixed_time_runs_once_after_the_gap(zone: str, start: str, text: str, fires: list[str]) -> None:
    """Design 6: a skipped fixed time runs once right after the gap."""
    schedule = Schedule(text, dialect="unix", tz=zone)
    assert instants(schedule, start + "+00:00", len(fires)) == fires


OVERLAPS = [
    ("Europe/Berlin", "2027-10-30 12:00", "30 2 * * *", ["2027-10-31 00:30", "2027-11-01 01:30"]),
    ("Europe/Berlin", "2027-10-30 12:00", "30 2,3 * * *", ["2027-10-31 00:30", "2027-10-31 02:30"]),
    ("Australia/Lord_Howe", "2027-04-03 12:00", "45 1 * * *", ["2027-04-03 14:45", "2027-04-04 15:15"]),
    ("Europe/Dublin", "2027-10-30 12:00", "30 1 * * *", ["2027-10-31 00:30", "2027-11-01 01:30"]),
    ("America/Sao_Paulo", "2019-02-16 12:00", "30 23 * * *", ["2019-02-17 01:30", "2019-02-18 02:30"]),
    ("Asia/Pyongyang", "2015-08-14 10:00", "45 23 * * *", ["2015-08-14 14:45", "2015-08-15 15:15"]),
    ("Pacific/Kwajalein", "1969-09-29 12:00", "0 9 * * *", ["1969-09-29 22:00", "1969-10-01 21:00"]),
]


@pytest.mark.parametrize(("zone", "start", "text", "fires"), OVERLAPS)
def test_a_doubled_fixed_time_runs_once(zone: str, start: str, text: str, fires: list[str]) -> None:
    """Design 6: a doubled fixed time runs once, the first time."""
    schedule = Schedule(text, dialect="unix", tz=zone)
    assert instants(schedule, start + "+00:00", len(fires)) == fires


def test_a_fixed_time_from_within_the_second_pass() -> None:
    """Design 6: a doubled fixed time has already run when the overlap repeats it."""
    schedule = Schedule("0,30 2 * * *", tz="Europe/Berlin")
    first = schedule.next_after(at("2027-10-31 02:10", "Europe/Berlin", fold=0))
    assert (first.isoformat(), first.fold) == ("2027-10-31T02:30:00+02:00", 0)
    for text in ("02:00", "02:10", "02:59:59.999999"):
        second = schedule.next_after(at(f"2027-10-31 {text}", "Europe/Berlin", fold=1))
        assert second == at("2027-11-01 02:00", "Europe/Berlin")


def test_the_instant_after_a_gap_is_later_than_any_moment_before_it() -> None:
    """Contract 2: strictly later, also where a fire time is shifted."""
    schedule, end = Schedule("30 2 * * *", tz="Europe/Berlin"), at("2027-03-28 03:00", "Europe/Berlin")
    before = at("2027-03-28 01:59:59.999999", "Europe/Berlin")
    assert schedule.next_after(before) == end
    assert schedule.next_after(end) == at("2027-03-29 02:30", "Europe/Berlin")


def test_wildcards_follow_the_wall() -> None:
    """Design 6: wildcards follow the wall: nothing is made up, and in a doubled hour they run twice."""
    spring, autumn = "2027-03-28 00:30+00:00", "2027-10-31 00:00+00:00"
    for text in ("*/30 * * * *", "*/30 0-23 * * *", "0,30 * * * *"):
        schedule = Schedule(text, tz="Europe/Berlin")
        assert walls(schedule, spring, 2) == ["2027-03-28 03:00+02:00", "2027-03-28 03:30+02:00"]
        assert walls(schedule, autumn, 4) == [
            "2027-10-31 02:30+02:00",
            "2027-10-31 02:00+01:00",
            "2027-10-31 02:30+01:00",
            "2027-10-31 03:00+01:00",
        ]
    night = Schedule("*/30 2 * * *", tz="Europe/Berlin")
    assert walls(night, "2027-03-28 00:00+00:00", 1) == ["2027-03-29 02:00+02:00"]
    assert walls(night, "2027-10-31 00:30+00:00", 3) == [
        "2027-10-31 02:00+01:00",
        "2027-10-31 02:30+01:00",
        "2027-11-01 02:00+01:00",
    ]


def test_offsets_of_seconds() -> None:
    """Design 6: fire times are those of the wall, in zones whose offset is no whole minute too."""
    assert instants(Schedule("0 12 * * *", tz="Africa/Monrovia"), "1971-06-01 00:00+00:00", 1) == ["1971-06-01 12:44"]
    assert Schedule("0 12 * * *", tz="Africa/Monrovia").next_fire(0.0) == 12 * 3600 + 44 * 60 + 30


# -- the local zone ------------------------------------------------------------------------------------------


@pytest.fixture
def live_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Change the local zone; it is restored at the end."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("text", ["30 2 * * *", "*/20 * * * *", "0 0 29 2 *"])
def test_the_local_zone_is_the_default(live_in: Callable[[str], None], text: str) -> None:
    """Design 6: the application's time zone, default local."""
    for zone in ("Europe/Berlin", "Australia/Lord_Howe", "America/New_York"):
        live_in(zone)
        local, named = Schedule(text, dialect="unix"), Schedule(text, dialect="unix", tz=zone)
        for start in ("2027-03-13", "2027-03-27", "2027-04-03", "2027-10-02", "2027-10-30", "2027-11-06"):
            assert instants(local, f"{start} 12:00+00:00", 120) == instants(named, f"{start} 12:00+00:00", 120)


def test_a_local_zone_that_looks_alike_is_another_one(live_in: Callable[[str], None]) -> None:
    """Design 6: default local: in winter London shows what UTC shows, and changes its clocks in spring."""
    spring = datetime(2027, 3, 28, tzinfo=UTC).timestamp()
    live_in("UTC")
    assert Schedule("30 1 * * *").next_fire(spring) == spring + 5400
    live_in("Europe/London")
    assert Schedule("30 1 * * *").next_fire(spring) == spring + 3600


def test_the_local_zone_may_change(live_in: Callable[[str], None]) -> None:
    """Design 6: default local: what the environment says now, not what it said before."""
    schedule, found = Schedule("0 12 * * *"), []
    for zone in ("Asia/Tokyo", "UTC", "America/New_York", "Asia/Tokyo"):
        live_in(zone)
        found += instants(schedule, "2027-01-01 00:00+00:00", 1)
    assert found == ["2027-01-01 03:00", "2027-01-01 12:00", "2027-01-01 17:00", "2027-01-01 03:00"]


# -- the object ----------------------------------------------------------------------------------------------


class Zone(StrEnum):
    BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berlin",
        Zone.BERLIN,
        ZoneInfo("Europe/Berlin"),
        ZoneInfo.no_cache("Europe/Berlin"),
        ZoneInfo.no_cache(Zone.BERLIN),
    ],
)
def test_zones_may_be_named_or_given(zone: str | tzinfo) -> None:
    """Contract 2: `tz` is a name or a tzinfo."""
    schedule = Schedule("30 2 * * *", tz=zone)
    assert instants(schedule, "2027-03-27 12:00+00:00", 1) == ["2027-03-28 01:00"]
    assert schedule.tz_name() == "Europe/Berlin"
    assert type(schedule.tz_name()) is str  # as every message needs it


def test_fixed_offsets() -> None:
    """Contract 2: `tz` may be any tzinfo; one without a name cannot be stored."""
    schedule = Schedule("30 2 * * *", tz=timezone(timedelta(hours=5, minutes=30)))
    assert instants(schedule, "2027-03-27 12:00+00:00", 1) == ["2027-03-27 21:00"]
    assert Schedule(tz=UTC).tz_name() == "UTC"
    assert Schedule().tz_name() == ""
    with pytest.raises(ValueError, match="has no name that can be stored"):
        schedule.tz_name()


class Unhashable(Counting):
    __hash__ = None  # type: ignore[assignment]


def test_a_tzinfo_without_hash() -> None:
    """Contract 2: `tz` may be any tzinfo."""
    assert instants(Schedule("30 2 * * *", tz=Unhashable()), "2027-03-27 12:00+00:00", 1) == ["2027-03-28 02:30"]


@pytest.mark.parametrize("name", ["Europe/Belin", "Mars/Olympus", "", "..", "../../etc/passwd", "Europe", "a\0b"])
def test_unknown_zones(name: str) -> None:
    """Contract 2: every invalid value → ValueError that names it."""
    with pytest.raises(ValueError, match="is not a known time zone") as caught:
        Schedule(tz=name)
    assert repr(name) in str(caught.value)


def test_a_misspelt_zone_gets_a_hint() -> None:
    """Contract 2: the message says what is allowed."""
    with pytest.raises(ValueError, match=r"similar are.*Europe/Berlin"):
        Schedule(tz="Europe/Belin")
    with pytest.raises(ValueError, match="an IANA name"):
        Schedule(tz=2)  # type: ignore[arg-type]


def test_schedules_are_values() -> None:
    """Immutable, hashable, comparable, picklable."""
    schedule, other = Schedule("30 9 0,2 * *", tz="Europe/Berlin"), Schedule("30 9 0,2 * *")
    assert schedule != other
    assert schedule != "30 9 0,2 * *"  # type: ignore[comparison-overlap]
    assert {schedule, other, Schedule("30 9 mon,wed * *", tz="Europe/Berlin")} == {schedule, other}
    assert pickle.loads(pickle.dumps([schedule, other])) == [schedule, other]
    with pytest.raises(AttributeError):
        schedule.tz = UTC  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del schedule.crontab


def test_repr_and_str() -> None:
    """A schedule can be read: as the call that makes it, and in words."""
    schedule = Schedule("30 9 * * 1", dialect="unix", tz="Europe/Berlin")
    assert repr(schedule) == "Schedule('30 9 0 * *', tz='Europe/Berlin')"
    assert eval(repr(schedule)) == schedule
    assert str(schedule) == "at 09:30 on Monday (Europe/Berlin)"
    assert (repr(Schedule()), str(Schedule())) == ("Schedule('* * * * *')", "every minute")


def test_what_is_stored_fires_alike() -> None:
    """Design 6: an entry is stored as crontab string and name of the zone."""
    schedule = Schedule("0 9 */31,1-7 * mon", dialect="unix", tz="Europe/Berlin")
    assert Schedule(schedule.crontab_string(), tz=schedule.tz_name()) == schedule


class Pendulum(datetime):
    """A datetime of a library, whose differences are its own."""

    def __sub__(self, other: object) -> object:  # type: ignore[override]
        raise AttributeError("_to_microseconds")


def test_moments_may_be_datetimes_of_a_library() -> None:
    """Contract 5: a datetime is needed, and whose it is makes no difference."""
    berlin = ZoneInfo("Europe/Berlin")
    schedule = Schedule("30 2 * * *", tz="Europe/Berlin")
    for fold in (0, 1):
        for zone in (None, berlin):
            moment = datetime(2027, 10, 31, 2, 10, 0, 7, zone, fold=fold)
            theirs = Pendulum(2027, 10, 31, 2, 10, 0, 7, zone, fold=fold)
            assert schedule.upcoming(theirs, 2) == schedule.upcoming(moment, 2)
