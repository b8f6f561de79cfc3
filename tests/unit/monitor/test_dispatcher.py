"""autocron.monitor.dispatcher: jobs on their way between applications, store and workers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from small import job_of

from autocron import messages
from autocron.errors import StoreError, StoreFull
from autocron.interface import Body
from autocron.job import Job, Outcome, Status
from autocron.monitor.dispatcher import (
    AHEAD_BYTES,
    AHEAD_S,
    CLAIM_BYTES,
    OVERDUE_S,
    READY_LEAST,
    READY_LEAST_BYTES,
    READY_MOST,
    RETRY_S,
    Dispatcher,
)
from autocron.monitor.pool import Member, Pool
from autocron.settings import Settings
from autocron.testing.clock import FakeClock
from autocron.testing.memory import MemoryStore
from autocron.testing.world import MemoryChannel, Process, View, World

NOW = 1000.0
TOKEN = 77


class Bench:
    """A dispatcher with workers and applications whose other ends are the test's."""

    def __init__(self, workers: int = 1) -> None:
        self.clock = FakeClock(NOW)
        self.store = MemoryStore()
        self.points: list[str] = []
        self.world = World(self.clock, lambda address: self.store, random.Random(1), reach=self.points.append)
        self.interface = self.world.interface_of(View(self.world, Process(1, MemoryChannel(0))))
        self.pool = Pool(self.interface, "app.db")
        self.members = [self.worker() for _ in range(workers)]
        self.dispatcher = Dispatcher(self.interface, self.store, self.pool, TOKEN)
        self.application, self.app_end = self.world.pair(1)
        self.groups = 0

    def worker(self) -> Member:
        ours, _ = self.world.pair(10 + len(self.pool.members))
        self.pool.newest += 1
        self.pool.members[ours] = member = Member(ours, {}, number=self.pool.newest, ready=True)
        return member

    def register(self, *jobs: Job, channel: MemoryChannel | None = None, again: bool = False) -> int:
        """A peer hands over a group, and a pass is made over it; the number of the group."""
        self.groups += 1
        self.dispatcher.register(channel or self.application, self.groups, again, [tuple(job) for job in jobs])
        self.turn()
        return self.groups

    def turn(self) -> list[bytes]:
        """A pass, in the order of `Monitor.step`; the jobs that have ended."""
        now = self.clock.time()
        self.dispatcher.add(now)
        if self.dispatcher.paused:
            self.dispatcher.release_ready()
        else:
            self.dispatcher.claim(now)
        self.dispatcher.dispatch()
        self.dispatcher.acknowledge()
        return self.dispatcher.settle(now)

    def told(self, member: Member | None = None) -> list[Body]:
        """What a worker (or the application) was told since it was asked last."""
        end = self.app_end if member is None else member.channel.peer  # type: ignore[attr-defined]
        bodies = list(end.inbox)
        end.inbox.clear()
        return bodies

    def given(self, member: Member) -> list[list[int]]:
        """The batches of jobs a worker was given."""
        return [
            [int.from_bytes(row[0], "big") for row in body[1]] for body in self.told(member) if body[0] == messages.RUN
        ]

    def done(self, member: Member, number: int, duration_s: float = 0.0) -> None:
        self.dispatcher.done(member, tuple(Outcome(_id(number), Status.READY, b"", "", duration_s)))

    def know(self, duration_s: float, task: str = "app:task") -> None:
        """A run time has been observed."""
        self.dispatcher._durations[task] = duration_s

    def status(self, number: int) -> int:
        found = self.store.result(_id(number))
        assert found is not None
        return found.status

    def refuse(self, monkeypatch: pytest.MonkeyPatch, method: str, error: StoreError | None = None) -> None:
        def refusing(*args: Any, **kwargs: Any) -> None:
            raise error or StoreFull("app.db", "no space")

        monkeypatch.setattr(self.store, method, refusing)


def _id(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- registrations -------------------------------------------------------------------------------------------


def test_a_due_job_is_stored_as_claimed_dispatched_synced_and_then_acknowledged(bench: Bench) -> None:
    """design 5: commit; then due jobs are dispatched; then the log is synced; then registrations are acknowledged."""
    number = bench.register(job_of())
    assert [each for each in bench.points if each.endswith(".before")] == [
        "monitor.add.before",
        "monitor.dispatch.before",
        "monitor.sync.before",
        "monitor.acknowledge.before",
    ]
    assert bench.given(bench.members[0]) == [[1]]
    assert bench.told() == [(messages.REGISTERED, number)]
    assert bench.status(1) == Status.PROCESSING


def test_a_job_that_is_due_later_waits_in_the_store(bench: Bench) -> None:
    """contract 3: a worker calls the function later: after the given delay; not before."""
    bench.register(job_of(due=NOW + 10))
    assert bench.given(bench.members[0]) == []
    assert bench.dispatcher.next_claim() == NOW + 10
    bench.clock.advance(9.99)
    bench.turn()
    assert bench.given(bench.members[0]) == []
    bench.clock.advance(0.01)
    bench.turn()
    assert bench.given(bench.members[0]) == [[1]]
    assert bench.dispatcher.next_claim() is None


def test_what_may_have_been_stored_before_is_run_once(bench: Bench) -> None:
    """design 2: the store keeps a job once, whoever brings it; what has run already does not run again."""
    bench.register(job_of(number=1))
    bench.done(bench.members[0], 1)
    bench.turn()
    number = bench.register(job_of(number=1), job_of(number=2), again=True)
    bench.turn()
    assert bench.given(bench.members[0]) == [[1], [2]]
    assert bench.told()[-1] == (messages.REGISTERED, number)
    assert bench.status(1) == Status.READY


def test_durability_normal_acknowledges_without_waiting_for_the_disk(bench: Bench) -> None:
    """design 5: setting `durability` to relax it."""
    bench.dispatcher.settings = Settings(durability="normal")
    number = bench.register(job_of())
    assert bench.told() == [(messages.REGISTERED, number)]
    assert "monitor.sync.before" not in bench.points


def test_durability_full_acknowledges_nothing_that_is_not_synced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 1.1: once a registration is acknowledged it survives a power cut; a failed sync is tried again."""
    sync = bench.store.sync
    bench.refuse(monkeypatch, "sync", StoreError("app.db", "input/output error"))
    number = bench.register(job_of())
    assert bench.told() == []
    assert bench.given(bench.members[0]) == [[1]]
    monkeypatch.setattr(bench.store, "sync", sync)
    bench.turn()
    assert bench.told() == []
    bench.clock.advance(RETRY_S)
    bench.turn()
    assert bench.told() == [(messages.REGISTERED, number)]


def test_jobs_wait_in_the_store_when_too_many_are_ready(bench: Bench) -> None:
    """design 2: bounded buffers: what is claimed and not dispatched is bounded, the rest waits in the store."""
    bench.know(1.0)
    jobs = [job_of(number=number) for number in range(1, READY_MOST + 2)]
    bench.register(*jobs)
    bench.register(job_of(number=20_000))
    assert bench.status(20_000) == Status.WAITING
    assert len(bench.dispatcher.ready) <= READY_MOST
    bench.dispatcher.ready.clear()
    bench.turn()
    assert bench.status(20_000) == Status.PROCESSING
    assert READY_LEAST < READY_MOST


def test_few_large_jobs_are_too_many(bench: Bench) -> None:
    """design 2: bounded buffers: in memory too, whatever the size of a job."""
    large = [job_of(number=number)._replace(payload=bytes(CLAIM_BYTES // 4)) for number in range(1, 41)]
    bench.store.add(large, token=0)
    bench.dispatcher.expect(NOW)
    for number in range(1, 41):
        bench.turn()
        assert bench.given(bench.members[0]) == [[number]]
        assert bench.dispatcher.ready.bytes <= CLAIM_BYTES + READY_LEAST_BYTES
        assert bench.dispatcher.ready.bytes == sum(len(job.payload) for job in bench.dispatcher.ready)
        bench.done(bench.members[0], number, 1.0)
    bench.turn()
    assert bench.dispatcher.next_claim() is None


def test_large_jobs_that_are_registered_wait_in_the_store_when_too_many_are_ready(bench: Bench) -> None:
    """design 2: as above."""
    much = READY_LEAST_BYTES * READY_MOST // READY_LEAST
    bench.register(*(job_of(number=number)._replace(payload=bytes(much // 4)) for number in range(1, 6)))
    bench.register(job_of(number=6))
    assert bench.status(6) == Status.WAITING
    assert bench.given(bench.members[0]) == [[1]]
    assert order(bench) == [2, 3, 4, 5, 6]


def test_a_later_registration_does_not_overtake_what_is_due_already(bench: Bench) -> None:
    """contract 3: as soon as possible: by priority, due time and registration."""
    bench.dispatcher.pause(True)
    bench.register(job_of(number=1))
    bench.dispatcher.pause(False)
    bench.know(0.0)
    bench.register(job_of(number=2))
    assert bench.given(bench.members[0]) == [[1, 2]]


def test_a_pause_does_not_spin_while_a_stopped_worker_keeps_what_it_has(bench: Bench) -> None:
    """design 1.6: who is stopped, or busy in C, gives nothing back; until then there is nothing to do."""
    idle = bench.worker()
    bench.know(0.001)
    bench.dispatcher.settings = Settings()
    bench.register(*(job_of(number=number) for number in range(1, 5)))
    bench.clock.advance(OVERDUE_S / 2)
    for number in (3, 4):
        bench.done(idle, number)
    bench.dispatcher.pause(True)
    bench.clock.advance(OVERDUE_S)
    bench.turn()
    at = bench.dispatcher.next_at()
    assert at is None or at > bench.clock.monotonic()


# -- who is more urgent ---------------------------------------------------------------------------------------


def backlog(size: int = 3) -> Bench:
    """Jobs that are ready, behind one that the only worker is busy with."""
    bench = Bench()
    bench.know(1.0)
    bench.register(*(job_of(number=number) for number in range(1, size + 2)))
    assert bench.given(bench.members[0]) == [[1]]
    return bench


def order(bench: Bench, running: int = 1) -> list[int]:
    """Jobs in the order in which the only worker is given them, beginning behind the one it runs."""
    given = []
    while True:
        bench.done(bench.members[0], running, 1.0)
        bench.turn()
        batches = bench.given(bench.members[0])
        if not batches:
            return given
        ((running,),) = batches
        given.append(running)


def test_a_more_urgent_job_overtakes_those_that_are_ready() -> None:
    """servers, Django: priorities are supported, for what is due already too; equals run in their order."""
    bench = backlog()
    bench.register(job_of(number=5, priority=-7), job_of(number=6, priority=9), job_of(number=7, priority=-7))
    bench.register(job_of(number=8, priority=0), job_of(number=9, priority=-100))
    assert order(bench) == [9, 5, 7, 2, 3, 4, 8, 6]


def test_what_comes_back_is_first_among_its_equals() -> None:
    """design 1.2: what was released or lost runs before its equals, and behind what is more urgent."""
    bench = Bench()
    bench.know(0.0001)
    bench.register(*(job_of(number=number, priority=number % 2) for number in (1, 2, 3, 4)))
    bench.register(job_of("app:other", number=5), job_of("app:other", number=6, priority=1))
    bench.dispatcher.released(bench.members[0], [_id(4), _id(1)])
    bench.dispatcher.lost(bench.members.pop(), "signal 9", _id(3))
    assert [int.from_bytes(job.id, "big") for job in bench.dispatcher.ready] == [2, 4, 5, 3, 1, 6]


def test_a_more_urgent_job_overtakes_a_queue_that_goes_on_in_the_store() -> None:
    """servers, Django: nor does it wait in the store until the monitor has room for jobs that are not urgent."""
    bench = backlog(READY_MOST + 1)
    bench.register(job_of(number=20_000), job_of(number=20_001, priority=-1), job_of(number=20_002, priority=-1))
    bench.register(job_of(number=20_003, priority=-1))
    assert bench.status(20_000) == Status.WAITING
    for running, urgent in ((1, 20_001), (20_001, 20_002), (20_002, 20_003), (20_003, 2)):
        bench.done(bench.members[0], running, 1.0)
        bench.turn()
        assert bench.given(bench.members[0]) == [[urgent]]


def test_urgent_jobs_wait_in_the_store_too_when_there_are_too_many() -> None:
    """design 2: bounded buffers: whatever the priorities."""
    bench = backlog(READY_MOST)
    for first in (20_000, 40_000, 60_000):
        bench.register(*(job_of(number=first + number, priority=-1) for number in range(READY_MOST)))
    assert len(bench.dispatcher.ready) <= 2 * READY_MOST
    assert bench.status(60_000) == Status.WAITING


# -- a store that refuses ------------------------------------------------------------------------------------


def test_an_application_is_told_to_keep_what_is_not_stored(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 6: nothing accepted is lost: what is not stored is not acknowledged either."""
    bench.refuse(monkeypatch, "add")
    number = bench.register(job_of())
    assert bench.told() == [(messages.UNSTORED, number, True, "app.db", "no space")]
    assert bench.given(bench.members[0]) == []
    number = bench.register(job_of(number=2))  # the store is left alone for a while
    assert bench.told() == [(messages.UNSTORED, number, True, "app.db", "no space")]
    assert bench.points.count("monitor.add.before") == 1
    assert bench.dispatcher.next_at() == RETRY_S


@pytest.mark.parametrize("due", [0.0, NOW + 0.5], ids=["due", "due soon"])
def test_what_the_store_took_though_it_reported_an_error_runs_although_nobody_sends_it_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, due: float
) -> None:
    """design 1: the application may have died meanwhile; what is stored is done, and in nobody's hands before."""
    add = bench.store.add

    def add_and_raise(jobs: Any, *, token: int) -> Any:
        add(jobs, token=token)
        raise StoreError("app.db", "the file was deleted while it was in use")

    monkeypatch.setattr(bench.store, "add", add_and_raise)
    bench.register(job_of(due=due))
    monkeypatch.setattr(bench.store, "add", add)
    assert bench.given(bench.members[0]) == []
    bench.clock.advance(RETRY_S)
    bench.turn()
    assert bench.given(bench.members[0]) == [[1]]
    assert bench.dispatcher.next_at() is None


def test_what_is_sent_again_while_it_runs_is_not_given_out_a_second_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design 1.2: where nobody died it runs once, whatever error the store reports for what it has had before."""
    bench.register(job_of())
    assert bench.given(bench.members[0]) == [[1]]
    bench.refuse(monkeypatch, "add", StoreError("app.db", "disk I/O error"))
    bench.register(job_of(), again=True)
    monkeypatch.undo()
    bench.clock.advance(RETRY_S)
    bench.turn()
    assert bench.given(bench.members[0]) == []
    assert bench.status(1) == Status.PROCESSING


def test_a_workers_registrations_wait_here_and_before_its_outcome(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design 2: a job is not recorded as done without what it has registered."""
    add = bench.store.add
    member = bench.members[0]
    bench.register(job_of(number=1))
    bench.refuse(monkeypatch, "add")
    bench.register(job_of(number=2), channel=member.channel)  # type: ignore[arg-type]
    bench.done(member, 1)
    assert bench.turn() == []
    assert bench.status(1) == Status.PROCESSING
    assert not bench.dispatcher.is_settled()
    monkeypatch.setattr(bench.store, "add", add)
    bench.clock.advance(RETRY_S)
    assert bench.turn() == [_id(1)]
    assert (bench.status(1), bench.status(2)) == (Status.READY, Status.PROCESSING)
    assert bench.dispatcher.is_settled() or bench.turn() == []


def test_outcomes_wait_until_they_can_be_stored_and_nothing_more_is_begun(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """contract 6: running results are not lost when space returns."""
    settle = bench.store.settle
    member = bench.members[0]
    bench.know(1.0)
    bench.register(*(job_of(number=number) for number in (1, 2, 3)))
    assert bench.given(member) == [[1]]
    bench.refuse(monkeypatch, "settle")
    bench.done(member, 1)
    assert bench.turn() == []
    assert bench.given(member) == [[2]]  # before anybody knew
    bench.done(member, 2)
    assert bench.turn() == []
    assert bench.given(member) == []
    monkeypatch.setattr(bench.store, "settle", settle)
    bench.clock.advance(RETRY_S)
    assert bench.turn() == [_id(1), _id(2)]
    assert bench.given(member) == [[3]]


def test_trouble_is_told_once_in_the_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """contract 6: one line each, not one each second."""
    bench.refuse(monkeypatch, "add")
    for number in range(5):
        bench.register(job_of(number=number + 1))
        bench.clock.advance(RETRY_S)
    assert caplog.text.count("trying again") == 1


# -- how much in advance -------------------------------------------------------------------------------------


def test_a_task_never_seen_before_goes_alone(bench: Bench) -> None:
    """design 2: prefetch is sized from observed run times."""
    bench.register(*(job_of(number=number) for number in (1, 2, 3)))
    assert bench.given(bench.members[0]) == [[1]]


def test_prefetch_is_a_few_milliseconds_of_work(bench: Bench) -> None:
    """design 2: a few ms of work in flight per worker."""
    bench.know(AHEAD_S / 10)
    bench.register(*(job_of(number=number) for number in range(1, 101)))
    ((*jobs,),) = bench.given(bench.members[0])
    assert 9 <= len(jobs) <= 10
    bench.know(AHEAD_S * 2)
    bench.members.append(bench.worker())
    bench.turn()
    assert len(bench.given(bench.members[1])[0]) == 1


def test_prefetch_is_bounded_in_bytes(bench: Bench) -> None:
    """design 2: and 64 KB."""
    bench.know(0.0)
    large = [job_of(number=number)._replace(payload=b"x" * (AHEAD_BYTES // 4)) for number in range(1, 9)]
    bench.register(*large)
    assert bench.given(bench.members[0]) == [[1, 2, 3, 4]]


def test_a_job_larger_than_that_goes_alone(bench: Bench) -> None:
    """design 7: 5 MB both ways."""
    bench.know(0.0)
    bench.register(*(job_of(number=number)._replace(payload=b"x" * 5_000_000) for number in (1, 2)))
    assert bench.given(bench.members[0]) == [[1]]
    bench.done(bench.members[0], 1)
    bench.turn()
    assert bench.given(bench.members[0]) == [[2]]


def test_what_there_is_is_shared_by_all_who_are_idle() -> None:
    """contract 6: n workers: a burst of short jobs does not all go to the first."""
    bench = Bench(workers=3)
    bench.know(AHEAD_S / 100)
    bench.register(*(job_of(number=number) for number in range(1, 10)))
    assert [len(bench.given(each)[0]) for each in bench.members] == [3, 3, 3]


def test_who_has_least_to_do_is_served_first() -> None:
    """design 2: a long job never holds short ones hostage."""
    bench = Bench(workers=2)
    bench.register(job_of("app:long", number=1))
    bench.register(job_of("app:short", number=2))
    assert [bench.given(each) for each in bench.members] == [[[1]], [[2]]]


def test_run_times_are_averaged(bench: Bench) -> None:
    """design 2: prefetch is sized from observed run times."""
    for number, duration in enumerate((1.0, 2.0), 1):
        bench.register(job_of(number=number))
        bench.done(bench.members[0], number, duration)
    assert bench.dispatcher._durations["app:task"] == pytest.approx(1.2)


# -- taken back ----------------------------------------------------------------------------------------------


def hostage() -> Bench:
    """A job that was thought to be short, with another one behind it, and a second worker that is idle."""
    bench = Bench()
    bench.know(0.0001)
    bench.register(job_of(number=1), job_of(number=2))
    assert bench.given(bench.members[0]) == [[1, 2]]
    bench.members.append(bench.worker())
    return bench


def test_what_a_busy_worker_has_not_begun_is_taken_back() -> None:
    """design 2: what a busy worker has not begun is taken back, when another one is idle, and not before a while."""
    bench = hostage()
    bench.turn()
    assert bench.told(bench.members[0]) == []
    assert bench.dispatcher.next_at() == OVERDUE_S
    bench.clock.advance(2 * OVERDUE_S)
    bench.turn()
    bench.turn()
    assert bench.told(bench.members[0]) == [(messages.TAKE_BACK,)]  # once
    bench.dispatcher.released(bench.members[0], [_id(2)])
    bench.turn()
    assert bench.given(bench.members[1]) == [[2]]


def test_nothing_is_taken_back_while_all_may_be_at_long_jobs() -> None:
    """design 1.6: quiet: nobody else could begin it sooner."""
    bench = hostage()
    bench.register(job_of("app:other", number=3))
    assert bench.given(bench.members[1]) == [[3]]
    bench.clock.advance(10 * OVERDUE_S)
    bench.turn()
    assert bench.told(bench.members[0]) == []
    assert bench.dispatcher.next_at() is None


def test_what_waits_behind_a_long_job_is_taken_back_though_there_is_more_to_do_than_anybody_can() -> None:
    """design 2: a long job never holds short ones hostage: nor those that come later, while all are busy."""
    bench = hostage()
    bench.register(*(job_of("app:other", number=number) for number in (3, 4)))
    assert bench.given(bench.members[1]) == [[3]]
    bench.clock.advance(2 * OVERDUE_S)
    bench.register(job_of(number=5))  # as short as the first was thought to be
    assert bench.told(bench.members[0]) == []  # all may be at long jobs, so nobody is any better
    bench.done(bench.members[1], 3, 1.0)
    bench.turn()
    assert bench.told(bench.members[0]) == [(messages.TAKE_BACK,)]
    assert bench.given(bench.members[1]) == [[4]]
    bench.dispatcher.released(bench.members[0], [_id(2)])
    bench.done(bench.members[1], 4, 1.0)
    bench.turn()
    assert bench.given(bench.members[1]) == [[2, 5]]
    assert bench.given(bench.members[0]) == []


def test_a_job_that_was_released_and_answered_all_the_same_counts_once(bench: Bench) -> None:
    """design 1.5: a result only moves forward: what is no more with this worker is not taken from it."""
    bench.register(job_of(number=1))
    bench.dispatcher.released(bench.members[0], [_id(1)])
    bench.done(bench.members[0], 1)
    bench.dispatcher.released(bench.members[0], [_id(1), _id(9)])
    assert [job.id for job in bench.dispatcher.ready] == [_id(1)]
    assert bench.turn() == []


def test_a_job_goes_on_to_a_worker_newer_than_all_that_may_be_too_old() -> None:
    """design 1.2: in each worker the files may seem to have changed, and then each would give the job back."""
    bench = Bench(workers=2)
    bench.register(job_of(number=1))
    for member in list(bench.members):
        assert bench.told(member) == [(messages.RUN, [tuple(job_of(number=1))], [])]
        bench.dispatcher.outdated(member, _id(1))
        bench.dispatcher.outdated(member, _id(9))  # it has never had that
        member.ending = True
        bench.members.append(bench.worker())
        bench.dispatcher.released(member, [_id(1)])
        bench.turn()
    third = bench.members[2]
    assert bench.told(third) == [(messages.RUN, [tuple(job_of(number=1))], [_id(1)])]
    bench.done(third, 1)
    bench.register(job_of(number=1, task="app:other"), job_of(number=2))
    assert not bench.dispatcher._outdated


# -- deaths --------------------------------------------------------------------------------------------------


def batch() -> tuple[Bench, Member]:
    bench = Bench()
    bench.know(0.0001)
    bench.register(*(job_of(number=number) for number in (1, 2, 3)))
    return bench, bench.members[0]


def test_a_death_charges_only_the_job_that_had_begun() -> None:
    """design 1.2: an innocent neighbour is never blamed; all of them run again, in their order."""
    bench, member = batch()
    del bench.pool.members[member.channel]
    bench.dispatcher.lost(member, "signal 9", _id(2))
    assert [(int.from_bytes(job.id, "big"), job.deaths) for job in bench.dispatcher.ready] == [(1, 0), (2, 1), (3, 0)]
    deaths = {each.id[-1]: each.deaths for each in bench.store.results(b"", 10)}
    assert deaths == {1: 0, 2: 1, 3: 0}


@pytest.mark.parametrize("begun", [None, _id(99)])
def test_a_worker_that_dies_between_two_jobs_charges_none(begun: bytes | None) -> None:
    """design 1.2: deaths *while it was running*."""
    bench, member = batch()
    bench.dispatcher.lost(member, "signal 9", begun)
    assert [job.deaths for job in bench.dispatcher.ready] == [0, 0, 0]


def test_a_worker_that_we_have_killed_charges_none() -> None:
    """contract 6: a task killed at the end of the grace period is run again, and nobody is to blame."""
    bench, member = batch()
    member.killed = True
    bench.dispatcher.lost(member, "signal 9", _id(1))
    assert [job.deaths for job in bench.dispatcher.ready] == [0, 0, 0]


def kill_again_and_again(bench: Bench, how: str = "signal 9") -> int:
    """The job kills each worker that runs it; how many there were."""
    for number in range(1, 100):
        member = bench.worker()
        bench.turn()
        if not bench.given(member):
            return number - 1
        del bench.pool.members[member.channel]
        bench.dispatcher.lost(member, how, _id(1))
    return 100


@pytest.mark.parametrize("most", [1, 3, 5])
def test_a_poisonous_job_ends_in_error_and_the_others_go_on(most: int, caplog: pytest.LogCaptureFixture) -> None:
    """design 1.2: after three deaths (setting) it ends in error with "the worker died (signal 9) while running …"."""
    bench = Bench(workers=0)
    bench.dispatcher.settings = Settings(max_deaths=most)
    bench.register(job_of(number=1))
    assert kill_again_and_again(bench) == most
    assert bench.turn() in ([_id(1)], [])
    found = bench.store.result(_id(1))
    assert found is not None
    assert (found.status, found.error) == (Status.ERROR, "the worker died (signal 9) while running this task")
    assert f"is given up after {most} deaths" in caplog.text
    (member,) = bench.pool.members.values()
    bench.register(job_of(number=2))
    assert bench.given(member) == [[2]]


def test_deaths_are_counted_in_the_store_and_outlive_the_monitor() -> None:
    """design 1.2: three deaths, under however many monitors."""
    bench = Bench(workers=0)
    bench.register(job_of(number=1))
    for _ in range(2):
        member = bench.worker()
        bench.turn()
        del bench.pool.members[member.channel]
        bench.dispatcher.lost(member, "signal 9", _id(1))
    (rescued,) = bench.store.rescue([_id(1)], token=TOKEN + 1)
    bench.dispatcher = Dispatcher(bench.interface, bench.store, bench.pool, TOKEN + 1)
    bench.dispatcher.retry(rescued, "with its monitor")
    bench.turn()
    found = bench.store.result(_id(1))
    assert found is not None
    assert found.error == "the worker died (with its monitor) while running this task"


def test_a_store_that_refuses_to_count_a_death_does_not_make_a_job_immortal(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design 1.2: counted here too, so that a poisonous job ends even while the disk is full."""
    bench = Bench(workers=0)
    bench.register(job_of(number=1))
    bench.refuse(monkeypatch, "died")
    deaths = 0
    while bench.dispatcher.ready and deaths < 10:
        bench.clock.advance(RETRY_S)
        member = bench.worker()
        bench.turn()
        del bench.pool.members[member.channel]
        bench.dispatcher.lost(member, "signal 9", _id(1))
        deaths += 1
    assert deaths == 3


# -- pauses --------------------------------------------------------------------------------------------------


def test_a_pause_takes_back_and_gives_back_to_the_store() -> None:
    """command line: pause: what runs goes on, what has not begun waits in the store."""
    bench, member = batch()
    bench.told(member)
    bench.dispatcher.pause(True)
    bench.dispatcher.pause(True)
    assert bench.told(member) == [(messages.TAKE_BACK,)]
    bench.dispatcher.released(member, [_id(2), _id(3)])
    bench.turn()
    assert [bench.status(number) for number in (1, 2, 3)] == [Status.PROCESSING, Status.WAITING, Status.WAITING]
    bench.done(member, 1)
    assert bench.turn() == [_id(1)]
    bench.register(job_of(number=4))
    assert bench.status(4) == Status.WAITING
    assert bench.dispatcher.next_claim() is None
    bench.dispatcher.pause(False)
    bench.turn()
    assert sorted(number for batch in bench.given(member) for number in batch) == [2, 3, 4]


def test_only_admitted_jobs_are_dispatched(bench: Bench) -> None:
    """contract 7: `run_pending(task)` runs the jobs of this task only; the others keep their turn."""
    admitted: Callable[[Job], bool] = lambda job: job.task == "app:wanted"  # noqa: E731
    bench.dispatcher.admits = admitted
    bench.register(job_of("app:other", number=1), job_of("app:wanted", number=2))
    assert bench.given(bench.members[0]) == [[2]]
    bench.dispatcher.admits = None
    bench.done(bench.members[0], 2)
    bench.turn()
    assert bench.given(bench.members[0]) == [[1]]


def test_workers_that_are_not_up_or_end_are_given_nothing() -> None:
    """design 2: fresh code: an ending worker takes no new job."""
    bench = Bench(workers=2)
    bench.members[0].ready = False
    bench.members[1].ending = True
    bench.register(job_of())
    assert [bench.given(each) for each in bench.members] == [[], []]
    bench.members[0].ready = True
    bench.turn()
    assert bench.given(bench.members[0]) == [[1]]
