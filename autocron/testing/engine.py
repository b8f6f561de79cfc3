"""The fake engine: the real roles in this thread, on a clock that the test moves.

While it is in force it is the engine of the whole process, whatever thread asks. A call of a task registers a job
with the real monitor, on the real store in memory; a real worker runs it when the test says so. Nothing runs by itself.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, Self

from .. import engine as engines
from ..errors import AutocronError
from ..interface import Store
from ..job import Job, Status, Stored
from ..registry import registry
from ..result import Result
from ..run import Ended
from ..stores.sqlite import MEMORY
from .durations import Duration, Moment, epoch_of, seconds_of
from .freezing import FollowingClock
from .jobs import AnyTask, EnqueuedJob, address_of_task, arguments_of, call_of, name_of
from .memory import MemoryStore
from .report import FAILED, READY, Report, Run
from .world import World

logger = logging.getLogger("autocron.testing")

MODES: Final = ("queued", "inline", "off")
MOST_RUNS: Final = 1000  # of `run_pending`, before it is called a runaway
MOST_POLLS: Final = 10  # of one unfinished job, with nothing run between: no poll will ever be answered otherwise


class TaskPending(AutocronError):
    """Somebody waits for a job that cannot run meanwhile."""


class RunawayTasks(AutocronError, AssertionError):
    """More jobs were run than the limit allows: do tasks enqueue themselves for ever?"""


class GuardingEngine(engines.Engine):
    """The application's engine while a `FakeEngine` is in force: `start` starts nothing in the real world."""

    guards = True

    def __init__(self, fake: FakeEngine) -> None:
        super().__init__(fake.world.interface())
        self._fake = fake

    def start(self, database_file: str | Path, workers: int | None = None) -> bool:
        """Whatever the file, the tasks run in this process; True."""
        super().start(MEMORY, workers)
        return self.active

    def register(self, *args: Any, **kwargs: Any) -> Result[Any]:
        """See `Engine.register`."""
        result = super().register(*args, **kwargs)
        self._fake._registered(result)
        return result

    def look_up(self, id: bytes) -> tuple[Stored | None, bool]:
        """See `Engine.look_up`."""
        answer = super().look_up(id)
        self._fake._asked(answer[0])
        return answer


class FakeEngine:
    """See the module's functions, which act on the one in force, and `fake_engine`."""

    def __init__(
        self,
        *,
        start: Moment | None = None,
        tz: str | None = None,
        mode: str = "queued",
        workers: int = 1,
        seed: int = 0,
        freeze: bool = True,
        strict: bool = False,
    ) -> None:
        _check_mode(mode)
        self._start = start
        self._tz = tz
        self._mode = mode
        self._workers = workers
        self._seed = seed
        self._freeze = freeze
        self._strict = strict
        self._is_running = False
        self._runs: list[Run] = []
        self._unobserved: dict[bytes, Run] = {}
        self._last: Run | None = None
        self._polls: tuple[bytes, int] = (b"", 0)
        self._inline: set[bytes] = set()  # the jobs that an inline call runs
        self._still_waiting: list[EnqueuedJob] = []

    # -- in force --------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._tasks = dict(registry.tasks)
        self._entries = dict(registry.entries)
        self._decorated = dict(registry.decorated)
        self._zone = _enter_zone(self._tz) if self._tz is not None else None
        self.clock = FollowingClock(
            None if self._start is None else epoch_of(self._start, "start"), freeze=self._freeze
        )
        self.store = MemoryStore()
        self.world = World(self.clock, self._open_store, Random(self._seed))
        self.world.observe = self._observe
        self.world.admits = _nothing
        self.engine = GuardingEngine(self)
        self.world.registrar = lambda: self.engine._registrar
        self._thread = threading.get_ident()
        _in_force.append(self)
        if self._mode != "off":
            engines.push(self.engine)
        self.engine.start(MEMORY, self._workers)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close()
        if error is None:
            self.check()

    def close(self) -> None:
        """Take it out of force, and drop the tasks and entries that were decorated inside functions meanwhile."""
        _in_force.remove(self)
        if self._mode != "off":
            engines.pop(self.engine)
        self._still_waiting = self.pending() if self._strict else []
        self.store.discard()
        self.clock.stop()
        if self._zone is not None:
            _set_zone(self._zone)
        self._forget_nested()

    def check(self) -> None:
        """Raise what nobody has seen: the error of a task, and with `strict` jobs that still wait."""
        for run in self._unobserved.values():
            assert run.exc is not None
            run.exc.add_note(f"autocron: {self._told(run)}; nobody has looked at this failure")
            raise run.exc
        if self._still_waiting:
            jobs = "\n  ".join(map(str, self._still_waiting))
            raise AssertionError(
                f"strict: {len(self._still_waiting)} jobs still wait at the end of the test:\n  {jobs}"
            )

    def _forget_nested(self) -> None:
        # A module imported meanwhile stays imported, and so do its tasks.
        for address in [each for each in registry.tasks if "<" in each and each not in self._tasks]:
            del registry.tasks[address]
        for key in [
            each for each, entry in registry.entries.items() if "<" in entry.task and each not in self._entries
        ]:
            del registry.entries[key], registry.decorated[key]
            registry.version += 1

    def _open_store(self, address: str) -> Store:
        return self.store

    # -- running ---------------------------------------------------------------------------------------------

    def run_pending(
        self,
        task: AnyTask | None = None,
        *,
        limit: int = MOST_RUNS,
        raises: bool = True,
        until_idle: bool = True,
        expect: int | None = None,
    ) -> Report:
        """Run what is due now, cron firings and the jobs that jobs enqueue included. The clock does not move.

        task: only its jobs. limit: RunawayTasks beyond so many. raises: the first error of a task is raised, after
        it was recorded; else it is in the report. until_idle=False: not what the jobs enqueue meanwhile.
        expect: AssertionError if another number of jobs ran.
        """
        address = None if task is None else address_of_task(task)
        admits: Callable[[Job], bool] | None = None
        if not until_idle:
            ids = {bytes.fromhex(each.id) for each in self.pending()}
            admits = lambda job: job.id in ids and address in (None, job.task)  # noqa: E731
        elif address is not None:
            admits = lambda job: job.task == address  # noqa: E731
        with self._running(admits, raises) as runs:
            self._run_due(runs, limit, raises)
        report = self._report(runs, raises)
        if expect is not None and len(runs) != expect:
            raise AssertionError(f"run_pending(expect={expect}): {len(runs)} jobs ran\n{report}")
        return report

    def fast_forward(self, by: Duration, *, raises: bool = True, limit: int | None = None, run: bool = True) -> Report:
        """Let time pass, event by event, and run what falls due, the last moment included.

        by: seconds, a timedelta or a text such as "1d 2h". raises, limit: as of `run_pending`. run=False: only the
        clock moves; what was missed counts as missed.
        """
        seconds = seconds_of(by, "by")
        return self._pass_time(self.clock.time() + seconds, raises=raises, limit=limit, run=run)

    def travel_to(self, when: Moment, *, raises: bool = True, limit: int | None = None, run: bool = True) -> Report:
        """Fast-forward to a moment; a moment in the past sets the clock back, and nothing runs.

        when: an aware datetime, or an ISO text; naive means local time.
        """
        target = epoch_of(when)
        if target < self.clock.time():
            self._check_can_run()
            self.clock.reach(target)
            return Report()
        return self._pass_time(target, raises=raises, limit=limit, run=run)

    def _pass_time(self, target: float, *, raises: bool, limit: int | None, run: bool) -> Report:
        if not run:
            self._check_can_run()
            self.clock.reach(target)
            return Report()
        with self._running(None, raises) as runs:
            while True:
                self._run_due(runs, limit, raises)
                following = self.world.next_at()
                if following is None or following > target:
                    break
                if following > self.clock.time():
                    self.clock.reach(following)
            if target > self.clock.time():
                self.clock.reach(target)
        return self._report(runs, raises)

    @contextmanager
    def _running(self, admits: Callable[[Job], bool] | None, raises: bool) -> Iterator[list[Run]]:
        self._check_can_run()
        self.world.pump()
        self.world.admit(admits)
        self._is_running = True
        self._polls = (b"", 0)
        runs: list[Run] = []
        try:
            yield runs
        finally:
            self._is_running = False
            self.world.admit(_nothing)
            self.world.pump()

    def _check_can_run(self) -> None:
        if self._is_running:
            raise AutocronError("time and work are moved by the test; a task that is being run cannot do it")
        if self._mode == "off":
            raise AutocronError('mode "off": autocron is real in this test, so nothing can be run or moved from here')

    def _run_due(self, runs: list[Run], limit: int | None, raises: bool) -> None:
        while True:
            self.world.pump()
            worker = self.world.next_worker()
            if worker is None:
                return
            if limit is not None and len(runs) >= limit and worker.next_job() is not None:
                raise RunawayTasks(_runaway(runs, limit))
            self._last = None
            worker.run_job()
            run = self._last
            if run is None:
                continue
            runs.append(run)
            if run.exc is not None and (raises or _passes_through(run.exc)):
                self.world.pump()
                self._unobserved.pop(run.job.id, None)
                waiting = len(self.pending())
                run.exc.add_note(f"autocron: {self._told(run)}; {waiting} {_jobs(waiting)} still pending")
                raise run.exc

    def _observe(self, job: Job, ended: Ended) -> None:
        """A worker has run a job."""
        outcome = READY if ended.exception is None else FAILED
        run = Run(job, self.clock.time(), outcome, ended.value, ended.exception)
        self._runs.append(run)
        self._last = run
        if ended.exception is not None:
            self._unobserved[job.id] = run

    def _report(self, runs: list[Run], raises: bool) -> Report:
        if raises:
            return Report(runs)
        return Report(runs, seen=lambda: self._see(runs))

    def _see(self, runs: list[Run]) -> None:
        for run in runs:
            self._unobserved.pop(run.job.id, None)

    def _told(self, run: Run) -> str:
        return f"{call_of(run.task, *arguments_of(run.job))} failed in attempt {run.attempt}"

    # -- reading ---------------------------------------------------------------------------------------------

    def now(self) -> float:
        """UTC epoch seconds; `autocron.now()` gives a datetime."""
        return self.clock.time()

    def pending(self) -> list[EnqueuedJob]:
        """The jobs that wait, in the order in which they fall due."""
        self.world.pump()
        found: list[Job] = []
        after = b""
        while page := self.store.results(after, 500):
            after = page[-1].id
            found += [
                Job(row.id, row.task, row.payload, row.due, entry=row.entry)
                for row in page
                if row.status in (Status.WAITING, Status.PROCESSING)
            ]
        return [EnqueuedJob.from_job(job) for job in sorted(found, key=lambda job: job.due)]

    def enqueued(self, task: AnyTask | None = None) -> list[EnqueuedJob]:
        """The jobs that wait and were registered by a call, all or those of one task."""
        address = None if task is None else address_of_task(task)
        return [job for job in self.pending() if not job.entry and address in (None, job.task)]

    def history(self) -> Report:
        """All runs so far."""
        return Report(list(self._runs), seen=lambda: self._see(self._runs))

    @contextmanager
    def captured(self) -> Iterator[list[EnqueuedJob]]:
        """The jobs that are registered inside the block, in their order; complete at its end."""
        self.world.pump()
        known = len(self.store.added)
        jobs: list[EnqueuedJob] = []
        try:
            yield jobs
        finally:
            self.world.pump()
            jobs += map(EnqueuedJob.from_job, self.store.added[known:])

    # -- modes -----------------------------------------------------------------------------------------------

    @contextmanager
    def mode(self, mode: str) -> Iterator[None]:
        """Another mode inside the block: "queued", or "inline": a call runs its job before it returns."""
        _check_mode(mode)
        if "off" in (mode, self._mode) and mode != self._mode:
            raise AutocronError('mode "off" is for a whole test: say so in the marker, or leave the fixture out')
        before, self._mode = self._mode, mode
        try:
            yield
        finally:
            self._mode = before

    def _registered(self, result: Result[Any]) -> None:
        """The application has called a task."""
        if self._mode != "inline" or not result.uuid:
            return
        id = bytes.fromhex(result.uuid)
        if self._is_running:
            self._inline.add(id)  # by a task: it runs right after that one
            return
        self._inline = {id}
        with self._running(lambda job: job.id in self._inline, False) as runs:
            self._run_due(runs, MOST_RUNS, False)

    def _asked(self, stored: Stored | None) -> None:
        """The application has asked for a result."""
        if stored is None or stored.status not in (Status.WAITING, Status.PROCESSING):
            if stored is not None:
                self._unobserved.pop(stored.id, None)
            return
        id, polls = self._polls
        self._polls = (stored.id, polls + 1 if id == stored.id else 1)
        if self._polls[1] >= MOST_POLLS and threading.get_ident() == self._thread and not _in_loop():
            self._polls = (b"", 0)
            raise TaskPending(
                f"{name_of(stored.task)} was asked for {MOST_POLLS} times and has not run: nothing runs in the "
                "background here; call run_pending() or fast_forward() before you wait for its result"
            )


_in_force: list[FakeEngine] = []


def current() -> FakeEngine:
    """The fake engine in force. AutocronError if there is none."""
    if not _in_force:
        raise AutocronError(
            "there is no fake engine in force: use the pytest fixture `fake_engine`, "
            "or `with autocron.testing.fake_engine():`"
        )
    return _in_force[-1]


def fake_engine(
    *,
    start: Moment | None = None,
    tz: str | None = None,
    mode: str = "queued",
    workers: int = 1,
    seed: int = 0,
    freeze: bool = True,
    strict: bool = False,
) -> FakeEngine:
    """A context in which autocron is fake: `with fake_engine() as engine:`.

    start: the moment at which the clock stands, default what `datetime.now()` shows. tz: the local zone of the
    process inside. mode: "queued", "inline" or "off". workers: how many. seed: of identifiers. freeze: whether
    moving the clock may start a freezer, so that `datetime.now()` moves too. strict: jobs that still wait at the
    end are an error.
    """
    return FakeEngine(start=start, tz=tz, mode=mode, workers=workers, seed=seed, freeze=freeze, strict=strict)


def _nothing(job: Job) -> bool:
    return False


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"mode={mode!r}: only {', '.join(MODES)} is allowed")


def _passes_through(error: BaseException) -> bool:
    """KeyboardInterrupt and the outcomes of pytest are no errors of a task."""
    return not isinstance(error, Exception | SystemExit)


def _runaway(runs: list[Run], limit: int) -> str:
    often = ", ".join(
        f"{name_of(task)} ({times} times)" for task, times in Counter(r.task for r in runs).most_common(3)
    )
    return f"more than {limit} jobs fell due: {often}; do they enqueue one another for ever? limit= allows more"


def _jobs(number: int) -> str:
    return "job" if number == 1 else "jobs"


def _in_loop() -> bool:
    import asyncio  # noqa: PLC0415 - expensive, and loaded already where it matters

    return asyncio._get_running_loop() is not None


def _enter_zone(tz: str) -> Mapping[str, str]:
    from ..schedule import Schedule  # noqa: PLC0415

    Schedule("* * * * *", tz=tz)  # ValueError for an unknown zone
    before = {} if (known := os.environ.get("TZ")) is None else {"TZ": known}
    _set_zone({"TZ": tz})
    return before


def _set_zone(environment: Mapping[str, str]) -> None:
    os.environ.pop("TZ", None)
    os.environ.update(environment)
    time.tzset()
