"""autocron.testing.traps: a process is held at a point of the seam while the test looks, kills it, or goes on."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import autocron
from autocron.job import Status
from autocron.stores.connection import MEMORY
from autocron.testing import (
    FakeEngine,
    Held,
    assert_enqueued,
    assert_ran,
    crash_worker,
    fast_forward,
    history,
    run_pending,
    simulate_duration,
    trap,
)
from autocron.testing import fake_engine as in_force
from autocron.testing.traps import HOLDABLE


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    """A held process is a thread: none may be left behind."""
    yield
    assert "autocron-strand" not in [each.name for each in threading.enumerate()]


def statuses(engine: FakeEngine) -> list[Any]:
    return [Status(row["status"]) for row in engine.store.dump()["jobs"]]


def test_the_store_can_be_looked_at_while_an_outcome_is_not_settled(fake_engine: FakeEngine) -> None:
    """testing 2.1: trap holds a call; the task has run, and the store does not know it yet."""

    @autocron.delay
    def double(n: int) -> int:
        return 2 * n

    double(21)
    with fake_engine.trap("monitor.settle.before") as held:
        assert run_pending().results == [42]
        assert [each.role for each in held.held] == ["monitor"]
        assert statuses(fake_engine) == [Status.PROCESSING]
        held.release()
        assert statuses(fake_engine) == [Status.PROCESSING]  # nothing runs by itself
        assert not run_pending()
        assert statuses(fake_engine) == [Status.READY]


def test_a_monitor_that_dies_between_claim_and_dispatch_loses_nothing(fake_engine: FakeEngine) -> None:
    """design 1: accepted work is not lost; what nobody had begun is not charged with a death."""
    ran = []

    @autocron.delay(minutes=1)
    def later() -> None:
        ran.append(autocron.now())

    result = later()
    with trap("monitor.claim.after") as held:
        assert not fast_forward("1m")
        assert statuses(fake_engine) == [Status.PROCESSING]
        fake_engine.spawner.kill("monitor")
        assert held.held == ()
    assert run_pending().ran(later).times == 1
    assert [run.attempt for run in history()] == [1]
    assert result.is_ready()
    assert len(ran) == 1


def test_a_job_runs_again_whose_outcome_was_lost_with_the_monitor(fake_engine: FakeEngine) -> None:
    """design 1: at least once."""
    charged = []

    @autocron.delay
    def charge(order: int) -> None:
        charged.append(order)

    result = charge(7)
    with trap("monitor.settle.before"):
        run_pending()
        fake_engine.spawner.kill("monitor")
    run_pending()
    assert charged == [7, 7]
    assert result.is_ready()
    assert not result.has_error
    assert [each.role for each in fake_engine.spawner.spawned] == ["monitor", "worker"] * 2


@pytest.mark.parametrize(("point", "times"), [("worker.run.before", 1), ("worker.run.after", 2)])
def test_a_worker_that_is_killed_where_it_is_held_runs_the_job_again(
    fake_engine: FakeEngine, point: str, times: int
) -> None:
    """contract 6: a task interrupted by the death of its worker is run again."""
    ran = []

    @autocron.delay
    def send() -> None:
        ran.append(1)

    result = send()
    with trap(point) as held:
        run_pending()
        assert [each.role for each in held.held] == ["worker"]
        assert not result.is_ready()
        fake_engine.spawner.kill(held.held[0])
    run_pending()
    assert len(ran) == times
    assert history()[-1].attempt == 2
    assert result.is_ready()


def test_a_held_worker_does_not_hold_the_others() -> None:
    """testing 2.1: who comes to the point stops there; all others go on, and time passes."""
    with in_force(workers=2):

        @autocron.delay
        def send(to: str) -> str:
            return to

        @autocron.delay(hours=1)
        def later() -> None: ...

        with trap("worker.answer.before") as held:
            send("ann")
            run_pending()
            assert len(held.held) == 1
            send("bob")
            later()
            run_pending()
            assert len(held.held) == 2
            assert not fast_forward("1h")  # both workers are held
            held.release()
            assert run_pending().ran(later).times == 1
            assert len(held.held) == 1  # who comes later is held again
        run_pending()
        assert history().results == ["ann", "bob", None]


def test_a_task_runs_in_the_thread_of_the_test_though_its_worker_can_be_held(fake_engine: FakeEngine) -> None:
    """testing 2.5: tasks run in the same thread and connection, hence see what a transaction has not committed."""
    threads = []

    @autocron.delay
    def note() -> None:
        threads.append(threading.current_thread())
        raise ValueError("no")

    note()
    with trap("worker.run.after") as held:
        run_pending(raises=False)
        held.release()
        run_pending(raises=False)
    assert threads == [threading.current_thread()]
    with pytest.raises(ValueError, match="no"):
        raise history().failed[0].exc or AssertionError


def test_who_waits_for_a_held_monitor_is_told(fake_engine: FakeEngine) -> None:
    """testing 1: a wait that cannot succeed raises at once and says what to do."""

    @autocron.delay
    def send() -> None: ...

    result = send()
    with trap("monitor.settle.after") as held:
        run_pending()
        with pytest.raises(Held, match=r"the monitor is held at monitor.settle.after: .* call release\(\)"):
            result.is_ready()
        with pytest.raises(Held):
            autocron.get_results()
        with pytest.raises(Held):  # another process of the application
            autocron.Engine(fake_engine.world.interface()).start(MEMORY)
        held.release()
        assert result.is_ready()


def test_who_polls_for_a_held_worker_is_told(fake_engine: FakeEngine) -> None:
    """testing 1: never hang."""

    @autocron.delay
    def send() -> None: ...

    result = send()

    def poll() -> None:
        while not result.is_ready():
            pass

    with trap("worker.run.before"):
        run_pending()
        with pytest.raises(autocron.AutocronError, match=r"the worker is held at worker\.run\.before"):
            poll()


def test_a_claim_that_fails_tells_who_is_held(fake_engine: FakeEngine) -> None:
    """testing 1: a failing assertion shows what was there instead."""

    @autocron.delay
    def send() -> None: ...

    with trap("worker.run.before"):
        send()
        with pytest.raises(AssertionError, match=r"0 jobs ran\nnothing ran\nthe worker is held at worker\.run\.before"):
            run_pending(expect=1)
        with pytest.raises(AssertionError, match="the worker is held"):
            assert_ran(send)
    run_pending()
    with trap("monitor.add.before"):
        send()
        with pytest.raises(AssertionError, match="the monitor is held"):
            assert_enqueued(send)


def test_releasing_nobody_is_an_error(fake_engine: FakeEngine) -> None:
    """testing 1: a wait that cannot succeed raises at once and says what to do."""

    @autocron.delay
    def send() -> None: ...

    with trap("monitor.settle.before") as held:
        with pytest.raises(autocron.AutocronError, match=r"holds nobody.*call run_pending"):
            held.release()
        send()
        run_pending()


def test_a_trap_to_which_nobody_comes_is_an_error(fake_engine: FakeEngine) -> None:
    """testing 2.1: a test that meant to hold something and did not would prove nothing."""
    with (
        pytest.raises(AssertionError, match=r"trap\('monitor.settle.before'\): nobody has come there"),
        trap("monitor.settle.before"),
    ):
        run_pending()
    with pytest.raises(KeyError), trap("monitor.settle.before"):  # the error of the test itself is not hidden
        raise KeyError


def test_unknown_points_are_refused_with_the_known_ones(fake_engine: FakeEngine) -> None:
    """testing 2.1: a misspelt label must not make a test that proves nothing."""
    with pytest.raises(autocron.AutocronError, match=r"there is no such point; known are .*monitor\.settle\.before"):
        trap("monitor.setle.before")
    with pytest.raises(autocron.AutocronError, match="there is no such point"):
        trap("monitor.settle")
    with pytest.raises(autocron.AutocronError, match="nobody would be left to release it"):
        trap("app.register.before")
    assert "monitor.open.before" not in HOLDABLE
    assert "worker.run.after" in HOLDABLE


def test_a_task_cannot_set_a_trap(fake_engine: FakeEngine) -> None:
    """testing 2.1: its worker is in the middle of a turn already."""

    @autocron.delay
    def clever() -> None:
        trap("worker.run.after")

    clever()
    with pytest.raises(autocron.AutocronError, match="a task that is being run cannot do it"):
        run_pending()


def test_an_outage_ends_who_is_held(fake_engine: FakeEngine) -> None:
    """testing 2.1: outage: everything is killed, wherever it was."""
    ran = []

    @autocron.delay
    def send() -> None:
        ran.append(1)

    send()
    with trap("worker.answer.before") as held:
        run_pending()
        assert held.held
        fake_engine.outage("1h", raises=True)
        assert len(held.held) == 1  # the next worker
        held.release()
        run_pending()
    assert len(ran) == 2
    assert statuses(fake_engine) == [Status.READY]


def test_what_is_held_at_the_end_of_the_test_ends_with_it() -> None:
    """testing 1: isolation per test; see also the fixture above."""

    @autocron.delay
    def send() -> None: ...

    with in_force():
        send()
        with trap("monitor.dispatch.before"):
            run_pending()
    with in_force():
        assert not run_pending()


def test_crashes_and_durations_go_with_traps(fake_engine: FakeEngine) -> None:
    """testing 2.1: a dead worker is not held, and a job that takes its time is, when it begins."""

    @autocron.delay
    def charge() -> None: ...

    @autocron.delay
    def slow() -> None: ...

    charge()
    crash_worker(during=charge)
    with trap("worker.answer.after") as held:
        assert [run.outcome for run in run_pending()] == ["crashed", "ready"]
        assert [each.pid for each in held.held] == [fake_engine.spawner.spawned[-1].pid]
    run_pending()

    simulate_duration(slow, "10m")
    result = slow()
    with trap("worker.run.before") as held:
        assert not fast_forward("1h")
        held.release()
    assert run_pending().ran(slow).times == 1
    fast_forward("10m")
    assert result.is_ready()


def test_traps_hold_the_workers_of_async_tests_too(fake_engine: FakeEngine) -> None:
    """testing 2.1: the same in an event loop; the coroutine is awaited in the test's loop."""
    import asyncio

    loops = []

    @autocron.delay
    async def fetch() -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())

    @autocron.delay
    def plain() -> None: ...

    async def test() -> None:
        for task in (fetch, plain):
            task()
            with trap("worker.run.after") as held:
                await fake_engine.arun_pending()
                assert held.held
                held.release()
                await fake_engine.arun_pending()
        assert loops == [asyncio.get_running_loop()]

    asyncio.run(test())
    assert statuses(fake_engine) == [Status.READY] * 2


def test_two_traps_at_one_point(fake_engine: FakeEngine) -> None:
    """testing 2.1: a trap whose block is over holds nobody."""

    @autocron.delay
    def send() -> None: ...

    send()
    with trap("worker.run.before") as outer, trap("worker.run.before"):
        run_pending()
        assert outer.held
        outer.release()
        run_pending()
    assert run_pending().times == 1
