"""autocron.testing.engine: what the fake engine runs, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from unittest import mock

import pytest

import autocron
from autocron import engine as engines
from autocron.interface import Interface
from autocron.testing import (
    FakeClock,
    FakeEngine,
    InProcessSpawner,
    MemoryStore,
    Report,
    RunawayTasks,
    TaskPending,
    assert_enqueued,
    assert_ran,
    captured,
    engine,
    fast_forward,
    history,
    run_pending,
    travel_to,
)
from autocron.testing import fake_engine as in_force
from autocron.testing.freezing import active


def test_a_call_waits_until_the_test_runs_it(fake_engine: FakeEngine) -> None:
    """contract 7: `run_pending()` runs what is due, in this process."""

    @autocron.delay
    def double(n: int) -> int:
        return 2 * n

    result = double(21)
    assert not result.is_ready()
    report = run_pending()
    assert report.ran(double).times == 1
    assert report.results == [42]
    assert result.is_ready()
    assert result.result == 42
    assert not run_pending()


def test_time_passes_event_by_event_and_each_task_sees_its_due_time(fake_engine: FakeEngine) -> None:
    """contract 7: the clock can be moved; inside a task `now()` is exactly its due time."""
    seen = []

    @autocron.delay(hours=1)
    def later() -> None:
        seen.append(autocron.now())

    travel_to("2027-01-01T09:15Z")

    @autocron.cron(minutes=[0, 30])
    def half_hourly() -> None:
        seen.append(autocron.now())

    later()
    fast_forward("1h")
    assert seen == [datetime(2027, 1, 1, *hm, tzinfo=UTC) for hm in ((9, 30), (10, 0), (10, 15))]


def test_the_last_moment_is_included(fake_engine: FakeEngine) -> None:
    """contract 7: fast_forward runs what falls due at its very end."""

    @autocron.delay(days=2)
    def remind() -> None: ...

    remind()
    assert not fast_forward(timedelta(days=2) - timedelta(seconds=1))
    assert fast_forward(1).ran(remind).times == 1


def test_the_error_of_a_task_is_raised_after_it_was_recorded(fake_engine: FakeEngine) -> None:
    """contract 7: bookkeeping first, then the original exception, with a note."""

    @autocron.delay
    def fail(order: int) -> None:
        raise KeyError(order)

    result = fail(7)
    with pytest.raises(KeyError) as caught:
        run_pending()
    assert caught.value.args == (7,)
    assert caught.value.__notes__ == [
        f"autocron: fail(order=7) id={result.uuid} failed in attempt 1; 0 jobs still pending"
    ]
    assert result.is_ready()
    assert result.error_message == "KeyError: 7"


def test_errors_can_be_collected_instead(fake_engine: FakeEngine) -> None:
    """contract 7: raises=False collects into `failed`."""

    @autocron.delay
    def fail() -> None:
        raise ValueError("no")

    fail()
    report = run_pending(raises=False)
    assert not report.ok
    assert [repr(run.exc) for run in report.failed] == ["ValueError('no')"]


def test_final_errors_alone_can_be_raised(fake_engine: FakeEngine) -> None:
    """testing 2.2: raises="final": those of jobs that are not tried again; a misspelt word is no silent True."""

    @autocron.delay
    def fail() -> None:
        raise ValueError("no")

    fail()
    with pytest.raises(ValueError, match="no"):
        run_pending(raises="final")
    for function in (run_pending, lambda **options: fast_forward("1h", **options)):
        with pytest.raises(ValueError, match=r"raises='finaly': only True, False and \"final\" are allowed"):
            function(raises="finaly")


def test_a_failure_that_nobody_has_seen_is_raised_at_the_end() -> None:
    """contract 7: failed and unobserved at teardown is an error of the test."""

    @autocron.delay
    def fail() -> None:
        raise ValueError("no")

    def test() -> None:
        with in_force():
            fail()
            run_pending(raises=False)

    with pytest.raises(ValueError, match="nobody has looked at this failure"):
        test()


def look_at_results(report: Report) -> None:
    assert report.results == [1]


def look_at_one_run(report: Report) -> None:
    assert report[1].result == 1


def look_at_another_task(report: Report) -> None:
    assert report.ran("fine").times == report.times - 1 == 1


def assert_another_one_ran(report: Report) -> None:
    assert_ran("fine", times=1)


@pytest.mark.parametrize(
    "look",
    [look_at_results, look_at_one_run, look_at_another_task, assert_another_one_ran],
    ids=lambda look: look.__name__,
)
def test_who_looks_at_something_else_has_not_seen_a_failure(look: Callable[[Report], None]) -> None:
    """testing 2.2: failed and unobserved at teardown is an error of the test, whatever else was observed."""

    @autocron.delay
    def fail() -> None:
        raise ValueError("no")

    @autocron.delay
    def fine() -> int:
        return 1

    def test() -> None:
        with in_force():
            fail()
            fine()
            look(run_pending(raises=False))

    with pytest.raises(ValueError, match="nobody has looked at this failure"):
        test()


def test_only_one_task_can_be_run(fake_engine: FakeEngine) -> None:
    """contract 7: run_pending(task) leaves the jobs of others."""
    ran = []

    @autocron.delay
    def one() -> None:
        ran.append(1)

    @autocron.delay
    def two() -> None:
        ran.append(2)

    one()
    two()
    one()
    assert run_pending(one).times == 2
    assert [job.task for job in fake_engine.pending()] == [two.address]
    run_pending()
    assert ran == [1, 1, 2]


def test_a_task_that_enqueues_itself_for_ever_is_stopped(fake_engine: FakeEngine) -> None:
    """contract 7: beyond the limit, RunawayTasks names the task."""

    @autocron.delay
    def again() -> None:
        again()

    again()
    with pytest.raises(RunawayTasks, match=r"again \(20 times\)"):
        run_pending(limit=20)
    assert run_pending(until_idle=False).times == 1


def test_a_poll_that_can_never_succeed_raises(fake_engine: FakeEngine) -> None:
    """contract 7: nothing hangs; who waits for a job that nobody runs is told."""

    @autocron.delay
    def never() -> None: ...

    result = never()

    def poll() -> None:
        while not result.is_ready():
            pass

    with pytest.raises(TaskPending, match="call run_pending"):
        poll()


def test_polls_for_several_jobs_in_turn_raise(fake_engine: FakeEngine) -> None:
    """testing 1: never hang; and asking many jobs once is no waiting."""

    @autocron.delay
    def never(n: int) -> None: ...

    results = [never(n) for n in range(20)]
    for _ in range(3):
        assert sum(result.is_ready() for result in results) == 0

    def poll() -> None:
        while sum(result.is_ready() for result in results) < len(results):
            pass

    with pytest.raises(TaskPending, match="never was asked for 10 times and has not run"):
        poll()
    run_pending()
    poll()


def test_polls_for_a_result_whose_time_is_over_raise(fake_engine: FakeEngine) -> None:
    """testing 1: never hang; contract 4: a result is removed after its time to live."""

    @autocron.delay
    def quick() -> None: ...

    result = quick()
    fast_forward("1d")

    def poll() -> None:
        while not result.is_ready():
            pass

    with pytest.raises(TaskPending, match=r"time to live of its result is over, .* ask the report or history\(\)"):
        poll()


@pytest.mark.parametrize("ask", [lambda result: result.is_ready(), lambda result: autocron.get_results()])
def test_polls_of_another_thread_end_too(
    fake_engine: FakeEngine, ask: Callable[[autocron.Result[None]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """testing 2.5: nothing hangs: not the request of a test client either, for which the test just waits."""
    monkeypatch.setattr("autocron.testing.guarding.PATIENCE_S", 0.0)

    @autocron.delay
    def never() -> None: ...

    result = never()

    def poll() -> None:
        while True:
            ask(result)

    with ThreadPoolExecutor(1) as threads:
        polling = threads.submit(poll)
        with pytest.raises(TaskPending, match="never was asked for 1000 times and has not run"):
            polling.result()


def test_all_results_may_be_looked_at_often(fake_engine: FakeEngine) -> None:
    """testing 2.5: who asks for all of them need not wait for one."""

    @autocron.delay
    def never() -> None: ...

    never()
    for _ in range(100):
        assert [each.function_name for each in autocron.get_results()] == ["never"]


def test_what_a_block_registers_is_captured(fake_engine: FakeEngine) -> None:
    """contract 7: `captured` lists only what the block has enqueued."""

    @autocron.delay
    def send(to: str) -> None: ...

    send("ann")
    with captured() as jobs:
        send("bob")
    assert [job.arguments for job in jobs] == [{"to": "bob"}]


def test_inline_runs_the_call_before_it_returns(fake_engine: FakeEngine) -> None:
    """contract 7: mode inline registers, claims and runs exactly this job; what it enqueues follows."""
    ran = []

    @autocron.delay
    def outer() -> None:
        inner()
        ran.append("outer")

    @autocron.delay
    def inner() -> None:
        ran.append("inner")

    inner()
    with fake_engine.mode("inline"):
        assert outer().is_ready()
    assert ran == ["outer", "inner"]
    assert fake_engine.enqueued(inner)


def test_inline_runs_what_another_thread_calls_meanwhile(fake_engine: FakeEngine) -> None:
    """contract 7: mode inline: threads of a live server; a job beside one that is run comes right after that."""
    begun, called = threading.Event(), threading.Event()
    done = []

    @autocron.delay
    def slow() -> None:
        begun.set()
        called.wait()
        done.append("slow")

    @autocron.delay
    def beside() -> None:
        done.append("beside")

    with fake_engine.mode("inline"), ThreadPoolExecutor(1) as threads:
        calling = threads.submit(slow)
        begun.wait()
        result = beside()
        called.set()
        calling.result()
        assert done == ["slow", "beside"]
        assert result.is_ready()


def test_a_stop_iteration_of_a_task_is_raised_as_it_is(fake_engine: FakeEngine) -> None:
    """contract 7: the original exception object is raised."""

    @autocron.delay
    def first() -> int:
        return next(iter(()))

    first()
    with pytest.raises(StopIteration):
        run_pending()
    first()
    with pytest.raises(StopIteration):
        fast_forward("1h")
    assert len(history().failed) == 2


class Row:
    """Detached from its session."""

    def __repr__(self) -> str:
        raise RuntimeError("its session is closed")


def test_a_repr_that_raises_hides_nothing(fake_engine: FakeEngine) -> None:
    """contract 7: the exception of the task is raised, whatever its arguments are."""

    @autocron.delay
    def take(row: Row) -> None:
        raise LookupError(row)

    take(Row())
    with pytest.raises(LookupError) as caught:
        run_pending()
    shown = "<Row, whose repr() raises RuntimeError>"
    assert f"take(row={shown})" in caught.value.__notes__[0]
    assert "<LookupError, whose repr() raises RuntimeError>" in str(history())
    with pytest.raises(AssertionError, match="no match"):
        assert_enqueued(take, 3)


def test_reports_show_what_was_stored(fake_engine: FakeEngine) -> None:
    """testing 2.5: results are serialised as in production."""
    state = []

    @autocron.delay
    def grow() -> list[int]:
        state.append(1)
        return state

    one, two = grow(), grow()
    report = run_pending()
    assert one.is_ready()
    assert two.is_ready()
    assert report.results == [one.result, two.result] == [[1], [1, 1]]


class Unloadable:
    """Can be pickled, and not be loaded again."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


def test_a_result_that_cannot_be_read_is_said_to_be_one(fake_engine: FakeEngine) -> None:
    """testing 2.5: as in production it is stored, and who looks at it learns why it cannot be read."""

    @autocron.delay
    def make() -> Unloadable:
        return Unloadable()

    make()
    (found,) = run_pending().results
    assert "cannot be read" in repr(found)


def test_a_task_that_stops_autocron_has_run(fake_engine: FakeEngine) -> None:
    """testing 2.5: its worker ends behind it, and not within."""

    @autocron.delay
    def last() -> str:
        autocron.stop()
        return "done"

    last()
    report = run_pending()
    assert [run.outcome for run in report] == ["ready"]


def test_an_engine_that_was_left_started_goes_with_the_one_before() -> None:
    """testing 2.5: no test reaches the next one."""
    before = engines.current()
    with in_force():
        store, spawner = MemoryStore(), InProcessSpawner()
        own = autocron.Engine(interface=Interface(FakeClock(), spawner, lambda address: store, Random(0)))
        own.start("app.db")
        assert engines.current() is own
    assert engines.current() is before
    own.stop()
    assert engines.current() is before


def test_an_engine_comes_into_force_once(fake_engine: FakeEngine) -> None:
    """style 10: a mistake that would leave it in force for ever is refused."""
    with pytest.raises(autocron.AutocronError, match="in force already"):
        fake_engine.__enter__()


def test_the_history_has_all_runs(fake_engine: FakeEngine) -> None:
    """contract 7: history."""

    @autocron.delay
    def send() -> None: ...

    for _ in range(2):
        send()
        run_pending()
    assert history().ran(send).times == 2


def test_start_inside_a_test_starts_nothing() -> None:
    """contract 7: while the fake engine is in force `autocron.start()` spawns nothing and touches no file."""
    with in_force():
        assert autocron.start("/no/such/directory/app.db") is True
        assert autocron.Engine().start("other.db", workers=2) is True
        autocron.stop()
        assert not autocron.engine.current().active
        assert autocron.start("app.db") is True


def test_nothing_is_run_after_a_stop(fake_engine: FakeEngine) -> None:
    """contract 1: pending tasks stay in the database and run after the next start, and the test is told so."""

    @autocron.delay
    def send() -> None: ...

    send()
    autocron.stop()
    for move in (run_pending, lambda: fast_forward("1h"), lambda: travel_to(autocron.now())):
        with pytest.raises(autocron.AutocronError, match=r"autocron is stopped, .* call autocron.start\(\) again"):
            move()
    assert not fast_forward("1h", run=False)
    autocron.start("app.db")
    assert run_pending().ran(send).times == 1


def test_tasks_of_a_test_are_dropped_with_it() -> None:
    """contract 7: tasks and entries decorated inside a test are gone after it."""
    from autocron.registry import registry

    before = dict(registry.tasks), dict(registry.entries)
    with in_force():

        @autocron.cron
        @autocron.delay
        def tick() -> None: ...

        assert registry.tasks != before[0]
    assert (registry.tasks, registry.entries) == before


@pytest.mark.parametrize(
    "options",
    [
        {"start": "nonsense", "tz": "America/New_York"},
        {"start": "2027-01-01T00:00Z", "tz": "America/New_York", "workers": 0},
    ],
)
def test_an_engine_that_cannot_come_into_force_leaves_nothing_behind(options: dict[str, Any]) -> None:
    """testing 2.5: isolation per test: the error of one is not that of all later ones."""
    before = time.tzname, list(engines._current), list(engine._in_force), active()
    with pytest.raises(ValueError, match=r"start='nonsense'|workers=0"):
        in_force(**options).__enter__()
    assert (time.tzname, engines._current, engine._in_force, active()) == before


def test_an_engine_that_cannot_end_in_good_order_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """testing 2.5: as above, whatever the end of a test finds."""
    before = time.tzname, list(engines._current), list(engine._in_force), active()
    made = in_force(start="2027-01-01T00:00Z", tz="America/New_York", strict=True)
    made.__enter__()
    monkeypatch.setattr(MemoryStore, "results", mock.Mock(side_effect=OSError("no")))
    with pytest.raises(OSError, match="no"):
        made.close()
    assert (time.tzname, engines._current, engine._in_force, active()) == before
