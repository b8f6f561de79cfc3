"""The channels of the small world: what one end sends lies in the inbox of the other until it has its turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from ..interface import Body, Closed, Connected, Event, Message


class MemorySource(Protocol):
    """What every source of the small world can do."""

    def is_due(self) -> bool: ...
    def events(self) -> Iterator[Event]: ...


class MemoryChannel:
    """One end of a channel between two processes of the small world."""

    kin = False

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.closed = False
        self.inbox: deque[Body] = deque()
        self.peer: MemoryChannel = self
        self.held: list[Body] | None = None  # not None: what is sent is kept here
        self._told = False

    def send(self, body: Body) -> None:
        if self.held is not None:
            self.held.append(body)
        elif not self.closed and not self.peer.closed:
            self.peer.inbox.append(body)

    def backlog(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True

    def arrived(self) -> int:
        """How many messages the kernel has at this moment, which may be less than what was said."""
        return len(self.inbox)

    def is_due(self) -> bool:
        """Whether a wait on this end would return something."""
        return not self.closed and (bool(self.inbox) or (self.peer.closed and not self._told))

    def events(self) -> Iterator[Event]:
        """What a wait on this end returns."""
        for _ in range(self.arrived()):
            yield Message(self, self.inbox.popleft())
        if not self.inbox and self.peer.closed and not self.closed and not self._told:
            self._told = True
            yield Closed(self)


class MemoryListener:
    """The address of a monitor of the small world."""

    def __init__(self, on_close: Callable[[], object]) -> None:
        self._on_close = on_close
        self.closed = False
        self.arrived: deque[MemoryChannel] = deque()

    def is_due(self) -> bool:
        return bool(self.arrived)

    def events(self) -> Iterator[Event]:
        while self.arrived:
            yield Connected(self.arrived.popleft())

    def close(self) -> None:
        self.closed = True
        self._on_close()


class MemoryBell:
    """A bell that nobody sleeps beside."""

    def __init__(self) -> None:
        self.rung = False

    def ring(self) -> None:
        self.rung = True

    def close(self) -> None:
        self.rung = False

    def is_due(self) -> bool:
        return self.rung

    def events(self) -> Iterator[Event]:
        self.rung = False
        return iter(())
