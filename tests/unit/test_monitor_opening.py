"""A monitor that finds its database locked by another program."""

from __future__ import annotations

import pytest

from autocron.errors import StoreBusy, StoreFull
from autocron.monitor import ATTEMPTS, _patiently


class Locked:
    """A call that meets a lock so often, then another error or none."""

    def __init__(self, times: int, error: Exception | None = None) -> None:
        self.times = times
        self.error = error
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise StoreBusy("app.db", "another program holds it locked")
        if self.error is not None:
            raise self.error
        return "opened"


@pytest.mark.parametrize("times", [0, 1, ATTEMPTS - 1])
def test_a_lock_that_ends_in_time_only_delays(times: int) -> None:
    """design 5: the monitor waits and retries."""
    call = Locked(times)
    assert _patiently(call) == "opened"
    assert call.calls == times + 1


def test_a_lock_that_does_not_end_is_told() -> None:
    """design 5: a starting application is not kept waiting for ever."""
    call = Locked(10**9)
    with pytest.raises(StoreBusy):
        _patiently(call)
    assert call.calls == ATTEMPTS


def test_any_other_error_is_told_at_once() -> None:
    """design 5: waiting does not help against a full disk."""
    call = Locked(1, StoreFull("app.db", "no space"))
    with pytest.raises(StoreFull):
        _patiently(call)
    assert call.calls == 2
