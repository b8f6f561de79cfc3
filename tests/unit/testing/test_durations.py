"""autocron.testing.durations: durations and moments as people write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from autocron.testing.durations import epoch_of, in_words, seconds_of


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("1d 2h", 93600),
        ("1w", 604800),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("250ms", 0.25),
        (90, 90),
        (timedelta(days=1), 86400),
    ],
)
def test_durations_are_read(duration: Any, seconds: float) -> None:
    """contract 7: fast_forward takes a timedelta, seconds or a text."""
    assert seconds_of(duration) == seconds


@pytest.mark.parametrize(
    "duration", ["", "soon", "1", "2 fortnights", "-1h", -1, None, True, float("inf"), float("nan")]
)
def test_what_is_no_duration_is_named(duration: Any) -> None:
    """contract 7: negative is a ValueError, as is whatever cannot be read."""
    with pytest.raises(ValueError, match="by="):
        seconds_of(duration, "by")


def test_durations_are_told_in_their_two_largest_units() -> None:
    """contract 7: messages say "in 2d"."""
    assert [in_words(each) for each in (0, 0.5, 59, 90, 172800, 90061, -60)] == [
        "0s", "0.5s", "59s", "1m 30s", "2d", "1d 1h", "-1m",
    ]  # fmt: skip


def test_moments_are_read() -> None:
    """contract 7: an aware datetime or an ISO text; naive means local time."""
    assert epoch_of("2027-01-01T00:00Z") == epoch_of(datetime(2027, 1, 1, tzinfo=UTC)) == 1798761600
    assert epoch_of(date(2027, 1, 1)) == epoch_of("2027-01-01") == datetime(2027, 1, 1).timestamp()
    with pytest.raises(ValueError, match="when='tomorrow'"):
        epoch_of("tomorrow")
