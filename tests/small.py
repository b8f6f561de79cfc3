"""The small world for tests of the roles: an application, a monitor and its workers in one thread, on a virtual clock.

Nothing happens by itself: `settle` lets all that was said be heard and all that is due be run; `hear` does without
running jobs.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from autocron.engine import Engine
from autocron.interface import Body, Interface, Store
from autocron.job import Job, Selection, Stored
from autocron.monitor import Monitor
from autocron.payload import encode_call
from autocron.registrar import Registrar
from autocron.result import Result
from autocron.testing.clock import FakeClock
from autocron.testing.memory import MemoryStore
from autocron.testing.spawner import InProcessSpawner
from autocron.testing.world import MemoryChannel, MonitorProcess, WorkerProcess

MIDNIGHT = 1_800_057_600.0  # the beginning of a Saturday (2027-01-16), UTC


class Small:
    """One application process, and whom it starts."""

    def __init__(self, start: float | datetime = MIDNIGHT) -> None:
        self.clock = FakeClock(start)
        self.store = MemoryStore()
        self.points: Callable[[str], None] = lambda point: None  # told about each label that is reached
        self.spawner = InProcessSpawner()
        self.engine = Engine(Interface(self.clock, self.spawner, self.open, random.Random(1), self._reach))
        self.world = self.spawner.world

    def open(self, address: str) -> Store:
        """What a monitor, or a registrar without one, opens."""
        return self.store

    def _reach(self, point: str) -> None:
        self.points(point)

    # -- the application -------------------------------------------------------------------------------------

    def start(self, workers: int | None = None, **settings: Any) -> Small:
        """Store settings, then start the engine."""
        self.store.save_settings(settings)
        self.engine.start("app.db", workers)
        self.hear()
        return self

    @property
    def registrar(self) -> Registrar:
        assert self.engine._registrar is not None
        return self.engine._registrar

    def call(self, function: Callable[..., Any], *args: Any, after_s: float = 0.0) -> Result[Any]:
        """Register a call of a task of this process."""
        return self.engine.register(function, address_of(function), args, {}, after_s=after_s)

    def ask(self, question: str, argument: Any = None) -> Any:
        return self.registrar.ask(question, argument)

    def die(self) -> None:
        """The application is killed: the kernel closes its link, and it says nothing more."""
        registrar, self.engine._registrar = self.registrar, None
        assert registrar.link is not None
        registrar.link.close()

    # -- turns -----------------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Let all that was said be heard; no job is run."""
        self.world.pump()
        registrar = self.engine._registrar
        while registrar is not None and (registrar.link is None or cast(MemoryChannel, registrar.link).is_due()):
            had_none = registrar.link is None
            registrar.step()
            self.world.pump()
            if had_none and registrar.link is None:
                break  # not yet

    def settle(self) -> None:
        """Let everything happen that can at this moment."""
        self.hear()
        while self.world.run_one():
            self.hear()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, event by event."""
        target = self.clock.time() + seconds
        self.settle()
        while (at := self.world.next_at()) is not None and at <= target:
            self.clock.reach(max(at, self.clock.time()))
            self.settle()
        self.clock.reach(target)
        self.settle()

    def set_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock; in the real world too, this wakes the monitor."""
        self.clock.step_wall(seconds)
        self.process.turn()

    # -- who is there ----------------------------------------------------------------------------------------

    @property
    def process(self) -> MonitorProcess:
        (process,) = self.world.monitors.values()
        return process

    @property
    def monitor(self) -> Monitor:
        return self.process.monitor

    @property
    def workers(self) -> list[WorkerProcess]:
        return list(self.world.workers.values())

    def link(self, **spec: Any) -> Link:
        """Another process opens a link and introduces itself."""
        return Link(self, spec)

    def jobs(self, *statuses: int) -> list[Stored]:
        return self.store.select(Selection(statuses), 1_000_000)[0]


class Link:
    """The end of a link that belongs to another process: what it is told is seen as it is."""

    def __init__(self, small: Small, spec: dict[str, Any], *, protocol: int | None = None) -> None:
        from autocron import messages

        self.small = small
        channel = small.world.interface().spawner.connect("app.db")
        assert channel is not None
        self.channel = cast(MemoryChannel, channel)
        self.say(
            messages.HELLO,
            messages.PROTOCOL if protocol is None else protocol,
            {"pid": 4711, "directory": "", **spec},
            None,
        )

    def say(self, *body: Any) -> None:
        """Say something; it is heard when this returns."""
        self.channel.send(body)
        self.small.hear()

    def heard(self, kind: str | None = None) -> list[Body]:
        """What was said to it since it was asked last."""
        bodies = list(self.channel.inbox)
        self.channel.inbox.clear()
        return [body for body in bodies if kind in (None, body[0])]

    def close(self) -> None:
        self.channel.close()
        self.small.hear()


def address_of(function: Callable[..., Any]) -> str:
    return f"{function.__module__}:{function.__qualname__}"


def job_of(task: str = "app:task", *args: Any, number: int = 1, due: float = 0.0, **more: Any) -> Job:
    """A job as an application would hand it over."""
    return Job(number.to_bytes(16, "big"), task, encode_call(args, {}), due, **more)
