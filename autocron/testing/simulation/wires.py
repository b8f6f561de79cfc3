"""What connects simulated processes: channels, listeners, bells, and the locks of threads.

Every end belongs to a process, and passes through its gate: what a dead process says reaches nobody. Messages travel
as the bytes that a real link carries, so that nothing is shared by accident.
"""

from __future__ import annotations

import marshal
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from ...interface import Body, Closed, Connected, Event, Message

if TYPE_CHECKING:
    from .machine import Actor, Process

FORMAT = 2  # as the real links


class Wire(Protocol):
    """What a simulated `wait` can wait for."""

    def is_due(self) -> bool: ...
    def events(self) -> Iterator[Event]: ...


class End:
    """One end of a channel. See `autocron.interface.Channel`."""

    kin = False

    def __init__(self, owner: Process | None, pid: int) -> None:
        self.owner = owner  # None: on its way to a process that has not accepted it
        self.pid = pid
        self.closed = False
        self.inbox: deque[bytes] = deque()
        self.peer: End = self
        self._told = False

    def send(self, body: Body) -> None:
        assert self.owner is not None
        data = marshal.dumps(body, FORMAT)
        self.owner.machine.point(f"{self.owner.kind}.send")
        if not self.closed and not self.peer.closed:
            self.owner.machine.witness.said(self, body)
            self.peer.inbox.append(data)

    def backlog(self) -> int:
        return 0

    def close(self) -> None:
        if self.owner is not None:
            self.owner.machine.check()
        self.closed = True

    def is_due(self) -> bool:
        return not self.closed and (bool(self.inbox) or (self.peer.closed and not self._told))

    def events(self) -> Iterator[Event]:
        assert self.owner is not None
        most = len(self.inbox)
        # What the kernel has at this moment may be less than what was said.
        held = self.owner.machine.draw_held_back(most)
        for _ in range(most - held):
            body = marshal.loads(self.inbox.popleft())  # noqa: S302 - our own bytes
            self.owner.machine.witness.heard(self, body)
            yield Message(self, body)
        if not self.inbox and self.peer.closed and not self.closed and not self._told:
            self._told = True
            yield Closed(self)


def pair(owner: Process | None, pid: int, peer: Process | None, peer_pid: int) -> tuple[End, End]:
    """Both ends of a new channel: the one of `owner`, whose peer has `pid`, and the peer's."""
    ours, theirs = End(owner, pid), End(peer, peer_pid)
    ours.peer, theirs.peer = theirs, ours
    return ours, theirs


class Listener:
    """The address of a monitor, held together with its lock."""

    def __init__(self, owner: Process, address: str) -> None:
        self.owner = owner
        self.address = address
        self.arrived: deque[End] = deque()

    def is_due(self) -> bool:
        return bool(self.arrived)

    def events(self) -> Iterator[Event]:
        while self.arrived:
            end = self.arrived.popleft()
            end.owner = self.owner
            self.owner.ends.append(end)
            yield Connected(end)

    def close(self) -> None:
        self.owner.machine.check()
        self.vanish()

    def vanish(self) -> None:
        """The kernel closes it: who has not been accepted is refused."""
        for end in self.arrived:
            end.closed = True
        if self.owner.machine.listeners.get(self.address) is self:
            del self.owner.machine.listeners[self.address]


class Bell:
    """See `autocron.interface.Bell`."""

    def __init__(self, owner: Process) -> None:
        self.owner = owner
        self.rung = False

    def ring(self) -> None:
        self.owner.machine.point(f"{self.owner.kind}.ring")
        self.rung = True

    def close(self) -> None:
        self.rung = False

    def is_due(self) -> bool:
        return self.rung

    def events(self) -> Iterator[Event]:
        self.rung = False
        return iter(())


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
