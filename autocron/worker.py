"""A worker: receives jobs, runs one after the other, answers.

Two threads share it in the real world. One calls `hear`: it reads the channel, so that a worker in the middle of a
long job still gives back what it has not begun, and notices the end of its monitor. The other calls `step`: it runs
the jobs. They meet in the backlog, whose two ends are safe to use from both.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from . import messages, payload
from .errors import AutocronError
from .interface import Background, Body, Channel, Closed, Event, Interface, Message, Stop
from .job import Job, Outcome, Status
from .labels import WORKER_ANSWER, WORKER_RUN
from .registry import registry
from .run import Ended, Interrupted, attempt, message_of, run

logger = logging.getLogger("autocron.worker")

Function = Callable[..., Any]

GUARD: Final = 'what only the application is to run belongs under `if __name__ == "__main__":`'


class Code(Protocol):
    """Where the functions of tasks come from."""

    def resolve(self, address: str) -> Function:
        """The task at this address; AutocronError if there is none, or whatever importing its module raises."""

    def is_stale(self) -> bool:
        """Whether files of the code in use have changed since this worker began."""


class Worker:
    """One worker process."""

    def __init__(
        self,
        interface: Interface,
        channel: Channel,
        code: Code,
        *,
        pickle_allowed: bool = False,
        interrupt: Callable[[], None] = lambda: None,
        observe: Callable[[Job, Ended], None] = lambda job, ended: None,
    ) -> None:
        self.interface = interface
        self.channel = channel
        self.code = code
        self.gone = False  # the monitor is: nobody waits for what we do
        self.forked = False  # this is a child that a task has forked: how it ends is nobody's outcome
        self.running: Job | None = None
        self.backlog: deque[Job] = deque()
        self.reply: Callable[[Body], None] = lambda body: None
        self.bell = interface.spawner.bell()
        self._pickle_allowed = pickle_allowed
        self._interrupt = interrupt
        self._observe = observe
        self._ending = False
        self._refresh = False
        self._new_enough: set[bytes] = set()  # for these jobs, for which older workers were too old

    # -- what is heard ---------------------------------------------------------------------------------------

    def hear(self) -> bool:
        """One pass over what the monitor says; False when it has gone."""
        for event in self.interface.spawner.wait([self.channel, self.bell], None):
            self.take(event)
        return not self.gone

    def take(self, event: Event) -> None:
        """Something has happened at the channel."""
        if isinstance(event, Message):
            self._receive(event.body)
        elif isinstance(event, Closed):
            self.gone = True
        elif isinstance(event, Stop):
            self._ending = True

    def _receive(self, body: Body) -> None:
        kind = body[0]
        if kind == messages.RUN:
            self._new_enough.update(*body[2:])
            self.backlog.extend(map(Job._make, body[1]))
        elif kind == messages.TAKE_BACK:
            self._give_back()
        elif kind == messages.END:
            self._ending = True
        elif kind == messages.REFRESH:
            self._refresh = True
        elif kind == messages.INTERRUPT:
            self._ending = True
            self._interrupt()
        else:
            self.reply(body)

    def _give_back(self) -> None:
        """Return what is not begun; the running thread may take from the other end meanwhile."""
        released = []
        while True:
            try:
                released.append(self.backlog.pop().id)
            except IndexError:
                break
        if released:
            self.channel.send((messages.RELEASED, released[::-1]))

    # -- what is run -----------------------------------------------------------------------------------------

    def has_work(self) -> bool:
        """Whether `step` would do something."""
        return bool(self.backlog) or self._refresh or self.is_ending()

    def is_ending(self) -> bool:
        """Whether the next step is the last one."""
        return self._ending or self.gone

    def loop(self, background: Background) -> None:
        """Run jobs until the monitor or somebody else ends this worker."""
        while True:
            background.wait_for(self.has_work)
            if not self.step():
                return

    def step(self) -> bool:
        """Run the next job; False when this worker is to end."""
        if self.is_ending():
            return self._retire()
        if self._refresh:
            self._refresh = False
            if self.code.is_stale():
                return self._retire()
        try:
            job = self.backlog.popleft()
        except IndexError:
            return True
        self.interface.spawner.begin(job.id)
        try:
            outcome = self._run_interruptibly(job)
        except Interrupted:
            self.channel.send((messages.RELEASED, [job.id]))
        else:
            if outcome is None:
                self.channel.send((messages.OUTDATED, job.id))
                self.backlog.appendleft(job)
                return self._retire()
            self.interface.call(WORKER_ANSWER, self.channel.send, (messages.DONE, tuple(outcome)))
        self._new_enough.discard(job.id)
        self.interface.spawner.begin(None)
        return True

    def _run_interruptibly(self, job: Job) -> Outcome | None:
        """An interruption comes between any two instructions, but only while `running` says that a job is run."""
        try:
            self.running = job
            return self.interface.call(WORKER_RUN, self._run, job)
        finally:
            self.running = None

    def _retire(self) -> bool:
        self._give_back()
        self.channel.send((messages.RETIRED,))
        return False

    def _run(self, job: Job) -> Outcome | None:
        """Run one job; None if it needs a worker with newer code."""
        monotonic = self.interface.clock.monotonic
        started = monotonic()
        try:
            function = self.code.resolve(job.task)
            with registry.while_loading(job.task.rpartition(":")[0]):  # it may import modules
                args, kwargs = payload.decode_call(job.payload, allow_pickle=self._pickle_allowed)
        except Interrupted:
            raise
        except BaseException as error:
            if job.id not in self._new_enough and self.code.is_stale():
                return None
            return self._failed(job, Ended(None, _unloadable(job, error), error), monotonic() - started)
        attempt.set(job.attempt + job.deaths)
        ended = run(function, args, kwargs)
        if self.forked and ended.exception is not None:
            raise ended.exception
        duration = monotonic() - started
        result = b""
        if ended.value is not None:
            try:
                result = payload.encode(ended.value, allow_pickle=self._pickle_allowed, name="return value")
            except Interrupted:
                raise
            except BaseException as error:  # of whatever the value does when it is looked at
                ended = Ended(None, message_of(error), error)
        if ended.error:
            return self._failed(job, ended, duration, result)
        self._observe(job, ended)
        return Outcome(job.id, Status.READY.value, result, "", duration)

    def _failed(self, job: Job, ended: Ended, duration: float, result: bytes = b"") -> Outcome:
        self._observe(job, ended)
        lines = filter(None, (ended.error, ended.traceback()))
        logger.error("job %s of %s failed: %s", job.id.hex(), job.task, "\n".join(lines))
        return Outcome(job.id, Status.ERROR.value, result, ended.error, duration)


def _unloadable(job: Job, error: BaseException) -> str:
    if isinstance(error, AutocronError):
        return str(error.args[0] if error.args else error)
    # A script that wants to be the server here too finds its port in use, and exits.
    is_program = job.task.startswith("/") and isinstance(error, SystemExit | OSError)
    return f"the task {job.task} cannot be loaded: {message_of(error)}{f'; {GUARD}' if is_program else ''}"
