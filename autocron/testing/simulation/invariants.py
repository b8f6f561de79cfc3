"""Watches a run and tells the oracle: who says what, who runs what, who dies. Promises are checked as things happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from ... import messages
from ...guest import Guest
from ...interface import Body
from ...job import Outcome
from .disk import Disk
from .machine import Actor, Machine, Process, Violation
from .model import FINAL, Model
from .view import ADDRESS
from .wires import End

ORPHAN_S: Final = 3.0  # beyond the grace period


class Witness:
    """See `machine.Witness`."""

    def __init__(self, machine: Machine, disk: Disk, model: Model) -> None:
        self.machine = machine
        self.disk = disk
        self.model = model
        self.durable: set[bytes] = set()  # acknowledged after a sync
        self.full_durability = True
        self.grace_s = 5.0
        self.most_workers = 1
        self.paused = False  # by hand
        self.always: list[tuple[Callable[[], object], str]] = []
        self.counts: Counter[str] = Counter()
        self.states: set[tuple[object, ...]] = set()
        self.latest_wall = machine.clock.time()
        self._first_write: dict[bytes, int] = {}  # job → number of the transaction that stored it
        self._groups: dict[tuple[End, int], list[bytes]] = {}
        self._running: dict[int, bytes] = {}  # worker → job, of the living
        self._spared: dict[int, list[bytes | None]] = {}  # monitor → begun by workers that it has killed
        self._leaving: set[int] = set()  # workers that were asked to end, or said so
        self._fallback: dict[int, list[bytes]] = {}
        model.tell = lambda what: machine.note("store", what)
        disk.written = self.written
        disk.added = self.added
        disk.lost = self.power_cut

    # -- what is said ----------------------------------------------------------------------------------------

    def said(self, end: End, body: Body) -> None:
        kind = body[0]
        if kind == messages.REGISTER:
            self._groups[end, body[1]] = [row[0] for row in body[3]]
            if body[2]:
                self.model.sometimes["registrations are sent again over a new link"] += 1
        elif kind == messages.REGISTERED:
            ids = self._groups.get((end.peer, body[1]), [])
            self._check_durable(ids)
            self.model.acknowledge(ids)
        elif kind == messages.END:
            self._leaving.add(end.pid)
        elif kind == messages.RETIRED:
            assert end.owner is not None
            self._leaving.add(end.owner.pid)
        elif kind == messages.RELEASED:
            assert end.owner is not None
            if self._running.get(end.owner.pid) in body[1]:
                del self._running[end.owner.pid]  # it was interrupted, and is anybody's again
            for id in body[1]:
                self.model.given_back(id, end.owner.pid)
            self.model.sometimes["a worker gives jobs back"] += 1
        elif kind == messages.LOOK:
            assert end.owner is not None
            if isinstance(end.owner.role._registrar, Guest):
                self.model.sometimes["a process that only registers tells a monitor that has just started"] += 1
        elif kind == messages.UNSTORED:
            self.model.sometimes["a full disk is told to who registers"] += 1

    def heard(self, end: End, body: Body) -> None:
        if body[0] == messages.DONE:
            self.model.hears(Outcome._make(body[1]).id)

    def _check_durable(self, ids: list[bytes]) -> None:
        if not self.full_durability:
            return
        if self.disk.synced < self._written_at(ids):
            raise Violation("accepted work is not lost", "a registration is acknowledged before it is synced")
        self.durable.update(ids)

    def _written_at(self, ids: list[bytes]) -> int:
        return max((self._first_write.get(id, 0) for id in ids), default=0)

    # -- what is written -------------------------------------------------------------------------------------

    def written(self, process: Process, method: str) -> None:
        """A process has committed a transaction."""
        if process.kind == "monitor" and process.listener is None:
            raise Violation("one monitor", f"{process.name} writes without holding the lock")
        rows = self.disk.rows()
        if process.kind == "app" and process.was_stopped:
            self.model.forgotten(rows)
        new = self.model.became(rows, self.latest_wall)
        for id in new:
            self._first_write[id] = self.disk.writes
        self.states.add(self.state())
        if method == "save_settings":
            self._look_at_settings()
        if method == "rescue":
            self.model.sometimes["a monitor takes back what its predecessor had claimed"] += 1

    def added(self, process: Process, ids: list[bytes]) -> None:
        """A process has brought jobs, some of which may have been there."""
        if process.kind == "app":
            self._fallback.setdefault(process.pid, []).extend(ids)
            monitors = any(each.listener is not None for each in self.machine.living("monitor"))
            if monitors:
                self.model.sometimes["an application writes past a monitor that is stopped"] += 1
            else:
                self.model.sometimes["without a monitor, the application writes itself"] += 1

    # -- what is done ----------------------------------------------------------------------------------------

    def passed(self, actor: Actor, point: str) -> None:
        process = actor.process
        now = self.machine.clock.time()
        self.latest_wall = max(self.latest_wall, now)
        if point == "worker.run.before":
            self._begins(process)
        elif point == "worker.run.after":
            self._ends(process)
        elif point == "monitor.dispatch.before":
            if self.paused:
                raise Violation("a paused engine begins nothing", f"{process.name} dispatches jobs")
        elif point == "monitor.spawn.after":
            self._count_workers(process)
        elif point == "app.fallback.after":
            ids = self._fallback.pop(process.pid, [])
            self._check_durable(ids)
            self.model.acknowledge(ids)
        for condition, what in self.always:
            if not holds(condition):
                raise Violation("always", what)

    def _begins(self, process: Process) -> None:
        job = process.role.running
        assert process.parent is not None
        self.machine.note(process.name, f"runs {self.model.name(job.id)}")
        living = {pid: id for pid, id in self._running.items() if pid != process.pid}
        self.model.begins(job.id, process.pid, process.parent.pid, living, self.latest_wall)
        self._running[process.pid] = job.id
        if not process.parent.alive:
            self.model.sometimes["a worker outlives its monitor for a moment"] += 1

    def _ends(self, process: Process) -> None:
        id = self._running.pop(process.pid)
        self.model.ends(id)

    def interrupted(self, process: Process) -> None:
        """The job that this worker runs was interrupted."""
        job = process.role.running
        if job is not None:
            self.model.interrupted(job.id)

    def _count_workers(self, monitor: Process) -> None:
        serving = [
            each
            for each in self.machine.living("worker")
            if each.parent is monitor and each.pid not in self._leaving and not each.killed_by_parent
        ]
        if len(serving) > self.most_workers:
            names = ", ".join(each.name for each in serving)
            raise Violation("no more workers than wanted", f"{names} serve; at most {self.most_workers} were wanted")

    def died(self, process: Process) -> None:
        if process.kind == "worker":
            self._running.pop(process.pid, None)
            self.model.worker_died(process.pid)
            if process.killed_by_parent and process.parent is not None:
                if process.begun is not None:
                    self.model.sometimes["a worker does not end within its grace period and is killed"] += 1
                # Its monitor spares the job; a successor that finds it begun cannot know.
                self._spared.setdefault(process.parent.pid, []).append(process.begun)
            else:
                self.model.charge(process.begun)
        elif process.kind == "monitor":
            for begun in self._spared.pop(process.pid, ()):
                self.model.charge(begun)
            self.model.monitor_died(process.pid)

    # -- what time shows -------------------------------------------------------------------------------------

    def power_cut(self) -> None:
        """The disk is as it was a moment ago."""
        self.model.power_cut(self.disk.rows(), self.durable)
        self._look_at_settings()

    def _look_at_settings(self) -> None:
        self.paused = bool(self.disk.store.settings().get("paused", False))
        self.model.sometimes["all is paused by hand"] += self.paused

    def outliving(self) -> list[str]:
        """Processes that should have ended by now."""
        now = self.machine.clock.monotonic()
        applications = [each for each in self.machine.processes if each.kind == "app"]
        last = max((now if each.alive else each.died or 0.0 for each in applications), default=0.0)
        found = []
        for each in self.machine.living("worker"):
            parent = each.parent
            if each.role is None:
                continue  # it has not begun; when it does, it looks for its parent first
            if parent is not None and parent.died is not None and now > max(parent.died, each.born) + ORPHAN_S:
                found.append(f"{each.name} has outlived {parent.name}")
        for each in self.machine.living("monitor"):
            if now > max(last, each.born) + self.grace_s + ORPHAN_S:
                found.append(f"{each.name} has outlived the application")
        return found

    def state(self) -> tuple[Any, ...]:
        """The situation in the large, to count how many different ones were seen."""
        rows = self.model.rows.values()
        return (
            min(3, sum(row.status == 1 for row in rows)),
            min(3, sum(row.status == 2 for row in rows)),
            min(3, sum(row.status in FINAL for row in rows)),
            len(self.machine.living("app")),
            len(self.machine.living("monitor")),
            len(self.machine.living("worker")),
            min(2, len(self._running)),
            ADDRESS in self.machine.listeners,
        )


def holds(condition: Callable[[], object]) -> bool:
    """Whether it is true; a failed assertion in it counts as false."""
    try:
        return bool(condition())
    except AssertionError:
        return False
