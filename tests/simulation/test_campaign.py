"""design 1, proven: many seeds of the simulator, each a run of the real roles under faults.

The command `python -m autocron.testing.simulation --seeds 10000` runs as many more as one likes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autocron.testing.simulation.campaign import a_switcher, shrunk, write
from autocron.testing.simulation.report import failure_in_words
from autocron.testing.simulation.run import run
from autocron.testing.simulation.switcher import Switcher

RUNS = 1000
PART = 10  # so that several processes share them evenly


@pytest.fixture(name="switcher")
def fixture_switcher() -> Iterator[Switcher]:
    with a_switcher() as switcher:
        yield switcher


@pytest.mark.parametrize("first", range(0, RUNS, PART))
def test_every_promise_holds_under_faults(first: int, switcher: Switcher) -> None:
    """design 1: nothing accepted is lost, stuck, run twice without a death, or outlives the application."""
    for seed in range(first, first + PART):
        if run(seed, switcher=switcher).failure is not None:
            verdict = shrunk(seed, switcher)
            pytest.fail(f"{failure_in_words(verdict)}\nplay it again: --replay {write(verdict)}", pytrace=False)
