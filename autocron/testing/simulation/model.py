"""The oracle: what must hold of jobs, as plain dictionaries. It knows nothing of SQL, processes or time.

absent ──add──▶ waiting ⇄ processing ──▶ ready | error ──prune──▶ absent
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ...job import Status
from .disk import Row
from .machine import Violation

WAITING, PROCESSING = Status.WAITING.value, Status.PROCESSING.value
ERROR = Status.ERROR.value
FINAL: Final = (Status.READY.value, ERROR)
MOVES: Final[dict[int | None, set[int | None]]] = {
    None: {WAITING, PROCESSING},
    WAITING: {PROCESSING, WAITING},
    PROCESSING: {WAITING, PROCESSING, *FINAL},
    FINAL[0]: {FINAL[0], None},
    FINAL[1]: {FINAL[1], None},
}

Expected = Callable[[Row], "str"]  # what is wrong with this final row; "" if nothing


@dataclass
class Run:
    """One run of a job by one worker."""

    worker: int
    monitor: int
    ended: bool = False  # the function has returned
    heard: bool = False  # the monitor has read its outcome
    excused: bool = False  # it may be run again: a death, an interruption, a power cut


@dataclass
class Model:
    """What is known, and what follows from it."""

    expected: Expected = lambda row: ""
    max_deaths: Callable[[], int] = lambda: 3
    tell: Callable[[str], None] = lambda what: None
    rows: dict[bytes, Row] = field(default_factory=dict)
    registered: dict[bytes, int] = field(default_factory=dict)  # by which process
    acknowledged: set[bytes] = field(default_factory=set)
    pruned: set[bytes] = field(default_factory=set)
    gone: set[bytes] = field(default_factory=set)  # pruned in time, since the last power cut: they do not come back
    forgiven: set[bytes] = field(default_factory=set)  # somebody has asked for them to be run again
    unwanted: set[bytes] = field(default_factory=set)  # or to be removed
    unloadable: Collection[str] = ()  # tasks that no worker finds
    runs: dict[bytes, list[Run]] = field(default_factory=dict)
    deaths: Counter[bytes] = field(default_factory=Counter)  # of workers that had begun it
    firings: dict[tuple[str, float], bytes] = field(default_factory=dict)
    sometimes: Counter[str] = field(default_factory=Counter)

    # -- rows ------------------------------------------------------------------------------------------------

    def became(self, rows: dict[bytes, Row], now: float) -> list[bytes]:
        """The store has been written; the jobs that are new in it."""
        new = [id for id in rows if id not in self.rows]
        for id, row in rows.items():
            before = self.rows.get(id)
            if before is not row and before != row:
                self._moved(id, before, row)
        for id, before in self.rows.items():
            if id not in rows:
                self._vanished(before, now)
        self.rows = rows
        return new

    def _moved(self, id: bytes, before: Row | None, row: Row) -> None:
        status = None if before is None else before.status
        if status != row.status:
            self.tell(f"{self.name(id)}: {_word(status)} → {_word(row.status)}")
        if before is not None and status == ERROR and row.status == WAITING and id in self.forgiven:
            self._forgive(id)
            return
        if row.status not in MOVES[status]:
            raise Violation("a result only moves forward", f"{self.name(id)}: {status} became {row.status}")
        if before is None:
            if id in self.gone:
                raise Violation("a job is stored once", f"{self.name(id)} came back after its result was removed")
            self._appeared(row)
        elif before.status in FINAL and before != row:
            raise Violation("a result only moves forward", f"{self.name(id)} has changed its result")
        if row.deaths > self.deaths[id]:
            raise Violation(
                "only a job that had begun is charged",
                f"{self.name(id)} is charged with {row.deaths} deaths; {self.deaths[id]} workers died running it",
            )
        if row.status in FINAL and status not in FINAL:
            self._ended(row)

    def _forgive(self, id: bytes) -> None:
        """It ended in error, and begins anew."""
        self.sometimes["a job that ended in error is run again by hand"] += 1
        self.deaths[id] = 0
        for run in self.runs.get(id, ()):
            run.excused = True

    def _appeared(self, row: Row) -> None:
        if row.entry:
            firing = row.entry, row.due
            if self.firings.setdefault(firing, row.id) != row.id:
                raise Violation("one firing per fire time", f"{row.entry} at {row.due} has a second job")

    def _ended(self, row: Row) -> None:
        if "the worker died" in row.error:
            self.sometimes["a poisonous job is given up"] += 1
        elif not any(run.ended for run in self.runs.get(row.id, ())):
            raise Violation("results are true", f"{self.name(row.id)} has a result, and was never run to its end")
        if wrong := self.expected(row):
            raise Violation("results are true", f"{self.name(row.id)}: {wrong}")

    def forgotten(self, rows: Collection[bytes]) -> None:
        """An application was stopped before it knew of what is stored: it may bring what was done and removed since."""
        for id in self.pruned.intersection(rows).difference(self.rows):
            self.gone.discard(id)
            for run in self.runs.get(id, ()):
                run.excused = True

    def _vanished(self, before: Row, now: float) -> None:
        if before.id in self.unwanted and before.status != PROCESSING:
            # It is not gone: what was written past a stopped monitor may still be on its way to it.
            self.sometimes["a job is removed by hand"] += 1
        elif before.status not in FINAL or before.prune_at > now:
            raise Violation("accepted work is not lost", f"{self.name(before.id)} was removed before its time")
        else:
            self.sometimes["a result is removed when its time is over"] += 1
            self.gone.add(before.id)
        self.pruned.add(before.id)

    # -- registrations ---------------------------------------------------------------------------------------

    def acknowledge(self, ids: Iterable[bytes]) -> None:
        """Somebody was told that these are safe."""
        for id in ids:
            if id not in self.rows and id not in self.pruned:
                raise Violation("accepted work is not lost", f"{self.name(id)} is acknowledged and not stored")
            self.acknowledged.add(id)

    def power_cut(self, rows: dict[bytes, Row], durable: Collection[bytes]) -> None:
        """The disk has an earlier state; what was acknowledged with a sync must be in it."""
        for id in durable:
            if id not in rows and id not in self.pruned:
                raise Violation("accepted work is not lost", f"{self.name(id)} was acknowledged before a power cut")
        self.sometimes["a power cut takes back what was not synced"] += rows != self.rows
        self.rows = rows
        self.acknowledged.intersection_update({*rows, *self.pruned})
        self.pruned.difference_update(rows)
        for row in rows.values():  # it is as before it was forgiven by hand
            self.deaths[row.id] = max(self.deaths[row.id], row.deaths)
        self.gone.clear()
        self.firings = {(row.entry, row.due): row.id for row in rows.values() if row.entry}
        for runs in self.runs.values():
            for run in runs:
                run.excused = True

    # -- runs ------------------------------------------------------------------------------------------------

    def begins(self, id: bytes, worker: int, monitor: int, living: Mapping[int, bytes], now: float) -> None:
        """A worker begins to run a job; `living`: what other living workers run."""
        row = self.rows.get(id)
        for other, job in living.items():
            if job == id and other != worker:
                raise Violation("a job runs in one worker at a time", f"{self.name(id)}: workers {other} and {worker}")
        if row is not None and row.due > now:
            raise Violation("nothing runs before it is due", f"{self.name(id)} runs {row.due - now:.3f} s early")
        if row is not None and row.deaths >= self.max_deaths():
            raise Violation("a poisonous job is given up", f"{self.name(id)} is run after {row.deaths} deaths")
        runs = self.runs.setdefault(id, [])
        if runs and not runs[-1].excused:
            raise Violation(
                "a job runs once where nothing fails", f"{self.name(id)} is run again, although nobody had died"
            )
        if runs:
            self.sometimes["an interrupted job is run again"] += 1
        runs.append(Run(worker, monitor))

    def ends(self, id: bytes) -> None:
        """Its function has returned or raised."""
        self.runs[id][-1].ended = True

    def hears(self, id: bytes) -> None:
        """The monitor has read the outcome."""
        if self.runs.get(id):
            self.runs[id][-1].heard = True

    def interrupted(self, id: bytes) -> None:
        """The grace was over while it ran."""
        self.runs[id][-1].excused = True
        self.sometimes["a job is interrupted at the end of the grace period"] += 1

    def given_back(self, id: bytes, worker: int) -> None:
        """A worker says that it has not run it; of what it has begun, this is only so where it finds no such task."""
        row = self.rows.get(id)
        if row is not None and row.task in self.unloadable:
            for run in self.runs.get(id, ()):
                run.excused = run.excused or run.worker == worker

    def charge(self, begun: bytes | None) -> None:
        """A worker died while this had begun and not ended, and nobody had ended it on purpose."""
        if begun is not None:
            self.deaths[begun] += 1

    def worker_died(self, worker: int) -> None:
        """A worker is no more."""
        for runs in self.runs.values():
            for run in runs:
                if run.worker == worker and not run.heard:
                    run.excused = True

    def monitor_died(self, monitor: int) -> None:
        """A monitor is no more: what it had not stored is run again."""
        for id, runs in self.runs.items():
            row = self.rows.get(id)
            if row is not None and row.status not in FINAL:
                for run in runs:
                    if run.monitor == monitor:
                        run.excused = True

    # -- the end ---------------------------------------------------------------------------------------------

    def unsettled(self, sure: Collection[bytes], now: float) -> list[str]:
        """What is due, must be there, and has no result; `sure`: jobs whose process did not crash."""
        missing = [
            f"{self.name(id)} is lost"
            for id in sorted({*self.acknowledged, *sure})
            if id not in self.rows and id not in self.pruned
        ]
        stuck = [
            f"{self.name(row.id)} is {Status(row.status).name.lower()}"
            for row in self.rows.values()
            if row.status not in FINAL and row.due <= now
        ]
        return missing + stuck

    def name(self, id: bytes) -> str:
        """A job in the words of a report."""
        row = self.rows.get(id)
        return f"job {id.hex()[8:18]}" + (f" ({row.task.rpartition(':')[2]})" if row is not None else "")


def _word(status: int | None) -> str:
    return "absent" if status is None else Status(status).name.lower()
