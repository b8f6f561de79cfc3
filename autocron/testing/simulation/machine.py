"""The simulated machine: processes, their threads, one clock, and the choice of who runs next.

A thread of a simulated process is an *actor*. Exactly one runs; at every call at the seam it passes a *point*, where a
fault may strike and another actor may go on. When nobody can run, the clock jumps to the next moment at which somebody
can. Killing is a gate: the next call of a dead process raises `Killed`, and so does every later one, without effect.
Its `finally` blocks run, but the world is out of their reach, as after SIGKILL.
"""

from __future__ import annotations

import faulthandler
import itertools
import sys
from collections.abc import Callable
from random import Random
from typing import Any, Final, Protocol

from ...interface import Body, Exited
from ...run import Interrupted
from ..clock import FakeClock
from .switcher import Strand, Switcher
from .tape import Tape
from .wires import End, Listener, Mutex

START: Final = 1_800_000_000.0  # the wall clock of every run begins here
EVENT_S: Final = 0.00001  # nothing takes no time
SLACK_S: Final = 0.00002  # the clock jumps a little beyond a deadline: floats are not exact
MOST_EVENTS: Final = 20_000
PATIENCE_S: Final = 20.0  # of real time without an event: an actor that blocks on anything but the baton
SIGKILL: Final = 9


class Killed(BaseException):
    """Raised in the threads of a dead process wherever they touch the world."""


class Violation(Exception):
    """A promise that did not hold: its name, and what was seen."""

    def __init__(self, promise: str, seen: str) -> None:
        super().__init__(f"{promise}: {seen}")
        self.promise = promise
        self.seen = seen


class Witness(Protocol):
    """Who is told what happens; the invariants are checked by one."""

    def said(self, end: End, body: Body) -> None: ...
    def heard(self, end: End, body: Body) -> None: ...
    def died(self, process: Process) -> None: ...
    def passed(self, actor: Actor, point: str) -> None: ...
    def interrupted(self, process: Process) -> None: ...


class Chance(Protocol):
    """Who decides about faults at a point."""

    def strike(self, actor: Actor, point: str) -> None: ...


class Actor:
    """A thread of a simulated process."""

    def __init__(self, process: Process, name: str, strand: Strand | None = None) -> None:
        self.process = process
        self.name = name
        self.strand = strand
        self.condition: Callable[[], bool] | None = None  # not None: it waits for this
        self.until: float | None = None  # monotonic; or for that
        self.signalled = False  # interrupts what it waits for
        self.label = ""  # the labelled call it is in
        self.at_point = False  # what is done there, looking at promises of a user too, has no points itself
        self.ran = 0  # when it was last chosen, in events
        self.ended = False

    def is_ready(self, now: float) -> bool:
        """Whether it would go on if it had the baton."""
        process = self.process
        if not process.alive:
            return True
        if process.paused_until > now:
            return False
        condition = self.condition
        return condition is None or self.signalled or (self.until is not None and self.until <= now) or condition()

    def wakes_at(self) -> float | None:
        """Monotonic time at which it could go on by itself."""
        if self.condition is None:
            return self.process.paused_until
        return None if self.until is None else max(self.until, self.process.paused_until)


class Process:
    """A simulated process: an application, a monitor, a worker; or the operator, who is outside of all this."""

    def __init__(self, machine: Machine, kind: str, parent: Process | None) -> None:
        self.machine = machine
        self.kind = kind
        self.parent = parent
        self.pid = next(machine.pids)
        self.name = f"{kind}{self.pid}"
        self.random = Random(f"{machine.seed} {self.name}")
        self.alive = True
        self.born = machine.clock.monotonic()
        self.died: float | None = None
        self.paused_until = 0.0
        self.was_stopped = False
        self.ends: list[End] = []
        self.exits: list[Exited] = []  # of its children, not yet noticed
        self.stop_requested = False
        self.clock_set = False  # its timer was cancelled because the clock was set
        self.begun: bytes | None = None  # what its slot says
        self.killed_by_parent = False
        self.channel: End | None = None  # a child's own end
        self.role: Any = None  # the Engine, Monitor or Worker
        self.engines: list[Any] = []  # what `autocron.engine.current` sees in this process
        self.listener: Listener | None = None
        self.on_exit: list[Callable[[], None]] = []
        self.ended_well = False


class Machine:
    """See the module. One run each."""

    def __init__(self, seed: str, tape: Tape, switcher: Switcher) -> None:
        self.seed = seed
        self.tape = tape
        self.clock = FakeClock(START)
        self.clock.advance(1000.0)
        self.witness: Witness
        self.chance: Chance
        self.pids = itertools.count(100)
        self.processes: list[Process] = []
        self.listeners: dict[str, Listener] = {}
        self.starters: dict[str, Mutex] = {}
        self.trace: list[tuple[float, str, str]] = []
        self.events = 0
        self.most_events = MOST_EVENTS
        self.failure: Violation | None = None
        self.over = False
        self.running: Actor
        self.switch_rate = 1.0  # how often another actor goes on although the running one could
        self.death_signal = True  # the kernel ends the workers of a dead monitor; else the end of their channel does
        self.partial_rate = 0.0  # how often a wait returns less than all there is
        self._switcher = switcher
        self._actors: list[Actor] = []

    # -- the run ---------------------------------------------------------------------------------------------

    def run(self, first: Process, body: Callable[[], None]) -> None:
        """Run until the body has ended, then end everybody else. Violation if a promise did not hold."""

        def ending() -> None:
            body()
            self.over = True

        self.start(first, "main", ending)
        self.running = self._actors[0]
        strand = self._next()
        is_home = self._switcher.resume(strand, PATIENCE_S)
        while not is_home:
            seen = self.events
            is_home = self._switcher.await_home(PATIENCE_S)
            if not is_home and self.events == seen:
                faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
                raise RuntimeError(f"{self.running.name} blocks on something that the simulator does not know")
        if self.failure is not None:
            raise self.failure

    def process(self, kind: str, parent: Process | None = None) -> Process:
        """A new process, without threads yet."""
        process = Process(self, kind, parent)
        self.processes.append(process)
        return process

    def start(self, process: Process, name: str, body: Callable[[], None], after_s: float = 0.0) -> Actor:
        """A new thread of this process."""
        actor = Actor(process, f"{process.name}.{name}")
        if after_s:
            actor.condition, actor.until = _never, self.clock.monotonic() + after_s

        def whole() -> Strand:
            try:
                actor.condition = actor.until = None
                self.check()
                body()
            except Killed:
                pass
            except Violation as violation:
                self.fail(violation.promise, violation.seen)
            except BaseException as error:
                self._uncaught(actor, error)
            self._actors.remove(actor)
            actor.ended = True
            return self._next()

        actor.strand = self._switcher.start(whole)
        self._actors.append(actor)
        return actor

    def _uncaught(self, actor: Actor, error: BaseException) -> None:
        import traceback  # noqa: PLC0415 - only for the report

        lines = "".join(traceback.format_exception(error))
        self.fail("nothing breaks", f"{actor.name} met an error that nobody caught\n{lines}")

    def fail(self, promise: str, seen: str) -> None:
        """A promise does not hold: the run is over."""
        if self.failure is None and not self.over:
            self.failure = Violation(promise, seen)
            self.note("VIOLATION", f"{promise}: {seen}")
        self.over = True

    def note(self, who: str, what: str) -> None:
        """A line of the trace."""
        self.trace.append((self.clock.monotonic(), who, what))

    # -- what actors call ------------------------------------------------------------------------------------

    def check(self) -> None:
        """The gate: nothing behind it is done for a process that is dead."""
        if self.over or not self.running.process.alive:
            raise Killed

    def point(self, name: str) -> None:
        """Somebody is about to do this, or has done it."""
        actor = self.running
        if self.over or not actor.process.alive:
            raise Killed
        self._count()
        self.trace.append((self.clock.monotonic(), actor.name, name))
        actor.at_point = True
        try:
            self.witness.passed(actor, name)
            self.chance.strike(actor, name)
        finally:
            actor.at_point = False
        self._switch()
        self._wake(actor)

    def block(self, condition: Callable[[], bool], until: float | None = None) -> None:
        """Wait until the condition holds, monotonic `until` has come, or a signal interrupts."""
        actor = self.running
        if self.over or not actor.process.alive:
            raise Killed
        self._count()
        actor.condition, actor.until = condition, until
        self._switch()
        actor.condition = actor.until = None
        self._wake(actor)

    def sleep(self, seconds: float) -> None:
        """Let time pass for the running actor."""
        self.block(_never, self.clock.monotonic() + seconds)

    def _count(self) -> None:
        self.events += 1
        self.clock.advance(EVENT_S)
        if self.events > self.most_events + self.clock.monotonic():  # a crontab has its events each minute
            self.fail("quiet", f"{self.events} events, and no end: somebody spins")
            raise Killed

    def _wake(self, actor: Actor) -> None:
        if self.over or not actor.process.alive:
            raise Killed
        if actor.signalled:
            actor.signalled = False
            role = actor.process.role
            if getattr(role, "running", None) is not None:
                self.note(actor.name, "is interrupted")
                self.witness.interrupted(actor.process)
                raise Interrupted

    # -- who runs --------------------------------------------------------------------------------------------

    def _switch(self) -> None:
        actor = self.running
        strand = self._next()
        self._switcher.resume(strand)
        self.running = actor

    def _next(self) -> Strand:
        actor = self._choose()
        if actor is None:
            return self._switcher.home
        actor.ran = self.events
        self.running = actor
        assert actor.strand is not None
        return actor.strand

    def _choose(self) -> Actor | None:
        while True:
            if self.over:
                return self._actors[0] if self._actors else None
            now = self.clock.monotonic()
            current = self.running
            goes_on = current.condition is None and current.process.alive and not current.ended
            if goes_on and current.process.paused_until <= now and not self.tape.draw("switch", 2, self.switch_rate):
                return current
            ready = [each for each in self._actors if each.is_ready(now)]
            for each in ready:
                if not each.process.alive:
                    return each  # the dead are unwound first
            if ready:
                if len(ready) == 1:
                    return ready[0]
                ready.sort(key=_ran)
                return ready[self.tape.draw("who", len(ready), self.switch_rate)]
            wakes = [at for each in self._actors if (at := each.wakes_at()) is not None]
            if not wakes:
                self.fail("nobody waits for ever", "all threads wait for one another")
                continue
            self.clock.advance(max(0.0, min(wakes) - now) + SLACK_S)

    def draw_held_back(self, most: int) -> int:
        """How many of these messages come a little later."""
        if most == 0:
            return 0
        return self.tape.draw("held back", most + 1, self.partial_rate)

    # -- what befalls processes ------------------------------------------------------------------------------

    def kill(self, process: Process, signal: int = SIGKILL, code: int | None = None) -> None:
        """A process ends at once: by a signal, or by itself with this exit code."""
        if not process.alive:
            return
        process.alive = False
        process.died = self.clock.monotonic()
        process.ended_well = not signal and code == 0
        self.note(process.name, f"is killed by signal {signal}" if signal else f"exits with {code}")
        self.witness.died(process)
        for end in process.ends:
            end.closed = True
        if process.listener is not None:
            process.listener.vanish()
        parent = process.parent
        if process.kind == "worker" and parent is not None and parent.alive:
            assert process.channel is not None
            parent.exits.append(Exited(process.channel.peer, signal, code))
        if process.kind == "monitor" and self.death_signal:
            for child in self.living("worker"):
                if child.parent is process:
                    self.kill(child)

    def interrupt(self, process: Process) -> None:
        """A signal for the main thread of this process."""
        for actor in self._actors:
            if actor.process is process and actor.name.endswith(".main"):
                actor.signalled = True

    def pause(self, process: Process, seconds: float) -> None:
        """Stop a process for a while, as SIGSTOP does."""
        process.was_stopped = True
        process.paused_until = max(process.paused_until, self.clock.monotonic() + seconds)

    def resume_all(self) -> None:
        """Let all go on that were paused."""
        for process in self.processes:
            process.paused_until = 0.0

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock; timers that follow it go off."""
        self.clock.step_wall(seconds)
        for process in self.living():
            process.clock_set = True

    def living(self, kind: str = "") -> list[Process]:
        """The processes that are alive."""
        return [each for each in self.processes if each.alive and (not kind or each.kind == kind)]


def _ran(actor: Actor) -> int:
    return actor.ran


def _never() -> bool:
    return False
