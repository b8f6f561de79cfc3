"""autocron.system.threads: what the real background decides by itself."""

from __future__ import annotations

import asyncio
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
