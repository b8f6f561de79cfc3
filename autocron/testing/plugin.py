"""The pytest plugin, loaded by the entry point: fixtures, marker, options. It changes nothing unless it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .clock import FakeClock
    from .engine import FakeEngine


@pytest.fixture
def fake_engine(request: pytest.FixtureRequest) -> Iterator[FakeEngine]:
    """Autocron in this thread, on a clock that the test moves: see `autocron.testing`."""
    from .engine import FakeEngine  # noqa: PLC0415 - the plugin loads nothing until it is used

    engine = FakeEngine()
    engine.__enter__()
    yield engine
    engine.close()
    engine.check()


@pytest.fixture
def autocron_clock(fake_engine: FakeEngine) -> FakeClock:
    """The clock of `fake_engine`."""
    return fake_engine.clock
