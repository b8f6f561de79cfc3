"""The store on a SQLite file: the statements. See connection.py for how they are made durable."""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from math import inf
from typing import Any, Final

from ..job import EntryState, Firing, Job, Outcome, Selection, Status, Stored
from .connection import Connection
from .errors import translated

logger = logging.getLogger("autocron.stores")

SCANNED: Final = 10_000  # jobs that one `select` looks at: some 10 ms
PAGE_BYTES: Final = 1 << 20  # after which a page is full

LATEST: Final = 253402214400.0  # UTC epoch seconds; later than that no datetime is

COLUMNS: Final = "id, task, payload, due, priority, queue, attempt, max_attempts, timeout_s, expires, entry, deaths"
INSERT: Final = (
    f"INSERT INTO jobs({COLUMNS}, status, token)"
    " VALUES(?, CAST(? AS TEXT), ?, ?, ?, CAST(? AS TEXT), ?, ?, ?, ?, CAST(? AS TEXT), ?, ?, ?)"
    " ON CONFLICT(id) DO NOTHING"
)
SETTLE: Final = (
    "UPDATE jobs SET status = ?, result = ?, error = CAST(? AS TEXT), prune_at = ?"
    " WHERE id = ? AND status = 2 AND token = ?"
)
RELEASE: Final = "UPDATE jobs SET status = 1, token = 0 WHERE id = ? AND status = 2 AND token = ?"
RETRY: Final = (
    "UPDATE jobs SET status = 1, token = 0, due = ?, deaths = 0, attempt = 1, expires = 0, result = NULL, error = NULL,"
    " prune_at = NULL WHERE id = ? AND status = 4"
)
# What another program has written may be of any type in any column. Nobody who asks is to fail for it.
STORED: Final = (
    "SELECT id, CAST(task AS TEXT), CAST(payload AS BLOB), CAST(due AS REAL), CAST(status AS INTEGER),"
    " CAST(coalesce(result, x'') AS BLOB), CAST(coalesce(error, '') AS TEXT),"
    f" min(CAST(coalesce(prune_at, 0) AS REAL), {LATEST}), CAST(deaths AS INTEGER), CAST(entry AS TEXT) FROM jobs"
)
BARE: Final = STORED.replace("CAST(payload AS BLOB)", "x''").replace("CAST(coalesce(result, x'') AS BLOB)", "x''")
ENTRIES: Final = (
    "SELECT CAST(key AS TEXT), CAST(spec AS TEXT), CAST(last_fire AS REAL), CAST(last_job AS BLOB) FROM entries"
    " ORDER BY key"
)
NAMELESS: Final = (
    "UPDATE jobs SET status = 4, error = 'its id is not binary', prune_at = ?"
    " WHERE status = 1 AND due <= ? AND typeof(id) != 'blob'"
)
COUNTS: Final = (  # each from an index alone: the table holds the payloads
    "SELECT 1, count(*) FROM jobs INDEXED BY waiting WHERE status = 1"
    " UNION ALL SELECT 2, count(*) FROM jobs INDEXED BY processing WHERE status = 2"
    " UNION ALL SELECT status, count(*) FROM jobs INDEXED BY finished WHERE status >= 3 GROUP BY status"
)
FIRST_PRIORITY: Final = "SELECT min(priority) FROM jobs WHERE status = 1 AND priority > ?"
DUE: Final = f"SELECT {COLUMNS} FROM jobs WHERE status = 1 AND priority = ? AND due <= ? ORDER BY due, id LIMIT ?"
NEXT_DUE: Final = (
    "WITH RECURSIVE p(priority) AS (SELECT min(priority) FROM jobs WHERE status = 1 UNION ALL"
    " SELECT (SELECT min(priority) FROM jobs WHERE status = 1 AND jobs.priority > p.priority)"
    " FROM p WHERE p.priority IS NOT NULL)"
    " SELECT min((SELECT min(due) FROM jobs WHERE status = 1 AND jobs.priority = p.priority)) FROM p"
)
PRUNE: Final = (
    "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE status >= 3 AND prune_at <= ?"
    " ORDER BY prune_at, id LIMIT ?)"
)


class SQLiteStore(Connection):
    """See `autocron.interface.Store`."""

    _is_odd = False  # jobs whose due time is no number have been told of

    # -- jobs ------------------------------------------------------------------------------------------------

    def add(self, jobs: Sequence[Job], *, token: int) -> Sequence[Job]:
        status = Status.PROCESSING.value if token else Status.WAITING.value
        with self._transaction() as db:
            if _run_each(db, INSERT, [(*job, status, token) for job in jobs]) < len(jobs):
                db.execute("ROLLBACK")
                db.execute("BEGIN IMMEDIATE")
                jobs = _absent(db, jobs)
                _run_each(db, INSERT, [(*job, status, token) for job in jobs])
        with translated(self.path):
            self._check()  # again, before anybody is told that they are safe
        return jobs

    def claim(self, now: float, limit: int, token: int, *, enough_bytes: int = sys.maxsize) -> list[Job]:
        jobs: list[Job] = []
        size = 0
        with self._transaction() as db:
            priority = -(1 << 63)
            while len(jobs) < limit and size < enough_bytes:
                # One range per priority: a single range would have to pass all that is not due yet.
                (priority,) = db.execute(FIRST_PRIORITY, (priority,)).fetchone()
                if priority is None:
                    break
                for job in map(Job._make, db.execute(DUE, (priority, now, limit - len(jobs)))):
                    jobs.append(job)
                    size += len(job.payload) if isinstance(job.payload, bytes) else 0  # by another program, anything
                    if size >= enough_bytes:
                        break
            if not all(isinstance(job.id, bytes) for job in jobs):
                jobs = [job for job in jobs if isinstance(job.id, bytes)]
                count = db.execute(NAMELESS, (now, now)).rowcount
                logger.error("%s: %d jobs cannot be run, because their id is not binary", self.path, count)
            db.executemany("UPDATE jobs SET status = 2, token = ? WHERE id = ?", [(token, job.id) for job in jobs])
        return jobs

    def settle(self, outcomes: Sequence[Outcome], *, token: int, now: float, ttl_s: float) -> None:
        prune_at = now + ttl_s
        with self._transaction() as db:
            _run_each(
                db, SETTLE, [(each.status, each.result, each.error, prune_at, each.id, token) for each in outcomes]
            )

    def release(self, ids: Sequence[bytes], *, token: int) -> None:
        with self._transaction() as db:
            db.executemany(RELEASE, [(id, token) for id in ids])

    def died(self, id: bytes, *, token: int) -> int:
        with self._transaction() as db:
            db.execute("UPDATE jobs SET deaths = deaths + 1 WHERE id = ? AND status = 2 AND token = ?", (id, token))
            row = db.execute("SELECT deaths FROM jobs WHERE id = ?", (id,)).fetchone()
        return int(row[0]) if row else 0

    def rescue(self, begun: Sequence[bytes], *, token: int) -> list[Job]:
        rescued: list[Job] = []
        with self._transaction() as db:
            for id in begun:
                changed = db.execute(
                    "UPDATE jobs SET deaths = deaths + 1, token = ? WHERE id = ? AND status = 2 AND token != ?",
                    (token, id, token),
                ).rowcount
                if changed:
                    row = db.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (id,)).fetchone()
                    rescued.append(Job._make(row))
            db.execute("UPDATE jobs SET status = 1, token = 0 WHERE status = 2 AND token != ?", (token,))
        return rescued

    def next_due(self) -> float | None:
        with translated(self.path):
            (first,) = self._db.execute(NEXT_DUE).fetchone()
        if first is not None and not isinstance(first, float) and not self._is_odd:
            self._is_odd = True
            logger.error("%s: jobs whose due time is no number (%.50r) are never due", self.path, first)
        return _moment(first)

    # -- cron ------------------------------------------------------------------------------------------------

    def entries(self) -> list[EntryState]:
        with translated(self.path):
            rows = self._db.execute(ENTRIES).fetchall()
        return [EntryState._make(row) for row in rows]

    def set_entry(self, key: str, spec: str, last_fire: float) -> None:
        with self._transaction() as db:
            db.execute(
                "INSERT INTO entries(key, spec, last_fire, last_job) VALUES(CAST(? AS TEXT), ?, ?, x'')"
                " ON CONFLICT(key) DO UPDATE SET spec = excluded.spec, last_fire = excluded.last_fire",
                (_encoded(key), spec, last_fire),
            )

    def fire(self, firings: Sequence[Firing], *, token: int) -> list[Job]:
        new: list[Job] = []
        with self._transaction() as db:
            for key, at, job in firings:
                # The row decides: a fire time that is not later than the last one has had its job.
                changed = db.execute(
                    "UPDATE entries SET last_fire = ?, last_job = coalesce(?, last_job)"
                    " WHERE key = CAST(? AS TEXT) AND CAST(last_fire AS REAL) < ?",
                    (at, None if job is None else job.id, _encoded(key), at),
                ).rowcount
                # And the job: when the clock was set back, the same fire time comes again.
                if changed and job is not None and _run_each(db, INSERT, [(*job, Status.PROCESSING.value, token)]):
                    new.append(job)
        return new

    def unfinished(self, id: bytes) -> bool:
        with translated(self.path):
            row = self._db.execute("SELECT status FROM jobs WHERE id = ?", (id,)).fetchone()
        return row is not None and row[0] in (Status.WAITING, Status.PROCESSING)

    # -- results ---------------------------------------------------------------------------------------------

    def result(self, id: bytes) -> Stored | None:
        with translated(self.path):
            row = self._db.execute(f"{STORED} WHERE id = ?", (id,)).fetchone()
        return None if row is None else Stored._make(row)

    def results(self, after: bytes, limit: int) -> list[Stored]:
        with translated(self.path):
            return self._page(f"{STORED} WHERE id > ? ORDER BY id LIMIT ?", (after, limit))[0]

    def _page(self, query: str, arguments: Sequence[Any]) -> tuple[list[Stored], bool]:
        """What one message can well hold, at least one row, without reading more; whether there may be more."""
        found: list[Stored] = []
        size = 0
        with closing(self._db.execute(query, arguments)) as rows:
            for row in rows:
                found.append(each := Stored._make(row))
                size += len(each.payload) + len(each.result) + len(each.error)
                if size > PAGE_BYTES:
                    return found, True
        return found, False

    def select(
        self, selection: Selection, limit: int, *, with_payloads: bool = True
    ) -> tuple[list[Stored], Selection | None]:
        order = "DESC" if selection.newest_first else "ASC"
        statuses = selection.statuses or tuple(Status)
        between = (selection.after, selection.before)
        with translated(self.path):
            last = self._db.execute(
                f"SELECT id FROM jobs WHERE id > ? AND id < ? ORDER BY id {order} LIMIT 1 OFFSET ?",
                (*between, SCANNED - 1),
            ).fetchone()
            looked_at = "" if last is None else f"AND id {'>=' if selection.newest_first else '<='} ?"
            columns = STORED if with_payloads else BARE
            found, is_full = self._page(
                f"{columns} WHERE id > ? AND id < ? {looked_at} AND CAST(task AS TEXT) GLOB CAST(? AS TEXT)"
                f" AND status IN ({', '.join('?' * len(statuses))}) ORDER BY id {order} LIMIT ?",
                (*between, *(last or ()), _encoded(selection.task), *map(int, statuses), limit),
            )
        if is_full or len(found) == limit:
            return found, selection.beyond(found[-1].id)
        return found, None if last is None else selection.beyond(last[0])

    def retry(self, ids: Sequence[bytes], *, now: float) -> int:
        with self._transaction() as db:
            return db.executemany(RETRY, [(now, id) for id in ids]).rowcount

    def hasten(self, ids: Sequence[bytes], *, now: float) -> int:
        hasten = "UPDATE jobs SET due = ? WHERE id = ? AND status = 1 AND due > ?"
        with self._transaction() as db:
            return db.executemany(hasten, [(now, id, now) for id in ids]).rowcount

    def purge(self, ids: Sequence[bytes], statuses: Sequence[int]) -> int:
        purge = "DELETE FROM jobs WHERE id = ? AND status = ? AND status != 2"
        with self._transaction() as db:
            return db.executemany(purge, [(id, int(status)) for id in ids for status in statuses]).rowcount

    def counts(self) -> dict[int, int]:
        with translated(self.path):
            return {status: count for status, count in self._db.execute(COUNTS) if count}

    def next_prune(self) -> float | None:
        with translated(self.path):
            (first,) = self._db.execute("SELECT min(prune_at) FROM jobs WHERE status >= 3").fetchone()
        return _moment(first)

    def prune(self, now: float, limit: int) -> int:
        with self._transaction() as db:
            return db.execute(PRUNE, (now, limit)).rowcount

    # -- settings --------------------------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        with translated(self.path):
            rows = self._db.execute("SELECT CAST(name AS TEXT), CAST(value AS TEXT) FROM settings").fetchall()
        values = {}
        for name, value in rows:
            try:
                values[name] = json.loads(value)
            except (ValueError, RecursionError):  # somebody wrote it by hand
                logger.warning("%s: the setting %s=%.100s is not JSON and is passed over", self.path, name, value)
        return values

    def save_settings(self, values: Mapping[str, Any]) -> None:
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO settings(name, value) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
                [(name, json.dumps(value)) for name, value in values.items()],
            )


def _moment(first: object) -> float | None:
    """The smallest of a column of times: numbers come before all else, so it is one unless there is none."""
    return first if isinstance(first, float) and first < inf else None


def _absent(db: sqlite3.Connection, jobs: Sequence[Job]) -> list[Job]:
    """Those of the jobs that are not in the store, each once."""
    once: dict[bytes, Job] = {}
    for job in jobs:
        once.setdefault(job.id, job)
    return [job for job in once.values() if db.execute("SELECT 1 FROM jobs WHERE id = ?", (job.id,)).fetchone() is None]


def _run_each(db: sqlite3.Connection, sql: str, rows: list[tuple[Any, ...]]) -> int:
    """Execute it for each row; how many changed."""
    try:
        return db.executemany(sql, rows).rowcount
    except UnicodeEncodeError:
        # Those before it are done already, and doing them again changes nothing.
        encoded = [tuple(_encoded(each) if isinstance(each, str) else each for each in row) for row in rows]
        return db.executemany(sql, encoded).rowcount


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
