"""The fake engine: the real roles in this thread, on a clock that the test moves.

While it is in force it is the engine of the whole process, whatever thread asks. A call of a task registers a job
with the real monitor, on the real store in memory; a real worker runs it when the test says so. Nothing runs by itself.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, tzinfo
from random import Random
from typing import Any, Final, Literal, Self

from .. import engine as engines
from ..errors import AutocronError
from ..interface import Store
from ..job import Job, Status, Stored
from ..registry import registry
from . import hints, zone
from .crashing import Crash
from .durations import Duration, Moment, epoch_of, seconds_of, shown_on
from .firings import Firings, upcoming
from .freezing import FollowingClock
from .guarding import GuardingEngine
from .jobs import AnyTask, EnqueuedJob, address_of_task, shown
from .memory import MemoryStore
from .processes import WorkerProcess
from .report import Report
from .running import MOST_RUNS, Admits, Runner, Steps, told
from .spawner import InProcessSpawner
from .traps import Trap

MODES: Final = ("queued", "inline", "off")
REAL: Final = 'mode "off": autocron is real in this test, so nothing can be run, moved or looked at from here'
STOPPED: Final = (
    "autocron is stopped, by autocron.stop() or the end of a lifespan, so nothing runs any more and what waits stays: "
    "run it before (inside of `with TestClient(app):`), or call autocron.start() again"
)

Raises = bool | Literal["final"]


class FakeEngine:
    """Autocron in a test: `with fake_engine() as engine:`. The functions of `autocron.testing` act on the one in force.

    start: the moment at which the clock stands, default what `datetime.now()` shows. tz: the local zone of the
    process inside. mode: "queued", "inline" or "off". workers: how many. seed: of identifiers. freeze: whether
    a freezer may be started, so that `datetime.now()` shows the same time. strict: jobs that still wait at the
    end are an error.
    """

    clock: FollowingClock
    store: MemoryStore
    spawner: InProcessSpawner
    engine: GuardingEngine
    freezes_at_once = True  # not only when it is moved

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
        if mode == "off" and start is not None:
            raise ValueError(
                f'start={start!r} with mode "off": autocron is real then, and its processes know no other time'
            )
        self._start = start
        self._tz = tz
        self._mode = mode
        self._workers = workers
        self._seed = seed
        self._freeze = freeze
        self._strict = strict
        self._crashes: dict[str, Crash] = {}
        self._inline: set[bytes] = set()  # the jobs that an inline call runs
        self._runs_inline = False
        self._inline_lock = threading.Lock()  # threads of the application call tasks too
        self._still_waiting: list[EnqueuedJob] = []

    # -- in force --------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self in _in_force:
            raise AutocronError("this fake engine is in force already: make another one for the block inside")
        with ExitStack() as stack:  # what fails in the middle leaves nothing behind either
            self._come_into_force(stack)
            self._ends = stack.pop_all()
        return self

    def _come_into_force(self, stack: ExitStack) -> None:
        self._tasks = dict(registry.tasks)
        self._entries = dict(registry.entries)
        self._modules = frozenset(sys.modules)
        stack.callback(self._forget)
        stack.callback(zone.leave, zone.enter(self._tz))
        is_real = self._mode == "off"
        start = None if self._start is None else shown_on(epoch_of(self._start, "start"), f"start={self._start!r}")
        self.clock = FollowingClock(start, freeze=self._freeze and not is_real)
        stack.callback(self.clock.stop)
        if is_real:
            self.clock.moved = _refuse_to_move
        self.store = MemoryStore()
        stack.callback(self.store.discard)
        self.spawner = InProcessSpawner()
        self.engine = GuardingEngine(
            self.clock,
            self.spawner,
            self._open_store,
            Random(self._seed),
            registered=self._registered,
            asked=self._asked,
        )
        self.world = self.spawner.world
        stack.callback(self.world.close)
        self.world.wrap = self._wrap
        self._runner = Runner(self.world, self.clock, self.store)
        if is_real:
            engines.push(engines.engine)  # a guard may be in force
            stack.callback(engines.pop, engines.engine)
        else:
            stack.callback(self._look_for_jobs)
            engines.push(self.engine)
            stack.callback(engines.pop, self.engine)
            self.engine.begin(self._workers)
            if self.freezes_at_once:
                self.clock.freeze()
            if registry.entries:
                self.world.pump()  # they are known from here on, however the test moves the time
        _in_force.append(self)
        stack.callback(_in_force.remove, self)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close()
        if error is None:
            self.check()

    def close(self) -> None:
        """Take it out of force, and drop the tasks and entries that the test has decorated."""
        self._ends.close()

    def check(self) -> None:
        """Raise what nobody has seen: the error of a task, a crash that never came, with `strict` jobs that wait."""
        for run in self._runner.unobserved.values():
            assert run.exc is not None
            unseen = f"autocron: {told(run)}; nobody has looked at this failure"
            if not isinstance(run.exc, Exception):  # pytest would not go on with its teardown
                raise AssertionError(f"{unseen}: {shown(run.exc)}") from run.exc
            run.exc.add_note(unseen)
            raise run.exc
        for crash in self._crashes.values():
            crash.check()
        if self._still_waiting:
            jobs = "\n  ".join(map(str, self._still_waiting))
            raise AssertionError(
                f"strict: {len(self._still_waiting)} jobs still wait at the end of the test:\n  {jobs}"
            )

    def _look_for_jobs(self) -> None:
        self._still_waiting = self.pending() if self._strict else []

    def _forget(self) -> None:
        # A module imported meanwhile stays imported, and so do its tasks.
        for address in [each for each in registry.tasks if "<" in each and each not in self._tasks]:
            del registry.tasks[address]
        for key in [
            key
            for key, entry in registry.entries.items()
            if key not in self._entries and ("<" in entry.task or entry.task.partition(":")[0] in self._modules)
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
        raises: Raises = True,
        until_idle: bool = True,
        expect: int | None = None,
    ) -> Report:
        """Run what is due now, cron firings and the jobs that jobs enqueue included. The clock does not move.

        task: only its jobs. limit: RunawayTasks beyond so many. raises: the first error of a task is raised, after
        it was recorded ("final": unless its job is tried again); else it is in the report. until_idle=False: not what
        the jobs enqueue meanwhile. expect: AssertionError if another number of jobs ran.
        """
        raising = _raising(raises)
        steps, admits = self._pending_steps(task, limit, raising, until_idle)
        return self._expected(self._runner.run(steps, admits, raises=raising), expect)

    async def arun_pending(
        self,
        task: AnyTask | None = None,
        *,
        limit: int = MOST_RUNS,
        raises: Raises = True,
        until_idle: bool = True,
        expect: int | None = None,
    ) -> Report:
        """`run_pending` for async tests: coroutines are awaited in the caller's event loop, asyncio or trio."""
        raising = _raising(raises)
        steps, admits = self._pending_steps(task, limit, raising, until_idle)
        return self._expected(await self._runner.arun(steps, admits, raises=raising), expect)

    def _expected(self, report: Report, expect: int | None) -> Report:
        if expect is not None and report.times != expect:
            lines = [f"run_pending(expect={expect}): {report.times} jobs ran", str(report), *hints.held(self.world)]
            raise AssertionError("\n".join(lines))
        return report

    def _pending_steps(self, task: AnyTask | None, limit: int, raises: bool, until_idle: bool) -> tuple[Steps, Admits]:
        self._check_can_run()
        self._check_started()
        _check_limit(limit)
        address = None if task is None else address_of_task(task)
        admits: Admits = None
        if not until_idle:
            ids = {bytes.fromhex(each.id) for each in self.pending()}
            admits = lambda job: job.id in ids and address in (None, job.task)  # noqa: E731
        elif address is not None:
            admits = lambda job: job.task == address  # noqa: E731
        return lambda runs: self._runner.due(runs, limit, raises), admits

    def fast_forward(
        self, by: Duration, *, raises: Raises = True, limit: int | None = None, run: bool = True
    ) -> Report:
        """Let time pass, event by event, and run what falls due, the last moment included.

        by: seconds, a timedelta or a text such as "1d 2h". raises: as of `run_pending`. limit: RunawayTasks beyond so
        many, None: beyond 1000 at one moment. run=False: only the clock moves; what was missed counts as missed.
        """
        return self._pass_time(self._end_of(by), raises=raises, limit=limit, run=run)

    async def afast_forward(self, by: Duration, *, raises: Raises = True, limit: int | None = None) -> Report:
        """`fast_forward` for async tests: coroutines are awaited in the caller's event loop, asyncio or trio."""
        target = self._end_of(by)
        raising = _raising(raises)
        if limit is not None:
            _check_limit(limit)
        self._check_can_run()
        self._check_started()
        return await self._runner.arun(lambda runs: self._runner.passing(runs, target, limit, raising), raises=raising)

    def travel_to(self, when: Moment, *, raises: Raises = True, limit: int | None = None, run: bool = True) -> Report:
        """Fast-forward to a moment; a moment in the past sets the clock back, and nothing runs.

        when: an aware datetime, or an ISO text; naive means local time. run=False: the clock jumps there.
        """
        target = shown_on(epoch_of(when), f"when={when!r}")
        return self._pass_time(target, raises=raises, limit=limit, run=run and target >= self.clock.time())

    def fast_forward_to_next(self, n: int = 1, *, raises: Raises = True) -> Report:
        """Fast-forward to the next moment at which a job falls due, `n` times.

        AutocronError if nothing is to come.
        """
        self._check_can_run()
        start = len(self._runner.runs)
        for _ in range(n):
            self.run_pending(raises=raises)
            following = self.world.next_due()
            if following is None:
                raise AutocronError("there is no next event: no job waits, and no function is decorated with @cron")
            self._pass_time(following, raises=raises, limit=None, run=True)
        return self._runner.report(self._runner.runs[start:], _raising(raises))

    def outage(self, by: Duration, *, raises: Raises = True, limit: int | None = None) -> Report:
        """The application, its monitor and its workers are killed, and come back after this time; run what is due then.

        What was registered is stored; a job that was being run (see `simulate_duration`) is run again; a missed
        fire time is made up for as its `catch_up` says.
        """
        target = self._end_of(by)
        self._check_can_run()
        self.world.pump()
        self.world.power_off()
        self.engine.lose()
        self.clock.reach(target)
        self.engine.begin()
        return self.run_pending(raises=raises, limit=MOST_RUNS if limit is None else limit)

    def _end_of(self, by: Duration) -> float:
        return shown_on(self.clock.time() + seconds_of(by, "by"), f"by={by!r}")

    def _pass_time(self, target: float, *, raises: Raises, limit: int | None, run: bool) -> Report:
        raising = _raising(raises)
        if limit is not None:
            _check_limit(limit)
        self._check_can_run()
        if not run:
            self.world.pump()  # what was decorated and called so far, so that it is missed
            self.clock.reach(target)
            return Report()
        self._check_started()
        return self._runner.run(lambda runs: self._runner.passing(runs, target, limit, raising), raises=raising)

    def _check_fake(self) -> None:
        if self._mode == "off":
            raise AutocronError(REAL)

    def _check_can_run(self) -> None:
        self._check_fake()
        self._runner.check_idle()
        self.engine.progress()

    def _check_started(self) -> None:
        if not self.engine.active:
            raise AutocronError(STOPPED)

    # -- what can go wrong -----------------------------------------------------------------------------------

    def simulate_duration(self, task: AnyTask, duration: Duration) -> None:
        """From now on the jobs of a task take so long: their worker is busy, and they end, when it has passed.

        The function itself is run at their beginning.
        """
        self._check_fake()
        self.world.durations[address_of_task(task)] = seconds_of(duration)

    def crash_worker(self, during: AnyTask, *, before: str | None = None, times: int = 1) -> None:
        """Let the worker be killed during the next run of a task, or the next `times`; the job runs again.

        before: a piece of the source line that is not reached any more. None: all of the function runs, but its
        outcome is lost. If it is not run until the end of the test, that is an error.
        """
        self._check_fake()
        address = address_of_task(during)
        self._crashes[address] = Crash(address, registry.tasks[address], before, times)

    def trap(self, point: str) -> Trap:
        """Hold each process that comes to a point at the seam: `with trap("monitor.settle.before") as held:`.

        point: "<label>.before" or "<label>.after". Inside of the block a process that comes there takes no turn any
        more until `release()` or the end of the block; all others go on. See `Trap`.
        """
        self._check_can_run()
        return self.spawner.trap(point)

    def _wrap(self, process: WorkerProcess, address: str, function: Callable[..., Any]) -> Callable[..., Any]:
        crash = self._crashes.get(address)
        return crash.wrap(process, function) if crash is not None and crash.left else function

    # -- reading ---------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time, as `autocron.now()`."""
        return engines.moment_of(self.clock)

    def pending(self) -> list[EnqueuedJob]:
        """The jobs that wait, in the order in which they fall due."""
        self._check_fake()
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

    def upcoming(
        self,
        n: int = 10,
        *,
        task: AnyTask | None = None,
        after: Moment | None = None,
        tz: str | tzinfo | None = None,
    ) -> Firings:
        """The next fire times of the cron entries, all or those of one task; printed, a table.

        after: default now. tz: the zone in which they are shown, default that of the entry.
        """
        return upcoming(n, task, self.clock.time() if after is None else epoch_of(after, "after"), tz)

    def history(self) -> Report:
        """All runs so far."""
        self._check_fake()
        return self._runner.report(list(self._runner.runs))

    @contextmanager
    def captured(self) -> Iterator[list[EnqueuedJob]]:
        """The jobs that are registered inside the block, in their order; complete at its end."""
        self._check_fake()
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

    def _registered(self, job: Job) -> None:
        """The application has called a task, or committed the transaction that did."""
        if self._mode != "inline":
            return
        with self._inline_lock:
            self._inline.add(job.id)
            if self._runs_inline or self._runner.is_running:
                return  # by a task, or beside one in another thread: it runs right after that one
            self._runs_inline = True
        try:
            self._run_inline()
        except BaseException:
            self._runs_inline = False
            raise

    def _run_inline(self) -> None:
        while True:
            known = len(self._inline)
            self._runner.run(
                lambda runs: self._runner.due(runs, MOST_RUNS, False),
                lambda job: job.id in self._inline,
                raises=False,
                awaits=True,
            )
            with self._inline_lock:
                if len(self._inline) == known:  # nobody has called when the last one had just been run
                    self._inline.clear()
                    self._runs_inline = False
                    return

    def _asked(self, stored: Stored) -> None:
        """The application has been told what became of a job."""
        self._runner.saw(stored)


_in_force: list[FakeEngine] = []


def current() -> FakeEngine:
    """The fake engine in force. AutocronError if there is none."""
    if not _in_force:
        raise AutocronError(
            "there is no fake engine in force: use the pytest fixture `fake_engine`, "
            "or `with autocron.testing.fake_engine():`"
        )
    return _in_force[-1]


fake_engine = FakeEngine  # a context in which autocron is fake: `with fake_engine() as engine:`


def _refuse_to_move(wall: float) -> None:
    raise AutocronError(REAL)


def _raising(raises: Raises) -> bool:
    if not isinstance(raises, bool) and raises != "final":
        raise ValueError(f'raises={raises!r}: only True, False and "final" are allowed')
    return bool(raises)  # each error is final as long as no job is tried again


def _check_limit(limit: int) -> None:
    if not isinstance(limit, int) or limit < 1:
        raise ValueError(f"limit={limit!r}: a whole number from 1 on is needed")


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"mode={mode!r}: only {', '.join(MODES)} is allowed")
