"""Calls that Python does not offer: death signals, subreaping, absolute timers. Elsewhere than on Linux: nothing."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

AVAILABLE: Final = sys.platform.startswith("linux")

PR_SET_PDEATHSIG: Final = 1
PR_SET_NAME: Final = 15
PR_SET_CHILD_SUBREAPER: Final = 36
CLOCK_REALTIME: Final = 0
TFD_TIMER_ABSTIME: Final = 1
TFD_TIMER_CANCEL_ON_SET: Final = 2
FARTHEST: Final = 1e12  # UTC epoch seconds


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


_libc = ctypes.CDLL(None, use_errno=True) if AVAILABLE else None


def _prctl(option: int, argument: object) -> None:
    if _libc is not None:
        _libc.prctl(option, argument, 0, 0, 0)


def die_with_parent(signal: int) -> None:
    """Have the kernel send this signal to us when the parent's thread that started us ends."""
    _prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal))


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends."""
    _prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def name_process(name: str) -> None:
    """The name that `ps -o comm` and `top` show, 15 characters at most."""
    _prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()))


class Timer:
    """Readable from the moment the wall clock reaches a time on, or when somebody sets the clock."""

    def __init__(self) -> None:
        self._fd = -1
        self._until: float | None = None
        if _libc is not None:
            self._fd = _libc.timerfd_create(CLOCK_REALTIME, os.O_CLOEXEC | os.O_NONBLOCK)

    def fileno(self) -> int:
        return self._fd

    def set(self, until: float | None) -> bool:
        """Arm for this wall time (None: disarm); False where there are no such timers."""
        if self._fd < 0 or _libc is None:
            return False
        if until == self._until:
            return True
        # Zero would disarm; a time in the past fires at once; one that the kernel cannot hold would be any other.
        moment = 0.0 if until is None else min(max(until, 1e-9), FARTHEST)
        seconds = int(moment)
        value = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(seconds, int((moment - seconds) * 1e9)))
        flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET
        if _libc.timerfd_settime(self._fd, flags, ctypes.byref(value), None) != 0:
            return False
        self._until = until
        return True

    def clear(self) -> None:
        """Take note that it went off."""
        self._until = None
        try:
            os.read(self._fd, 8)
        except OSError:  # ECANCELED: the clock was set; EAGAIN: nothing to read
            return

    def close(self) -> None:
        """Nobody waits for it any more; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
