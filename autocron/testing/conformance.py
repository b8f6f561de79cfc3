"""What every store must do: a class of tests to be subclassed, with one method to be filled in.

>>> from autocron.testing import ModelStore, StoreConformance
>>> class TestMyStore(StoreConformance):
...     def new_store(self):
...         return ModelStore()

Run by pytest, or by unittest as a second base class. Each method and edge has an example; random sequences of calls
are then compared with the model, call by call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..interface import Store
from ..job import EntryState, Firing, Job, Outcome, Selection, Status, Stored
from .sequences import Tape, difference, pages, shrunk

MINE, THEIRS = 7, 1 << 61
NOW = 1000.0


def job(number: int, **changes: Any) -> Job:
    """A job that is due at `NOW`."""
    return Job(number.to_bytes(16, "big"), "app:task", b"payload", NOW)._replace(**changes)


def good(*numbers: int) -> list[Outcome]:
    """Outcomes of jobs that went well."""
    return [Outcome(job(number).id, Status.READY.value, b"result", "", 0.5) for number in numbers]


def numbers(found: Sequence[Job | Stored]) -> list[int]:
    """Which jobs these are."""
    return [int.from_bytes(each.id, "big") for each in found]


class StoreConformance:
    """Subclass it, name the subclass `Test…`, and say in `new_store` how an empty store is made."""

    seeds: ClassVar[range] = range(30)  # of the random sequences
    steps: ClassVar[int] = 60  # calls in each

    def new_store(self) -> Store:
        """An empty store. The suite closes it."""
        raise NotImplementedError(f"{type(self).__name__}.new_store must return an empty store")

    def reopened(self, store: Store) -> Store:
        """The same store, closed and opened again. Override it where what is stored outlives `close`."""
        return store

    def setup_method(self) -> None:
        """No store is open."""
        self._opened: list[Store] = []

    def teardown_method(self) -> None:
        """Close what a test has opened; closing twice must do no harm."""
        for each in self._opened:
            each.close()
            each.close()

    setUp = setup_method  # for unittest
    tearDown = teardown_method

    def store(self, *jobs: Job, token: int = 0) -> Store:
        """A new store with these jobs."""
        self._opened.append(self.new_store())
        if jobs:
            self._opened[-1].add(jobs, token=token)
        return self._opened[-1]

    def again(self, store: Store) -> Store:
        """The same store, opened again."""
        self._opened.append(self.reopened(store))
        return self._opened[-1]

    # -- add -------------------------------------------------------------------------------------------------

    def test_a_new_store_is_empty(self) -> None:
        """Nothing is due, known, stored or to be removed."""
        store = self.store()
        assert (store.next_due(), store.next_prune(), store.entries(), store.results(b"", 9)) == (None, None, [], [])
        assert (store.counts(), store.settings(), store.claim(NOW, 9, MINE)) == ({}, {}, [])

    def test_a_job_comes_back_as_it_was_added(self) -> None:
        """Every field of a job is kept, whatever it holds."""
        odd = job(
            1, task="/srv/\udcff.py:漢字", payload=bytes(range(256)) * 300, due=NOW - 0.123456789, priority=-(1 << 31),
            queue="slow\0queue", attempt=3, max_attempts=1 << 31, timeout_s=0.001, expires=1e12, entry="a#0", deaths=2,
        )  # fmt: skip
        store = self.again(self.store(odd))
        assert store.claim(NOW, 9, MINE) == [odd]
        assert self.store(job(1, payload=b"")).claim(NOW, 9, MINE) == [job(1, payload=b"")]

    def test_a_job_that_is_there_stays_as_it_is(self) -> None:
        """A registration that comes twice is stored once, also within one call."""
        store = self.store(job(1), job(1, due=0.0))
        assert list(store.add([job(1, due=5.0), job(2), job(2)], token=MINE)) == [job(2)]
        assert store.result(job(1).id) == Stored(job(1).id, "app:task", b"payload", NOW, 1, b"", "", 0.0)
        assert store.counts() == {Status.WAITING: 1, Status.PROCESSING: 1}
        store.settle(good(2), token=MINE, now=NOW, ttl_s=1.0)
        store.add([job(2)], token=0)
        assert store.counts() == {Status.WAITING: 1, Status.READY: 1}

    def test_a_job_added_with_a_token_is_claimed_already(self) -> None:
        """A job that is due at once needs not be read back."""
        store = self.store(job(1), token=MINE)
        assert (store.claim(NOW, 9, THEIRS), store.next_due()) == ([], None)
        store.release([job(1).id], token=MINE)
        assert numbers(store.claim(NOW, 9, THEIRS)) == [1]

    def test_nothing_may_be_done_with_nothing(self) -> None:
        """Empty sequences are no error."""
        store = self.store()
        store.add([], token=0)
        store.settle([], token=MINE, now=NOW, ttl_s=1.0)
        store.release([], token=MINE)
        store.save_settings({})
        assert (store.rescue([], token=MINE), store.fire([], token=MINE), store.prune(NOW, 0)) == ([], [], 0)

    def test_what_is_added_outlives_the_store(self) -> None:
        """What a method has done is committed when it returns."""
        store = self.store(job(1), job(2), job(3))
        store.claim(NOW, 1, MINE)
        store.save_settings({"workers": 3})
        store.set_entry("a#0", "spec", 5.0)
        store = self.again(store)
        assert store.counts() == {Status.WAITING: 2, Status.PROCESSING: 1}
        assert (store.settings(), len(store.entries())) == ({"workers": 3}, 1)

    # -- claim -----------------------------------------------------------------------------------------------

    def test_jobs_are_claimed_by_priority_then_due_time_then_registration(self) -> None:
        """The order is total, so that two stores never differ in it."""
        late, early, urgent, tie = job(1), job(2, due=1.0), job(4, priority=-1), job(3, due=1.0)
        store = self.store(late, early, urgent, tie, job(5, priority=7, due=0.0))
        assert numbers(store.claim(NOW, 9, MINE)) == [4, 2, 3, 1, 5]

    def test_what_is_not_due_is_passed_over_whatever_its_priority(self) -> None:
        """A job that is due exactly now is due."""
        store = self.store(job(1, due=NOW + 0.001, priority=-9), job(2), job(3, priority=9))
        assert numbers(store.claim(NOW, 9, MINE)) == [2, 3]
        assert store.next_due() == NOW + 0.001

    def test_a_job_is_claimed_once(self) -> None:
        """Two claims never give the same job."""
        store = self.store(*map(job, range(5)))
        assert numbers(store.claim(NOW, 2, MINE)) == [0, 1]
        assert numbers(store.claim(NOW, 9, THEIRS)) == [2, 3, 4]
        assert store.claim(NOW, 9, MINE) == []

    def test_the_limit_holds_across_priorities(self) -> None:
        """No more is claimed than was asked for."""
        store = self.store(*(job(n, priority=n % 3) for n in range(9)))
        assert numbers(store.claim(NOW, 0, MINE)) == []
        assert numbers(store.claim(NOW, 4, MINE)) == [0, 3, 6, 1]

    def test_so_many_bytes_are_enough(self) -> None:
        """However large jobs are, at least one is claimed, and no more when those claimed have reached that."""
        store = self.store(*(job(n, priority=n // 2, payload=bytes(10)) for n in range(5)))
        assert numbers(store.claim(NOW, 9, MINE, enough_bytes=1)) == [0]
        assert numbers(store.claim(NOW, 9, MINE, enough_bytes=11)) == [1, 2]
        assert numbers(store.claim(NOW, 1, MINE, enough_bytes=99)) == [3]
        assert numbers(store.claim(NOW, 9, THEIRS, enough_bytes=10)) == [4]
        assert store.counts() == {Status.PROCESSING: 5}

    def test_the_next_due_time_is_the_earliest_of_all_priorities(self) -> None:
        """Only waiting jobs count."""
        store = self.store(job(1, due=5.0, priority=1), job(2, due=3.0, priority=2), job(3, due=9.0, priority=-1))
        assert store.next_due() == 3.0
        store.claim(4.0, 9, MINE)
        assert store.next_due() == 5.0

    # -- settle, release -------------------------------------------------------------------------------------

    def test_an_outcome_is_stored_with_the_end_of_its_time(self) -> None:
        """A result is kept for its time to live after it was settled."""
        store = self.store(job(1), job(2), token=MINE)
        boom = Outcome(job(2).id, Status.ERROR.value, b"", "ValueError: \udcff\0", 0.1)
        store.settle([*good(1), boom], token=MINE, now=NOW, ttl_s=60.0)
        store = self.again(store)
        assert store.result(job(1).id) == Stored(job(1).id, "app:task", b"payload", NOW, 3, b"result", "", 1060.0)
        assert store.result(job(2).id) == Stored(job(2).id, "app:task", b"payload", NOW, 4, b"", boom.error, 1060.0)
        assert store.next_prune() == 1060.0

    def test_a_stale_token_settles_releases_and_charges_nothing(self) -> None:
        """The token fences a late answer: the job is somebody else's by now."""
        store = self.store(job(1), token=MINE)
        store.settle(good(1), token=THEIRS, now=NOW, ttl_s=1.0)
        store.release([job(1).id], token=THEIRS)
        assert store.died(job(1).id, token=THEIRS) == 0
        assert store.counts() == {Status.PROCESSING: 1}

    def test_a_result_only_moves_forward(self) -> None:
        """A final state is never left by a late outcome, a release or a rescue."""
        store = self.store(job(1), token=MINE)
        store.settle(good(1), token=MINE, now=NOW, ttl_s=60.0)
        store.settle([Outcome(job(1).id, Status.ERROR.value, b"", "late")], token=MINE, now=NOW + 1, ttl_s=60.0)
        store.release([job(1).id], token=MINE)
        assert store.rescue([job(1).id], token=THEIRS) == []
        found = store.result(job(1).id)
        assert found is not None
        assert (found.status, found.error, found.expires) == (Status.READY, "", 1060.0)

    def test_a_released_job_waits_as_before(self) -> None:
        """It keeps its due time and its priority; only its own token can give it back."""
        store = self.store(job(1, priority=3, due=5.0), job(2))
        claimed = store.claim(NOW, 9, MINE)
        store.release([each.id for each in claimed], token=MINE)
        assert store.next_due() == 5.0
        assert store.claim(NOW, 9, THEIRS) == claimed

    def test_a_job_that_is_not_there_is_passed_over(self) -> None:
        """It may have been removed by hand meanwhile."""
        store = self.store(job(1), token=MINE)
        store.settle(good(9, 1), token=MINE, now=NOW, ttl_s=1.0)
        store.release([job(9).id], token=MINE)
        assert store.died(job(9).id, token=MINE) == 0
        assert (store.result(job(9).id), store.unfinished(job(9).id)) == (None, False)
        assert store.counts() == {Status.READY: 1}

    # -- deaths ----------------------------------------------------------------------------------------------

    def test_each_death_is_counted(self) -> None:
        """The number comes back, and with the job when it is claimed again."""
        store = self.store(job(1), job(2), token=MINE)
        assert [store.died(job(1).id, token=MINE) for _ in range(2)] == [1, 2]
        store.release([job(1).id, job(2).id], token=MINE)
        assert [each.deaths for each in store.claim(NOW, 9, MINE)] == [2, 0]

    def test_a_rescue_charges_what_had_begun_and_frees_the_rest(self) -> None:
        """Only a job that had begun is charged with a death; it belongs to the rescuer."""
        store = self.store(job(1), job(2), job(3), token=THEIRS)
        store.add([job(4)], token=MINE)
        store.add([job(5)], token=0)
        rescued = store.rescue([job(2).id, job(5).id, job(9).id, job(2).id], token=MINE)
        assert rescued == [job(2, deaths=1)]
        assert store.counts() == {Status.PROCESSING: 2, Status.WAITING: 3}
        store.settle(good(2, 4), token=MINE, now=NOW, ttl_s=1.0)
        assert numbers(store.claim(NOW, 9, MINE)) == [1, 3, 5]
        assert [each.deaths for each in store.results(b"", 9)] == [0, 1, 0, 0, 0]

    def test_a_rescue_leaves_the_rescuers_own_jobs_alone(self) -> None:
        """What this token has claimed is not interrupted."""
        store = self.store(job(1), token=MINE)
        assert store.rescue([job(1).id], token=MINE) == []
        assert (store.counts(), store.died(job(1).id, token=MINE)) == ({Status.PROCESSING: 1}, 1)

    # -- cron ------------------------------------------------------------------------------------------------

    def test_an_entry_is_remembered_and_edited(self) -> None:
        """An edited crontab starts from the given time and keeps what it fired last."""
        store = self.store()
        store.set_entry("b#0", "0 3 * * *", 10.0)
        store.set_entry("/srv/\udcff.py:f#0", "1 3 * * *", 11.0)
        store.fire([Firing("b#0", 20.0, job(1))], token=MINE)
        store.set_entry("b#0", "0 4 * * *", 15.0)
        assert sorted(self.again(store).entries()) == [
            EntryState("/srv/\udcff.py:f#0", "1 3 * * *", 11.0, b""),
            EntryState("b#0", "0 4 * * *", 15.0, job(1).id),
        ]

    def test_a_fire_time_becomes_one_job(self) -> None:
        """One firing per fire time: an earlier or an equal one has had its job."""
        store = self.store()
        store.set_entry("a#0", "* * * * *", 10.0)
        firings = [Firing("a#0", 20.0, job(1)), Firing("a#0", 20.0, job(2)), Firing("a#0", 15.0, job(3))]
        assert store.fire(firings, token=MINE) == [job(1)]
        assert store.fire([Firing("a#0", 20.0, job(4)), Firing("a#0", 10.0, job(5))], token=THEIRS) == []
        assert store.counts() == {Status.PROCESSING: 1}
        assert store.entries() == [EntryState("a#0", "* * * * *", 20.0, job(1).id)]

    def test_a_fire_time_passed_over_counts_as_fired(self) -> None:
        """A skipped firing leaves no job, and the last job stays what it was."""
        store = self.store()
        store.set_entry("a#0", "* * * * *", 10.0)
        store.fire([Firing("a#0", 20.0, job(1))], token=MINE)
        assert store.fire([Firing("a#0", 30.0, None)], token=MINE) == []
        assert store.fire([Firing("a#0", 30.0, job(2))], token=MINE) == []
        assert store.entries() == [EntryState("a#0", "* * * * *", 30.0, job(1).id)]

    def test_an_unknown_entry_fires_nothing(self) -> None:
        """Without its row nothing decides who fires."""
        store = self.store()
        assert store.fire([Firing("a#0", 20.0, job(1))], token=MINE) == []
        assert (store.counts(), store.entries()) == ({}, [])

    def test_a_firing_whose_job_is_there_already_is_not_new(self) -> None:
        """The clock was set back and the crontab edited: the same fire time comes again, its job must not run again."""
        store = self.store()
        store.set_entry("a#0", "* * * * *", 10.0)
        store.fire([Firing("a#0", 20.0, job(1))], token=MINE)
        store.settle(good(1), token=MINE, now=NOW, ttl_s=60.0)
        store.set_entry("a#0", "*/2 * * * *", 10.0)
        assert store.fire([Firing("a#0", 20.0, job(1))], token=MINE) == []
        assert store.counts() == {Status.READY: 1}

    def test_a_fired_job_belongs_to_who_fired_it(self) -> None:
        """It goes straight to a worker."""
        store = self.store()
        store.set_entry("a#0", "* * * * *", 10.0)
        store.fire([Firing("a#0", 20.0, job(1, entry="a#0"))], token=MINE)
        assert store.claim(NOW, 9, THEIRS) == []
        store.settle(good(1), token=MINE, now=NOW, ttl_s=1.0)
        found = store.result(job(1).id)
        assert found is not None
        assert (found.status, found.entry) == (Status.READY, "a#0")

    # -- results ---------------------------------------------------------------------------------------------

    def test_unfinished_means_waiting_or_running(self) -> None:
        """Neither what has ended nor what was never known."""
        store = self.store(job(1))
        seen = [store.unfinished(job(1).id)]
        store.claim(NOW, 1, MINE)
        seen.append(store.unfinished(job(1).id))
        store.settle(good(1), token=MINE, now=NOW, ttl_s=1.0)
        assert [*seen, store.unfinished(job(1).id), store.unfinished(job(2).id)] == [True, True, False, False]

    def test_results_come_in_the_order_of_registration_page_by_page(self) -> None:
        """Oldest first, whatever the order in which they were added or due."""
        store = self.store(job(3), job(1, due=9e9), job(300), job(2))
        assert numbers(store.results(b"", 3)) == [1, 2, 3]
        assert numbers(store.results(job(3).id, 3)) == [300]
        assert store.results(b"", 0) == store.results(job(300).id, 3) == []

    def test_only_what_is_over_is_pruned_the_oldest_first(self) -> None:
        """Never a job that has not ended; what is over exactly now is over."""
        store = self.store(*map(job, range(6)), token=MINE)
        for number, now in ((1, 30.0), (2, 10.0), (3, 20.0), (4, 40.0)):
            store.settle(good(number), token=MINE, now=now, ttl_s=5.0)
        assert (store.next_prune(), store.prune(14.9, 9)) == (15.0, 0)
        assert (store.prune(35.0, 2), numbers(store.results(b"", 9))) == (2, [0, 1, 4, 5])
        assert (store.prune(35.0, 9), store.prune(35.0, 9), store.next_prune()) == (1, 0, 45.0)
        assert self.again(store).counts() == {Status.PROCESSING: 2, Status.READY: 1}

    # -- by hand ---------------------------------------------------------------------------------------------

    def test_a_selection_is_by_status_and_task_in_pages_in_either_order(self) -> None:
        """All of it is found, whatever the size of the pages."""
        store = self.store(*(job(n, task=("app:mail", "lib:mail")[n % 2]) for n in range(7)))
        store.claim(NOW, 3, MINE)
        waiting = Selection((Status.WAITING.value,))
        assert numbers(list(pages(store, waiting, 2))) == [3, 4, 5, 6]
        assert numbers(list(pages(store, waiting._replace(newest_first=True), 3))) == [6, 5, 4, 3]
        assert numbers(list(pages(store, Selection(task="app:*"), 1))) == [0, 2, 4, 6]
        assert numbers(list(pages(store, Selection(after=job(1).id, before=job(4).id), 9))) == [2, 3]
        bare, _ = store.select(waiting, 1, with_payloads=False)
        assert [(*numbers(bare), each.payload, each.result) for each in bare] == [(3, b"", b"")]

    def test_a_failed_job_runs_again_as_if_it_had_never_run(self) -> None:
        """Only what ended in error does."""
        store = self.store(job(1), job(2), job(3), token=MINE)
        store.died(job(1).id, token=MINE)
        store.settle([Outcome(job(1).id, Status.ERROR.value, b"", "no"), *good(2)], token=MINE, now=NOW, ttl_s=9.0)
        assert store.retry([job(n).id for n in (1, 1, 2, 3, 4)], now=NOW + 5) == 1
        assert store.claim(NOW + 5, 9, MINE) == [job(1, due=NOW + 5)]

    def test_a_waiting_job_can_be_hastened(self) -> None:
        """What is due already keeps its due time."""
        store = self.store(job(1, due=NOW + 99), job(2, due=5.0))
        assert store.hasten([job(1).id, job(1).id, job(2).id, job(3).id], now=NOW) == 1
        assert [each.due for each in store.claim(NOW, 9, MINE)] == [5.0, NOW]

    def test_jobs_can_be_purged_but_not_while_they_run(self) -> None:
        """Only those of the given statuses."""
        store = self.store(*map(job, range(4)))
        store.claim(NOW, 2, MINE)
        store.settle(good(0), token=MINE, now=NOW, ttl_s=9.0)
        every = [job(n).id for n in range(5)]
        assert store.purge(every, [Status.PROCESSING.value, Status.READY.value]) == 1
        assert store.purge(every, []) == 0
        assert store.purge(every, [1, 2, 3, 4]) == 2
        assert numbers(store.results(b"", 9)) == [1]

    # -- settings, size --------------------------------------------------------------------------------------

    def test_settings_keep_their_values_and_kinds(self) -> None:
        """Saving some leaves the others."""
        store = self.store()
        values = {"workers": 3, "ttl_s": 2.5, "enabled": False, "durability": "full", "name": 'ü "quoted"'}
        store.save_settings(values)
        store.save_settings({"workers": 4})
        found = self.again(store).settings()
        assert found == {**values, "workers": 4}
        assert [type(found[name]) for name in values] == [type(value) for value in values.values()]

    def test_a_megabyte_comes_back_as_it_was(self) -> None:
        """Arguments, results and error messages of any sane size."""
        big = bytes(range(256)) * 4096
        store = self.store(job(1, payload=big), token=MINE)
        store.settle([Outcome(job(1).id, Status.ERROR.value, big, "x" * 1_000_000)], token=MINE, now=NOW, ttl_s=1.0)
        found = self.again(store).result(job(1).id)
        assert found is not None
        assert (found.payload == big, found.result == big, len(found.error)) == (True, True, 1_000_000)

    def test_tidying_comes_to_an_end_and_changes_nothing(self) -> None:
        """Housekeeping is not seen from outside."""
        store = self.store(*(job(n, payload=bytes(3000)) for n in range(2000)))
        assert store.purge([job(n).id for n in range(1999)], [Status.WAITING.value]) == 1999
        for _ in range(10_000):
            if not store.tidy():
                break
        else:
            raise AssertionError("there is always more to tidy")
        store.sync()
        assert numbers(store.results(b"", 9)) == [1999]

    # -- against the model -----------------------------------------------------------------------------------

    def test_random_sequences_of_calls_give_what_the_model_gives(self) -> None:
        """Every answer, and all that can be seen after every call."""
        __tracebackhide__ = True
        for seed in self.seeds:
            calls = Tape(seed).calls(self.steps)
            if difference(calls, self.new_store()) is not None:
                raise AssertionError(
                    f"{type(self).__name__}: sequence {seed} of calls, shrunk:\n{shrunk(calls, self.new_store)}"
                )
