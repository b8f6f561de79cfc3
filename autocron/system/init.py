"""The first process of a container: it passes signals on, and buries what nobody else does.

The kernel gives orphans to process 1, and delivers it no signal that it does not handle. So the first process does
nothing but that, and the application is its child: it may start and wait for processes as it likes.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Final

PASSED_ON: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
AFTERWARDS_S: Final = 30  # for what the application has left: its monitor, if it was killed


class _TimeIsUp(BaseException):
    """What is left is left to the kernel."""


def become_init() -> None:
    """Return in a child of this process; this one stays until the child ends, and exits as it did."""
    # What arrives before there is a child to get it waits.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    for each in PASSED_ON:
        signal.signal(each, lambda number, frame: _pass_on(number, child))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    code = 0
    with contextlib.suppress(ChildProcessError, _TimeIsUp):
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                signal.signal(signal.SIGALRM, _give_up)
                signal.alarm(AFTERWARDS_S)
    os._exit(code if code >= 0 else 128 - code)


def _pass_on(number: int, child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


def _give_up(number: int, frame: object) -> None:
    raise _TimeIsUp
