"""autocron.system.linux: a timer for any time there can be."""

from __future__ import annotations

import select

import pytest

from autocron.system.linux import AVAILABLE, Timer

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="there are no such timers elsewhere than on Linux")


def has_gone_off(timer: Timer) -> bool:
    poll = select.poll()
    poll.register(timer.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@pytest.mark.parametrize("until", [2.0**64 + 5, 1e300, float("inf")])
def test_a_time_that_the_kernel_cannot_hold_has_not_come(until: float) -> None:
    """design 3: `wait` is exact; the first due time may be any number that somebody has written."""
    timer = Timer()
    assert timer.set(until)
    assert not has_gone_off(timer)


def test_a_time_in_the_past_has_come() -> None:
    """design 3: however long ago it was."""
    timer = Timer()
    assert timer.set(float("-inf"))
    select.select([timer.fileno()], [], [])
    assert has_gone_off(timer)
