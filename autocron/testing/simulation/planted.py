"""Bugs planted on purpose: whether the simulator finds them is the honest measure of it.

Each is a context manager that replaces a piece of the real code by a wrong one, as a person could have written it. The
production code has no switch for this. Some of them were real once, before the simulator found them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from ... import messages
from ...engine import Engine
from ...errors import StoreError
from ...guest import Guest
from ...interface import Channel, Closed, Event, Message
from ...job import Job, Outcome, Stored
from ...labels import MONITOR_ACKNOWLEDGE
from ...linker import Linker
from ...monitor import Monitor, dispatcher, scheduler
from ...monitor.dispatcher import Dispatcher
from ...monitor.pool import Pool
from ...monitor.pruner import Pruner
from ...monitor.scheduler import Scheduler
from ...registrar import Registrar
from ...run import Ended, message_of
from ...stores import sqlite
from ...stores.sqlite import SQLiteStore
from ...worker import Worker

Planting = Callable[[], AbstractContextManager[object]]


class Bug(NamedTuple):
    """One planted bug."""

    name: str
    about: str
    plant: Planting


BUGS: list[Bug] = []


def _bug(about: str) -> Callable[[Callable[[], Iterator[None]]], Planting]:
    def planted(function: Callable[[], Iterator[None]]) -> Planting:
        plant = contextmanager(function)
        BUGS.append(Bug(function.__name__, about, plant))
        return plant

    return planted


def _replace(owner: Any, name: str, value: object) -> Callable[[], Iterator[None]]:
    def replaced() -> Iterator[None]:
        with patch.object(owner, name, value):
            yield

    return replaced


def _method(owner: Any, name: str, about: str) -> Callable[[Callable[..., Any]], None]:
    """A bug that consists of one wrong method."""

    def planted(function: Callable[..., Any]) -> None:
        BUGS.append(Bug(function.__name__, about, contextmanager(_replace(owner, name, function))))

    return planted


def _original(owner: Any, name: str) -> Callable[..., Any]:
    return getattr(owner, name)  # type: ignore[no-any-return]


# -- registrations -------------------------------------------------------------------------------------------

_send_group = _original(Registrar, "_send_group")
_register = _original(Dispatcher, "register")
_settle = _original(Dispatcher, "settle")
_until = _original(Registrar, "_until")
_receive = _original(Registrar, "receive")
_add = _original(Registrar, "add")


@_method(Dispatcher, "acknowledge", "the monitor acknowledges registrations before the disk has them")
def acknowledged_before_sync(self: Dispatcher) -> None:
    stored, self._stored = self._stored, []
    for channel, group in stored:
        self.interface.call(MONITOR_ACKNOWLEDGE, channel.send, (messages.REGISTERED, group))


@_method(Dispatcher, "register", "the monitor acknowledges registrations as soon as it has read them")
def acknowledged_before_commit(self: Dispatcher, channel: Any, group: int, again: bool, rows: list[Any]) -> None:
    channel.send((messages.REGISTERED, group))
    _register(self, channel, group, again, rows)


_store_add = _original(SQLiteStore, "add")


@_method(SQLiteStore, "add", "the store says of all jobs that they are new, and they are dispatched")
def all_taken_as_new(self: SQLiteStore, jobs: Any, *, token: int) -> Any:
    _store_add(self, jobs, token=token)
    return jobs


@_method(Dispatcher, "_release_unsure", "what the store took although it reported an error stays claimed")
def unsure_and_claimed(self: Dispatcher) -> None:
    """Nothing."""


@_method(Registrar, "_lose_link", "what was sent and not acknowledged is forgotten with the link")
def lost_with_the_link(self: Registrar, link: Channel) -> None:
    if link is not self.link:
        return
    link.close()
    self.link = None
    self._lost_at = self.interface.clock.monotonic()
    self._retry_at = 0.0
    self._outbox.unacknowledged.clear()


@_method(Registrar, "_until", "the registrar forgets when to send the refused ones again")
def refused_and_forgotten(self: Registrar, *more: Any) -> float | None:
    if self.link is not None and not self._linger_s:
        return None
    return _until(self, *more)  # type: ignore[no-any-return]


@_method(Registrar, "receive", "a refusal is taken for an acknowledgement")
def refusal_as_acknowledgement(self: Registrar, body: Any) -> None:
    _receive(self, (messages.REGISTERED, body[1]) if body[0] == messages.UNSTORED else body)


@_method(Registrar, "add", "the bell is rung before there is something to fetch")
def rung_too_early(self: Registrar, job: Job, *, blocking: bool = False) -> None:
    if blocking:
        self._outbox.watched.add(job.id)
    self.nudge()
    self._outbox.pending.append(job)
    if blocking:
        self._await_safe(job)


@_method(Registrar, "_await_safe", "blocking mode does not block")
def blocking_in_name_only(self: Registrar, job: Job) -> None:
    self._outbox.watched.discard(job.id)


@_method(Registrar, "end", "the end of an application does not wait for what is on its way")
def left_without_flush(self: Registrar, within_s: float) -> None:
    """Nothing."""


@_method(Registrar, "_store", "what the application writes itself is not synced")
def fallback_without_sync(self: Registrar, jobs: list[Job]) -> None:
    self.interface.open_store(self.address).add(jobs, token=0)


@_bug("a job that is registered again replaces the one that is there")
def registered_again_replaces() -> Iterator[None]:
    insert = sqlite.INSERT.replace("INSERT INTO", "INSERT OR REPLACE INTO").partition(" ON ")[0]
    with patch.object(sqlite, "INSERT", insert):
        yield


# -- the link ------------------------------------------------------------------------------------------------


_is_welcomed = _original(Linker, "_is_welcomed")


@_method(Linker, "_is_welcomed", "what comes behind the welcome in the same moment is not looked at")
def end_behind_the_welcome(self: Linker, link: Any, *more: Any) -> bool:
    spawner = self.interface.spawner
    wait = spawner.wait

    def up_to_the_welcome(sources: Any, until: float | None) -> list[Event]:
        events = wait(sources, until)
        kinds = [event.body[0] if isinstance(event, Message) else "" for event in events]
        return events[: kinds.index(messages.WELCOME) + 1] if messages.WELCOME in kinds else events

    with patch.object(spawner, "wait", up_to_the_welcome):
        return bool(_is_welcomed(self, link, *more))


@_method(Engine, "look_up", "a job that the store does not know waits, as long as anything is on its way")
def removed_and_waiting(
    self: Engine, id: bytes, question: str = messages.RESULT, **more: Any
) -> tuple[Stored | None, bool]:
    assert self._registrar is not None
    idle = self._registrar.is_idle()
    answer = self._registrar.ask(question, id)
    if answer is None and not idle:
        return Stored(id, "", b"", 0.0, 1, b"", "", 0.0), self._pickle_allowed
    return (None if answer is None else Stored._make(answer)), self._pickle_allowed


@_method(Monitor, "_left", "the monitor does not notice that the last application has gone")
def stays_for_ever(self: Monitor, channel: Any) -> None:
    self.scheduler.forget(channel, self.interface.clock.time())


# -- runs and outcomes ---------------------------------------------------------------------------------------


@_method(Dispatcher, "lost", "the death of a worker is charged to the first job it held, begun or not")
def innocent_charged(self: Dispatcher, member: Any, how: str, begun: bytes | None) -> None:
    for number, id in enumerate(list(member.inflight)):
        job = member.drop(id)
        if number == 0 and not member.killed:
            self._charge(job, how)
        else:
            self.ready.append(job)


@_method(Dispatcher, "lost", "what a dead worker had not begun is forgotten")
def forgotten_with_the_worker(self: Dispatcher, member: Any, how: str, begun: bytes | None) -> None:
    job = None if begun is None else member.drop(begun)
    if job is not None:
        self._charge(job, how)


@_method(Dispatcher, "_charge", "deaths are not counted")
def deaths_not_counted(self: Dispatcher, job: Job, how: str) -> None:
    self.ready.appendleft(job)


@_method(Dispatcher, "retry", "a job is given up one death too late")
def given_up_too_late(self: Dispatcher, job: Job, how: str) -> None:
    if job.deaths <= self.settings.max_deaths:
        self.ready.appendleft(job)
        return
    error = f"the worker died ({how}) while running this task"
    self._outcomes.append(Outcome(job.id, 4, b"", error))


@_method(Dispatcher, "settle", "an outcome is stored before what the job has registered")
def outcome_before_registrations(self: Dispatcher, now: float) -> list[bytes]:
    trouble, retry_at = self._trouble, self._retry_at
    self._retry_at = None
    try:
        return list(_settle(self, now))
    finally:
        self._trouble, self._retry_at = self._trouble or trouble, self._retry_at or retry_at


@_method(Dispatcher, "settle", "outcomes are forgotten when the disk refuses them")
def outcomes_forgotten(self: Dispatcher, now: float) -> list[bytes]:
    ended = list(_settle(self, now))
    self._outcomes.clear()
    return ended


@_method(SQLiteStore, "rescue", "what a dead monitor had claimed stays claimed")
def rescue_forgotten(self: SQLiteStore, begun: Any, *, token: int) -> list[Job]:
    return []


@_method(SQLiteStore, "rescue", "all that a dead monitor had claimed is charged with a death")
def all_charged(self: SQLiteStore, begun: Any, *, token: int) -> list[Job]:
    with self._transaction() as db:
        db.execute("UPDATE jobs SET deaths = deaths + 1, status = 1 WHERE status = 2 AND token != ?", (token,))
    return []


_claim = _original(SQLiteStore, "claim")


@_method(SQLiteStore, "claim", "jobs are given out and not marked as claimed")
def claimed_and_not_marked(self: SQLiteStore, now: float, limit: int, token: int, **more: Any) -> list[Job]:
    jobs: list[Job] = _claim(self, now, limit, token, **more)
    self._db.executemany("UPDATE jobs SET status = 1 WHERE id = ?", [(job.id,) for job in jobs])
    return jobs


@_method(SQLiteStore, "claim", "jobs are claimed half a minute before they are due")
def too_early(self: SQLiteStore, now: float, limit: int, token: int, **more: Any) -> list[Job]:
    return list(_claim(self, now + 30.0, limit, token, **more))


@_method(Dispatcher, "release_ready", "what was claimed and not dispatched is not given back at the end")
def not_given_back(self: Dispatcher) -> None:
    self.ready.clear()


@_method(Dispatcher, "pause", "who pauses the work is told that it is paused, and it goes on")
def paused_in_name_only(self: Dispatcher, paused: bool) -> None:
    if not paused:
        self.paused = False


@_bug("a job that is run again by hand keeps the deaths for which it was given up")
def retried_and_unforgiven() -> Iterator[None]:
    with patch.object(sqlite, "RETRY", sqlite.RETRY.replace("deaths = 0, ", "")):
        yield


@_method(SQLiteStore, "purge", "jobs are removed by hand in the middle of their run")
def purged_while_it_runs(self: SQLiteStore, ids: Any, statuses: Any) -> int:
    with self._transaction() as db:
        return int(db.executemany("DELETE FROM jobs WHERE id = ?", [(id,) for id in ids]).rowcount)


@_method(Guest, "_find_link", "who only registers, past a monitor that is just starting, does not tell it")
def registered_and_untold(self: Guest) -> None:
    self.link = None
    if not self.is_idle():
        self._write_directly()


_run = _original(Worker, "_run")


@_method(Worker, "_run", "an interrupted job ends in error instead of waiting again")
def interrupted_as_error(self: Worker, job: Job) -> Outcome | None:
    try:
        return _run(self, job)  # type: ignore[no-any-return]
    except BaseException as error:
        return self._failed(job, Ended(None, message_of(error), error), 0.0)


@_method(Worker, "_give_back", "a worker that retires keeps what it has not begun")
def kept_by_the_retired(self: Worker) -> None:
    self.backlog.clear()


_take = _original(Worker, "take")


@_method(Worker, "take", "a worker does not notice the end of its monitor")
def worker_outlives(self: Worker, event: Any) -> None:
    if not isinstance(event, Closed):
        _take(self, event)


# -- the pool, the clock, the entries ------------------------------------------------------------------------


@_method(Pool, "keep", "workers that are not up yet are not counted")
def one_worker_too_many(self: Pool) -> None:
    now = self.interface.clock.monotonic()
    self._end_in_time(now)
    staying = [each for each in self.members.values() if each.ready and not each.ending]
    for each in staying[self.target :]:
        self.end(each)
    for _ in range(self.target - len(staying)):
        if now >= self._spawn_at:
            self._spawn(now)


@_method(Dispatcher, "_note", "the pause after a refusal is reckoned by the wall clock")
def clocks_confused(self: Dispatcher, error: StoreError) -> None:
    self._trouble = error
    self._retry_at = self.interface.clock.time() + 1.0


@_bug("there is no pause after a refusal of the disk")
def spins() -> Iterator[None]:
    with patch.object(dispatcher, "RETRY_S", 0.0):
        yield


@_method(Scheduler, "_store_entries", "an entry that could not be stored is not tried again")
def entry_never_stored(self: Scheduler) -> bool:
    for key, state in list(self._unstored.items()):
        del self._unstored[key]
        try:
            self.store.set_entry(key, state.spec, state.last_fire)
        except StoreError:
            return True
    return True


@_bug("the fire time is not remembered, and nothing else keeps a firing apart from its double")
def fired_twice() -> Iterator[None]:
    def fire(self: SQLiteStore, firings: Any, *, token: int) -> list[Job]:
        jobs = [each.job for each in firings if each.job is not None]
        self.add(jobs, token=token)
        return jobs

    counter = iter(range(1 << 30))
    with ExitStack() as stack:
        stack.enter_context(patch.object(SQLiteStore, "fire", fire))
        stack.enter_context(
            patch.object(scheduler, "_firing_id", lambda key, at: int(at * 1000 + next(counter)).to_bytes(16, "big"))
        )
        yield


@_method(Scheduler, "ended", "a firing that queues behind the previous one is never let go")
def queued_for_ever(self: Scheduler, ids: Any) -> None:
    """Nothing."""


@_method(Pruner, "prune", "results are removed whether their time is over or not")
def pruned_too_early(self: Pruner, now: float) -> None:
    if self.next_at is not None:
        self.store.prune(now + 1e6, 1000)
        self.next_at = None


_end_in_time = _original(Pool, "_end_in_time")


@_method(Pool, "_end_in_time", "a worker that was killed at the end of its grace counts as one that died")
def victim_charged(self: Pool, now: float) -> None:
    _end_in_time(self, now)
    for each in self.members.values():
        each.killed = False
