"""What a simulated process sees of its machine. See `autocron.interface.Spawner`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, Protocol, cast

from ...interface import Background, Bell, Channel, Event, Interface, Listener, Source, Stop
from ..channels import MemorySource
from . import wires
from .machine import Machine, Process

ADDRESS: Final = "/simulated/app.db"
LONGEST_POLL_S: Final = 60.0  # of a process whose timer does not notice that the clock is set


class Boot(Protocol):
    """Who gives new processes something to do, and decides whether and when they begin."""

    def boot(self, process: Process, address: str) -> None: ...
    def delay_of(self, role: str) -> float: ...


class View:
    """See `autocron.interface.Spawner`."""

    in_process = True

    def __init__(self, machine: Machine, process: Process, boot: Boot) -> None:
        self.machine = machine
        self.process = process
        self._boot = boot
        self._begun: dict[Channel, bytes | None] = {}

    def inhabit(self, interface: Interface) -> None:
        """Each process has a world of its own: see roles.py."""

    def locate(self, database_file: str | Path) -> str:
        return str(database_file)

    def spawn(self, role: str, address: str, spec: Mapping[str, Any]) -> Channel:
        """Start a process; OSError if chance says that the machine has no room for it."""
        self.machine.check()
        delay_s = self._boot.delay_of(role)
        child = self.machine.process(role, self.process)
        ours, theirs = wires.pair(self.process, child.pid, child, self.process.pid)
        self.process.ends.append(ours)
        child.ends.append(theirs)
        child.channel = theirs
        self.machine.note(self.process.name, f"spawns {child.name}")
        self.machine.start(child, "main", lambda: self._boot.boot(child, address), delay_s)
        return ours

    def listen(self, address: str) -> Listener | None:
        self.machine.check()
        if address in self.machine.listeners:
            return None
        listener = wires.Listener(self.process, address)
        self.machine.listeners[address] = self.process.listener = listener
        return listener

    def connect(self, address: str) -> Channel | None:
        self.machine.check()
        listener = self.machine.listeners.get(address)
        if listener is None:
            return None
        ours, theirs = wires.pair(self.process, 0, None, self.process.pid)
        self.process.ends.append(ours)
        listener.arrived.append(theirs)
        return ours

    def starting(self, address: str) -> AbstractContextManager[object]:
        return self.machine.starters.setdefault(address, wires.Mutex(self.process))

    def wait(self, sources: Sequence[Source], until: float | None) -> list[Event]:
        process, clock = self.process, self.machine.clock
        due = cast("Sequence[MemorySource]", sources)
        process.clock_set = False
        self.machine.point(f"{process.kind}.wait")
        exact = process.kind == "monitor"

        def is_due() -> bool:
            return (
                any(each.is_due() for each in due)
                or bool(process.exits)
                or process.stop_requested
                or (exact and process.clock_set)
            )

        at = None
        if until is not None:
            remaining_s = max(0.0, until - clock.time())
            at = clock.monotonic() + (remaining_s if exact else min(remaining_s, LONGEST_POLL_S))
        self.machine.block(is_due, at)
        events: list[Event] = []
        if process.stop_requested:
            process.stop_requested = False
            events.append(Stop())
        for each in due:
            events += each.events()
        for ended in process.exits[:]:
            end = cast("wires.End", ended.channel)
            if end in due and end.inbox:
                continue  # a finished outcome is still in the channel: it is read to the end first
            process.exits.remove(ended)
            end.close()
            self._begun[end] = _emptied(end)
            events.append(ended)
        return events

    def kill(self, channel: Channel) -> None:
        self.machine.check()
        for each in self.machine.living():
            if each.channel is not None and each.channel.peer is channel:
                each.killed_by_parent = True
                self.machine.kill(each)

    def begin(self, job: bytes | None) -> None:
        self.machine.point("worker.begin")
        self.process.begun = job

    def begun(self, channel: Channel) -> bytes | None:
        self.machine.check()
        return self._begun.pop(channel, None)

    def orphans(self) -> list[bytes]:
        self.machine.point("monitor.orphans")
        begun = []
        for each in self.machine.processes:
            if each.kind == "worker" and each.parent is not self.process:
                self.machine.kill(each)
                if each.begun is not None:
                    begun.append(each.begun)
                each.begun = None
        return begun

    def bell(self) -> Bell:
        return wires.Bell(self.process)

    def background(self, step: Callable[[], bool], bell: Bell) -> Background | None:
        return Stepping(self.machine, self.process, step)

    def mutex(self) -> AbstractContextManager[object]:
        return wires.Mutex(self.process)

    def describe(self) -> Mapping[str, Any]:
        return {"pid": self.process.pid, "directory": "/"}

    def on_fork(
        self, in_child: Callable[[], None], *, guard: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        """A thread cannot be copied, so forks are left to the tests with real processes."""

    def notice_fork(self) -> None:
        """As above."""

    def on_exit(self, callback: Callable[[], None]) -> None:
        self.process.on_exit.append(callback)

    def reach(self, point: str) -> None:
        """A labelled point."""
        label, _, side = point.rpartition(".")
        actor = self.machine.running
        actor.label = ""
        self.machine.point(point)
        if side == "before":
            actor.label = label


def _emptied(end: wires.End) -> bytes | None:
    """What the slot of a dead worker says; it is free for the next one then."""
    worker = end.peer.owner
    assert worker is not None
    begun, worker.begun = worker.begun, None
    return begun


class Stepping:
    """See `autocron.interface.Background`: a thread that steps, and tells those who wait after each step."""

    def __init__(self, machine: Machine, process: Process, step: Callable[[], bool]) -> None:
        self._machine = machine
        self._step = step
        self._steps = 0
        self._stopped = False
        machine.start(process, "background", self._run)

    def _run(self) -> None:
        while not self._stopped:
            going = self._step()
            if not going:
                self._stopped = True
            self._steps += 1

    def wait_for(self, condition: Callable[[], bool], until: float | None = None) -> bool:
        # As a condition variable: looked at again only when a step has ended.
        while not condition() and not self._stopped:
            seen = self._steps
            self._machine.block(lambda: self._steps != seen or self._stopped, until)  # noqa: B023 - called at once
            if until is not None and self._machine.clock.monotonic() >= until:
                break
        return condition()

    def spares_caller(self) -> bool:
        return False

    def must_block(self) -> bool:
        return False

    def is_dead(self) -> bool:
        return False

    def stop(self) -> None:
        self._stopped = True
