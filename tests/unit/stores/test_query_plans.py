"""How SQLite finds what is asked for: by an index, however many jobs there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from autocron.job import Firing, Job, Outcome, Selection, Status
from autocron.stores.connection import MEMORY
from autocron.stores.sqlite import SQLiteStore

ONE = (1).to_bytes(16, "big")
JOB = Job(ONE, "app:task", b"payload", 1.0)

CALLS: dict[str, Callable[[SQLiteStore], Any]] = {
    "add": lambda store: store.add([JOB, JOB._replace(id=bytes(16))], token=7),
    "claim": lambda store: store.claim(2.0, 10, 7),
    "next_due": lambda store: store.next_due(),
    "settle": lambda store: store.settle([Outcome(ONE, Status.READY.value)], token=7, now=1.0, ttl_s=1.0),
    "release": lambda store: store.release([ONE], token=7),
    "died": lambda store: store.died(ONE, token=7),
    "rescue": lambda store: store.rescue([ONE], token=8),
    "fire": lambda store: store.fire([Firing("a#0", 1.0, JOB)], token=7),
    "unfinished": lambda store: store.unfinished(ONE),
    "result": lambda store: store.result(ONE),
    "results": lambda store: store.results(ONE, 10),
    "counts": lambda store: store.counts(),
    "next_prune": lambda store: store.next_prune(),
    "prune": lambda store: store.prune(1.0, 10),
    "select": lambda store: store.select(Selection(), 10),
    "retry": lambda store: store.retry([ONE], now=1.0),
    "hasten": lambda store: store.hasten([ONE], now=1.0),
    "purge": lambda store: store.purge([ONE], [Status.WAITING.value]),
}
INDEX_ALONE = {"next_due", "counts", "next_prune"}  # the rows, and with them the payloads, are not read
WHOLE_INDEX = {"counts", "rescue"}  # all that wait or have ended are counted; all that are processed are rescued


def plans(store: SQLiteStore, method: str) -> set[str]:
    """What SQLite does for a call, in the words of EXPLAIN QUERY PLAN."""
    statements: list[str] = []
    store._db.set_trace_callback(statements.append)
    CALLS[method](store)
    store._db.set_trace_callback(None)
    looking = [each for each in statements if each.split()[0] in ("SELECT", "WITH", "UPDATE", "DELETE", "INSERT")]
    assert looking
    return {row[3] for each in looking for row in store._db.execute(f"EXPLAIN QUERY PLAN {each}")}


@pytest.fixture
def store() -> Iterator[SQLiteStore]:
    """A store with a job and an entry."""
    store = SQLiteStore(MEMORY)
    store.add([JOB], token=0)
    store.set_entry("a#0", "* * * * *", 0.0)
    yield store
    store.close()


@pytest.mark.parametrize("method", CALLS)
def test_no_method_looks_at_more_rows_than_it_needs(store: SQLiteStore, method: str) -> None:
    """Design 5: partial indexes; a million jobs cost no more than ten."""
    for plan in plans(store, method):
        if " jobs" in plan:
            assert plan.startswith("SEARCH") or method in WHOLE_INDEX, plan
            assert "PRIMARY KEY" in plan or " INDEX " in plan, plan
            assert "COVERING INDEX" in plan or method not in INDEX_ALONE, plan
        assert "TEMP B-TREE" not in plan or method == "counts", plan  # there it holds two rows


def test_every_method_that_looks_at_jobs_is_looked_at() -> None:
    """A new method gets its row in the table."""
    others = {"close", "entries", "save_settings", "set_entry", "settings", "sync", "tidy"}
    assert {name for name in vars(SQLiteStore) if not name.startswith("_")} - others == set(CALLS)
