"""The simulator itself: it repeats a run exactly, makes tapes short, and its gate lets nothing of the dead through."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocron.labels import LABELS
from autocron.testing.simulation.aims import CRASH, POINTS, STORE_LABELS
from autocron.testing.simulation.campaign import Account, a_switcher, shrunk, write
from autocron.testing.simulation.disk import Row
from autocron.testing.simulation.machine import Violation
from autocron.testing.simulation.model import Model
from autocron.testing.simulation.planted import BUGS
from autocron.testing.simulation.report import account_in_words, failure_in_words
from autocron.testing.simulation.run import run
from autocron.testing.simulation.shrink import shrink
from autocron.testing.simulation.switcher import Switcher
from autocron.testing.simulation.tape import Entry, load

HASHES = """
from autocron.testing.simulation.campaign import a_switcher
from autocron.testing.simulation.run import run
with a_switcher() as switcher:
    print(*(run(seed, switcher=switcher).trace_hash() for seed in range(6)))
"""


@pytest.fixture(name="switcher")
def fixture_switcher() -> Iterator[Switcher]:
    with a_switcher() as switcher:
        yield switcher


def test_the_same_seed_is_the_same_run_under_any_hash_seed() -> None:
    """design 4: same seed twice, same trace; also in another process, whose sets have another order."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", HASHES],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(outputs) == 1


def test_a_tape_is_the_same_run_as_its_seed(switcher: Switcher) -> None:
    """design 4: a run is replayable from what was drawn in it."""
    for seed in range(8):
        drawn = run(seed, switcher=switcher)
        assert run(seed, drawn.numbers, switcher=switcher).trace_hash() == drawn.trace_hash()


def test_an_empty_tape_is_a_calm_run(switcher: Switcher) -> None:
    """testing 3.7: nothing drawn means the plain choice everywhere, so a shorter tape is always a calmer run."""
    verdict = run(0, {}, switcher=switcher)
    assert (verdict.failure, verdict.story, verdict.numbers) == (None, [], {})


def test_a_failure_is_shrunk_told_in_words_and_played_again(switcher: Switcher, tmp_path: Path) -> None:
    """design 4: a failing run is shrunk and told in words, and its tape can be kept."""
    bug = next(each for each in BUGS if each.name == "acknowledged_before_sync")
    with bug.plant():
        verdict = shrunk(0, switcher)
        assert verdict.failure is not None
        path = write(verdict, tmp_path)
        numbers, about = load(path)
        again = run(0, numbers, switcher=switcher)
    assert str(again.failure) == str(verdict.failure)
    assert about["promise"] == "accepted work is not lost"
    words = failure_in_words(verdict, original=100)
    assert words.startswith("seed 0: accepted work is not lost")
    assert "(shrunk from 100)" in words
    assert sum(map(len, numbers.values())) < 5
    assert run(0, numbers, switcher=switcher).failure is None, "without the bug, the same tape holds"


def test_what_is_no_tape_is_refused_with_its_name(tmp_path: Path) -> None:
    """style 10: an error names the thing."""
    path = tmp_path / "other.json"
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"other\.json: this is not a tape"):
        load(path)


def test_the_shrinker_keeps_only_what_matters() -> None:
    """testing 3.7: chunks go, then single numbers, then values become smaller."""
    entries = [Entry(f"label {number % 7}", number, 9) for number in range(100)]

    def fails(numbers: dict[str, dict[int, int]]) -> bool:
        return numbers.get("label 3", {}).get(24, 0) >= 4 and numbers.get("label 5", {}).get(61, 0) >= 1

    assert shrink(entries, fails) == [Entry("label 3", 24, 4), Entry("label 5", 61, 1)]


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_every_point_is_survived(point: str, switcher: Switcher) -> None:
    """design 4: crashes at any label; the run goes on to its end, with every promise kept."""
    numbers = {
        point: {0: CRASH},
        "settings": {0: 1},
        "ttl": {0: 1},
        "cron": {0: 1},
        "length": {0: 2},
        "steps of an application": {0: 4},
        "step": {3: 14},
        "task": {0: 2, 1: 1},
        "due": {1: 3},
    }
    verdict = run(0, numbers, switcher=switcher)
    assert verdict.failure is None, failure_in_words(verdict)


def test_the_oracle_knows_that_a_power_cut_can_undo_a_removal() -> None:
    """design 1: the last moment's results may be lost; what was fired, run and removed in it is fired anew."""
    model = Model()
    row = Row(b"1" * 16, 2, 7, 0, 60.0, "app:tick#0", b"", "", 0.0, "app:tick", b"")
    done = row._replace(status=3, prune_at=65.0)
    model.became({row.id: row}, 60.0)
    model.begins(row.id, 1, 1, {}, 60.0)
    model.ends(row.id)
    for rows in ({row.id: done}, {}):
        model.became(rows, 66.0)
    with pytest.raises(Violation, match="came back"):
        model.became({row.id: row}, 67.0)
    model.rows = {}
    model.power_cut({}, durable=())
    model.became({row.id: row}, 68.0)


def test_the_oracle_knows_that_who_was_stopped_may_bring_what_was_removed_by_hand() -> None:
    """docs/reliability.md: one that has not heard that its job is stored brings it once more, and no other."""
    model = Model()
    model.unwanted.add(b"1" * 16)
    row = Row(b"1" * 16, 1, 7, 0, 60.0, "", b"", "", 0.0, "app:task", b"")
    done = row._replace(status=3, prune_at=65.0)
    model.became({row.id: row._replace(status=2)}, 60.0)
    model.begins(row.id, 1, 1, {}, 60.0)
    model.ends(row.id)
    for rows in ({row.id: done}, {}):
        model.became(rows, 61.0)
    model.forgotten({row.id: row})
    model.became({row.id: row}, 61.0)
    model.begins(row.id, 1, 1, {}, 61.0)
    model.forgotten({row.id: row})
    with pytest.raises(Violation, match="run again"):
        model.begins(row.id, 1, 1, {}, 61.0)


def test_the_matrix_has_a_cell_for_every_label_and_every_fault() -> None:
    """testing 3.8: an empty cell is seen, because the matrix is made from the registry of labels."""
    cells = Account().cells()
    assert {label for label in LABELS if (f"{label}.before", "crash") in cells} == set(LABELS)
    assert {label for label in STORE_LABELS if (label, "broken") in cells} == set(STORE_LABELS)
    assert f"{len(cells)} empty" in account_in_words(Account(), 1.0)
