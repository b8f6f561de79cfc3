"""design 4: the simulator is a feature: users run their own tasks under crashes."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from freezegun import freeze_time

import autocron
from autocron.testing.simulation import lines
from autocron.testing.simulation.user import Simulation, of_markers

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


def of_test(test: str, *, replay: Path | None = None) -> Simulation:
    """The simulation of a test that holds nowhere."""
    simulation = Simulation(seeds=1, replay=replay, test=test)
    simulation.workload(lambda: append("a"))
    simulation.eventually(lambda: False, f"the promise of {test}")
    return simulation


def test_each_test_has_its_own_tapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/simulation: a tape is played again by the test that has written it, and by no other."""
    monkeypatch.chdir(tmp_path)
    one, two = "test_a.py::test_one[1 2]", "test_a.py::test_two"
    with pytest.raises(AssertionError, match=r"pytest 'test_a.py::test_one\[1 2\]' --autocron-replay .*seed-0.json"):
        of_test(one).run()
    with pytest.raises(AssertionError, match=r"play it again: pytest test_a.py::test_two --autocron-replay"):
        of_test(two).run()
    tape = tmp_path / ".autocron-sim" / "test_a.py-test_one-1-2-seed-0.json"
    assert len([*tape.parent.iterdir()]) == 2
    with pytest.raises(AssertionError, match=r"played again:[\s\S]*the promise of test_a.py::test_one"):
        of_test(one, replay=tape).run()
    with pytest.raises(ValueError, match=r"this is the tape of test_a.py::test_one\[1 2\], not of test_a.py::test_two"):
        of_test(two, replay=tape).run()


def test_a_failure_that_does_not_come_again_is_told_all_the_same() -> None:
    """style 11: whatever the world outside does, the report shows what was seen."""
    simulation = Simulation(seeds=1)
    simulation.workload(lambda: append("a"))
    answers = [False]
    simulation.eventually(lambda: answers.pop() if answers else True, "the gateway is up")
    with pytest.raises(AssertionError, match=r"eventually\n  the gateway is up[\s\S]*it did not happen again"):
        simulation.run()


def test_what_the_marker_cannot_mean_is_refused() -> None:
    """style 10: an error names the thing, the value and what is allowed."""
    wrong = pytest.mark.autocron_sim(3, seed=1, workers=2).mark
    with pytest.raises(TypeError, match=r"autocron_sim\(3, seed=\): only seeds, workers, first are known, as keywords"):
        of_markers([wrong], None, None)
    with pytest.raises(ValueError, match="seeds=0: at least one run"):
        of_markers([pytest.mark.autocron_sim(seeds=0).mark], None, None)


seen: list[float] = []


@autocron.delay(days=2)
async def note() -> None:
    await asyncio.sleep(0.001)
    seen.append((autocron.now() - datetime.now(UTC)).total_seconds())


@pytest.fixture(params=["", "freezegun", "time-machine"])
def frozen(request: pytest.FixtureRequest) -> Iterator[None]:
    """A freezer that the test has started."""
    if not request.param:
        yield
    elif request.param == "freezegun":
        with freeze_time("2030-01-01", real_asyncio=True):
            yield
    else:
        with time_machine.travel("2030-01-01T00:00Z"):
            yield


@pytest.mark.usefixtures("frozen")
@pytest.mark.autocron_sim(seeds=5)
def test_there_is_one_time(autocron_sim: Simulation) -> None:
    """contract 7: the freezer and autocron agree about the time, which is the same in each run."""
    begun: set[datetime] = set()
    autocron_sim.setup(seen.clear)
    autocron_sim.setup(lambda: begun.add(datetime.now(UTC)))
    autocron_sim.workload(note)
    autocron_sim.always(lambda: abs((autocron.now() - datetime.now(UTC)).total_seconds()) < 0.001)
    autocron_sim.eventually(lambda: seen and autocron.now() > datetime(2027, 1, 17, tzinfo=UTC))
    autocron_sim.eventually(lambda: max(map(abs, seen)) < 0.001)
    autocron_sim.eventually(lambda: len(begun) == 1)


def test_the_real_time_is_back_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 7: what the simulator changes, it changes for its runs alone; freeze=False: not even there."""
    monkeypatch.chdir(tmp_path)
    simulation = Simulation(seeds=1, freeze=False)
    times: list[datetime] = []
    simulation.workload(lambda: times.append(datetime.now(UTC)))
    before = datetime.now(UTC)
    simulation.run()
    with pytest.raises(AssertionError):
        of_test("a").run()
    assert before <= times[0] <= datetime.now(UTC)
