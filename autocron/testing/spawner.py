"""The spawner of the small world, as an application has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from ..errors import AutocronError
from ..interface import Background, Bell, Channel, Interface
from .channels import MemoryBell, MemoryChannel
from .processes import Process
from .traps import Trap
from .world import InTurns, View, World


class InProcessSpawner(View):
    """See `autocron.interface.Spawner`: monitor and workers live in this thread, and take turns when a test says so.

    >>> from random import Random
    >>> from autocron import Engine
    >>> from autocron.interface import Interface
    >>> from autocron.testing import FakeClock, MemoryStore
    >>> store, spawner = MemoryStore(), InProcessSpawner()
    >>> engine = Engine(Interface(FakeClock(), spawner, lambda address: store, Random(0)))
    >>> engine.start("app.db", workers=2)
    True
    >>> spawner.run_pending()
    0
    >>> [child.role for child in spawner.spawned]
    ['monitor', 'worker', 'worker']
    >>> engine.stop()
    """

    def __init__(self) -> None:
        super().__init__()
        self._interface: Interface | None = None

    def inhabit(self, interface: Interface) -> None:
        """See `autocron.interface.Spawner`. AutocronError if it is in another world already."""
        if self._interface is None:
            self.world = World(interface.clock, interface.open_store, interface.random, reach=interface.reach)
            self._interface = interface
        elif self._interface is not interface:
            raise AutocronError("this InProcessSpawner has its Interface already: give each Interface one of its own")

    def background(self, step: Callable[[], bool], bell: Bell) -> Background | None:
        """See `autocron.interface.Spawner`: it has its turns with the others."""
        steps = InTurns(self.world, step, cast(MemoryBell, bell))
        self.world.backgrounds.append(steps)
        return steps

    def run_pending(self) -> int:
        """Let happen all that can at this moment: what was said is heard, what is due is run; how many jobs were."""
        return self.world.settle()

    @property
    def spawned(self) -> list[Process]:
        """All monitors and workers that were ever started, in their order; `role`, `pid` and `is_alive` of each."""
        return list(self.world.spawned)

    def kill(self, child: Channel | Process | str) -> None:
        """SIGKILL for a process, or for all of a role: "monitor" or "worker". What they had begun is run again.

        AutocronError if none of them lives. The others notice it in their next turn.
        """
        if isinstance(child, str | Process):
            for each in self._living(child):
                self.world.kill(each.pid)
        else:
            super().kill(child)

    def stop(self, child: Channel | Process | str) -> None:
        """SIGTERM for a process, or for all of a role: it ends in good order when it is its turn.

        AutocronError if none of them lives.
        """
        if not isinstance(child, str | Process):
            pid = cast(MemoryChannel, child).pid
            child = next(each for each in self.world.spawned if each.pid == pid)
        for each in self._living(child):
            each.ask_to_stop()

    def trap(self, point: str) -> Trap:
        """Hold each process that comes to a point at the seam, such as "monitor.settle.before": see `Trap`."""
        return Trap(self.world, point)

    def _living(self, child: Process | str) -> list[Process]:
        found = [each for each in self.world.spawned if each.is_alive and child in (each, each.role)]
        if not found:
            roles = ", ".join(dict.fromkeys(each.role for each in self.world.spawned if each.is_alive))
            raise AutocronError(f"{child!r}: no such process lives; there are: {roles or 'none'}")
        return found
