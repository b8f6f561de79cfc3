"""The bell that wakes our thread in an application: a pipe, of which the application may take the descriptors.

Who becomes a daemon closes all descriptors, and numbers that were ours are somebody else's in the same moment. The
thread that sleeps in poll does not see it: poll looks a number up only when it is woken, then waits for a stranger, and
keeps what was ours open. No byte can reach it. So whoever rings looks whether the pipe is still ours, and if it is not
makes a new one and has another thread listen to that.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterator, Sequence

from ..interface import Event, Source
from .channels import identity


class PipeBell:
    """See `autocron.interface.Bell`."""

    def __init__(self) -> None:
        self.sleepers: set[object] = set()  # who sleep in poll until it is rung, or are about to
        self.on_deaf: Callable[[], None] = lambda: None  # whoever that was cannot hear it any more
        self._ring: object = None  # the newest one that is not answered
        self._written: object = None  # the newest one of which a byte tells
        self._opening = threading.Lock()
        self._open()

    def _open(self) -> None:
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ends = reader, writer, identity(reader), identity(writer)  # in one step, for other threads
        self._ring = None

    def fileno(self) -> int:
        return self._ends[0]

    def interest(self) -> int:
        return select.POLLIN

    def is_ours(self) -> bool:
        """Whether the descriptors are still the pipe we opened."""
        reader, writer, *identities = self._ends
        return [identity(reader), identity(writer)] == identities

    def ring(self) -> None:
        if self.sleepers and not self.is_ours():
            with contextlib.suppress(OSError):  # no descriptor is left: the next one who rings tries again
                self._renew(self.on_deaf)
        elif self.is_rung() and (self._written is self._ring or not self.sleepers):
            return
        # A signal handler may come between any two steps, and ring, and wait for what that brings about; or raise.
        try:
            this = self._ring = object()
            if self.sleepers:  # only now: who is awake looks between this and the next sleep
                self._wake()
                self._written = this
        except BaseException:
            self._wake()
            raise

    def _wake(self) -> None:
        if self.is_ours():
            with contextlib.suppress(OSError):
                os.write(self._ends[1], b"!")

    def is_rung(self) -> bool:
        """Whether it was rung since it was answered."""
        return self._ring is not None

    def answer(self) -> None:
        """It is heard. What it announces is to be looked at from now on."""
        if self.is_ours():
            with contextlib.suppress(OSError):
                os.read(self._ends[0], 64)
        # Cleared after the byte is read and before what it announces is looked at: the other order would lose a
        # ring that comes between, whose byte is read and which keeps all later ones silent.
        self._ring = None

    def receive(self, mask: int) -> Iterator[Event]:
        self.answer()
        return iter(())

    def disowned(self) -> Iterator[Event]:
        """Get a new pipe. Whoever rang meanwhile is heard, because `wait` returns now."""
        self._renew(None)
        return iter(())

    def _renew(self, then: Callable[[], None] | None) -> None:
        # Another thread may be at it, or this very one when a signal handler rings in the middle of it. Then that is
        # enough: a look at everything follows.
        if not self._opening.acquire(blocking=False):
            return
        try:
            if not self.is_ours():
                self._open()
                if then is not None:
                    then()
        finally:
            self._opening.release()

    def close(self) -> None:
        """Let go of the pipe, if it is still ours."""
        reader, writer, *_ = self._ends
        if reader >= 0 and self.is_ours():
            os.close(reader)
            os.close(writer)
        self._ends = -1, -1, None, None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # at the end of the interpreter anything may be gone
            self.close()


@contextlib.contextmanager
def attending(sources: Sequence[Source]) -> Iterator[bool]:
    """While somebody waits for these. True: one was rung already, perhaps without a byte, so there must be no sleep."""
    bells = [each for each in sources if isinstance(each, PipeBell)]
    me = object()  # a signal handler may come in the middle of this, and wait for the same bell
    try:
        for each in bells:
            each.sleepers.add(me)
        rung = [each for each in bells if each.is_rung()]  # only now: from here on, who rings writes
        yield bool(rung)
        for each in rung:
            each.answer()
    finally:
        for each in bells:
            each.sleepers.discard(me)
