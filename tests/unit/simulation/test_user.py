"""design 4: the simulator is a feature: users run their own tasks under crashes."""

from __future__ import annotations

from pathlib import Path

import pytest

import autocron
from autocron.testing.simulation.user import Simulation

done: list[str] = []


@autocron.delay
def append(what: str) -> None:
    done.append(what)


@autocron.delay
def append_once(what: str) -> None:
    if what not in done:
        done.append(what)


@autocron.delay(days=3)
def later() -> None:
    done.append("later")


def test_a_task_that_must_not_run_twice_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 1: a job whose worker died is run again; who cannot bear that learns it here."""
    monkeypatch.chdir(tmp_path)
    simulation = Simulation(seeds=100)
    simulation.setup(done.clear)
    simulation.workload(lambda: append("a"))
    simulation.eventually(lambda: done == ["a"])
    with pytest.raises(AssertionError, match="is killed at") as caught:
        simulation.run()
    assert "eventually: simulation.eventually(lambda: done == [" in str(caught.value)
    (tape,) = tmp_path.glob(".autocron-sim/*.json")
    again = Simulation(replay=tape)
    again.setup(done.clear)
    again.workload(lambda: append("a"))
    again.eventually(lambda: done == ["a"])
    with pytest.raises(AssertionError, match="played again"):
        again.run()


def test_a_task_that_can_bear_it_passes() -> None:
    """The same under the same crashes, written so that a second run changes nothing."""
    simulation = Simulation(seeds=60)
    simulation.setup(done.clear)
    simulation.workload(lambda: append_once("a"))
    simulation.eventually(lambda: done == ["a"])
    simulation.run()


def test_always_is_looked_at_in_the_middle_of_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition that holds only in the end is no `always`."""
    monkeypatch.chdir(tmp_path)
    simulation = Simulation(seeds=3)
    simulation.setup(done.clear)
    simulation.workload(lambda: append("a"))
    simulation.always(lambda: not done, "nothing is done")
    with pytest.raises(AssertionError, match="always\n  nothing is done"):
        simulation.run()


@pytest.mark.autocron_sim(seeds=5)
def test_delayed_jobs_are_waited_for(autocron_sim: Simulation) -> None:
    """The clock is virtual: three days are nothing."""
    autocron_sim.setup(done.clear)
    autocron_sim.workload(later)
    autocron_sim.eventually(lambda: "later" in done)


def test_a_test_that_says_nothing_is_told_so() -> None:
    """style 10: an error names the way out."""
    with pytest.raises(TypeError, match="workload"):
        Simulation().run()
