"""Failing on purpose, at the labelled points of the seam, in real processes: for tests that kill.

    AUTOCRON_FAILPOINTS="monitor.settle.after=kill@3,monitor.spawn.before=stop:5"

At the third passage of the first point the process gets SIGKILL; at the second it is stopped for 5 seconds. Actions:

    kill · term      the signal, to this very process
    stop[:seconds]   SIGSTOP; somebody else continues it, or it is continued after so long
    exit[:code]      ends past Python, default 1
    full · busy      the call is refused as a full disk or a locked file would refuse it

A failpoint fires once in a process; with AUTOCRON_FAILPOINTS_LOG=path once for all processes that share the path, which
gets a line for each: the point, the pid, and the monotonic time. Without the variable nothing of this is there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..errors import AutocronError, StoreBusy, StoreFull
from ..labels import POINTS

VARIABLE: Final = "AUTOCRON_FAILPOINTS"
LOG: Final = "AUTOCRON_FAILPOINTS_LOG"
ACTIONS: Final = ("kill", "term", "stop", "exit", "full", "busy")


@dataclass(slots=True)
class Failpoint:
    """What happens at a point, at its n-th passage."""

    point: str
    action: str
    argument: str
    passages: int


def from_environment() -> Callable[[str], None]:
    """What is to be called at each point. AutocronError for what cannot be read."""
    asked = os.environ[VARIABLE].split(",")
    return Failpoints([parse(each.strip()) for each in asked], os.environ.get(LOG, "")).reach


def parse(text: str) -> Failpoint:
    """Read "point=action:argument@n"."""
    point, _, rest = text.partition("=")
    rest, _, number = rest.partition("@")
    action, _, argument = rest.partition(":")
    if point not in POINTS:
        raise AutocronError(f"{VARIABLE}: {point!r} is no point; known are {', '.join(sorted(POINTS))}")
    if action not in ACTIONS:
        raise AutocronError(f"{VARIABLE}: {action!r} at {point} is no action; known are {', '.join(ACTIONS)}")
    if number and not (number.isdecimal() and int(number)):
        raise AutocronError(f"{VARIABLE}: {point} at passage {number!r}: a number from 1 on is needed")
    return Failpoint(point, action, argument, int(number or 1))


class Failpoints:
    """The failpoints of this process."""

    def __init__(self, failpoints: list[Failpoint], log: str) -> None:
        self._waiting = {each.point: each for each in failpoints}
        self._log = log

    def reach(self, point: str) -> None:
        """A point is passed."""
        found = self._waiting.get(point)
        if found is None:
            return
        found.passages -= 1
        if found.passages:
            return
        del self._waiting[point]
        if self._is_first(point):
            _act(found)

    def _is_first(self, point: str) -> bool:
        """Note the passage where other processes see it; False if one of them was here before."""
        if not self._log:
            return True
        try:
            os.close(os.open(f"{self._log}.{point}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        fd = os.open(self._log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        os.write(fd, f"{point} {os.getpid()} {time.monotonic()}\n".encode())
        os.close(fd)
        return True


def _act(failpoint: Failpoint) -> None:
    match failpoint.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "term":
            os.kill(os.getpid(), signal.SIGTERM)
        case "stop":
            if failpoint.argument:
                seconds = float(failpoint.argument)
                code = f"(sleep {seconds}; kill -CONT {os.getpid()}) &"
                subprocess.run(["/bin/sh", "-c", code], check=False)  # noqa: S603 - our own line
            os.kill(os.getpid(), signal.SIGSTOP)
        case "exit":
            os._exit(int(failpoint.argument or 1))
        case "full":
            raise StoreFull("failpoint", f"no space, by {VARIABLE}")
        case "busy":
            raise StoreBusy("failpoint", f"locked, by {VARIABLE}")
