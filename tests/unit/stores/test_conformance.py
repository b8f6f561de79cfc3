"""The conformance suite, on the stores that need no file; and proof that it finds what is wrong with a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from autocron.interface import Store
from autocron.job import Firing, Job, Outcome, Status
from autocron.stores import open_store
from autocron.testing import ModelStore, StoreConformance
from autocron.testing.sequences import Tape, difference, shrunk


class TestModel(StoreConformance):
    """testing 3.9: the oracle is held to the examples too."""

    def new_store(self) -> Store:
        return ModelStore()


class TestMemory(StoreConformance):
    """design 4: the SQLite store on `:memory:`, as application tests use it."""

    def new_store(self) -> Store:
        return open_store(":memory:")


class Overwrites(ModelStore):
    """A registration that comes twice replaces the first."""

    def add(self, jobs: Sequence[Job], *, token: int) -> Sequence[Job]:
        for job in jobs:
            self.rows.pop(job.id, None)
        return super().add(jobs, token=token)


class ForgetsToken(ModelStore):
    """What is added as claimed waits."""

    def add(self, jobs: Sequence[Job], *, token: int) -> Sequence[Job]:
        return super().add(jobs, token=0)


class ClaimsInAnyOrder(ModelStore):
    """Priorities do not count."""

    def claim(self, now: float, limit: int, token: int, **more: Any) -> list[Job]:
        claimed = super().claim(now, limit, token, **more)
        return sorted(claimed, key=lambda job: (job.due, job.id))


class ClaimsJustBefore(ModelStore):
    """What is due exactly now is not yet due."""

    def claim(self, now: float, limit: int, token: int, **more: Any) -> list[Job]:
        return super().claim(now - 1e-6, limit, token, **more)


class ClaimsTwice(ModelStore):
    """A claimed job can be claimed again."""

    def claim(self, now: float, limit: int, token: int, **more: Any) -> list[Job]:
        claimed = super().claim(now, limit, token, **more)
        self.release([job.id for job in claimed[:1]], token=token)
        return claimed


class AcceptsLateOutcomes(ModelStore):
    """The token does not fence."""

    def settle(self, outcomes: Sequence[Outcome], *, token: int, now: float, ttl_s: float) -> None:
        for each in outcomes:
            if each.id in self.rows and self.rows[each.id].status == Status.PROCESSING:
                super().settle([each], token=self.rows[each.id].token, now=now, ttl_s=ttl_s)


class MovesBack(ModelStore):
    """A final result can be overwritten."""

    def settle(self, outcomes: Sequence[Outcome], *, token: int, now: float, ttl_s: float) -> None:
        for each in outcomes:
            if each.id in self.rows and self.rows[each.id].is_final():
                self.rows[each.id].status = Status.PROCESSING.value
        super().settle(outcomes, token=token, now=now, ttl_s=ttl_s)


class ReleasesForAnybody(ModelStore):
    """Anybody can give back a job."""

    def release(self, ids: Sequence[bytes], *, token: int) -> None:
        for id in ids:
            if id in self.rows:
                super().release([id], token=self.rows[id].token)


class BlamesTheInnocent(ModelStore):
    """A rescue charges every job."""

    def rescue(self, begun: Sequence[bytes], *, token: int) -> list[Job]:
        return super().rescue(list(self.rows), token=token)


class BlamesTwice(ModelStore):
    """A job named twice is charged twice."""

    def rescue(self, begun: Sequence[bytes], *, token: int) -> list[Job]:
        rescued = super().rescue(begun, token=token)
        for id in {job.id for job in rescued if list(begun).count(job.id) > 1}:
            self.died(id, token=token)
        return rescued


class FiresAgain(ModelStore):
    """A fire time that is there already fires again."""

    def fire(self, firings: Sequence[Firing], *, token: int) -> list[Job]:
        new = super().fire(firings, token=token)
        return new + [job for _, _, job in firings if job is not None and job.id in self.rows and job not in new]


class PrunesTheNewest(ModelStore):
    """The newest results go first."""

    def prune(self, now: float, limit: int) -> int:
        over = sorted(((row.prune_at, id) for id, row in self.rows.items() if row.is_final() and row.prune_at <= now))
        for _, id in over[::-1][:limit]:
            del self.rows[id]
        return min(len(over), limit)


class PrunesWhatRuns(ModelStore):
    """What has not ended has no end of its time, and is removed."""

    def prune(self, now: float, limit: int) -> int:
        removed = super().prune(now, limit)
        for id in [id for id, row in self.rows.items() if row.status == Status.PROCESSING][: limit - removed]:
            del self.rows[id]
        return removed


class ForgetsSettings(ModelStore):
    """Saving some settings drops the others."""

    def save_settings(self, values: Any) -> None:
        self.values = dict(values)


class CannotStoreSurrogates(ModelStore):
    """A text that is not UTF-8 ends the monitor."""

    def settle(self, outcomes: Sequence[Outcome], *, token: int, now: float, ttl_s: float) -> None:
        for each in outcomes:
            each.error.encode()
        super().settle(outcomes, token=token, now=now, ttl_s=ttl_s)


MUTANTS: list[Callable[[], ModelStore]] = [*ModelStore.__subclasses__()]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.__name__)
def test_a_wrong_store_is_found_by_random_sequences(mutant: Callable[[], ModelStore]) -> None:
    """testing 3.9: the suite can fail. Each wrong store is found, and its story is short."""

    class Wrong(StoreConformance):
        def new_store(self) -> Store:
            return mutant()

    with pytest.raises(AssertionError, match="shrunk:") as caught:
        Wrong().test_random_sequences_of_calls_give_what_the_model_gives()
    assert len(str(caught.value).splitlines()) <= 12, str(caught.value)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.__name__)
def test_a_wrong_store_is_found_by_an_example(mutant: Callable[[], ModelStore]) -> None:
    """testing 3.9: each method and edge has an example, which says what is wrong by its name."""

    class Wrong(StoreConformance):
        def new_store(self) -> Store:
            return mutant()

    failed = []
    for name in [name for name in dir(Wrong) if name.startswith("test_") and "random" not in name]:
        suite = Wrong()
        suite.setup_method()
        try:
            getattr(suite, name)()
        except (AssertionError, UnicodeEncodeError):
            failed.append(name)
    assert failed


def test_the_same_seed_gives_the_same_calls() -> None:
    """testing 3.7: a failing sequence can be had again from its seed."""
    assert Tape(3).calls(200) == Tape(3).calls(200)
    assert Tape(3).calls(200) != Tape(4).calls(200)
    assert {call.method for call in Tape(3).calls(500)} >= {
        "add",
        "claim",
        "settle",
        "rescue",
        "fire",
        "prune",
        "purge",
    }


def test_a_store_that_is_right_differs_in_nothing() -> None:
    """testing 3.9: the model agrees with itself, so that a difference is the store's."""
    assert difference(Tape(1).calls(300), ModelStore()) is None
    assert "does not come again" in shrunk(Tape(1).calls(10), ModelStore)
