"""autocron.testing: outages, durations, crashes, the next event."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

import autocron
from autocron.testing import (
    FakeEngine,
    RunawayTasks,
    crash_worker,
    fast_forward,
    fast_forward_to_next,
    history,
    outage,
    pending,
    run_pending,
    simulate_duration,
    travel_to,
    upcoming,
)
from autocron.testing import fake_engine as in_force

START = "2027-01-01T00:00Z"


def test_the_next_event_is_jumped_to(fake_engine: FakeEngine) -> None:
    """contract 7: fast_forward_to_next moves exactly to the next moment at which a job falls due."""

    @autocron.delay(minutes=7)
    def later() -> None: ...

    before = autocron.now()
    later()
    assert fast_forward_to_next().ran(later).times == 1
    assert (autocron.now() - before).total_seconds() == pytest.approx(420)
    with pytest.raises(autocron.AutocronError, match="there is no next event"):
        fast_forward_to_next()


def test_an_outage_is_made_up_for_as_the_entry_says() -> None:
    """contract 7: outage exercises the catch-up policy: the last missed fire time, once, if it is young enough."""
    with in_force(start="2027-01-01T00:00Z"):

        @autocron.cron(minutes=[0], tz="UTC")
        def hourly() -> None: ...

        @autocron.cron(minutes=[0], tz="UTC", catch_up=0)
        def never_late() -> None: ...

        report = outage("3h 20m")
        assert [run.due for run in report.ran(hourly)] == [datetime(2027, 1, 1, 3, tzinfo=UTC)]
        assert not report.ran(never_late)
        assert fast_forward("1h").ran(never_late).times == 1


def by_fast_forward(engine: FakeEngine) -> None:
    engine.fast_forward("1d", run=False)


def by_travel_to(engine: FakeEngine) -> None:
    engine.travel_to("2027-01-02T12:00Z", run=False)


def by_the_clock(engine: FakeEngine) -> None:
    engine.clock.advance(86400)


@pytest.mark.parametrize("move", [by_fast_forward, by_travel_to, by_the_clock])
def test_the_first_move_misses_fire_times_as_any_other(
    fake_engine: FakeEngine, move: Callable[[FakeEngine], None]
) -> None:
    """testing 2.1: run=False moves time only; what was missed is made up for, also if nobody has looked before."""

    @autocron.cron("0 6 * * *", tz="UTC")
    def daily() -> None: ...

    with in_force(start="2027-01-01T12:00Z") as engine:  # to which it is an entry of the application
        move(engine)
        assert run_pending().ran(daily).times == 1


def test_an_entry_of_the_test_itself_is_missed_too(fake_engine: FakeEngine) -> None:
    """testing 2.1: run=False, right after the decorator."""
    travel_to("2027-01-01T12:00Z")

    @autocron.cron("0 6 * * *", tz="UTC")
    def daily() -> None: ...

    fast_forward("1d", run=False)
    assert run_pending().ran(daily).times == 1


@pytest.mark.autocron(start=START)
@pytest.mark.parametrize(("number", "step"), [(10, "100ms"), (3, 1 / 3), (7, 1 / 7)])
def test_many_short_moves_are_one_long_move(fake_engine: FakeEngine, number: int, step: str | float) -> None:
    """testing 2.1: the bound is inclusive, whatever floats add up to."""

    @autocron.delay(minutes=1 / 60)
    def soon() -> None: ...

    soon()
    for _ in range(number - 1):
        assert not fast_forward(step).ran(soon)
    assert fast_forward(step).ran(soon).times == 1


def test_an_outage_loses_nothing_that_was_registered(fake_engine: FakeEngine) -> None:
    """contract 3: pending tasks stay in the database and run after the next start."""

    @autocron.delay
    def send(to: str) -> None: ...

    send("ann")
    report = outage("1d")
    assert [run.args for run in report.ran(send)] == [("ann",)]


def test_a_job_interrupted_by_an_outage_is_run_again(fake_engine: FakeEngine) -> None:
    """contract 6: a task interrupted by the death of its worker is run again."""

    @autocron.delay
    def slow() -> None: ...

    simulate_duration(slow, "10m")
    result = slow()
    fast_forward("1m")
    assert history().ran(slow).times == 1
    outage("1h")
    assert not result.is_ready()
    fast_forward("10m")
    assert [run.attempt for run in history().ran(slow)] == [1, 2]
    assert result.is_ready()


def test_a_job_takes_its_simulated_time(fake_engine: FakeEngine) -> None:
    """contract 7: simulate_duration: the job is not ready, and its worker is busy, until the time has passed."""

    @autocron.delay
    def slow() -> str:
        return "done"

    @autocron.delay
    def quick() -> None: ...

    simulate_duration(slow, "90s")
    result = slow()
    run_pending()
    quick()
    assert not run_pending()
    assert not fast_forward("89s")
    assert not result.is_ready()
    assert fast_forward("1s").ran(quick).times == 1
    assert result.is_ready()
    assert result.result == "done"


def test_a_firing_that_overlaps_is_skipped() -> None:
    """contract 2: a firing that comes due while the previous one still goes is skipped by default."""
    with in_force(start="2027-01-01T00:00Z", workers=2):

        @autocron.cron(tz="UTC")
        def minutely() -> None: ...

        @autocron.cron(tz="UTC", overlap="allow")
        def parallel() -> None: ...

        simulate_duration(minutely, "90s")
        report = fast_forward("6m")
        assert [run.due.minute for run in report.ran(minutely)] == [1, 3, 5]
        assert report.ran(parallel).times == 6


def test_a_worker_can_die_after_the_work_was_done(fake_engine: FakeEngine) -> None:
    """contract 6: whoever is not idempotent is found: the outcome is lost, so the job runs again."""
    paid = []

    @autocron.delay
    def charge(order: int) -> None:
        paid.append(order)

    result = charge(order=1)
    crash_worker(during=charge)
    report = run_pending()
    assert paid == [1, 1]
    assert [run.outcome for run in report] == ["crashed", "ready"]
    assert result.is_ready()
    assert not result.has_error


def test_a_worker_can_die_before_a_line(fake_engine: FakeEngine) -> None:
    """contract 7: crash_worker(before=…): what follows in the function is not reached."""
    steps = []

    @autocron.delay
    def charge() -> None:
        steps.append("pay")
        steps.append("note")

    charge()
    crash_worker(during=charge, before='append("note")')
    run_pending()
    assert steps == ["pay", "pay", "note"]
    with pytest.raises(ValueError, match="0 lines of charge have it"):
        crash_worker(during=charge, before="refund")


def test_a_task_that_kills_each_worker_is_given_up(fake_engine: FakeEngine) -> None:
    """contract 6: a poisonous job ends in an error after three deaths."""

    @autocron.delay
    def poison() -> None: ...

    result = poison()
    crash_worker(during=poison, times=3)
    assert len(run_pending().crashed) == 3
    assert result.is_ready()
    assert "the worker died" in result.error_message


def test_a_crash_that_never_comes_is_an_error() -> None:
    """contract 7: a test that meant to crash a worker and did not would prove nothing."""

    @autocron.delay
    def charge() -> None: ...

    def test() -> None:
        with in_force():
            crash_worker(during=charge)

    with pytest.raises(AssertionError, match="it did not come"):
        test()


def test_a_crash_that_comes_less_often_is_an_error() -> None:
    """contract 6: a poisonous job is given up after three deaths, so no more of them come."""

    @autocron.delay
    def poison() -> None: ...

    def test() -> None:
        with in_force():
            crash_worker(during=poison, times=5)
            poison()
            run_pending()

    with pytest.raises(AssertionError, match=r"it came 3 of 5 times; .* given up when its third worker has died"):
        test()


@pytest.mark.parametrize("times", [0, -1])
def test_a_crash_comes_at_least_once(fake_engine: FakeEngine, times: int) -> None:
    """style 10: an error names the argument and the value."""

    @autocron.delay
    def charge() -> None: ...

    with pytest.raises(ValueError, match=f"times={times}: a worker dies once or more often"):
        crash_worker(during=charge, times=times)


def test_a_task_that_survives_the_death_of_its_worker_is_told_so() -> None:
    """contract 6: what a dead process has not done, a task that catches everything must not do either."""

    @autocron.delay
    def charge() -> str:
        try:
            note = "paid"
        except:  # noqa: E722
            note = "unknown"
        return note

    def test() -> None:
        with in_force():
            crash_worker(during=charge, before='"paid"')
            charge()
            assert [run.outcome for run in run_pending()] == ["crashed", "ready"]

    with pytest.raises(AssertionError, match=r"has caught the death of its worker .* catch Exception"):
        test()


def test_a_job_whose_worker_dies_before_its_time_is_over_has_crashed(fake_engine: FakeEngine) -> None:
    """contract 6: it is run again; what its first run returned has reached nobody."""

    @autocron.delay
    def slow() -> str:
        return "done"

    simulate_duration(slow, "10m")
    slow()
    first = fast_forward("5m")
    assert first.results == ["done"]
    again = outage("1h")
    assert [run.outcome for run in first] == ["crashed"]
    assert [run.outcome for run in history()] == ["crashed", "ready"]
    fast_forward("10m")
    assert again.results == history().results == ["done"]


def test_an_error_that_reached_nobody_is_nobodys(fake_engine: FakeEngine) -> None:
    """contract 6: the failure of a run whose worker has died is none that somebody should have looked at."""
    tries = []

    @autocron.delay
    def slow() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError

    simulate_duration(slow, "10m")
    slow()
    run_pending(raises=False)
    outage("1h")


def test_the_clock_can_be_set_back(fake_engine: FakeEngine) -> None:
    """contract 7: travel_to the past sets the clock back, and nothing runs twice."""

    @autocron.delay(hours=1)
    def later() -> None: ...

    before = autocron.now()
    later()
    fast_forward("1h")
    assert not travel_to(before)
    assert autocron.now() == before
    assert not fast_forward("2h").ran(later)


def test_upcoming_lists_fire_times_in_their_order() -> None:
    """contract 7: upcoming is a pure read, printable as a table."""
    with in_force(start="2027-01-01T00:00Z"):

        @autocron.cron("0 9 * * *", tz="Europe/Berlin")
        def daily() -> None: ...

        @autocron.cron("0 * * * *", tz="UTC")
        def hourly() -> None: ...

        firings = [each for each in upcoming(200) if each.task.endswith((".daily", ".hourly"))]
        assert [each.at.isoformat() for each in upcoming(2, task=daily)] == [
            "2027-01-01T09:00:00+01:00",
            "2027-01-02T09:00:00+01:00",
        ]
        assert firings == sorted(firings)
        table = str(upcoming(2, task=daily)).splitlines()
        assert table[0] == "Fri 2027-01-01 09:00 CET  daily  0 9 * * *"
        assert not pending()


@pytest.mark.parametrize(
    "move", [lambda: fast_forward("1h"), lambda: travel_to("2027-01-01T01:00Z"), fast_forward_to_next]
)
def test_tasks_that_enqueue_themselves_at_once_do_not_stop_the_time(move: Callable[[], object]) -> None:
    """testing 1: never hang; testing 2.1: RunawayTasks names the top repeaters."""
    with in_force(start=START):

        @autocron.delay
        def again() -> None:
            again()

        again()
        with pytest.raises(RunawayTasks, match=r"more than 1000 jobs fell due: again \(1000 times\)"):
            move()
        assert autocron.now() == datetime(2027, 1, 1, tzinfo=UTC)


def test_many_jobs_at_many_moments_are_no_runaway() -> None:
    """contract 7: the clock can be moved fast through years of cron; what a limit allows is not a runaway either."""
    with in_force(start=START):

        @autocron.cron(tz="UTC")
        def minutely() -> None: ...

        assert fast_forward("1d").ran(minutely).times == 1440

        @autocron.delay(minutes=1)
        def later() -> None: ...

        for _ in range(1001):
            later()
        assert fast_forward("1m", limit=1010).ran(later).times == 1001
        with pytest.raises(RunawayTasks, match="more than 3 jobs fell due: minutely"):
            fast_forward("1h", limit=3)


@pytest.mark.parametrize(
    "move",
    [
        run_pending,
        lambda: fast_forward("1h"),
        lambda: fast_forward("1h", run=False),
        lambda: travel_to(START, run=False),
        lambda: outage("1h"),
    ],
)
def test_moving_time_inside_a_task_is_refused(fake_engine: FakeEngine, move: Callable[[], object]) -> None:
    """contract 7: a re-entrant call is an error, and moves nothing."""

    @autocron.delay
    def clever() -> None:
        move()

    before = fake_engine.now()
    clever()
    with pytest.raises(autocron.AutocronError, match="a task that is being run cannot do it"):
        run_pending()
    assert fake_engine.now() == before
    assert history().times == 1


@pytest.mark.parametrize(
    ("move", "said"),
    [
        (lambda: fast_forward("9999999d"), "by='9999999d': the clock can only stand between 1970-01-01 and 9999-12-30"),
        (lambda: outage("9999999d"), "by='9999999d': the clock can only stand between"),
        (lambda: travel_to("1960-01-01"), "when='1960-01-01': the clock can only stand between"),
        (lambda: in_force(start="1960-01-01").__enter__(), "start='1960-01-01': the clock can only stand between"),
        (lambda: fast_forward("-1h"), "by='-1h': it cannot be negative or endless; `travel_to` goes back in time"),
        (lambda: fast_forward("1h", limit=0), "limit=0: a whole number from 1 on is needed"),
        (lambda: run_pending(limit=0), "limit=0: a whole number from 1 on is needed"),
        (lambda: upcoming(-1), "n=-1: how many fire times, from 0 on"),
    ],
)
def test_a_move_that_cannot_be_made_says_why(fake_engine: FakeEngine, move: Callable[[], object], said: str) -> None:
    """style 10: an error names the thing, the value and what is allowed; nothing has moved."""
    before = autocron.now()
    with pytest.raises(ValueError, match=re.escape(said)):
        move()
    assert autocron.now() == before


def test_who_is_idle_is_given_a_job_before_who_is_busy() -> None:
    """contract 7: with workers=2 a job of five hours holds nobody up, though jobs have taken no time before."""
    with in_force(start=START, workers=2):

        @autocron.cron("0 * * * *", tz="UTC", overlap="allow")
        def job() -> None: ...

        fast_forward("1h")
        simulate_duration(job, "5h")
        assert [f"{each.started:%H:%M}" for each in fast_forward("2h")] == ["02:00", "03:00"]
