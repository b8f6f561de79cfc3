"""Threads that pass a baton: exactly one runs, all others are parked on a raw lock.

So plain blocking code becomes a coroutine: roles, stores and users' tasks are switched wherever they call the world,
and nothing of them has to be written for it. As no two threads ever run at once, all that they share is safe.
"""

from __future__ import annotations

import _thread
import os
from collections.abc import Callable


class Strand:
    """A thread that runs only while it holds the baton."""

    __slots__ = ("baton", "body")

    def __init__(self) -> None:
        self.baton = _thread.allocate_lock()
        self.baton.acquire()
        self.body: Callable[[], Strand] | None = None


class Switcher:
    """Hands the baton from strand to strand; ended strands are kept for the next body, as threads are expensive."""

    def __init__(self) -> None:
        self.home = Strand()  # the caller's own thread
        self._current = self.home
        self._idle: list[Strand] = []

    def start(self, body: Callable[[], Strand]) -> Strand:
        """A parked strand; resumed, it runs `body`, which returns the strand to go on with."""
        if self._idle:
            strand = self._idle.pop()
        else:
            strand = Strand()
            _thread.start_new_thread(self._run, (strand,))
        strand.body = body
        return strand

    def resume(self, strand: Strand, patience_s: float = -1) -> bool:
        """Hand the baton over and park until it comes back; False if it did not within `patience_s`."""
        current = self._current
        if strand is current:
            return True
        self._current = strand
        strand.baton.release()
        return current.baton.acquire(timeout=patience_s)

    def await_home(self, patience_s: float) -> bool:
        """Wait on, in the caller's own thread, for the baton to come back."""
        return self.home.baton.acquire(timeout=patience_s)

    def close(self) -> None:
        """End the threads that wait for a body."""
        while self._idle:
            strand = self._idle.pop()
            strand.body = None
            strand.baton.release()

    def _run(self, strand: Strand) -> None:
        _stay_on_one_processor()
        while True:
            strand.baton.acquire()
            if strand.body is None:
                return
            following = strand.body()
            self._idle.append(strand)
            self._current = following
            following.baton.release()


def _stay_on_one_processor() -> None:
    """Handing the baton to a thread on another processor takes three times as long."""
    if hasattr(os, "sched_setaffinity"):  # of this thread alone
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[os.getpid() % len(allowed)]})
