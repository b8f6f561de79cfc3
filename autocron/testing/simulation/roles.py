"""The real roles as simulated processes: where each begins and ends, as `system/child.py` does for the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, cast

from ... import engine as engines
from ... import messages
from ...engine import Engine
from ...interface import Closed, Event, Interface, Message, Store
from ...job import Entry
from ...monitor import Monitor
from ...registrar import Registrar
from ...worker import Worker
from .disk import Disk, GatedStore, Trouble
from .machine import Killed, Machine, Process
from .view import ADDRESS, View
from .wires import End


class Code(Protocol):
    """The program that all simulated processes run."""

    def resolve(self, address: str) -> Callable[..., Any]: ...
    def is_stale(self) -> bool: ...
    def entries(self) -> tuple[int, list[Entry]]: ...


class Perils(Trouble, Protocol):
    """Which troubles new processes and stores have."""

    def delay_of(self, role: str) -> float: ...


class Roles:
    """Gives each simulated process its role."""

    def __init__(self, machine: Machine, disk: Disk, perils: Perils, code: Code) -> None:
        self.machine = machine
        self.disk = disk
        self.perils = perils
        self.code = code

    def delay_of(self, role: str) -> float:
        return self.perils.delay_of(role)

    def interface(self, process: Process) -> Interface:
        """The world as this process sees it."""
        view = View(self.machine, process, self)

        def open_store(address: str) -> Store:
            return cast(Store, GatedStore(self.disk, process, self.perils, address))

        return Interface(self.machine.clock, view, open_store, process.random, view.reach)

    def boot(self, process: Process, address: str) -> None:
        """The main thread of a monitor or a worker."""
        assert process.channel is not None
        if process.kind == "monitor":
            self._monitor(process, address, process.channel)
        else:
            self._worker(process, address, process.channel)

    def _monitor(self, process: Process, address: str, first: End) -> None:
        monitor = process.role = Monitor(self.interface(process), address, first)
        try:
            monitor.run()
            for each in self.machine.living("worker"):
                if each.parent is process:
                    self.machine.kill(each)  # the last sweep of a monitor
        finally:
            if process.alive and not self.machine.over:
                monitor.close()
        self.machine.kill(process, 0, 0)

    def _worker(self, process: Process, address: str, channel: End) -> None:
        if process.parent is None or not process.parent.alive:
            self.machine.kill(process, 0, 1)  # it ended before it could take us along
        interface = self.interface(process)
        spec, pickle_allowed, already = self._await_spec(interface, channel)
        del spec
        worker = process.role = Worker(
            interface,
            channel,
            self.code,
            pickle_allowed=pickle_allowed,
            interrupt=lambda: self.machine.interrupt(process),
        )

        def hear() -> bool:
            if not worker.hear():
                self.machine.kill(process, 0, 1)
            return True

        for event in already:
            worker.take(event)
        background = interface.spawner.background(hear, worker.bell)
        assert background is not None
        registrar = Registrar(interface, address, link=channel, background=background)
        worker.reply = registrar.receive
        engine = Engine()
        process.engines.append(engine)
        engine.bind(interface, address, registrar, pickle_allowed)
        channel.send((messages.READY,))
        worker.loop(background)
        self.machine.kill(process, 0, 0)

    def _await_spec(self, interface: Interface, channel: End) -> tuple[Mapping[str, Any], bool, list[Event]]:
        while True:
            events = interface.spawner.wait([channel], None)
            for number, event in enumerate(events):
                if isinstance(event, Closed):
                    self.machine.kill(channel.owner, 0, 1)  # type: ignore[arg-type]
                if isinstance(event, Message) and event.body[0] == messages.PREPARE:
                    return event.body[1], event.body[2], events[number + 1 :]

    def application(self, script: Callable[[Process, Engine], None], after_s: float = 0.0) -> Process:
        """Start an application process; when its script has returned, it ends in good order."""
        process = self.machine.process("app")
        engine = process.role = Engine(self.interface(process))
        process.engines.append(engine)

        def main() -> None:
            script(process, engine)
            for each in process.on_exit:
                each()
            self.machine.kill(process, 0, 0)

        self.machine.start(process, "main", main, after_s)
        return process

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """`autocron.engine.current` is the engine of the process that runs."""
        before = engines._current, engines._announcement
        engines._current = cast("list[Engine]", _Engines(self))
        engines._announcement = self.code.entries
        try:
            yield
        finally:
            engines._current, engines._announcement = before


class _Engines:
    """What `autocron.engine._current` is to the process that runs."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles

    def _own(self) -> list[Engine]:
        process = self._roles.machine.running.process
        if not process.engines:  # every process has one, started or not
            process.engines.append(Engine(self._roles.interface(process)))
        return process.engines

    def __getitem__(self, index: int) -> Engine:
        return self._own()[index]

    def __len__(self) -> int:
        return len(self._own())

    def append(self, engine: Engine) -> None:
        self._own().append(engine)

    def pop(self) -> Engine:
        return self._own().pop()


__all__ = ["ADDRESS", "Code", "Killed", "Perils", "Roles"]
