"""The small world: the real roles in one thread, on a virtual clock.

Processes are objects that take turns. Each has its own view of the world, as in reality, because what a worker may
do at the seam differs from what a monitor may. Messages lie in the inbox of the other end until that end has its turn;
nothing is ever waited for: a wait that nobody could end returns at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from ..errors import AutocronError
from ..interface import (
    Background,
    Bell,
    Channel,
    Clock,
    Closed,
    Event,
    Exited,
    Interface,
    Listener,
    Random,
    Source,
    Stop,
    Store,
    nowhere,
)
from ..job import Job
from ..run import Ended
from .channels import MemoryBell, MemoryChannel, MemoryListener
from .processes import MonitorProcess, Process, WorkerProcess
from .strands import Call, Strand
from .traps import Held, Trap, Trapped

AnyProcess = TypeVar("AnyProcess", bound=Process)

SIGKILL = 9
MOST_TURNS = 100_000  # at one moment; a role that spins must not hang a test


class View:
    """What one process sees of the world: see `autocron.interface.Spawner`."""

    in_process = True

    world: World

    def __init__(self, world: World | None = None, process: Process | None = None) -> None:
        if world is not None:
            self.world = world
        self.process = process  # None: the application
        self.told: deque[Exited | Stop] = deque()
        self._unheard: MemoryChannel | None = None  # the application's newest link, while the monitor says nothing

    def inhabit(self, interface: Interface) -> None:
        """It is made for a world."""

    def locate(self, database_file: str | Path) -> str:
        return str(database_file)

    def spawn(self, role: str, address: str, spec: Mapping[str, Any]) -> Channel:
        channel = self._unheard = self.world.spawn(role, address, self)
        return channel

    def listen(self, address: str) -> Listener | None:
        if address in self.world.listeners:
            return None
        listener = MemoryListener(partial(self.world.listeners.pop, address, None))
        self.world.listeners[address] = listener
        return listener

    def connect(self, address: str) -> Channel | None:
        listener = self.world.listeners.get(address)
        if listener is None:
            return None
        ours, theirs = self.world.pair()
        listener.arrived.append(theirs)
        self._unheard = ours
        return ours

    def starting(self, address: str) -> AbstractContextManager[object]:
        return nullcontext()

    def wait(self, sources: Sequence[Source], until: float | None) -> list[Event]:
        """What is there already; an application's wait lets the others have their turns first."""
        events: list[Event] = []
        while True:
            for source in sources:
                events += source.events()  # type: ignore[attr-defined]
            if self.told:
                events += self.told
                self.told.clear()
            if self.process is not None:
                return events
            if events:
                self._hear(events)
                return events
            if not self.world.others_turn():
                if self._unheard in sources:  # it waits to be welcomed
                    self.world.check_held()
                return events

    def _hear(self, events: list[Event]) -> None:
        self._unheard = None
        if any(isinstance(each, Closed) for each in events):
            self.world.ring()  # it looks for another monitor in its next step

    def kill(self, channel: Channel) -> None:
        self.world.kill(channel.pid)

    def begin(self, job: bytes | None) -> None:
        assert self.process is not None
        self.process.begun = job

    def begun(self, channel: Channel) -> bytes | None:
        return self.world.begun.pop(channel.pid, None)

    def orphans(self) -> list[bytes]:
        return self.world.end_orphans()

    def bell(self) -> Bell:
        return MemoryBell()

    def background(self, step: Callable[[], bool], bell: Bell) -> Background | None:
        return InTurns(self.world, step, cast(MemoryBell, bell))

    def mutex(self) -> AbstractContextManager[object]:
        return threading.RLock()  # threads of the test register too

    def describe(self) -> Mapping[str, Any]:
        return {"pid": self.process.pid if self.process else 0}

    def on_fork(
        self, in_child: Callable[[], None], *, guard: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        """Nothing of the small world is meant to survive a fork."""

    def notice_fork(self) -> None:
        """As above."""

    def on_exit(self, callback: Callable[[], None]) -> None:
        """The test ends it."""


class InTurns:
    """A `Background` whose step is one of the turns of the world."""

    def __init__(self, world: World, step: Callable[[], bool], bell: MemoryBell) -> None:
        self._world = world
        self.step = step
        self.bell = bell

    def wait_for(self, condition: Callable[[], bool], until: float | None = None) -> bool:
        """See `autocron.interface.Background`. Held if it waits for somebody whom a trap holds."""
        while not condition():
            self.step()
            if condition():
                return True
            if not self._world.others_turn():
                self.step()
                if not condition():
                    self._world.check_held()
                    return False
        return True

    def spares_caller(self) -> bool:
        """Time is not what a test has too little of."""
        return False

    def must_block(self) -> bool:
        """Its turn comes."""
        return False

    def is_dead(self) -> bool:
        """Its turn comes."""
        return False

    def stop(self) -> None:
        """It has no more turns."""
        if self in self._world.backgrounds:
            self._world.backgrounds.remove(self)


class World:
    """All processes, and whose turn it is."""

    def __init__(
        self,
        clock: Clock,
        open_store: Callable[[str], Store],
        random: Random,
        *,
        reach: Callable[[str], None] = nowhere,
    ) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.listeners: dict[str, MemoryListener] = {}
        self.backgrounds: list[InTurns] = []  # of applications, which have their turns here
        self.spawned: list[Process] = []  # all there ever were
        self.traps: list[Trap] = []
        self.monitors: dict[int, MonitorProcess] = {}
        self.workers: dict[int, WorkerProcess] = {}
        self.begun: dict[int, bytes | None] = {}
        self.observe: Callable[[WorkerProcess, Job, Ended], None] = lambda worker, job, ended: None
        self.lose: Callable[[Job], None] = lambda job: None  # what was observed of this job has come to nothing
        self.admits: Callable[[Job], bool] | None = None  # only these jobs are given to workers; see `admit`
        self.durations: dict[str, float] = {}  # seconds that tasks take
        # What a worker calls in place of the function of a task.
        self.wrap: Callable[[WorkerProcess, str, Callable[..., Any]], Callable[..., Any]] = _as_it_is
        self._open_store = open_store
        self._random = random
        self._reach = reach
        self._pids = 100
        self._depth = 0

    def interface(self) -> Interface:
        """The application's view."""
        return self.interface_of(View(self))

    def interface_of(self, view: View) -> Interface:
        """A world as one process sees it."""
        world = self.clock, view, self._open_store, self._random, self._reach
        return Trapped(*world, process=view.process, traps=self.traps)

    def pair(self, pid: int = 0) -> tuple[MemoryChannel, MemoryChannel]:
        """The two ends of a channel to the process of this pid."""
        ours, theirs = MemoryChannel(pid), MemoryChannel(0)
        ours.peer, theirs.peer = theirs, ours
        return ours, theirs

    def spawn(self, role: str, address: str, parent: View) -> MemoryChannel:
        """Start a process."""
        self._pids += 1
        pid = self._pids
        ours, theirs = self.pair(pid)
        if role == "monitor":
            process = MonitorProcess(self, View(self), pid, theirs, address)
            self.monitors[pid] = process
            self.spawned.append(process)
            process.boot()
        else:
            worker = self.workers[pid] = WorkerProcess(self, View(self), pid, theirs, parent)
            self.spawned.append(worker)
        return ours

    # -- turns -----------------------------------------------------------------------------------------------

    def others_turn(self) -> bool:
        """Let everybody but the application have a turn, without running jobs; False if nobody had anything to do."""
        with self.lock:
            if self._depth:  # from within a turn: a step must not be entered twice
                return False
            self._depth += 1
            try:
                progress = False
                for monitor in _going(self.monitors):
                    if monitor.strand is not None or monitor.has_turn():
                        self._let(monitor, monitor.turn)
                        progress = True
                for worker in _going(self.workers):
                    if worker.strand is None and worker.has_turn():
                        worker.turn()
                        progress = True
                return progress
            finally:
                self._depth -= 1

    def pump(self) -> None:
        """Let all that was said be heard; no job is run."""
        for _ in range(MOST_TURNS):
            for background in [*self.backgrounds]:
                if background.bell.rung:
                    background.step()
            if not self.others_turn() and not any(each.bell.rung for each in self.backgrounds):
                return
        raise AutocronError(f"the small world does not come to rest: {MOST_TURNS} turns at one moment")

    def ring(self) -> None:
        """Something has happened at which applications should look."""
        for background in self.backgrounds:
            background.bell.ring()

    def next_worker(self) -> WorkerProcess | None:
        """The worker whose turn it is to run a job; None if there is none to run."""
        for pid, worker in self.workers.items():
            if worker.has_job():
                # Next time it is another one's turn.
                self.workers[pid] = self.workers.pop(pid)
                return worker
        return None

    def run_one(self) -> bool:
        """Have one worker run its next job; False if there is none."""
        worker = self.next_worker()
        if worker is not None:
            self.run_job(worker)
        return worker is not None

    def run_job(self, worker: WorkerProcess) -> None:
        """Have a worker run its next job, or go on with the one in which it was held."""
        self._let(worker, worker.run_job)

    def settle(self) -> int:
        """Let everything happen that can at this moment; how many jobs were run."""
        self.pump()
        jobs = 0
        while (worker := self.next_worker()) is not None:
            is_job = worker.next_job() is not None or worker.strand is not None  # else it only retires
            self.run_job(worker)
            jobs += is_job and worker.strand is None  # else a trap holds it
            self.pump()
        return jobs

    # -- turns that stop in the middle -----------------------------------------------------------------------

    def _let(self, process: Process, turn: Callable[[], None]) -> None:
        if process.strand is None and not (self.traps and self._can_be_held(process)):
            turn()
            return
        for call in self.turn_of(process, turn):
            call.make()

    def _can_be_held(self, process: Process) -> bool:
        return any(trap.role == process.role for trap in self.traps)

    def turn_of(self, process: Process, turn: Callable[[], None]) -> Iterator[Call]:
        """Have a process take a turn that may stop in the middle, or go on with it; the calls to be made for it."""
        strand = process.strand = process.strand or Strand(turn)
        try:
            while isinstance(call := strand.go_on(), Call):
                yield call
        finally:
            if strand.is_over:
                process.strand = None

    def held(self) -> list[Process]:
        """The processes that traps hold."""
        return [each for trap in self.traps for each in trap.held]

    def check_held(self) -> None:
        """Held, if there is a process for which somebody waits in vain."""
        if held := self.held():
            raise Held(f"{told(held)}: nothing goes on there; call release() of the trap, or leave its block, first")

    def next_at(self) -> float | None:
        """Wall time at which somebody has something to do, if nothing happens before."""
        times = [each.next_at() for each in _going(self.monitors)]
        times += [each.answer_at() for each in _going(self.workers)]
        return min((each for each in times if each is not None), default=None)

    def next_due(self) -> float | None:
        """Wall time at which the next job is to be run or ends; None: nothing is to come."""
        times = [each.answer_at() for each in _going(self.workers)]
        for each in _going(self.monitors):
            times += (each.monitor.dispatcher.next_due, each.monitor.scheduler.next_at)
        return min((each for each in times if each is not None), default=None)

    def admit(self, admits: Callable[[Job], bool] | None) -> None:
        """From now on workers are given only these jobs (None: all); others are taken back, if not begun."""
        self.admits = admits
        with self.lock:
            for each in list(self.monitors.values()):
                each.monitor.dispatcher.admits = admits
                if not each.is_held():
                    each.take_back()
                    self._let(each, each.turn)

    # -- ends ------------------------------------------------------------------------------------------------

    def end(self, process: Process, *, signal: int = 0) -> None:
        """A process has ended."""
        self._unwind(process)
        if isinstance(process, WorkerProcess):
            if self.workers.pop(process.pid, None) is None:
                return
            self._lose(process)
            self.begun[process.pid] = process.begun
            process.parent.told.append(Exited(process.channel.peer, signal, None if signal else 0))
        elif isinstance(process, MonitorProcess):
            self.monitors.pop(process.pid, None)
            if process.is_up:
                for link in process.monitor.applications.linked:
                    link.close()  # as the kernel does
            process.is_up = False
            if signal:
                self.listeners = {
                    a: each for a, each in self.listeners.items() if each is not process.monitor._listener
                }
            else:
                process.monitor.close()
            self.ring()  # the link of an application is closed
        process.channel.close()

    def power_off(self) -> None:
        """SIGKILL for everybody at once."""
        for monitor in list(self.monitors.values()):
            self.end(monitor, signal=SIGKILL)  # its workers are gone when the next one looks

    def kill(self, pid: int) -> None:
        """SIGKILL."""
        process = self.workers.get(pid) or self.monitors.get(pid)
        if process is not None:
            self.end(process, signal=SIGKILL)

    def end_orphans(self) -> list[bytes]:
        """Workers die with their monitor; what they had begun is known to the next one."""
        begun = [each for each in self.begun.values() if each is not None]
        self.begun.clear()
        for worker in list(self.workers.values()):
            if worker.parent.process is None or worker.parent.process.pid not in self.monitors:
                if worker.begun is not None:
                    begun.append(worker.begun)
                self._unwind(worker)
                self.workers.pop(worker.pid)
                self._lose(worker)
        return begun

    def _lose(self, worker: WorkerProcess) -> None:
        if worker.lasting is not None:
            self.lose(worker.lasting)

    def close(self) -> None:
        """No process is left in the middle of a turn."""
        for process in [*self.monitors.values(), *self.workers.values()]:
            self._unwind(process)

    def _unwind(self, process: Process) -> None:
        process.is_alive = False
        trap, strand = process.trap, process.strand
        if trap is not None and strand is not None:
            trap.lose(process)
            strand.kill()
            process.strand = process.trap = None


def told(processes: Sequence[Process]) -> str:
    """Who is held where."""
    return ", ".join(f"the {each.role} is held at {each.trap.point}" for each in processes if each.trap is not None)


def _going(processes: Mapping[int, AnyProcess]) -> list[AnyProcess]:
    """Those that are not held."""
    return [each for each in processes.values() if each.trap is None or not each.is_held()]


def _as_it_is(process: WorkerProcess, address: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return function
