"""The store as plain dictionaries: the oracle that every real store is compared with.

Nothing here is fast or safe. It says in the fewest words what each method of `autocron.interface.Store` means.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..job import EntryState, Firing, Job, Outcome, Selection, Status, Stored

WAITING, PROCESSING, READY, ERROR, _ = map(int, Status)


@dataclass(slots=True)
class Row:
    """A job and what has become of it."""

    job: Job
    status: int
    token: int
    result: bytes = b""
    error: str = ""
    prune_at: float = 0.0

    def is_held(self, token: int) -> bool:
        """Whether this token has claimed it."""
        return self.status == PROCESSING and self.token == token

    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.status in (READY, ERROR)

    def wait(self, **changes: Any) -> None:
        """It waits (again)."""
        self.job = self.job._replace(**changes)
        self.status, self.token, self.result, self.error, self.prune_at = WAITING, 0, b"", "", 0.0

    def stored(self) -> Stored:
        """What others see of it."""
        job = self.job
        ending = self.result, self.error, self.prune_at
        return Stored(job.id, job.task, job.payload, job.due, self.status, *ending, job.deaths, job.entry)


class ModelStore:
    """See `autocron.interface.Store`."""

    pickle_allowed = True
    written = 0

    def __init__(self) -> None:
        self.rows: dict[bytes, Row] = {}
        self.known: dict[str, EntryState] = {}
        self.values: dict[str, Any] = {}

    # -- jobs ------------------------------------------------------------------------------------------------

    def add(self, jobs: Sequence[Job], *, token: int) -> Sequence[Job]:
        new = {}
        for job in jobs:
            if job.id not in self.rows:
                new[job.id] = job
                self.rows[job.id] = Row(job, PROCESSING if token else WAITING, token)
        return list(new.values())

    def sync(self) -> None: ...

    def claim(self, now: float, limit: int, token: int, *, enough_bytes: int = sys.maxsize) -> list[Job]:
        due = [row for row in self.rows.values() if row.status == WAITING and row.job.due <= now]
        due.sort(key=lambda row: (row.job.priority, row.job.due, row.job.id))
        claimed: list[Job] = []
        for row in due[:limit]:
            if sum(len(job.payload) for job in claimed) >= enough_bytes:
                break
            row.status, row.token = PROCESSING, token
            claimed.append(row.job)
        return claimed

    def settle(self, outcomes: Sequence[Outcome], *, token: int, now: float, ttl_s: float) -> None:
        for each in outcomes:
            for row in self._held([each.id], token):
                row.status, row.result, row.error, row.prune_at = each.status, each.result, each.error, now + ttl_s

    def release(self, ids: Sequence[bytes], *, token: int) -> None:
        for row in self._held(ids, token):
            row.wait()

    def died(self, id: bytes, *, token: int) -> int:
        for row in self._held([id], token):
            row.job = row.job._replace(deaths=row.job.deaths + 1)
        return self.rows[id].job.deaths if id in self.rows else 0

    def rescue(self, begun: Sequence[bytes], *, token: int) -> list[Job]:
        rescued = []
        for row in self._found(begun):
            if row.status == PROCESSING and row.token != token:
                row.job, row.token = row.job._replace(deaths=row.job.deaths + 1), token
                rescued.append(row.job)
        for row in self.rows.values():
            if row.status == PROCESSING and row.token != token:
                row.wait()
        return rescued

    def next_due(self) -> float | None:
        return min((row.job.due for row in self.rows.values() if row.status == WAITING), default=None)

    def _found(self, ids: Iterable[bytes]) -> Iterator[Row]:
        return (self.rows[id] for id in ids if id in self.rows)

    def _held(self, ids: Iterable[bytes], token: int) -> Iterator[Row]:
        return (row for row in self._found(ids) if row.is_held(token))

    # -- cron ------------------------------------------------------------------------------------------------

    def entries(self) -> list[EntryState]:
        return [self.known[key] for key in sorted(self.known)]

    def set_entry(self, key: str, spec: str, last_fire: float) -> None:
        last_job = self.known[key].last_job if key in self.known else b""
        self.known[key] = EntryState(key, spec, last_fire, last_job)

    def fire(self, firings: Sequence[Firing], *, token: int) -> list[Job]:
        new = []
        for key, at, job in firings:
            entry = self.known.get(key)
            if entry is None or entry.last_fire >= at:
                continue
            self.known[key] = entry._replace(last_fire=at, last_job=entry.last_job if job is None else job.id)
            if job is not None and job.id not in self.rows:
                self.rows[job.id] = Row(job, PROCESSING, token)
                new.append(job)
        return new

    # -- results ---------------------------------------------------------------------------------------------

    def unfinished(self, id: bytes) -> bool:
        return id in self.rows and not self.rows[id].is_final()

    def result(self, id: bytes) -> Stored | None:
        return self.rows[id].stored() if id in self.rows else None

    def results(self, after: bytes, limit: int) -> list[Stored]:
        return [self.rows[id].stored() for id in sorted(self.rows) if id > after][:limit]

    def counts(self) -> dict[int, int]:
        statuses = [row.status for row in self.rows.values()]
        return {status: statuses.count(status) for status in set(statuses)}

    def next_prune(self) -> float | None:
        return min((row.prune_at for row in self.rows.values() if row.is_final()), default=None)

    def prune(self, now: float, limit: int) -> int:
        over = sorted((row.prune_at, id) for id, row in self.rows.items() if row.is_final() and row.prune_at <= now)
        for _, id in over[:limit]:
            del self.rows[id]
        return len(over[:limit])

    # -- by hand ---------------------------------------------------------------------------------------------

    def select(
        self, selection: Selection, limit: int, *, with_payloads: bool = True
    ) -> tuple[list[Stored], Selection | None]:
        statuses = selection.statuses or tuple(map(int, Status))
        between = [id for id in self.rows if selection.after < id < selection.before]
        between.sort(reverse=selection.newest_first)
        rows = [self.rows[id].stored() for id in between]
        if not with_payloads:
            rows = [row._replace(payload=b"", result=b"") for row in rows]
        found = [row for row in rows if row.status in statuses and fnmatchcase(row.task, selection.task)][:limit]
        return found, selection.beyond(found[-1].id) if len(found) == limit else None

    def retry(self, ids: Sequence[bytes], *, now: float) -> int:
        again = [row for row in self._found(dict.fromkeys(ids)) if row.status == ERROR]
        for row in again:
            row.wait(due=now, deaths=0, attempt=1, expires=0.0)
        return len(again)

    def hasten(self, ids: Sequence[bytes], *, now: float) -> int:
        later = [row for row in self._found(dict.fromkeys(ids)) if row.status == WAITING and row.job.due > now]
        for row in later:
            row.wait(due=now)
        return len(later)

    def purge(self, ids: Sequence[bytes], statuses: Sequence[int]) -> int:
        gone = [row for row in self._found(dict.fromkeys(ids)) if row.status in statuses and row.status != PROCESSING]
        for row in gone:
            del self.rows[row.job.id]
        return len(gone)

    # -- settings --------------------------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        return dict(self.values)

    def save_settings(self, values: Mapping[str, Any]) -> None:
        self.values.update(values)

    def tidy(self) -> bool:
        return False

    def close(self) -> None: ...
