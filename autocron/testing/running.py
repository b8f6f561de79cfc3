"""Having the workers of the small world run their jobs, and letting time pass between.

What is to be run comes from one generator, `due` or `passing`; whoever drives it (plainly, or in the caller's event
loop) has each worker that it yields run one job.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from .. import payload
from ..errors import AutocronError, PayloadError
from ..job import Job, Stored
from ..registry import registry
from ..run import Ended
from .awaiting import run_awaiting
from .freezing import FollowingClock
from .jobs import Unreadable, arguments_of, call_of, is_async, name_of
from .loops import is_in_loop, without_loop
from .memory import MemoryStore
from .processes import WorkerProcess
from .report import CRASHED, FAILED, READY, Report, Run
from .world import World

Admits = Callable[[Job], bool] | None
Steps = Callable[[list[Run]], Iterator[WorkerProcess]]

SAME_S: Final = 1e-6  # a sum of floats: ten times 0.1 s is a little less than one
MOST_RUNS: Final = 1000  # at one moment, before it is called a runaway


class RunawayTasks(AutocronError, AssertionError):
    """More jobs were run than the limit allows: do tasks enqueue themselves for ever?"""


class Runner:
    """Runs jobs in the small world, and keeps what became of them."""

    def __init__(self, world: World, clock: FollowingClock, store: MemoryStore) -> None:
        self.world = world
        self.clock = clock
        self.store = store
        self.is_running = False
        self.runs: list[Run] = []
        self.unobserved: dict[bytes, Run] = {}  # failures that nobody has seen
        self._last: Run | None = None
        self._failed: Run | None = None  # whose error is to be raised
        self._lasting: dict[int, list[Run]] = {}  # worker → the runs that are reported, of the job that takes its time
        world.observe = self._observe
        world.lose = self._lose
        world.admit(nothing)

    # -- what is run -----------------------------------------------------------------------------------------

    def due(self, runs: list[Run], limit: int, raises: bool, before: int = 0) -> Generator[WorkerProcess, None, bool]:
        """What is due now, and what that enqueues; RunawayTasks for more than `limit` runs beyond those `before`.

        Returns whether that is all: False after an error that is to be raised.
        """
        while True:
            self.world.pump()
            worker = self.world.next_worker()
            if worker is None:
                return True
            while worker.has_job():  # all that it has been given, as a real one does while its monitor is busy
                if len(runs) - before >= limit and worker.next_job() is not None:
                    raise RunawayTasks(_runaway(runs[before:], limit))
                self._last = None
                self.clock.look(True)
                yield worker
                self.clock.look(False)
                run = self._last
                if run is not None:
                    runs.append(run)
                    if worker.lasting is not None:
                        self._lasting[worker.pid] = runs
                    if run.exc is not None and (raises or _passes_through(run.exc)):
                        self._failed = run
                        return False

    def passing(self, runs: list[Run], target: float, limit: int | None, raises: bool) -> Iterator[WorkerProcess]:
        """What falls due until `target`, event by event; limit=None: MOST_RUNS at each moment."""
        clock, before = self.clock, 0
        while True:
            if not (yield from self.due(runs, MOST_RUNS if limit is None else limit, raises, before)):
                return
            following = self.world.next_at()
            if following is None or following > target + SAME_S:
                break
            if following > clock.time():
                clock.reach(following)
                before = len(runs) if limit is None else 0
        if target > clock.time():
            clock.reach(target)

    def _raise(self) -> None:
        """The error of a task, once it is recorded; it may be a StopIteration, which no generator may raise."""
        run, self._failed = self._failed, None
        if run is None:
            return
        assert run.exc is not None
        self.world.pump()
        self.unobserved.pop(run.job.id, None)
        waiting = self.store.waiting()
        run.exc.add_note(f"autocron: {told(run)}; {waiting} {'job' if waiting == 1 else 'jobs'} still pending")
        raise run.exc

    # -- who runs it -----------------------------------------------------------------------------------------

    def check_idle(self) -> None:
        """AutocronError while a task is being run."""
        if self.is_running:
            raise AutocronError(
                "only the test moves time, runs jobs and sets traps; a task that is being run cannot do it"
            )

    def run(self, steps: Steps, admits: Admits = None, *, raises: bool = True, awaits: bool = False) -> Report:
        """Run it here. awaits: coroutines too, in loops of their own, though the caller may have one."""
        refuses_coroutines = not awaits and is_in_loop()
        with self._running(admits) as runs, without_loop():
            for worker in steps(runs):
                if refuses_coroutines:
                    _refuse_coroutine(worker.next_job())
                self.world.run_job(worker)
            self._raise()
        return self.report(runs, raises)

    async def arun(self, steps: Steps, admits: Admits = None, *, raises: bool = True) -> Report:
        """Run it here, and await coroutines in the caller's event loop."""
        async with self._arunning(admits) as runs:
            for worker in steps(runs):
                await run_awaiting(worker)
            self._raise()
        return self.report(runs, raises)

    @contextmanager
    def _running(self, admits: Admits) -> Iterator[list[Run]]:
        self.check_idle()
        self.world.pump()
        self.is_running = True
        try:
            self.world.admit(admits)
            self.clock.look(False)
            yield []
        finally:
            self.clock.look(True)
            self.is_running = False
            self.world.admit(nothing)
            self.world.pump()

    @asynccontextmanager
    async def _arunning(self, admits: Admits) -> AsyncIterator[list[Run]]:
        with self._running(admits) as runs:
            yield runs

    # -- what became of it -----------------------------------------------------------------------------------

    def _observe(self, worker: WorkerProcess, job: Job, ended: Ended) -> None:
        """A worker has run a job."""
        error = ended.exception
        if not worker.is_alive:
            run = Run(job, self.clock.time(), CRASHED)
        elif error is None:
            run = Run(job, self.clock.time(), READY, _as_stored(ended.value))
        else:
            run = self.unobserved[job.id] = Run(job, self.clock.time(), FAILED, None, error)
        self.runs.append(run)
        self._last = run

    def _lose(self, job: Job) -> None:
        """The worker has died before the time of this job was over."""
        self.unobserved.pop(job.id, None)
        for runs in (self.runs, *self._lasting.values()):
            runs[:] = [Run(job, run.began, CRASHED) if run.job is job else run for run in runs]

    def report(self, runs: list[Run], raises: bool = False) -> Report:
        """These runs; where errors were not raised, whoever looks at it has seen them."""
        return Report(runs) if raises else Report(runs, seen=self._see)

    def saw(self, stored: Stored) -> None:
        """The application has been told what became of this job."""
        self.unobserved.pop(stored.id, None)

    def _see(self, runs: Sequence[Run]) -> None:
        if self.unobserved:
            for run in runs:
                self.unobserved.pop(run.job.id, None)


def _as_stored(value: Any) -> Any:
    """What the application would see: what the function returned may have changed when it is looked at."""
    if isinstance(value, bool | int | float | str | bytes | None):
        return value
    try:
        return payload.decode(payload.encode(value, allow_pickle=True), allow_pickle=True)
    except PayloadError as error:
        return Unreadable(error)


def nothing(job: Job) -> bool:
    """Admits no job."""
    return False


def told(run: Run) -> str:
    """A failed run in a line."""
    return f"{call_of(run.task, *arguments_of(run.job))} id={run.job.id.hex()} failed in attempt {run.attempt}"


def _passes_through(error: BaseException) -> bool:
    """KeyboardInterrupt and the outcomes of pytest (also of `pytest.exit`) are no errors of a task."""
    pytest = sys.modules.get("_pytest.outcomes")
    return isinstance(error, KeyboardInterrupt) or (
        pytest is not None and isinstance(error, pytest.OutcomeException | pytest.Exit)
    )


def _runaway(runs: list[Run], limit: int) -> str:
    often = Counter(run.task for run in runs).most_common(3)
    names = ", ".join(f"{name_of(task)} ({times} times)" for task, times in often)
    return f"more than {limit} jobs fell due: {names}; do they enqueue one another for ever? limit= allows more"


def _refuse_coroutine(job: Job | None) -> None:
    if job is not None and is_async(registry.tasks.get(job.task)):
        raise AutocronError(
            f"{name_of(job.task)} is an `async def`, and an event loop is running here: "
            "use `await fake_engine.arun_pending()` or `await fake_engine.afast_forward(…)`"
        )
