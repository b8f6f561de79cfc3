"""design 1, proven: many seeds of the simulator, each a run of the real roles under faults.

The command `python -m autocron.testing.simulation --seeds 10000` runs as many more as one likes.
"""

from __future__ import annotations

import itertools
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocron.testing.simulation.aims import SITUATIONS, aimed_at
from autocron.testing.simulation.campaign import Account, a_switcher, shrunk, write
from autocron.testing.simulation.report import failure_in_words
from autocron.testing.simulation.run import Verdict, run
from autocron.testing.simulation.switcher import Switcher

RUNS = 1000
PART = 10  # so that several processes share them evenly
MORE = 12  # runs that are steered to a cell which the others have not come to


@pytest.fixture(name="switcher")
def fixture_switcher() -> Iterator[Switcher]:
    with a_switcher() as switcher:
        yield switcher


@pytest.fixture(name="accounts", scope="session")
def fixture_accounts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all processes of this session share."""
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "accounts"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.mark.parametrize("first", range(0, RUNS, PART))
def test_every_promise_holds_under_faults(first: int, switcher: Switcher, accounts: Path) -> None:
    """design 1: nothing accepted is lost, stuck, run twice without a death, or outlives the application.

    testing 3.8: and each cell of the matrix of points and faults is hit. Whoever ends last adds up.
    """
    account = Account()
    for seed in range(first, first + PART):
        account.add(promising(seed, switcher))
    (accounts / f"{first}.new").write_bytes(pickle.dumps(account))
    (accounts / f"{first}.new").rename(accounts / str(first))
    parts = [each for each in accounts.iterdir() if each.suffix != ".new"]
    if len(parts) == RUNS // PART:
        check_whole(parts, switcher)


def promising(seed: int, switcher: Switcher) -> Verdict:
    """Run a seed; it fails the test if a promise does not hold."""
    verdict = run(seed, switcher=switcher)
    if verdict.failure is not None:
        verdict = shrunk(seed, switcher)
        pytest.fail(f"{failure_in_words(verdict)}\nplay it again: --replay {write(verdict)}", pytrace=False)
    return verdict


def check_whole(parts: list[Path], switcher: Switcher) -> None:
    """No cell is empty, and nothing that should come about sometimes has stayed away."""
    total = Account()
    for each in parts:
        total.merge(pickle.loads(each.read_bytes()))
    for cell in [cell for cell, count in total.cells().items() if not count]:
        for seed in itertools.islice(aimed_at(*cell, RUNS), MORE):
            total.add(promising(seed, switcher))
            if total.hits[cell]:
                break
    empty = [cell for cell, count in total.cells().items() if not count]
    assert empty == [], "the seeds do not come to these points; see the roads in simulation/aims.py"
    assert total.missing() == [], "this never came about; see the situations in simulation/aims.py"
    assert set(total.sometimes) <= set(SITUATIONS), "this came about, and is no situation in simulation/aims.py"
