"""autocron.monitor.pruner: results whose time to live is over are removed, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from small import MIDNIGHT, Small, job_of

from autocron.errors import StoreError
from autocron.job import Job, Outcome, Status
from autocron.monitor import pruner
from autocron.monitor.pruner import RETRY_S, SHARE, Pruner
from autocron.testing.memory import MemoryStore

TTL_S = 100.0
PAUSE_S = TTL_S * SHARE


class Bench:
    def __init__(self) -> None:
        self.small = Small()
        self.store = MemoryStore()
        self.interface = self.small.world.interface()
        self.pruner = Pruner(self.interface, self.store)

    def result(self, number: int, status: Status = Status.READY) -> Job:
        """A job that ends now."""
        job = job_of(number=number)
        self.store.add([job], token=1)
        if status in (Status.READY, Status.ERROR):
            now = self.small.clock.time()
            self.store.settle([Outcome(job.id, status)], token=1, now=now, ttl_s=TTL_S)
            self.pruner.settled(now, TTL_S)
        return job

    def at(self, seconds: float) -> list[int]:
        """The jobs that are left so long after midnight."""
        self.small.clock.reach(MIDNIGHT + seconds)
        self.pruner.prune(self.small.clock.time())
        return [int.from_bytes(each.id, "big") for each in self.store.results(b"", 10_000)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_result_is_kept_for_its_time_to_live_and_then_removed(bench: Bench) -> None:
    """contract 4: kept for the stored time to live and then removed: not before, and soon after."""
    bench.result(1)
    bench.result(2, Status.ERROR)
    assert bench.pruner.next_at == MIDNIGHT + TTL_S + PAUSE_S
    assert bench.at(TTL_S) == [1, 2]
    assert bench.at(TTL_S + PAUSE_S) == []
    assert bench.pruner.next_at is None


def test_what_has_not_ended_is_never_removed(bench: Bench) -> None:
    """contract 1: pending tasks stay in the database."""
    bench.result(1, Status.PROCESSING)
    bench.result(2)
    assert bench.at(1_000_000) == [1]


def test_results_that_end_one_by_one_are_removed_together(bench: Bench) -> None:
    """design 1.6: quiet: a twentieth of their time to live lies between two removals."""
    for number in range(5):
        bench.small.clock.reach(MIDNIGHT + number * PAUSE_S / 4)
        bench.result(number + 1)
    wakes = []
    while bench.pruner.next_at is not None:
        wakes.append(bench.pruner.next_at)
        bench.at(bench.pruner.next_at - MIDNIGHT)
    assert len(wakes) <= 2


def test_many_are_removed_a_batch_at_a_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 2: between two batches, jobs are served."""
    monkeypatch.setattr(pruner, "BATCH", 3)
    for number in range(7):
        bench.result(number + 1)
    assert len(bench.at(200)) == 4
    assert bench.pruner.next_at is not None
    assert bench.pruner.next_at <= bench.small.clock.time()  # go on at once
    assert len(bench.at(200)) == 1
    assert len(bench.at(200)) == 0


def test_what_an_earlier_monitor_has_left_is_removed_too(bench: Bench) -> None:
    """contract 4: whoever runs then."""
    bench.result(1)
    bench.pruner = Pruner(bench.interface, bench.store)
    assert bench.at(TTL_S) == []


def test_a_store_that_refuses_is_asked_again_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 2: nobody spins on a store that refuses."""
    bench.result(1)
    prune = bench.store.prune

    def refuse(*args: Any) -> int:
        raise StoreError("app.db", "input/output error")

    monkeypatch.setattr(bench.store, "prune", refuse)
    assert bench.at(200) == [1]
    assert bench.pruner.next_at == MIDNIGHT + 200 + RETRY_S
    monkeypatch.setattr(bench.store, "prune", prune)
    assert bench.at(200 + RETRY_S) == []


def test_a_shorter_time_to_live_holds_from_the_next_result_on(bench: Bench) -> None:
    """contract 1: a running monitor takes new values at once."""
    bench.result(1)
    job = job_of(number=2)
    bench.store.add([job], token=1)
    bench.store.settle([Outcome(job.id, Status.READY)], token=1, now=MIDNIGHT, ttl_s=10.0)
    bench.pruner.settled(MIDNIGHT, 10.0)
    assert bench.at(11.0) == [1]
