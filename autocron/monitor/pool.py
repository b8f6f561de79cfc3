"""The workers: spawned, replaced when they die, resized, ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .. import messages
from ..interface import Channel, Exited, Interface
from ..job import Job
from ..labels import MONITOR_SPAWN

logger = logging.getLogger("autocron.monitor.pool")

FREE_FAILURES: Final = 1  # one death at the start may be bad luck; from the second on there is a pause
BACKOFF_S: Final = 0.1
LONGEST_BACKOFF_S: Final = 30.0
ENVIRONMENT: Final = "environment"  # of a spec
INTERRUPT_AT: Final = 0.8  # of the grace period: the rest is for what `finally` blocks want to do


@dataclass(slots=True, eq=False)
class Member:
    """A worker as the monitor sees it."""

    channel: Channel
    spec: Mapping[str, Any]
    inflight: dict[bytes, tuple[Job, float]] = field(default_factory=dict)  # with the seconds it may take
    load_s: float = 0.0
    load_bytes: int = 0
    number: int = 0  # later ones have higher ones
    heard: float = 0.0  # monotonic
    ready: bool = False
    ending: bool = False
    recalled: bool = False
    killed: bool = False  # by us: then no job is to blame
    kill_at: float | None = None  # monotonic; it has said that it ends

    def take(self, job: Job, seconds: float) -> None:
        """Note that this job is on its way to the worker."""
        self.inflight[job.id] = job, seconds
        self.load_s += seconds
        self.load_bytes += len(job.payload)

    def drop(self, id: bytes) -> Job | None:
        """This job is no more with the worker; None if it was not."""
        found = self.inflight.pop(id, None)
        if found is None:
            return None
        job, seconds = found
        self.load_bytes -= len(job.payload)
        self.load_s = self.load_s - seconds if self.inflight else 0.0
        return job


class Pool:
    """Keeps as many workers as are wanted."""

    def __init__(self, interface: Interface, address: str) -> None:
        self.interface = interface
        self.address = address
        self.members: dict[Channel, Member] = {}
        self.target = 0
        self.spec: Mapping[str, Any] = {}
        self.pickle_allowed = False
        self.newest = 0  # number of the worker that was spawned last
        self._failures = 0
        self._spawn_at = 0.0  # monotonic
        self._interrupt_at: float | None = None
        self._kill_at: float | None = None

    def serving(self) -> Iterator[Member]:
        """The workers that can be given jobs."""
        return (each for each in self.members.values() if each.ready and not each.ending)

    def keep(self) -> None:
        """One pass: as many workers as wanted, of the newest application's code."""
        now = self.interface.clock.monotonic()
        self._end_in_time(now)
        staying = [each for each in self.members.values() if not each.ending]
        for each in staying[self.target :]:
            self.end(each)
        for _ in range(self.target - len(staying)):
            if now < self._spawn_at:
                return
            self._spawn(now)

    def _spawn(self, now: float) -> None:
        try:
            channel = self.interface.call(
                MONITOR_SPAWN, self.interface.spawner.spawn, "worker", self.address, self.spec
            )
        except Exception as error:  # of the system, or of a spec of an application of another version
            self._fail(now)
            why = error if isinstance(error, OSError) else repr(error)
            logger.error("cannot start a worker: %s; next try in %.1f s", why, max(0.0, self._spawn_at - now))
            return
        channel.send((messages.PREPARE, shown(self.spec), self.pickle_allowed))
        self.newest += 1
        self.members[channel] = Member(channel, self.spec, number=self.newest, heard=now)
        logger.info("worker %d started", channel.pid)

    def _fail(self, now: float) -> None:
        self._failures += 1
        over = self._failures - FREE_FAILURES
        if over > 0:
            pause = min(BACKOFF_S * 2 ** min(over, 20), LONGEST_BACKOFF_S)
            self._spawn_at = now + pause * (0.5 + self.interface.random.random() / 2)

    def is_up(self, member: Member) -> None:
        """A worker can take jobs."""
        member.ready = True
        self._failures = 0

    def renew(self, spec: Mapping[str, Any], *, again: bool = False) -> None:
        """An application process has linked: its view of the code holds from now on.

        `again`: as one has gone, another one's does, and no worker keeps the environment of that which is no more.
        """
        # Who is no program with tasks itself minds the program of another process as little as an import.
        main = spec.get("main") or self.spec.get("main")
        self.spec = spec = {**spec, "main": main} if main else spec
        for each in self.members.values():
            if _sight(each.spec) != _sight(spec) or (again and each.spec.get(ENVIRONMENT) != spec.get(ENVIRONMENT)):
                self.end(each)
            elif not each.ending:
                each.channel.send((messages.REFRESH,))

    def allow_pickle(self, allowed: bool) -> None:
        """Whether payloads may be pickled from now on; who works by another answer does so no more."""
        if allowed != self.pickle_allowed:
            self.pickle_allowed = allowed
            for each in self.members.values():
                self.end(each)

    def end(self, member: Member) -> None:
        """Let a worker finish what it runs, then exit."""
        if not member.ending:
            member.ending = True
            member.channel.send((messages.TAKE_BACK,))
            member.channel.send((messages.END,))

    def end_all(self, grace_s: float) -> None:
        """End all workers within this time."""
        now = self.interface.clock.monotonic()
        self.target = 0
        self._interrupt_at = now + grace_s * INTERRUPT_AT
        self._kill_at = now + grace_s
        for each in self.members.values():
            self.end(each)

    def go_on(self) -> None:
        """The end was called off: who is ending ends, and is replaced."""
        self._interrupt_at = self._kill_at = None

    def _end_in_time(self, now: float) -> None:
        for each in self.members.values():
            if each.kill_at is not None and now >= each.kill_at:
                each.kill_at = None
                self.kill(each)
        if self._interrupt_at is not None and now >= self._interrupt_at:
            self._interrupt_at = None
            for each in self.members.values():
                each.killed = True  # if its task has a handler of its own for the signal, that may end it
                each.channel.send((messages.INTERRUPT,))
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            for each in self.members.values():
                logger.warning("worker %d did not end within the grace period and is killed", each.channel.pid)
                self.kill(each)

    def retire(self, member: Member, grace_s: float) -> None:
        """A worker takes no further job and exits; threads that its tasks have left must not keep it for ever."""
        member.ending = True
        member.kill_at = self.interface.clock.monotonic() + grace_s

    def kill(self, member: Member) -> None:
        """End a worker and what it has started, at once."""
        member.killed = member.ending = True
        self.interface.spawner.kill(member.channel)

    def cut(self, channel: Channel) -> None:
        """A worker has closed its channel; if it was not asked to end, it cannot be used any more."""
        member = self.members.get(channel)
        if member is not None and not member.ending:
            self.interface.spawner.kill(channel)
            member.ending = True

    def bury(self, event: Exited) -> tuple[Member, str] | None:
        """A worker has ended; it and how it died ("" if it was to end)."""
        member = self.members.pop(event.channel, None)
        if member is None:
            return None
        how = f"exit code {event.code}" if event.code is not None else "unknown exit code"
        if event.signal:
            how = f"signal {event.signal}"
        if member.killed or (event.code == 0 and member.ending):
            logger.info("worker %d ended", event.channel.pid)
            return member, how
        if not member.ready:
            self._fail(self.interface.clock.monotonic())
        logger.warning("worker %d died (%s) and is replaced", event.channel.pid, how)
        return member, how

    def next_at(self) -> float | None:
        """Monotonic time of the next thing to do."""
        members = self.members.values()
        times = [each for each in (self._interrupt_at, self._kill_at) if each is not None]
        times += [each.kill_at for each in members if each.kill_at is not None]
        if sum(not each.ending for each in members) < self.target:
            times.append(self._spawn_at)
        return min(times, default=None)


def shown(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What of a spec anybody may see: an environment holds secrets."""
    return {name: value for name, value in spec.items() if name != ENVIRONMENT}


def _sight(spec: Mapping[str, Any]) -> tuple[object, ...]:
    """What of a spec makes a worker see other code."""
    return tuple(spec.get(name) for name in ("executable", "flags", "path", "directory", "main", "django"))
