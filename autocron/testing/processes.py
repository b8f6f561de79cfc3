"""The processes of the small world: objects that take turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import messages
from ..errors import AutocronError
from ..interface import Body, Stop, wall_at
from ..job import Job, Outcome
from ..monitor import Monitor
from ..registry import registry
from ..worker import Worker
from .channels import MemoryChannel

if TYPE_CHECKING:
    from .strands import Strand
    from .traps import Trap
    from .world import View, World


class Process:
    """A process of the small world."""

    role = ""

    def __init__(self, pid: int, channel: MemoryChannel) -> None:
        self.pid = pid
        self.channel = channel  # its own end
        self.begun: bytes | None = None
        self.is_alive = True
        self.strand: Strand | None = None  # of a turn that can stop in the middle
        self.trap: Trap | None = None  # where it has stopped

    def __repr__(self) -> str:
        return f"<{self.role} {self.pid}>"

    def is_held(self) -> bool:
        """Whether a trap holds it."""
        return self.trap is not None and self in self.trap.held

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        raise NotImplementedError

    def has_turn(self) -> bool:
        """Whether it would do something."""
        raise NotImplementedError

    def turn(self) -> None:
        """Do it."""
        raise NotImplementedError


class MonitorProcess(Process):
    """A monitor, with its view and its store."""

    role = "monitor"

    def __init__(self, world: World, view: View, pid: int, channel: MemoryChannel, address: str) -> None:
        super().__init__(pid, channel)
        self.world = world
        self.view = view
        view.process = self
        self.interface = world.interface_of(view)
        self.monitor = Monitor(self.interface, address, channel)
        self.is_up = False

    def boot(self) -> None:
        """Start; a monitor that cannot is gone at once."""
        self.is_up = self.monitor.start()
        if self.is_up:
            self.monitor.dispatcher.admits = self.world.admits
        else:
            self.world.end(self)

    def next_at(self) -> float | None:
        """Wall time at which it has something to do for a job; results are removed on the way."""
        if not self.is_up:
            return None
        monitor, dispatcher = self.monitor, self.monitor.dispatcher
        if monitor.wall_at is None or monitor.wall_at != monitor.pruner.next_at:
            return monitor._until()
        times = [dispatcher.next_claim(), None if dispatcher.paused else monitor.scheduler.next_at]
        if monitor.monotonic_at is not None:
            times.append(wall_at(self.interface.clock, monitor.monotonic_at))
        return min((each for each in times if each is not None), default=None)

    def ask_to_stop(self) -> None:
        self.view.told.append(Stop())

    def take_back(self) -> None:
        """Workers give back what they have not begun."""
        for member in self.monitor.pool.members.values():
            if member.inflight:
                member.channel.send((messages.TAKE_BACK,))

    def has_turn(self) -> bool:
        if not self.is_up:
            return False
        monitor = self.monitor
        if (monitor.wall_at is not None and monitor.wall_at <= self.interface.clock.time()) or self.view.told:
            return True
        if monitor.monotonic_at is not None and monitor.monotonic_at <= self.interface.clock.monotonic():
            return True
        for source in monitor.sources():  # noqa: SIM110 - at each turn: a generator would cost more than the rest
            if source.is_due():  # type: ignore[attr-defined]
                return True
        return False

    def turn(self) -> None:
        if not self.monitor.step():
            self.is_up = False
            self.world.end(self)


class WorkerProcess(Process):
    """A worker, which begins when it has been told how."""

    role = "worker"

    def __init__(self, world: World, view: View, pid: int, channel: MemoryChannel, parent: View) -> None:
        super().__init__(pid, channel)
        self.world = world
        self.view = view
        view.process = self
        self.interface = world.interface_of(view)
        self.parent = parent
        self.worker: Worker | None = None
        self.lasting: Job | None = None  # the job that takes its time
        self._answer: list[Body] = []  # of that job
        self._answer_at: float | None = None  # monotonic

    def ask_to_stop(self) -> None:
        if self.worker is None:  # it does not even know how to run a job
            self.world.end(self)
        else:
            self.worker.take(Stop())

    def has_turn(self) -> bool:
        return self.channel.is_due() or self._is_over() or self._retires()

    def turn(self) -> None:
        """Hear what the monitor says, answer when the time of a job is over, and end when that is asked for."""
        if self._retires():
            self.run_job()
            return
        if self._is_over():
            self._send_answer()
        if self.worker is None:
            _, _, pickle_allowed = self.channel.inbox.popleft()
            self.worker = Worker(
                self.interface,
                self.channel,
                InProcessCode(self),
                pickle_allowed=pickle_allowed,
                observe=lambda job, ended: self.world.observe(self, job, ended),
            )
            self.channel.send((messages.READY,))
            return
        if self.channel.is_due() and not self.worker.hear():
            self.world.end(self)

    def has_job(self) -> bool:
        """Whether it would run a job, go on with one, or retire."""
        if self.strand is not None:
            return not self.is_held()
        return self._is_free() and self.worker is not None and self.worker.has_work()

    def _retires(self) -> bool:
        """Whether the next step is its last."""
        worker = self.worker
        return self._is_free() and worker is not None and worker.running is None and worker.is_ending()

    def _is_free(self) -> bool:
        """Whether it is not in the middle of a job."""
        return not self.channel.closed and self._answer_at is None and self.strand is None

    def next_job(self) -> Job | None:
        """The job that it would run."""
        return self.worker.backlog[0] if self.worker is not None and self.worker.backlog else None

    def run_job(self) -> None:
        """Run one job."""
        assert self.worker is not None
        job = self.next_job()
        seconds = self.world.durations.get(job.task) if job is not None else None
        if job is None or seconds is None or self.worker.is_ending():
            if not self.worker.step():
                self.world.end(self)
            return
        # It is run now, and answered for when its time is over.
        self.lasting = job
        self.channel.held = self._answer = []
        self._answer_at = self.world.clock.monotonic() + seconds
        self.worker.step()
        self.channel.held = None
        self._answer = [_lasting(body, seconds) for body in self._answer]
        self.begun = job.id

    def answer_at(self) -> float | None:
        """Wall time at which the job that takes its time is over."""
        return None if self._answer_at is None else wall_at(self.world.clock, self._answer_at)

    def _is_over(self) -> bool:
        return self._answer_at is not None and self.world.clock.monotonic() >= self._answer_at

    def _send_answer(self) -> None:
        self._answer_at = self.lasting = None
        self.begun = None
        for body in self._answer:
            self.channel.send(body)


def _lasting(body: Body, seconds: float) -> Body:
    """The outcome of a job that took its time."""
    if body[0] != messages.DONE:
        return body
    return (messages.DONE, tuple(Outcome._make(body[1])._replace(duration_s=seconds)))


class InProcessCode:
    """Where tasks come from when they need not be imported. See `autocron.worker.Code`."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    def resolve(self, address: str) -> Callable[..., Any]:
        found = registry.tasks.get(address)
        if found is None:
            raise AutocronError(f"there is no task {address}: no function of this name is decorated in this process")
        wrapped = self._process.world.wrap(self._process, address, found)
        return wrapped if self._process.strand is None else self._process.strand.lend(wrapped)

    def is_stale(self) -> bool:
        return False
