"""What /proc tells about processes: identities that do not mistake a reused pid, and what is left of a tree."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

logger = logging.getLogger("autocron.system")

PROC: Final = Path("/proc")
KILLED_S: Final = 2.0


class Process(NamedTuple):
    """One line of /proc/PID/stat."""

    pid: int
    state: str
    parent: int
    session: int
    started: int  # clock ticks since boot: with the pid, an identity


def process(pid: int) -> Process | None:
    """The process of this pid, zombies included; None if there is none (or no /proc)."""
    try:
        stat = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the name before may contain anything
    return Process(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def processes() -> Iterator[Process]:
    """All processes that can be seen."""
    with contextlib.suppress(OSError):
        for name in os.listdir(PROC):
            if name.isdigit() and (found := process(int(name))) is not None:
                yield found


def boot_id() -> str:
    """Differs after each start of the machine, or of the container, which counts pids anew; empty if nothing tells."""
    try:
        machine = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    first = process(1)
    return f"{machine}/{first.started if first else 0}"


def descends(pid: int, ancestor: int) -> bool:
    """Whether this process is one of ours, however far down; a subreaper stays the ancestor of all it has started."""
    at = pid
    while at > 1 and at != ancestor:
        found = process(at)
        if found is None:
            # Between two looks it has ended, and its children have another parent; the peer itself may be gone too.
            return at != pid and descends(pid, ancestor)
        at = found.parent
    return at == ancestor


def end_descendants() -> None:
    """Kill and reap whatever our children have left; as subreaper we are the parent of all of it.

    What belongs to another user (`sudo`) cannot be killed, and is not waited for.
    """
    own = os.getpid()
    spared: set[int] = set()
    while left := [each for each in processes() if each.pid not in spared and _is_left_to(own, each)]:
        for each in left:
            try:
                os.kill(each.pid, signal.SIGKILL)
            except PermissionError:
                logger.error("process %d, which a task has left, belongs to another user and stays", each.pid)
                spared.add(each.pid)
            except ProcessLookupError:
                continue
            else:
                _see_ended(each, own)


def _is_left_to(own: int, each: Process) -> bool:
    return each.parent == own or (each.session == own and each.pid != own and each.state != "Z")


def _see_ended(each: Process, own: int) -> None:
    if each.parent == own:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(each.pid, 0)
    else:
        await_death(each, KILLED_S)


def end_session(leader: int, started: int) -> None:
    """Kill what is left of the session of a dead leader, and see it gone."""
    found = process(leader)
    if found is not None and found.started != started:
        return  # the pid belongs to somebody else by now, so the session has no member left
    for each in processes():
        if each.session == leader and each.state != "Z" and each.pid != os.getpid():
            await_death(each, KILLED_S, kill=True)


def bury(session: int) -> bool:
    """Reap our dead children of this session, which were adopted; whether any is left that may become one.

    Who is dead and another's child is not: a PID 1 that does not reap keeps it for ever.
    """
    left = False
    for each in processes():
        if each.session != session:
            continue
        if each.state != "Z":
            left = True
        elif each.parent == os.getpid():
            with contextlib.suppress(ChildProcessError):
                left = not os.waitpid(each.pid, os.WNOHANG)[0] or left
    return left


def await_death(target: Process, within_s: float, *, kill: bool = False) -> None:
    """Wait until this process has ended, which others may still have to reap; `kill` it first."""
    with contextlib.suppress(OSError):
        fd = os.pidfd_open(target.pid)
        try:
            again = process(target.pid)
            if again is not None and again.started == target.started:
                if kill:
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                poll.poll(within_s * 1000)
        finally:
            os.close(fd)
