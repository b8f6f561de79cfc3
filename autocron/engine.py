"""The application's side: start, stop, and the link to the monitor.

There is one current engine per process, whatever thread asks: the module's own, or the one that a test has put in
its place. A worker has one too, whose link is its channel.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from . import messages, payload
from .errors import AutocronError, TaskError
from .guest import Guest
from .interface import Channel, Clock, Interface
from .job import Entry, Job, Status, Stored
from .linker import START_S, Linker
from .registrar import ANSWER_S, Registrar
from .registry import registry
from .result import Result
from .run import run
from .settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger("autocron.engine")

FLUSH_S: Final = 3.0
PAGE: Final = 500


class Engine:
    """Starts and stops autocron in this process.

    `Engine(interface=None)` lives in the real world; any other `Interface` is a world of its own.
    """

    guards = False  # True in tests: while it is the current one, no engine starts anything in the real world

    def __init__(self, interface: Interface | None = None) -> None:
        self._given = interface
        self._interface = interface
        if interface is not None:
            interface.spawner.inhabit(interface)
        self._address = ""
        self._registrar: Registrar | None = None
        self._settings = Settings()
        self._pickle_allowed = False
        self._is_worker = False
        self._joined = ""  # address of the database where this process only registers
        self._hookings = itertools.count()
        self._came_by_itself = False  # to be the current one, as nobody else was started
        self._is_exiting = False  # nobody flushes any more what threads and handlers register from now on
        self._counter = itertools.count()  # safe to draw from in several threads

    # -- the promise -----------------------------------------------------------------------------------------

    def start(self, database_file: str | Path, workers: int | None = None) -> bool:
        """Have a monitor and its workers run the tasks of this application.

        `database_file`: relative ones lie in ~/.autocron/. `workers`: how many worker processes, stored in the
        database; None takes the stored number (1 in a new one).

        True if this call started the monitor; False if another process has it already, if autocron is switched
        off in the database, or if this is a worker. ValueError or TypeError for unusable arguments,
        FileNotFoundError for a missing directory, StoreError for a database that cannot be used,
        MonitorError if no monitor can be started.
        """
        workers = _checked_workers(workers)
        if self._is_worker:
            return False
        if self._given is None and _current[-1].guards:
            return _current[-1].start(database_file, workers)
        interface = self._world()
        address = interface.spawner.locate(database_file)
        self._notice_fork()
        self._hook()  # first: another thread may fork while this one holds the mutex
        with self._mutex:
            if isinstance(self._registrar, Guest):
                self._forget_guest()
            if self._registrar is not None:
                return self._start_again(address, workers)
            self.__dict__.pop("_linker", None)  # which remembers where this process has started
            link, spawned = self._linker.link(address, workers, START_S, create=True)
            if link is None:
                # Somebody's monitor is there and does not answer: what we register waits, and is not lost.
                logger.warning("the monitor of %s does not answer; is it stopped?", address)
            elif not self._settings.enabled:
                self._linker.part(link)
                self._address = address
                return False
            elif self._registrar is not None:  # by a signal handler, which has come in the middle of this
                link.close()
                return spawned
            self._begin(address, link)
        # Where a guard is in force, only an engine in a world of its own comes here.
        is_free = _current[-1]._registrar is None or _current[-1].guards
        if _current[-1] is not self and is_free and not self.guards:
            self._came_by_itself = True
            push(self)
        return spawned

    def join(self, database_file: str | Path) -> None:
        """Only register, from now on: jobs are for the workers of the application, which are not started for them.

        For management commands and scripts beside a server. Nothing is opened before the first call of a task.
        """
        if self._is_worker or self._registrar is not None or (self._given is None and _current[-1].guards):
            return
        self._joined = self._world().spawner.locate(database_file)

    def stop(self) -> None:
        """End this process' part; if it is the last one, the workers and the monitor end too. Idempotent."""
        self._leave(wait=True)

    def leave(self) -> None:
        """End this process' part, and do not wait for what that means to the workers: who starts next takes over."""
        self._leave(wait=False)

    def _leave(self, *, wait: bool) -> None:
        if self._is_worker:
            return
        self._joined = ""
        if self._registrar is None:
            return
        self._notice_fork()
        with self._mutex:
            registrar, self._registrar = self._registrar, None
        if registrar is None:
            return  # another thread was faster
        try:
            registrar.flush(FLUSH_S)
            if wait:
                registrar.leave(self._settings.grace_s + FLUSH_S)
        finally:  # Ctrl-C may end the waiting
            registrar.stop()
            if self._came_by_itself:
                self._came_by_itself = False
                pop(self)

    @property
    def active(self) -> bool:
        """Whether calls of tasks are handed to workers; otherwise they run in the caller."""
        return (self._registrar is not None or self._joined != "") and self._settings.enabled

    @property
    def in_process(self) -> bool:
        """Whether tasks run in this very process, in a world made for tests."""
        return self._interface is not None and self._interface.spawner.in_process

    # -- for decorators and results --------------------------------------------------------------------------

    def register(
        self,
        function: Callable[..., Any],
        address: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        after_s: float = 0.0,
        due: float | None = None,
        names: Sequence[str] = (),
        priority: int = 0,
        queue: str = "",
        id: bytes | None = None,
        blocking: bool = False,
    ) -> Result[Any]:
        """Register a call, or run it here if autocron is not active.

        `id`: one of `new_id`, else a new one. `blocking`: return when it is stored, whatever the settings say.
        """
        if registry.loading:
            logger.warning(
                "a call of %s while a worker loads %s is ignored: the application has made it, when it loaded that",
                address,
                registry.loading,
            )
            return Result(func=function, args=args, kwargs=kwargs, status=Status.UNAVAILABLE)
        registrar = self._own_registrar()
        if registrar is None or not self._settings.enabled:
            return _run_here(function, args, kwargs)
        if ("<" in address or address.startswith("__main__:")) and not self.in_process:
            refuse_unreachable(address, address.rpartition(":")[2])
        encoded = payload.encode_call(args, dict(kwargs), allow_pickle=self._pickle_allowed, names=names)
        now = registrar.interface.clock.time()
        job = Job(id or self.new_id(now), address, encoded, now + after_s if due is None else due, priority, queue)
        if (refusal := registrar.refusal()) is not None:
            raise refusal
        if registry.postpone is None:
            self._hand_over(registrar, job, blocking)
        else:
            registry.postpone(lambda: self._hand_over(registrar, job, blocking))
        return Result(func=function, args=args, kwargs=kwargs, uuid=job.id.hex())

    def _hand_over(self, registrar: Registrar, job: Job, blocking: bool) -> None:
        registrar.add(job, blocking=blocking or self._settings.blocking or self._is_exiting)

    def look_up(
        self, id: bytes, question: str = messages.RESULT, *, within_s: float = ANSWER_S
    ) -> tuple[Stored | None, bool]:
        """A job as the store knows it, and whether pickles may be read; STATE as the `question` spares its payload."""
        registrar = self._own_registrar()
        if registrar is None:
            raise AutocronError(self._nobody())
        stored_all = registrar.is_idle()
        answer = registrar.ask(question, id, within_s=within_s)
        if answer is None and not stored_all:
            job = registrar.held(id)
            if job is not None:
                answer = Stored(id, job.task, job.payload, job.due, Status.WAITING.value, b"", "", 0.0)
            else:  # it may have come to the monitor right behind the question
                answer = registrar.ask(question, id, within_s=within_s)
        return (None if answer is None else Stored._make(answer)), self._pickle_allowed

    def get_results(self) -> list[Result[Any]]:
        """All stored results, oldest first; none before `start`, nor where it found autocron switched off.

        Waits for the monitor's answer.
        """
        registrar = self._own_registrar()
        if registrar is None:
            if not self._settings.enabled:
                logger.warning("%s", self._nobody())
            return []
        found: list[Stored] = []
        after = b""
        while page := registrar.ask(messages.RESULTS, (after, PAGE)):
            found += map(Stored._make, page)
            after = found[-1].id
        return [Result.from_stored(each, self._pickle_allowed, registry.tasks.get(each.task)) for each in found]

    def _nobody(self) -> str:
        """Why there are no results to be had."""
        if self._settings.enabled:
            return "autocron is not started in this process, so nobody can be asked for results"
        return (
            f"autocron is switched off in {self._address}, so nobody can be asked for results:"
            f" `autocron settings {self._address} --enabled`, and start the application again"
        )

    def announce(self) -> None:
        """The cron entries of this process have changed."""
        if self._registrar is not None and not self._is_worker:
            self._registrar.nudge()

    def new_id(self, now: float) -> bytes:
        """A new id of a job, which sorts by the moment of registration (UTC epoch seconds)."""
        # Milliseconds, the order within this process, and what tells processes apart.
        number = next(self._counter) & 0xFFFFFF
        return ((int(now * 1000) << 80) | (number << 56) | self._mark).to_bytes(16, "big")

    @cached_property
    def _mark(self) -> int:
        """Tells the jobs of this process from those of others."""
        self._hook()  # a forked child needs one of its own
        return self._world().random.getrandbits(56)

    # -- the link --------------------------------------------------------------------------------------------

    def _start_again(self, address: str, workers: int | None) -> bool:
        assert self._registrar is not None
        if address != self._address:
            raise AutocronError(
                f"autocron is started on {self._address} in this process; call autocron.stop() before {address}"
            )
        if workers is not None and workers != self._settings.workers:
            self._registrar.ask(messages.SETTINGS, {"workers": workers})
        return False

    def _begin(self, address: str, link: Channel | None) -> None:
        interface = self._world()
        self._address = address
        self._registrar = Registrar(
            interface,
            address,
            link=link,
            relink=self._relink,
            announcement=_announcement,
            introduction=self._linker.introduce_again,
            on_settings=self._take_settings,
        )

    def _hook(self) -> None:
        if next(self._hookings) == 0:
            spawner = self._world().spawner
            spawner.on_fork(self._after_fork, guard=self._while_forking)
            spawner.on_exit(self._before_exit)

    def _own_registrar(self) -> Registrar | None:
        """The registrar of this very process, not of one that it is a copy of; None if it has not started."""
        self._notice_fork()
        return self._registrar or self._become_guest()

    def _notice_fork(self) -> None:
        if self._interface is not None:
            self._interface.spawner.notice_fork()

    def _become_guest(self) -> Registrar | None:
        """The registrar of a process that has joined; None if it has not."""
        if not self._joined:
            return None
        interface = self._world()
        self._hook()
        with self._mutex:
            if self._registrar is not None:  # another thread was faster
                return self._registrar
            guest = Guest(interface, self._joined, relink=self._relink_as_guest, on_settings=self._take_settings)
            guest.link = self._relink_as_guest()
            if guest.link is None:
                store = self._world_that_creates().open_store(self._joined)
                settings = Settings.from_stored(store.settings())
                self._take_settings(settings.as_dict(), settings.allows_pickle(store.pickle_allowed))
                store.close()
            self._address, self._registrar = self._joined, guest
        return guest

    def _relink_as_guest(self) -> Channel | None:
        return self._linker.link_as_guest(self._joined)

    def _forget_guest(self) -> None:
        assert self._registrar is not None
        self._registrar.stop()
        self._registrar = None

    def _relink(self) -> Channel | None:
        return self._linker.link(self._address)[0]

    @cached_property
    def _linker(self) -> Linker:
        return Linker(self._world(), identity=lambda: self._mark, on_settings=self._take_settings)

    def _take_settings(self, values: dict[str, Any], pickle_allowed: bool) -> None:
        self._settings = Settings.from_stored(values)
        self._pickle_allowed = pickle_allowed

    def _while_forking(self) -> AbstractContextManager[object]:
        """A copy of what a thread just writes would be nobody's, and lock the child out of the database for ever."""
        registrar = self._registrar
        return nullcontext() if registrar is None else registrar.mutex

    def _after_fork(self) -> None:
        """A forked child has none of our threads, and must not speak over its parent's link."""
        self.__dict__.pop("_lock", None)  # another thread of the parent may have held it
        self.__dict__.pop("_mark", None)
        if self._registrar is None:
            return
        old, self._registrar = self._registrar, None
        old.let_go()
        self._is_worker = self._is_exiting = False
        if not isinstance(old, Guest):  # a guest becomes one of its own when it calls a task
            self._begin(self._address, None)

    def _before_exit(self) -> None:
        self._notice_fork()
        registrar = self._registrar
        if registrar is not None and not self._is_worker:
            self._is_exiting = True
            registrar.end(FLUSH_S)

    def bind(self, interface: Interface, address: str, registrar: Registrar, pickle_allowed: bool) -> None:
        """Make this the engine of a worker: its link is the worker's channel."""
        self._interface = interface
        self._address = address
        self._registrar = registrar
        self._pickle_allowed = pickle_allowed
        self._settings = Settings()
        self._is_worker = True
        self._hook()

    def _world(self) -> Interface:
        if self._interface is None:
            from .system import real_interface  # noqa: PLC0415 - the one way from the middle into the real world

            self._interface = real_interface()
        return self._interface

    def _world_that_creates(self) -> Interface:
        """The world in which a missing database is made: where a process joins, which nobody may have started yet."""
        if self._given is not None:
            return self._given
        from .system import real_interface  # noqa: PLC0415 - as above

        return real_interface(create=True)

    @property
    def _mutex(self) -> AbstractContextManager[object]:
        # One, also where two threads are the first to want it: a cached property may be made twice.
        found: AbstractContextManager[object] | None = self.__dict__.get("_lock")
        return self.__dict__.setdefault("_lock", self._world().spawner.mutex()) if found is None else found


def _checked_workers(workers: object) -> int | None:
    if workers is None:
        return None
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise TypeError(f"workers={workers!r}: a whole number from 1 on, or None, is needed")
    if workers < 1:
        raise ValueError(f"workers={workers!r}: at least 1 is needed")
    return int(workers)  # and not an enumeration, which no message can carry


def refuse_unreachable(address: str, name: str) -> None:
    """TaskError, which calls it `name`, for a function that no worker would find."""
    if "<" in address.rpartition(":")[2]:  # and not in the path of a script
        wraps = ", or use functools.wraps if it is what a decorator returns" if "<locals>" in address else ""
        raise TaskError(f"{name}: a worker cannot find a nested function or a lambda; define it at module level{wraps}")
    if address.startswith("__main__:"):
        raise TaskError(f"{name}: a worker cannot find a task of an interactive session; put it into a module")


def _announcement() -> tuple[int, list[Entry]]:
    return registry.version, list(registry.entries.values())


def _run_here(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Result[Any]:
    ended = run(function, args, kwargs)
    if isinstance(ended.exception, KeyboardInterrupt):
        raise ended.exception  # it is the application that is interrupted, not the task
    return Result(
        func=function,
        args=args,
        kwargs=kwargs,
        function_result=ended.value,
        error_message=ended.error,
        status=Status.ERROR if ended.error else Status.READY,
    )


engine = Engine()
_current: list[Engine] = [engine]


def current() -> Engine:
    """The engine of this process."""
    return _current[-1]


def push(engine: Engine) -> None:
    """Make this the engine of this process, whatever thread asks."""
    _current.append(engine)


def pop(engine: Engine) -> None:
    """It is the engine of this process no more, nor is any that has come by itself since then."""
    # The last one: the module's own is there twice in a test that wants it.
    at = len(_current) - 1 - _current[::-1].index(engine)
    above = _current[at + 1 :]
    del _current[at:]
    for each in above:
        if each._came_by_itself:
            each._came_by_itself = False
        else:
            _current.append(each)


def now() -> datetime:
    """The time by the clock of the current engine, UTC; in a test, the time that the test has set."""
    return moment_of(current()._world().clock)


def moment_of(clock: Clock) -> datetime:
    """What a clock shows, UTC."""
    return datetime.fromtimestamp(clock.time(), UTC)


def start(database_file: str | Path, workers: int | None = None) -> bool:
    """See `Engine.start`."""
    return current().start(database_file, workers)


def stop() -> None:
    """See `Engine.stop`."""
    current().stop()


def get_results() -> list[Result[Any]]:
    """All stored results, oldest first."""
    return current().get_results()
