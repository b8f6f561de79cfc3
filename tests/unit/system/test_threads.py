"""autocron.system.threads: what the real background decides by itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from autocron.system.bell import PipeBell
from autocron.system.threads import BackgroundThread


@pytest.fixture
def background() -> Iterator[BackgroundThread]:
    bell = PipeBell()
    background = BackgroundThread(lambda: False, bell)
    yield background
    background.stop()
    bell.close()


def test_only_who_runs_an_event_loop_is_spared(background: BackgroundThread) -> None:
    """Contract 3: a call of a task does not hold up an event loop; other callers send what comes alone themselves."""

    async def in_loop() -> tuple[bool, bool]:
        return background.spares_caller(), await asyncio.to_thread(background.spares_caller)

    assert not background.spares_caller()
    assert asyncio.run(in_loop()) == (True, False)
    assert not background.spares_caller()


@pytest.mark.parametrize("until", [2 * threading.TIMEOUT_MAX, 1e300, float("inf")])
def test_who_waits_for_ages_is_woken_all_the_same(until: float) -> None:
    """Contract 1: `stop` waits for the grace period, however long somebody has made it."""
    bell, ending = PipeBell(), threading.Event()
    background = BackgroundThread(lambda: not ending.wait(), bell)

    def condition() -> bool:
        if background._gates:  # it is about to sleep
            ending.set()
        return False

    assert not background.wait_for(condition, until)
