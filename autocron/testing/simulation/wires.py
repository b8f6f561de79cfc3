"""What connects simulated processes: the channels, listeners and bells of the small world, and the locks of threads.

Every end belongs to a process, and passes through its gate: what a dead process says reaches nobody. Messages are what
a real link makes of them, so that nothing is shared by accident, and may come a little later.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from ...interface import Body, Connected, Event, Message
from ..channels import MemoryBell, MemoryChannel, MemoryListener

if TYPE_CHECKING:
    from .machine import Actor, Process

FORMAT = 2  # as the real links


class End(MemoryChannel):
    """One end of a channel. See `autocron.interface.Channel`."""

    peer: End

    def __init__(self, owner: Process | None, pid: int) -> None:
        super().__init__(pid)
        self.owner = owner  # None: on its way to a process that has not accepted it

    def send(self, body: Body) -> None:
        assert self.owner is not None
        self.owner.machine.point(f"{self.owner.kind}.send")
        if not self.closed and not self.peer.closed:
            self.owner.machine.witness.said(self, body)
        super().send(marshal.loads(marshal.dumps(body, FORMAT)))  # noqa: S302 - our own bytes

    def close(self) -> None:
        if self.owner is not None:
            self.owner.machine.check()
        super().close()

    def arrived(self) -> int:
        assert self.owner is not None
        most = len(self.inbox)
        return most - self.owner.machine.draw_held_back(most)

    def events(self) -> Iterator[Event]:
        assert self.owner is not None
        for event in super().events():
            if isinstance(event, Message):
                self.owner.machine.witness.heard(self, event.body)
            yield event


def pair(owner: Process | None, pid: int, peer: Process | None, peer_pid: int) -> tuple[End, End]:
    """Both ends of a new channel: the one of `owner`, whose peer has `pid`, and the peer's."""
    ours, theirs = End(owner, pid), End(peer, peer_pid)
    ours.peer, theirs.peer = theirs, ours
    return ours, theirs


class Listener(MemoryListener):
    """The address of a monitor, held together with its lock."""

    def __init__(self, owner: Process, address: str) -> None:
        super().__init__(self.vanish)
        self.owner = owner
        self.address = address

    def events(self) -> Iterator[Event]:
        for event in super().events():
            end = cast(End, cast(Connected, event).channel)
            end.owner = self.owner
            self.owner.ends.append(end)
            yield event

    def close(self) -> None:
        self.owner.machine.check()
        super().close()

    def vanish(self) -> None:
        """The kernel closes it: who has not been accepted is refused."""
        for end in self.arrived:
            end.closed = True
        if self.owner.machine.listeners.get(self.address) is self:
            del self.owner.machine.listeners[self.address]


class Bell(MemoryBell):
    """See `autocron.interface.Bell`."""

    def __init__(self, owner: Process) -> None:
        super().__init__()
        self.owner = owner

    def ring(self) -> None:
        self.owner.machine.point(f"{self.owner.kind}.ring")
        super().ring()


class Mutex:
    """A lock between the threads of a process, or between processes; whoever holds it may take it again."""

    def __init__(self, owner: Process) -> None:
        self.machine = owner.machine
        self.holder: Actor | None = None
        self._depth = 0

    def __enter__(self) -> None:
        self.machine.check()
        actor = self.machine.running
        if self.holder is not actor:
            self.machine.block(self.is_free)
            self.holder = actor
            self._depth = 0
        self._depth += 1

    def is_free(self) -> bool:
        """Whether nobody holds it; the kernel frees the locks of the dead."""
        return self.holder is None or not self.holder.process.alive

    def __exit__(self, *exception: object) -> None:
        if self.holder is self.machine.running:
            self._depth -= 1
            if self._depth == 0:
                self.holder = None
