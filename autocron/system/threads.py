"""The thread that calls a role's `step` beside the application, and what others wait for meanwhile."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
from _thread import allocate_lock, get_ident, start_new_thread  # gevent may replace them in `threading` while we run
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from ..interface import Bell
from .bell import PipeBell
from .clock import SystemClock

logger = logging.getLogger("autocron.system")

# A signal that the application blocks, to wait for it, would be delivered to us. What a thread brings about is its own.
FAULTS: Final = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
)
DEAF_TO: Final = signal.valid_signals() - FAULTS
PAUSE_S: Final = 1.0  # what went wrong (no descriptor left?) would go wrong again at once


def can_have_threads() -> bool:
    """False under gevent's patches, where a blocking thread would stop the whole application."""
    monkey = sys.modules.get("gevent.monkey")
    return not (monkey is not None and monkey.is_module_patched("threading"))


def loaded(name: str) -> Any:
    """A module that somebody else uses; None if nobody does, or another thread is just importing it."""
    module = sys.modules.get(name)
    return None if getattr(getattr(module, "__spec__", None), "_initializing", False) else module


class BackgroundThread:
    """See `autocron.interface.Background`."""

    def __init__(self, step: Callable[[], bool], bell: Bell, *, hidden: bool = False) -> None:
        """`hidden`: from `threading`, as gevent patches only locks of a process that seems to have one thread."""
        self._step = step
        self._bell = bell
        self._hidden = hidden
        self._gates: deque[threading.Lock] = deque()
        self._stopped = False
        self._generation = 0
        self._thread = 0
        if isinstance(bell, PipeBell):
            bell.on_deaf = lambda: self._go_on_in_another(bell)
        self._start()

    def _start(self) -> None:
        # A daemon: it must never keep the application from ending. And a new thread has the mask of who starts it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, DEAF_TO)
        try:
            if self._hidden:
                start_new_thread(self._run, (self._generation,))
            else:
                threading.Thread(target=self._run, args=(self._generation,), name="autocron", daemon=True).start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _go_on_in_another(self, bell: PipeBell) -> None:
        """The thread sleeps where nothing reaches it. If it is ever woken there, it ends."""
        self._generation += 1
        bell.sleepers.clear()
        try:
            self._start()
        except RuntimeError:  # the host is ending: whoever waits does without
            self.stop()

    def _run(self, generation: int) -> None:
        self._thread = get_ident()
        while not self._stopped and generation == self._generation:
            try:
                going = self._step()
            except Exception:
                logger.exception("autocron's background thread met an error and goes on")
                going = True
                threading.Event().wait(PAUSE_S)
            if not going:
                self._stopped = True
            self._open_gates()
        if generation != self._generation:
            self._bell.ring()  # what woke this thread may have been meant for the other
        else:
            self._bell.close()

    def _open_gates(self) -> None:
        with contextlib.suppress(IndexError):  # `stop` and the thread may both be at it
            while True:
                self._gates.popleft().release()

    def wait_for(self, condition: Callable[[], bool], until: float | None = None) -> bool:
        if get_ident() == self._thread:
            return condition()  # a finalizer has come in the thread itself, and nobody else does the work
        # A lock of one's own, not a shared condition: there, who is woken waits once more, for the one who wakes.
        while not (condition() or self._stopped or self.is_dead()):
            gate = allocate_lock()
            gate.acquire()
            self._gates.append(gate)
            if condition() or self._stopped:  # it came before the gate was there to be opened
                break
            timeout = -1.0 if until is None else min(until - SystemClock.monotonic(), threading.TIMEOUT_MAX)
            if until is not None and timeout <= 0:
                break
            gate.acquire(timeout=timeout)
        return condition()

    def spares_caller(self) -> bool:
        asyncio = loaded("asyncio.events")
        return asyncio is not None and asyncio._get_running_loop() is not None  # which everybody there waits for

    def must_block(self) -> bool:
        # `multiprocessing.Pool` ends its processes by a signal, right behind their last answer.
        process = loaded("multiprocessing.process")
        is_daemon = process is not None and process.current_process().daemon
        return is_daemon and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def is_dead(self) -> bool:
        return sys.is_finalizing()

    def stop(self) -> None:
        self._stopped = True
        self._open_gates()
