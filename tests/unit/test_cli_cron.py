"""`autocron cron`: a crontab in words, its fire times, and the other dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from autocron.cli.root import root
from autocron.interface import Interface
from autocron.testing.clock import FakeClock


def run(*args: str, now: float = 0.0) -> Result:
    interface: Any = Interface(FakeClock(now), None, None, None)  # type: ignore[arg-type]
    return CliRunner().invoke(root, ["cron", *args], obj=interface)


def document(*args: str, now: float = 0.0) -> dict[str, Any]:
    result = run(*args, "--json", now=now)
    assert result.exit_code == 0, result.stderr
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


BERLIN = ("--tz", "Europe/Berlin", "--from", "2027-01-01T00:00")


def test_words_and_fire_times() -> None:
    """The contract's example, in words and in its zone."""
    found = document("30 9 0,2 * *", *BERLIN, "-n", "2")
    assert found["words"] == "at 09:30 on Monday and Wednesday"
    assert found["from"] == "2027-01-01T00:00:00+01:00"
    assert found["fire_times"] == ["2027-01-04T09:30:00+01:00", "2027-01-06T09:30:00+01:00"]


def test_the_offset_follows_summer_time() -> None:
    """A fire time is told with its offset."""
    found = document("0 9 * * *", "--tz", "Europe/Berlin", "--from", "2027-03-27T12:00", "-n", "1")
    assert found["fire_times"] == ["2027-03-28T09:00:00+02:00"]


def test_now_is_what_the_clock_of_the_world_says() -> None:
    """Without --from the fire times begin now."""
    found = document("@hourly", "--tz", "UTC", "-n", "1", now=1800.0)
    assert (found["from"], found["fire_times"]) == ("1970-01-01T00:30:00+00:00", ["1970-01-01T01:00:00+00:00"])


def test_the_local_zone_is_the_default() -> None:
    """Without --tz the times have the offset of the local zone."""
    found = document("@daily", "--from", "2027-01-01T00:00", "-n", "1")
    assert found["tz"] is None
    assert found["fire_times"][0].startswith("2027-01-02T00:00:00")


def test_from_may_have_an_offset_of_its_own() -> None:
    """An aware --from is a moment, whatever the zone of the schedule."""
    found = document("@daily", "--tz", "Europe/Berlin", "--from", "2027-01-01T00:00-05:00", "-n", "1")
    assert found["from"] == "2027-01-01T06:00:00+01:00"


def test_the_calendar_ends() -> None:
    """What fire times there still are is shown."""
    assert len(document("* * * * *", "--tz", "UTC", "--from", "9999-12-31T23:50", "-n", "99")["fire_times"]) == 9
    late = ("--from", "9999-12-31T23:58+00:00")
    assert len(document("* * * * *", "--tz", "America/New_York", *late)["fire_times"]) == 1


def test_not_valid_in_the_other_dialect() -> None:
    """It is said why, and how to spell the schedule there."""
    other = document("30 9 0,2 * *", *BERLIN)["other_dialect"]
    assert other == {
        "dialect": "unix",
        "words": None,
        "error": 'field "day-of-month": 0 is not allowed, only 1-31',
        "same": False,
        "crontab": "30 9 * * 1,3",
    }


def test_something_else_in_the_other_dialect() -> None:
    """The trap: valid in both, and not the same."""
    found = document("0 9 1 * *", "--dialect", "unix", *BERLIN)
    assert found["words"] == "at 09:00 on the 1st"
    assert found["other_dialect"]["words"] == "at 09:00 on Tuesday"
    assert found["other_dialect"]["crontab"] == "0 9 * * 1"


def test_the_same_in_the_other_dialect() -> None:
    """Macros mean the same in both."""
    other = document("@daily", *BERLIN)["other_dialect"]
    assert other["same"]
    assert "the same" in run("@daily", *BERLIN).stdout


def test_what_only_autocron_understands_is_marked() -> None:
    """Unix cron has no way to say "both" for some schedules, so the spelling is not to be pasted there."""
    result = run("0 9 &0 * 8-14", *BERLIN)
    assert "not by Unix cron" in result.stdout


def test_the_table_is_plain_where_no_terminal_is() -> None:
    """No colour, no line broken, no blanks at the ends of lines."""
    result = run("30 9 0,2 * *", *BERLIN)
    assert "\x1b" not in result.stdout
    assert all(line == line.rstrip() for line in result.stdout.splitlines())
    assert "Mon 2027-01-04 09:30:00 +01:00" in result.stdout
    long = run(",".join(str(each) for each in range(0, 59, 7)) + " * * * *", *BERLIN).stdout.splitlines()
    assert any("at minutes" in line and "of every hour" in line for line in long)


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["61 * * * *"], 'field "minutes": 61 is not allowed, only 0-59'),
        (["* * *"], "3 fields, but 5 are needed"),
        (["@daily", "--tz", "Europ/Berlin"], "similar are Europe/Berlin"),
        (["@daily", "--from", "tomorrow"], "2027-01-01T00:00"),
        (["@daily", "--from", "0001-01-01"], "--from"),
        (["@daily", "--from", "0001-01-01T00:00", "--tz", "Asia/Tokyo"], "--from"),
        (["@daily", "--from", "9999-12-31T23:58+00:00", "--tz", "Asia/Tokyo"], "the years 1 to 9999 in UTC and there"),
        (["@daily", "--from", "9999-12-31T23:58-05:00", "--tz", "Asia/Tokyo"], "--from"),
        (["@daily", "--dialect", "quartz"], "'autocron', 'unix'"),
        (["*", "9", "*", "*", "*"], "5 arguments: put the crontab in quotes"),
    ],
)
def test_refusals(args: list[str], part: str) -> None:
    """Exit code 2, the message on stderr, nothing on stdout."""
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert part in result.stderr
