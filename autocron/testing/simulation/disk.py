"""The databases of the simulated machine: the real SQLite store, kept between monitors, and what a power cut takes.

One store on `:memory:` per database stays open for the whole run, as the file would stay on the disk; each process
opens a gate to it. A power cut puts back one of the states since the last `sync`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Protocol

from ...errors import StoreBusy, StoreError, StoreFull
from ...stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from .machine import Process

WRITES: Final = frozenset(
    {"add", "settle", "release", "claim", "died", "rescue", "set_entry", "fire", "prune", "save_settings"}
)
MOST_STATES: Final = 50  # since the last sync; older ones of them are as if they were written


class Row(NamedTuple):
    """A job as it stands in the database."""

    id: bytes
    status: int
    token: int
    deaths: int
    due: float
    entry: str
    result: bytes
    error: str
    prune_at: float
    task: str
    payload: bytes


class Trouble(Protocol):
    """Who decides whether a call of the store fails: with one of these words, or "" for not at all."""

    def refuse(self, process: Process, label: str) -> str: ...


class Disk:
    """One database."""

    def __init__(self, *, keeps_states: bool) -> None:
        self.store = SQLiteStore(":memory:")
        self.written: Callable[[Process, str], None] = lambda process, method: None
        self.added: Callable[[Process, list[bytes]], None] = lambda process, ids: None
        self.lost: Callable[[], None] = lambda: None
        self.writes = 0
        self.synced = 0  # how many writes survive a power cut
        self._keeps_states = keeps_states
        self._states: list[tuple[int, bytes]] = []
        self._remember(0)

    @property
    def db(self) -> sqlite3.Connection:
        return self.store._db

    def rows(self) -> dict[bytes, Row]:
        """All jobs."""
        found = self.db.execute(
            "SELECT id, status, token, deaths, due, entry, coalesce(result, x''), coalesce(error, ''),"
            " coalesce(prune_at, 0), task, payload FROM jobs"
        )
        return {row[0]: Row._make(row) for row in found}

    def wrote(self, process: Process, method: str) -> None:
        """A transaction has been committed."""
        self.writes += 1
        self._remember(self.writes)
        self.written(process, method)

    def sync(self) -> None:
        """All that was written is on the disk."""
        self.synced = self.writes
        del self._states[:-1]

    def cut_power(self, choose: Callable[[int], int]) -> None:
        """Back to a state that the disk may have: any since the last sync; 0 is the newest."""
        if not self._keeps_states:
            return
        number, state = self._states[len(self._states) - 1 - choose(len(self._states))]
        self.db.deserialize(state)
        self.writes = self.synced = number
        self._states = [(number, state)]
        self.lost()

    def _remember(self, number: int) -> None:
        if not self._keeps_states:
            return
        self._states.append((number, self.db.serialize()))
        if len(self._states) > MOST_STATES:
            del self._states[1]

    def close(self) -> None:
        self.store.close()


class GatedStore:
    """A process' view of a database. See `autocron.interface.Store`.

    Every method of the real store is there by itself; each call passes the gate, may be refused by the disk, and tells
    what it has written.
    """

    def __init__(self, disk: Disk, process: Process, trouble: Trouble, path: str) -> None:
        self._disk = disk
        self._process = process
        self._trouble = trouble
        self._path = path
        self._enter("open")

    @property
    def written(self) -> int:
        """Grows with each write, as the housekeeping wants to know."""
        return self._disk.writes

    @property
    def pickle_allowed(self) -> bool:
        return self._disk.store.pickle_allowed

    def sync(self) -> None:
        self._enter("sync")
        self._disk.sync()

    def close(self) -> None:
        self._process.machine.check()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._disk.store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            is_sure = self._enter(name)
            before = self._disk.db.total_changes
            result = method(*args, **kwargs)
            if name == "add":
                self._disk.added(self._process, [job.id for job in args[0]])
            if self._disk.db.total_changes != before:
                self._disk.wrote(self._process, name)
            if not is_sure:
                self._fail("unsure")
            return result

        return call

    def _enter(self, method: str) -> bool:
        """Pass the gate; False: the call is done, and fails all the same."""
        machine = self._process.machine
        if machine.running.label:  # a labelled call is a point already
            machine.check()
        else:
            machine.point(f"store.{method}.before")
        reason = self._trouble.refuse(self._process, machine.running.label or f"store.{method}")
        if reason == "unsure" and method == "add":
            return False
        if reason:
            self._fail(reason)
        return True

    def _fail(self, reason: str) -> NoReturn:
        self._process.machine.running.label = ""
        if reason == "busy":
            raise StoreBusy(self._path, "another program holds it locked (simulated)")
        if reason == "full":
            raise StoreFull(self._path, "there is no space left (simulated)")
        raise StoreError(self._path, "disk I/O error (simulated)")
