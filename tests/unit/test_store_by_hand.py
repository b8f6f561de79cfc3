"""What a person does to stored jobs: look for them, run them again, remove them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from autocron.interface import Store
from autocron.job import Job, Outcome, Selection, Status, Stored
from autocron.stores import open_store, sqlite

ALL = Selection()


@pytest.fixture
def store() -> Iterator[Store]:
    """A store in memory."""
    made = open_store(":memory:")
    yield made
    made.close()


def job(number: int, task: str = "app:mail", due: float = 0.0) -> Job:
    return Job(number.to_bytes(16, "big"), task, b"j[[],{}]", due)


def ended(store: Store, jobs: Sequence[Job], *, error: str = "") -> None:
    """Store jobs that have run."""
    store.add(jobs, token=7)
    status = Status.ERROR if error else Status.READY
    store.settle([Outcome(each.id, status, b"", error) for each in jobs], token=7, now=0.0, ttl_s=60.0)


def everything(store: Store, selection: Selection, limit: int = 3) -> list[Stored]:
    """All jobs of a selection, page by page."""
    found: list[Stored] = []
    rest: Selection | None = selection
    while rest is not None:
        page, rest = store.select(rest, limit)
        assert len(page) <= limit
        found += page
    return found


def numbers(found: Sequence[Stored]) -> list[int]:
    return [int.from_bytes(each.id, "big") for each in found]


def test_a_selection_is_read_in_pages_in_either_order(store: Store) -> None:
    """design 5: every job of it once, oldest or newest first."""
    store.add([job(each) for each in range(1, 8)], token=0)
    assert numbers(everything(store, ALL)) == [1, 2, 3, 4, 5, 6, 7]
    assert numbers(everything(store, Selection(newest_first=True))) == [7, 6, 5, 4, 3, 2, 1]
    assert numbers(everything(store, Selection(after=job(2).id, before=job(6).id))) == [3, 4, 5]


def test_a_page_reads_no_more_than_a_message_holds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 2: results of megabytes: each is read once, and not with hundreds of its like."""
    monkeypatch.setattr(sqlite, "PAGE_BYTES", 1000)
    store.add([job(each)._replace(payload=b"j" + bytes(700)) for each in range(1, 8)], token=0)
    assert numbers(store.results(b"", 9)) == [1, 2]
    assert numbers(store.results(job(6).id, 9)) == [7]
    page, rest = store.select(ALL, 9)
    assert (numbers(page), rest) == ([1, 2], ALL.beyond(job(2).id))
    assert numbers(everything(store, ALL, limit=9)) == [1, 2, 3, 4, 5, 6, 7]
    page, rest = store.select(ALL, 9, with_payloads=False)
    assert (numbers(page), rest) == ([1, 2, 3, 4, 5, 6, 7], None)


def test_a_selection_restricts_status_and_task(store: Store) -> None:
    """design 5: a pattern of the address, and statuses."""
    ended(store, [job(1), job(2, "shop:ship")])
    ended(store, [job(3)], error="no")
    store.add([job(4), job(5, "shop:ship")], token=0)
    store.add([job(6)], token=9)
    assert numbers(everything(store, Selection(statuses=(Status.WAITING, Status.ERROR)))) == [3, 4, 5]
    assert numbers(everything(store, Selection(task="shop:*"))) == [2, 5]
    assert numbers(everything(store, Selection((Status.PROCESSING,), "*mail", newest_first=True))) == [6]


@pytest.mark.parametrize("newest_first", [False, True])
def test_one_look_is_bounded(store: Store, newest_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 2: the monitor is never held up by somebody who looks for a needle; what is left is told."""
    monkeypatch.setattr(sqlite, "SCANNED", 4)
    store.add([job(each, "app:needle" if each == 10 else "app:hay") for each in range(1, 12)], token=0)
    selection = Selection(task="app:needle", newest_first=newest_first)
    page, rest = store.select(selection, 3)
    if newest_first:
        assert numbers(page) == [10]
        assert rest == selection._replace(before=job(8).id)
    else:
        assert page == []
        assert rest == selection._replace(after=job(4).id)
    assert numbers(everything(store, selection)) == [10]


def test_a_retried_job_is_as_if_it_had_never_run(store: Store) -> None:
    """design 5: what ended in error waits again, due now, with no death on its account; nothing else does."""
    store.add([job(1)], token=7)
    store.died(job(1).id, token=7)
    store.settle([Outcome(job(1).id, Status.ERROR, b"", "no")], token=7, now=0.0, ttl_s=60.0)
    ended(store, [job(2)])
    store.add([job(3, due=99.0)], token=0)
    assert store.retry([each.id for each in (job(1), job(2), job(3), job(4))], now=50.0) == 1
    (retried,) = everything(store, Selection(before=job(2).id))
    assert (retried.status, retried.due, retried.error, retried.expires, retried.deaths) == (1, 50.0, "", 0.0, 0)
    assert [each.id for each in store.claim(50.0, 10, 8)] == [job(1).id]
    assert store.retry([], now=50.0) == 0


def test_hastened_jobs_are_due_now(store: Store) -> None:
    """design 5: only those that wait and were due later."""
    store.add([job(1, due=99.0), job(2, due=10.0)], token=0)
    ended(store, [job(3, due=99.0)])
    assert store.hasten([job(each).id for each in (1, 2, 3, 4)], now=50.0) == 1
    assert {each.id: each.due for each in store.claim(50.0, 10, 8)} == {job(1).id: 50.0, job(2).id: 10.0}


def test_purged_jobs_are_gone_unless_they_run(store: Store) -> None:
    """design 5: only in the statuses that were meant, and never from under a worker."""
    ended(store, [job(1)])
    ended(store, [job(2)], error="no")
    store.add([job(3)], token=0)
    store.add([job(4)], token=7)
    ids = [job(each).id for each in range(1, 6)]
    assert store.purge(ids, [Status.ERROR, Status.PROCESSING]) == 1
    assert numbers(everything(store, ALL)) == [1, 3, 4]
    assert store.purge(ids, list(Status)) == 2
    assert numbers(everything(store, ALL)) == [4]


def test_counts_are_those_of_the_jobs(store: Store) -> None:
    """design 3: by status; one that nobody has is not there."""
    assert store.counts() == {}
    ended(store, [job(1), job(2)])
    store.add([job(3)], token=0)
    assert store.counts() == {Status.READY: 2, Status.WAITING: 1}
    ended(store, [job(4)], error="no")
    store.add([job(5)], token=7)
    assert store.counts() == {Status.READY: 2, Status.WAITING: 1, Status.ERROR: 1, Status.PROCESSING: 1}
