"""Jobs on their way: stored, claimed, given to workers, settled.

A job that is due at once goes from its registration straight to a worker: it is stored as claimed, and never read
back. How much a worker gets in advance follows from observed run times, a few milliseconds of work, so that a long
job never holds short ones hostage; what a busy worker has not begun is taken back when another one is idle.

When the store refuses (no space, locked), nothing is forgotten: applications keep what was not acknowledged,
outcomes and the registrations of workers wait here, and no further job is dispatched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf
from typing import Any, Final, NamedTuple

from .. import messages
from ..errors import StoreBusy, StoreError, StoreFull, StoreReplaced
from ..interface import Channel, Interface, Store
from ..job import Job, Outcome, Status
from ..labels import (
    MONITOR_ACKNOWLEDGE,
    MONITOR_ADD,
    MONITOR_CLAIM,
    MONITOR_DISPATCH,
    MONITOR_RELEASE,
    MONITOR_SETTLE,
    MONITOR_SYNC,
)
from ..settings import Settings
from . import border
from .pool import Member, Pool
from .ready import Ready

logger = logging.getLogger("autocron.monitor.dispatcher")

AHEAD_S: Final = 0.005  # of work for each worker, in advance
AHEAD_BYTES: Final = 1 << 16
UNKNOWN_S: Final = AHEAD_S  # a task never seen before goes alone
WEIGHT: Final = 0.2  # of the newest run time in the average
OVERDUE_S: Final = 0.02  # a worker silent for so long may hold others' jobs hostage
READY_MOST: Final = 10_000  # claimed and not dispatched
READY_LEAST: Final = 1_000
READY_LEAST_BYTES: Final = 8 << 20  # which large payloads reach sooner
CLAIM_MOST: Final = 5_000
CLAIM_BYTES: Final = 16 << 20
RETRY_S: Final = 1.0
BUSY_S: Final = 0.1  # another program holds the database locked; the store itself has waited a little


class _Group(NamedTuple):
    """Registrations that came together and are acknowledged together."""

    channel: Channel
    number: int
    again: bool  # they may have been stored before
    jobs: list[Job]
    is_worker: bool  # who sent them


class Dispatcher:
    """Moves jobs between the store and the workers."""

    def __init__(self, interface: Interface, store: Store, pool: Pool, token: int) -> None:
        self.interface = interface
        self.store = store
        self.pool = pool
        self.token = token
        self.settings = Settings()
        self.paused = False  # draining, switched off, or by hand
        self.admits: Callable[[Job], bool] | None = None  # dispatch only these jobs
        self.ready = Ready()
        self.next_due: float | None = store.next_due()
        self.is_displaced = False  # another file is in the place of the database
        self.settled = 0  # outcomes stored since this monitor began
        self._trouble: StoreError | None = None  # why the store took nothing when it was last tried
        self._retry_at: float | None = None  # monotonic; not None: leave the store alone until then
        self._groups: list[_Group] = []
        self._unsure: list[Job] = []  # the store has reported an error, and may have taken them
        self._stored: list[tuple[Channel, int]] = []
        self._outcomes: list[Outcome] = []
        self._durations: dict[str, float] = {}
        self._outdated: dict[bytes, int] = {}  # jobs that need newer code than this worker's and those before it

    # -- registrations ---------------------------------------------------------------------------------------

    def register(self, channel: Channel, group: int, again: bool, rows: list[Any]) -> None:
        """A peer hands over jobs."""
        is_worker = channel in self.pool.members
        jobs: list[Job] = []
        for row in rows:
            try:
                jobs.append(border.job(row))
            except (TypeError, ValueError) as error:  # it would be the same each time it was sent again
                logger.error("a job of process %d cannot be stored, and is refused: %s", channel.pid, error)
        self._groups.append(_Group(channel, group, again, jobs, is_worker))

    def add(self, now: float) -> None:
        """Store what was registered, all groups in one transaction where possible."""
        if self._retry_at is not None and self.interface.clock.monotonic() >= self._retry_at:
            self._retry_at = None
        if self._retry_at is not None:
            self._refuse_waiting()
            return
        if not (self._groups or self._unsure):
            return
        direct = self._direct(now)
        fresh: list[Job] = []
        waiting: list[Job] = []
        for group in self._groups:
            for job in group.jobs:
                # What may have been stored before may have run before: the store decides.
                (fresh if job.priority < direct and not group.again and job.due <= now else waiting).append(job)
        try:
            self._release_unsure()
            if waiting:
                self._unsure = waiting
                self.interface.call(MONITOR_ADD, self.store.add, waiting, token=0)
                self.expect(min(job.due for job in waiting))
            if fresh:
                self._unsure = fresh
                new = self.interface.call(MONITOR_ADD, self.store.add, fresh, token=self.token)
                self.ready.extend(new)
                if len(new) < len(fresh):  # a slow monitor, past whom the application has written itself
                    self.expect(now)
        except StoreError as error:
            self._note(error)
            self._refuse_waiting()
            return
        self._unsure = []
        self._stored += [(group.channel, group.number) for group in self._groups]
        self._groups.clear()
        self._trouble = None

    def _direct(self, now: float) -> float:
        """Only what is more urgent than this may go to the workers without waiting in the store."""
        if self.paused:
            return -inf
        ready = self._fullness()
        if ready < READY_MOST / READY_LEAST and not self._is_due(now):
            return inf
        # The rest of a long queue is in the store: who would overtake it there overtakes what is ready as well.
        return self.ready.least if 1 <= ready < 2 * READY_MOST / READY_LEAST else -inf

    def _fullness(self) -> float:
        """How much is ready, in parts of what is enough for the workers meanwhile."""
        return max(len(self.ready) / READY_LEAST, self.ready.bytes / READY_LEAST_BYTES)

    def _release_unsure(self) -> None:
        """What the store took though it reported an error may be claimed by us, and in nobody's hands."""
        if not self._unsure:
            return
        strays = {job.id for job in self._unsure}
        # What was sent again, or written past us, has come to a worker before.
        strays -= {job.id for job in self.ready} | {each.id for each in self._outcomes}
        strays -= {id for member in self.pool.members.values() for id in member.inflight}
        self.interface.call(MONITOR_RELEASE, self.store.release, sorted(strays), token=self.token)
        self.expect(min(job.due for job in self._unsure))
        self._unsure = []

    def _refuse_waiting(self) -> None:
        """Applications keep what is not stored and send it again; a worker's registrations wait here."""
        if isinstance(self._trouble, StoreBusy):
            return  # a lock only delays, so there is nothing to tell
        error = self._trouble
        assert error is not None
        kept = []
        for group in self._groups:
            if group.is_worker:  # even if it has gone: what its job has registered comes before the job's outcome
                kept.append(group._replace(again=True))
            else:
                group.channel.send(
                    (messages.UNSTORED, group.number, isinstance(error, StoreFull), error.path, error.reason)
                )
        self._groups = kept

    def acknowledge(self) -> None:
        """What was registered is safe: say so, after the disk has it."""
        if not self._stored:
            return
        if self.settings.durability == "full":
            if self._retry_at is not None:
                return
            try:
                self.interface.call(MONITOR_SYNC, self.store.sync)
            except StoreError as error:
                self._note(error)
                return
        stored, self._stored = self._stored, []
        for channel, group in stored:
            self.interface.call(MONITOR_ACKNOWLEDGE, channel.send, (messages.REGISTERED, group))

    # -- to the workers --------------------------------------------------------------------------------------

    def expect(self, due: float) -> None:
        """A job that waits in the store is due then."""
        if self.next_due is None or due < self.next_due:
            self.next_due = due

    def _is_due(self, now: float) -> bool:
        return self.next_due is not None and self.next_due <= now

    def claim(self, now: float) -> None:
        """Take due jobs from the store."""
        if self.paused or self._fullness() >= 1 or not self._is_due(now) or self._retry_at is not None:
            return
        try:
            jobs = self.interface.call(
                MONITOR_CLAIM, self.store.claim, now, CLAIM_MOST, self.token, enough_bytes=CLAIM_BYTES
            )
            for job in jobs:
                if problem := border.problem_of(job):  # another program has written it
                    logger.error("job %r of %.100r cannot be run: %s", job.id, job.task, problem)
                    self._outcomes.append(Outcome(job.id, Status.ERROR.value, b"", f"it cannot be run: {problem}"))
                elif job.deaths < self.settings.max_deaths:
                    self.ready.append(job)
                else:  # the monitor died before it could store that it had given up
                    self._give_up(job, "with its monitor")
            self.next_due = self.store.next_due()
        except StoreError as error:
            self._note(error)

    def dispatch(self) -> None:
        """Give ready jobs to workers that have room."""
        if self.paused or (self._trouble is not None and self._outcomes):
            return
        late = self._late()
        if late:
            self._take_back(late)
        if not self.ready:
            return
        free = [each for each in self.pool.serving() if each.load_s <= AHEAD_S / 2 and each not in late]
        if not free:
            return
        free.sort(key=_load)
        held = self._hold_back(self.admits) if self.admits is not None else ()
        share = -(-len(self.ready) // len(free))
        for member in free:
            batch = self._batch(member, share)
            if not batch:
                break
            fresh = [id for id, number in self._outdated.items() if id in member.inflight and number < member.number]
            self.interface.call(MONITOR_DISPATCH, member.channel.send, (messages.RUN, batch, fresh))
        self.ready.extend(held)

    def _hold_back(self, admits: Callable[[Job], bool]) -> list[Job]:
        held = [job for job in self.ready if not admits(job)]
        self.ready = Ready(job for job in self.ready if admits(job))
        return held

    def _batch(self, member: Member, most: int) -> list[tuple[Any, ...]]:
        batch: list[tuple[Any, ...]] = []
        if not member.inflight:
            member.heard = self.interface.clock.monotonic()
        while self.ready and len(batch) < most:
            job = self.ready.first
            seconds = self._durations.get(job.task, UNKNOWN_S)
            if member.inflight and (
                member.load_s + seconds > AHEAD_S or member.load_bytes + len(job.payload) > AHEAD_BYTES
            ):
                break
            self.ready.popleft()
            member.take(job, seconds)
            batch.append(tuple(job))
        return batch

    def _late(self) -> list[Member]:
        """Who may be at a long job, though all that they were given was thought to be short."""
        now = self.interface.clock.monotonic()
        return [each for each in self.pool.serving() if each.inflight and now >= each.heard + OVERDUE_S]

    def _take_back(self, late: list[Member]) -> None:
        """Free what waits behind a long job, if there is anybody else for it."""
        if len(late) == sum(1 for _ in self.pool.serving()):
            return
        for member in late:
            if len(member.inflight) > 1 and not member.recalled:
                member.recalled = True
                member.channel.send((messages.TAKE_BACK,))

    def pause(self, paused: bool) -> None:
        """Dispatch no more, or go on; what has begun is ended either way."""
        if paused and not self.paused:
            for member in self.pool.serving():
                member.channel.send((messages.TAKE_BACK,))
        self.paused = paused

    # -- from the workers ------------------------------------------------------------------------------------

    def done(self, member: Member, row: tuple[Any, ...]) -> None:
        """A worker has run a job."""
        outcome = border.outcome(row)
        job = member.drop(outcome.id)
        if job is None:
            return  # late: the job was given up or is somebody else's
        self._outdated.pop(job.id, None)
        member.heard = self.interface.clock.monotonic()
        member.recalled = False
        average = self._durations.get(job.task)
        new = outcome.duration_s
        self._durations[job.task] = new if average is None else average + WEIGHT * (new - average)
        self._outcomes.append(outcome)

    def outdated(self, member: Member, id: bytes) -> None:
        """A worker's code is too old for a job that it has begun. A worker newer than all of now has the last word."""
        if id in member.inflight:
            self._outdated.setdefault(id, self.pool.newest)

    def released(self, member: Member, ids: list[bytes]) -> None:
        """A worker gives back jobs that it has not begun, or was interrupted in."""
        jobs = [job for job in map(member.drop, ids) if job is not None]
        member.recalled = False
        for job in reversed(jobs):
            self.ready.appendleft(job)

    def lost(self, member: Member, how: str, begun: bytes | None) -> None:
        """A worker has ended with jobs in its hands: the one it had begun is charged with the death."""
        for id in list(member.inflight)[::-1]:
            job = member.drop(id)
            assert job is not None
            if id == begun and not member.killed:
                self._charge(job, how)
            else:
                self.ready.appendleft(job)

    def _charge(self, job: Job, how: str) -> None:
        deaths = job.deaths + 1
        try:
            deaths = max(deaths, self.store.died(job.id, token=self.token))
        except StoreError as error:
            self._note(error)
        self.retry(job._replace(deaths=deaths), how)

    def retry(self, job: Job, how: str) -> None:
        """Run a job again whose worker died, unless too many did."""
        if job.deaths < self.settings.max_deaths:
            self.ready.appendleft(job)
        else:
            self._give_up(job, how)

    def _give_up(self, job: Job, how: str) -> None:
        error = f"the worker died ({how}) while running this task"
        logger.error("job %s of %s is given up after %d deaths: %s", job.id.hex(), job.task, job.deaths, error)
        self._outcomes.append(Outcome(job.id, Status.ERROR.value, b"", error))
        self._outdated.pop(job.id, None)

    def settle(self, now: float) -> list[bytes]:
        """Record outcomes; the jobs that have ended."""
        # A job's own registrations come before its outcome: where `add` was refused, this waits with it.
        if not self._outcomes or self._retry_at is not None:
            return []
        try:
            self.interface.call(
                MONITOR_SETTLE,
                self.store.settle,
                self._outcomes,
                token=self.token,
                now=now,
                ttl_s=self.settings.ttl_s,
            )
        except StoreError as error:
            self._note(error)
            return []
        ended = [each.id for each in self._outcomes]
        self._outcomes.clear()
        self.settled += len(ended)
        if self._trouble is not None:
            self._trouble = None
            self.dispatch()  # which was held back meanwhile, and nothing else may happen
        return ended

    def release_ready(self) -> None:
        """Give back to the store what is claimed and not dispatched."""
        if not self.ready or self._retry_at is not None:
            return
        try:
            self.interface.call(MONITOR_RELEASE, self.store.release, [job.id for job in self.ready], token=self.token)
        except StoreError as error:
            self._note(error)  # if this was the end, the next monitor takes them back
            return
        self._trouble = None
        self.expect(min(job.due for job in self.ready))
        self.ready.clear()

    # -- time ------------------------------------------------------------------------------------------------

    def is_settled(self) -> bool:
        """Whether nothing waits to be stored."""
        return not (self._outcomes or self._groups or self._stored)

    def next_at(self) -> float | None:
        """Monotonic time of the next thing to do, apart from what is due."""
        if self._retry_at is not None:
            return self._retry_at
        serving = list(self.pool.serving())
        if self.paused or all(each.inflight for each in serving):
            return None
        waiting = [each.heard + OVERDUE_S for each in serving if len(each.inflight) > 1 and not each.recalled]
        return min(waiting, default=None)

    def next_claim(self) -> float | None:
        """Wall time at which the next waiting job is to be claimed."""
        if self.paused or self._retry_at is not None or self._fullness() >= 1:
            return None
        return self.next_due

    def _note(self, error: StoreError) -> None:
        if self._trouble is None:
            logger.error("%s; trying again", error)
        self._trouble = error
        self.is_displaced = isinstance(error, StoreReplaced)
        self._retry_at = self.interface.clock.monotonic() + (BUSY_S if isinstance(error, StoreBusy) else RETRY_S)


def _load(member: Member) -> tuple[float, int]:
    return member.load_s, len(member.inflight)  # where nothing takes any time, as in a test, the idle go first
