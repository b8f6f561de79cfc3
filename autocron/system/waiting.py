"""The one blocking call: poll over channels, listeners and bells, with an exact timer."""

from __future__ import annotations

import math
import select
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from ..interface import Event
from .clock import SystemClock
from .linux import Timer

LONGEST_POLL_S: Final = 60.0  # where there is no timer that notices a clock being set


class Pollable(Protocol):
    """What every source of the real world can do."""

    def fileno(self) -> int: ...
    def interest(self) -> int: ...
    def receive(self, mask: int) -> Iterator[Event]: ...


class Ownable(Protocol):
    """A source whose descriptors an application may close, and reuse their numbers."""

    def is_ours(self) -> bool: ...
    def disowned(self) -> Iterator[Event]: ...


def renew(sources: Sequence[Ownable]) -> list[Event] | None:
    """What follows from the descriptors that were taken from us; None: none was."""
    gone = [each for each in sources if not each.is_ours()]
    return [event for each in gone for event in each.disowned()] if gone else None


def wait(sources: Sequence[Pollable], until: float | None, timer: Timer | None = None) -> list[Event]:
    """See `autocron.interface.Spawner.wait`."""
    poll = select.poll()
    by_fd: dict[int, Pollable] = {}
    pidfds: dict[int, Pollable] = {}
    for source in sources:
        fd = source.fileno()
        if fd >= 0:
            by_fd[fd] = source
            poll.register(fd, source.interest())
        pidfd = getattr(source, "pidfd", -1)
        if pidfd >= 0:
            pidfds[pidfd] = source
            poll.register(pidfd, select.POLLIN)
    timeout_ms = None
    exact = timer is not None and timer.set(until)
    if exact and timer is not None:
        poll.register(timer.fileno(), select.POLLIN)
    elif until is not None:
        remaining = min(until - SystemClock.time(), LONGEST_POLL_S)
        timeout_ms = max(0, math.ceil(remaining * 1000))
    events: list[Event] = []
    for fd, mask in poll.poll(timeout_ms):
        if fd in by_fd:
            events += by_fd[fd].receive(mask)
        elif fd in pidfds:
            # The process is gone even where its socket lives on in a copy: nothing more can come from it.
            events += pidfds[fd].receive(select.POLLIN)
            events += pidfds[fd].receive(select.POLLNVAL)
        elif exact and timer is not None:
            timer.clear()
    return events
