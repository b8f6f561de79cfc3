"""design 4: the simulator is a feature: users run their own tasks under crashes."""

from __future__ import annotations

import asyncio
import sys
import types
from pathlib import Path

import pytest

import autocron
from autocron.testing.simulation import lines
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


accounts: dict[str, int] = {}


@autocron.delay
def parent() -> None:
    append_once("child")


@autocron.delay
async def transfer() -> None:
    accounts["ann"] -= 30
    await asyncio.sleep(0)
    accounts["bob"] += 30


def open_accounts() -> None:
    accounts.update(ann=100, bob=0)


def test_a_task_may_call_a_task() -> None:
    """design 1: a worker that dies at a point of the engine, inside of a task, dies as a whole."""
    simulation = Simulation(seeds=30)
    simulation.setup(done.clear)
    simulation.workload(parent)
    simulation.always(lambda: len(done) < 2)  # its lines are no points, although they are in a file of the user
    simulation.eventually(lambda: done == ["child"])
    simulation.run()


def test_an_async_task_is_killed_at_its_lines_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/simulation: the worker is killed before another line each time, of an `async def` too."""
    monkeypatch.chdir(tmp_path)
    simulation = Simulation(seeds=100)
    simulation.setup(open_accounts)
    simulation.workload(transfer)
    simulation.eventually(lambda: sum(accounts.values()) == 100)
    with pytest.raises(AssertionError, match=r"is killed at test_user.py:\d+"):
        simulation.run()


def test_an_installed_application_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/simulation: the program of a task has its points wherever it is installed; libraries have none."""
    own = Path(__file__)
    package = types.ModuleType("installed")
    package.__path__ = [str(own.parent)]
    monkeypatch.setitem(sys.modules, "installed", package)
    monkeypatch.setattr(lines, "LIBRARIES", (str(own.parents[2]),))
    lines.is_of_user.cache_clear()

    def task() -> None: ...

    task.__module__ = "elsewhere"
    assert lines.program_of(task) == (__file__,)
    task.__module__ = "installed.tasks"
    program = lines.program_of(task)
    assert lines.is_of_user(str(own.parent / "models.py"), program)
    assert not lines.is_of_user(str(own.parents[1] / "library" / "models.py"), program)
    assert not lines.is_of_user(lines.__file__, program)
    assert not lines.is_of_user("<string>", program)
    lines.is_of_user.cache_clear()
