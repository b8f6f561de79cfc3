"""autocron.testing.schedules: a year of fire times, in zones whose clocks change in different ways."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from typing import Any

import pytest

import autocron
from autocron.schedule import Schedule
from autocron.testing import FakeEngine, assert_schedule, fake_engine
from autocron.testing.firings import upcoming


@pytest.fixture
def nightly() -> Iterator[Callable[[], None]]:
    """A task with a schedule, for the length of a test: those of a module would fire in other tests too."""
    with fake_engine():

        @autocron.cron("0 3 * * *")
        def nightly() -> None: ...

        yield nightly


def message(*args: Any, **kwargs: Any) -> list[str]:
    """What a failing assertion says."""
    with pytest.raises(AssertionError) as failed:
        assert_schedule(*args, **kwargs)
    return str(failed.value).splitlines()


def test_a_schedule_that_holds_returns_its_fire_times(nightly: Callable[[], None]) -> None:
    """contract 7: the first screen of the documentation."""
    moments = assert_schedule(
        nightly, year=2027, times=365, at="03:00", tz="Europe/Berlin", max_gap="25h", min_gap="23h"
    )
    assert moments[0].isoformat() == "2027-01-01T03:00:00+01:00"
    assert len(moments) == 365


def test_every_clause_is_reported_not_only_the_first_broken_one() -> None:
    """contract 7: a failing assertion shows what was there instead."""
    assert message("0 6 4 * *", year=2027, times=52, never="weekend", tz="Europe/Berlin") == [
        'assert_schedule("0 6 4 * *", year=2027, times=52, never="weekend")   expression "0 6 4 * *"  tz Europe/Berlin',
        "  times: expected 52, got 53: first Fri 2027-01-01 06:00 CET, last Fri 2027-12-31 06:00 CET",
        '  never="weekend": ok',
    ]


@pytest.mark.parametrize(
    ("tz", "at", "told", "also"),
    [
        (
            "Europe/Berlin",
            "02:30",
            'Sun 2027-03-28 02:30 does not exist in Europe/Berlin (policy "shift": ran 03:00 CEST)',
            "  Sun 2027-10-31 02:30 comes twice in Europe/Berlin (ran in CEST only)",
        ),
        (
            "America/New_York",
            "02:00",
            'Sun 2027-03-14 02:00 does not exist in America/New_York (policy "shift": ran 03:00 EDT)',
            None,
        ),
        (
            "Australia/Lord_Howe",  # by half an hour
            "02:15",
            'Sun 2027-10-03 02:15 does not exist in Australia/Lord_Howe (policy "shift": ran 02:30 +11)',
            None,
        ),
        (
            "America/Santiago",  # at midnight
            "00:00",
            'Sun 2027-09-05 00:00 does not exist in America/Santiago (policy "shift": ran 01:00 -03)',
            None,
        ),
        (
            "Africa/Casablanca",  # back before Ramadan, forward after it
            "02:30",
            'Sun 2027-03-14 02:30 does not exist in Africa/Casablanca (policy "shift": ran 03:00 +01)',
            "  Sun 2027-02-07 02:30 comes twice in Africa/Casablanca (ran in +01 only)",
        ),
    ],
)
def test_the_change_of_the_clocks_is_explained(tz: str, at: str, told: str, also: str | None) -> None:
    """contract 7, design 6: a skipped fixed time runs once right after the gap, a doubled one once."""
    hour, minute = (int(part) for part in at.split(":"))
    lines = message(f"{minute} {hour} * * *", year=2027, at=at, times=365, tz=tz)
    assert lines[1:] == [
        "  times: ok",
        f'  at="{at}": 364 at {at}, 1 not: {told}',
        *([also] if also else []),
    ] or lines[1:] == [f'  at="{at}": 364 at {at}, 1 not: {told}', "  times: ok", *([also] if also else [])]


def test_an_entry_with_a_zone_of_its_own_minds_the_clocks_of_no_other() -> None:
    """contract 7: tz= is the zone in which it is seen; what the clocks did is told of the zone in which it fires."""
    with pytest.raises(AssertionError) as caught:
        assert_schedule(Schedule("30 2 * * *", tz="UTC"), year=2027, at="02:30", tz="Europe/Berlin")
    assert "does not exist" not in str(caught.value)
    assert "comes twice" not in str(caught.value)
    with pytest.raises(AssertionError, match="02:30 does not exist in Europe/Berlin"):
        assert_schedule(Schedule("30 2 * * *", tz="Europe/Berlin"), year=2027, times=1, tz="UTC")


def test_the_range_may_begin_within_a_second() -> None:
    """contract 7: what fires before the start is not in the range."""
    assert len(assert_schedule("0 3 * * *", start="2027-01-01T03:00:00.5", end="2027-01-03", times=1, tz="UTC")) == 1


@pytest.mark.parametrize(
    ("crontab", "wrong"),
    [
        ("0 0 1 6 *", "1 longer: Mon 2027-02-01 00:00 UTC to Mon 2027-03-01 00:00 UTC (28d)"),
        (
            "0 3 2 2 *",
            "2 longer: Mon 2027-02-01 00:00 UTC to Tue 2027-02-02 03:00 UTC (1d 3h), Tue 2027-02-02 03:00 UTC to",
        ),
    ],
)
def test_a_longest_gap_is_one_where_nothing_fires_too(crontab: str, wrong: str) -> None:
    """contract 7: max_gap: a schedule that never fires has the longest gap of all."""
    with pytest.raises(AssertionError, match=re.escape(wrong)):
        assert_schedule(crontab, start="2027-02-01", end="2027-03-01", max_gap="25h", tz="UTC", dialect="unix")


def test_a_task_below_a_decorator_is_found(fake_engine: FakeEngine) -> None:
    """contract 7: functools.wraps leads to it."""

    @autocron.cron("0 3 * * *", tz="UTC")
    def nightly() -> None: ...

    @functools.wraps(nightly)
    def watched() -> None:
        nightly()

    assert_schedule(watched, year=2027, times=365)


def test_an_unknown_zone_is_named() -> None:
    """contract 7: as everywhere, with those that are similar."""
    with pytest.raises(ValueError, match="similar are Europe/Berlin"):
        assert_schedule(Schedule("@daily", tz="UTC"), year=2027, times=365, tz="Europe/Berln")
    with pytest.raises(ValueError, match="similar are Europe/Berlin"):
        upcoming(1, None, 0.0, "Europe/Berln")


def test_a_zone_without_summer_time_has_nothing_to_explain() -> None:
    """design 6: in Kolkata each time of day comes once a day."""
    assert len(assert_schedule("30 2 * * *", year=2027, at="02:30", times=365, tz="Asia/Kolkata")) == 365


def test_wildcards_follow_the_wall_and_the_message_counts_them() -> None:
    """design 6: wildcards are skipped with the wall, and fire in both passes of an overlap."""
    lines = message("*/15 * * * *", year=2027, times=1, tz="Australia/Lord_Howe")
    assert lines[1].startswith("  times: expected 1, got 35040")
    assert lines[2:] == [
        "  Sun 2027-04-04 01:30 to 02:00 comes twice in Australia/Lord_Howe: "
        "2 fire times ran twice, in +11 and in +1030",
        "  Sun 2027-10-03 02:00 to 02:30 does not exist in Australia/Lord_Howe: 2 fire times are skipped",
    ]


def test_gaps_are_measured_in_elapsed_time() -> None:
    """design 6: the day on which the clocks go back has 25 hours."""
    lines = message("0 3 * * *", year=2027, max_gap="24h", tz="Europe/Berlin")
    assert lines[1] == (
        '  max_gap="24h": 1 longer: Sat 2027-10-30 03:00 CEST to Sun 2027-10-31 03:00 CET (1d 1h, the clocks change)'
    )


def test_days_are_named_dated_or_computed() -> None:
    """contract 7: only and never take weekdays, "weekend", dates and functions."""
    assert_schedule("0 9 0,2 * *", year=2027, only=["mon", "Wednesday"], never="weekend", tz="UTC")
    assert_schedule("0 9 * * 1", year=2027, only=lambda moment: moment.day == 1, tz="UTC")
    assert_schedule("0 9 * 7 1", year=2027, only=date(2027, 7, 1), never="2027-07-02", tz="UTC")
    lines = message("0 9 * * *", start="2027-01-01", end="2027-01-04", only="weekday", tz="UTC")
    assert lines[1] == '  only="weekday": 2 elsewhere: Sat 2027-01-02 09:00 UTC, Sun 2027-01-03 09:00 UTC'
    lines = message("0 9 * * *", start="2027-12-24", end="2027-12-27", never=datetime(2027, 12, 25), tz="UTC")
    assert lines[1].endswith(": 1 then: Sat 2027-12-25 09:00 UTC")
    with pytest.raises(ValueError, match="only='mnday': a weekday"):
        assert_schedule("0 9 * * *", year=2027, only="mnday")


def test_the_end_is_not_in_the_range() -> None:
    """contract 7: start is, end is not."""
    assert len(assert_schedule("@daily", start="2027-01-01", end=datetime(2027, 1, 3), times=2, tz="UTC")) == 2


def test_a_claim_without_content_is_refused(nightly: Callable[[], None]) -> None:
    """contract 7: an assertion that cannot fail is an error."""
    with pytest.raises(TypeError, match="nothing is claimed"):
        assert_schedule(nightly, year=2027)
    with pytest.raises(TypeError, match="give year=, or both start= and end="):
        assert_schedule(nightly, times=3)
    with pytest.raises(ValueError, match="start='2027-02-01', end='2027-01-01': nothing lies between"):
        assert_schedule(nightly, start="2027-02-01", end="2027-01-01", never="weekend")


def test_a_task_without_a_schedule_is_named() -> None:
    """contract 7: an error names the thing, and the way out."""

    @autocron.delay
    def send() -> None: ...

    with pytest.raises(ValueError, match=r"has no schedule: it is not decorated with @autocron.cron"):
        assert_schedule(send, year=2027, times=1)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"year": 2027, "times": "365"}, "times='365': a whole number is needed"),
        ({"year": "2027", "times": 365}, "year='2027': a whole number from 1970 to 9998 is needed"),
        ({"year": 2027, "at": ["03:00", None]}, "at=None: a time of day such as"),
        ({"year": 2027, "only": ["mon", 2]}, "only=2: a weekday"),
        ({"year": 2027, "never": 2}, "never=2: a weekday"),
    ],
)
def test_a_claim_of_the_wrong_kind_is_named(claim: dict[str, Any], said: str) -> None:
    """style 10: an error names the thing, the value and what is allowed."""
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        assert_schedule("0 3 * * *", **claim)


def test_a_time_of_day_may_be_a_time() -> None:
    """testing 2.4: at= as dates for days."""
    assert_schedule("0 3 * * *", year=2027, at=time(3), tz="UTC")
    assert_schedule("0 3,4 * * *", year=2027, at=[time(3), "04:00"], tz="UTC")
