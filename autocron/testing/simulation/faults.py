"""What can go wrong, and the swarm: each seed has a menu of its own, with rates of its own.

A run in which everything fails all the time finds little, because nothing ever gets far. So a seed enables some kinds
of faults, bounds their number, and is steered to particular ones (see `aims`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from .aims import (
    BACK,
    CRASH,
    FORWARD,
    KILL,
    KINDS,
    PAUSE,
    POWER,
    REFUSALS,
    TERMINATE,
    UNBORN,
    UNSURE,
    Road,
    aims_of,
    possible,
)
from .disk import Disk
from .machine import Actor, Machine, Process

PAUSES_S: Final = (0.001, 0.03, 0.5, 3.0, 31.0, 100.0)
STEPS_S: Final = (1.0, 61.0, 3700.0)
TROUBLES_S: Final = (0.0, 0.5, 3.0, 12.0)
BOOTS_S: Final = (0.05, 0.0, 0.5, 4.0)


@dataclass
class Swarm:
    """How the tape of a seed comes about."""

    kinds: tuple[int, ...] = ()
    rate: float = 0.0
    refusals: tuple[int, ...] = ()
    refusal_rate: float = 0.0
    spawn_rate: float = 0.0
    most: int = 0  # faults in this run, apart from those it is steered to
    aims: dict[str, int] = field(default_factory=dict)  # decision of the tape → number
    aim_rate: float = 0.0
    aim_most: int = 0  # for each of them
    road: Road = field(default_factory=dict)
    switch_rate: float = 1.0
    partial_rate: float = 0.0
    victims: tuple[str, ...] = ("app", "monitor", "worker")

    @classmethod
    def of(cls, seed: int) -> Swarm:
        """The swarm of a seed."""
        random = Random(f"swarm {seed}")
        kinds = tuple(kind for kind in KINDS if random.random() < 0.4)
        refusals = tuple(kind for kind in REFUSALS if random.random() < 0.3)
        cells, road = aims_of(seed)
        return cls(
            kinds=kinds,
            rate=10 ** random.uniform(-3.5, -1.3) if kinds else 0.0,
            refusals=refusals,
            refusal_rate=10 ** random.uniform(-2.5, -0.5) if refusals else 0.0,
            spawn_rate=random.choice((0.0, 0.0, 0.1, 0.4)),
            most=random.choice((0, 1, 2, 3, 5, 8, 12)),
            aims={cell.decision: cell.number for cell in cells},
            aim_rate=random.choice((0.5, 0.8, 1.0)),
            aim_most=random.choice((1, 1, 2, 3)),
            road=road,
            switch_rate=random.choice((0.02, 0.1, 0.3, 1.0)),
            partial_rate=random.choice((0.0, 0.0, 0.1, 0.4)),
        )


@dataclass
class Faults:
    """Strikes at points, refuses calls of the store, delays and forbids new processes."""

    machine: Machine
    disk: Disk
    swarm: Swarm
    active: bool = True
    struck: int = 0
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)  # what happened, in words
    power_cut: int = 0
    refused: int = 0
    steered: Counter[str] = field(default_factory=Counter)  # how often each aim was hit
    _trouble: int = 0  # the disk refuses everything that it can with it, for a while
    _until: float = 0.0

    def stop(self) -> None:
        """From now on, everything goes well."""
        self.active = False
        self._until = 0.0
        self.machine.resume_all()

    # -- at a point ------------------------------------------------------------------------------------------

    def strike(self, actor: Actor, point: str) -> None:
        process = actor.process
        if not self.active or process.kind not in self.swarm.victims:
            return
        if kind := self._draw(point, len(KINDS) + 1, self.swarm.rate, self.swarm.kinds):
            self._do(kind, process, point)

    def _draw(self, decision: str, most: int, rate: float, among: Sequence[int] | None = None) -> int:
        """A number of the tape: 0, one that this seed is steered to, or as the swarm has it."""
        swarm, draw = self.swarm, self.machine.tape.draw
        if decision in swarm.aims and self.steered[decision] < swarm.aim_most:
            number = draw(decision, most, swarm.aim_rate, (swarm.aims[decision],))
            self.steered[decision] += number > 0
            return number
        return draw(decision, most, rate if self.struck < swarm.most else 0.0, among)

    def _do(self, kind: int, process: Process, point: str) -> None:
        self._hit(point, KINDS[kind])
        machine, tape = self.machine, self.machine.tape
        at = f"at {point} of {process.name}"
        if kind == CRASH:
            self._tell(f"{process.name} is killed at {point}")
            machine.kill(process)
        elif kind == PAUSE:
            seconds = PAUSES_S[tape.draw("length of a pause", len(PAUSES_S))]
            self._tell(f"{process.name} is stopped for {seconds} s at {point}")
            machine.pause(process, seconds)
        elif kind in (BACK, FORWARD):
            seconds = STEPS_S[tape.draw("step of the clock", len(STEPS_S))] * (1 if kind == FORWARD else -1)
            self._tell(f"the wall clock is set by {seconds:+} s {at}")
            machine.step_wall(seconds)
        elif kind in (KILL, TERMINATE):
            others = [each for each in machine.living() if each.kind in self.swarm.victims]
            other = others[tape.draw("victim", len(others))]
            if kind == TERMINATE and other.kind != "app":
                self._tell(f"{other.name} is asked to stop {at}")
                other.stop_requested = True
            else:
                self._tell(f"{other.name} is killed {at}")
                machine.kill(other)
        else:
            self._tell(f"{'the power is cut' if kind == POWER else 'everything is killed'} {at}")
            self.end_all(power=kind == POWER)

    def end_all(self, *, power: bool) -> None:
        """All processes end at the same moment."""
        if power:
            self.power_cut += 1
        for each in self.machine.living():
            if each.kind != "operator":
                self.machine.kill(each)
        if power:
            for each in self.machine.processes:
                each.begun = None  # the note of what was begun is not on the disk
            self.disk.cut_power(lambda states: self.machine.tape.draw("states lost", states))

    # -- at the disk -----------------------------------------------------------------------------------------

    def refuse(self, process: Process, label: str) -> str:
        """See `disk.Trouble`."""
        if not self.active or process.kind == "operator":
            return ""
        machine, swarm = self.machine, self.swarm
        allowed = possible(label)
        if machine.clock.monotonic() < self._until:
            if self._trouble not in allowed:
                return ""
            self._hit(label, REFUSALS[self._trouble])
            return REFUSALS[self._trouble]
        among = [each for each in swarm.refusals if each in allowed]
        kind = self._draw(f"disk {label}", len(REFUSALS) + 1, swarm.refusal_rate if among else 0.0, among)
        if not kind:
            return ""
        self.refused += 1
        self._trouble = kind
        seconds = 0.0 if kind == UNSURE else TROUBLES_S[machine.tape.draw("length of a refusal", len(TROUBLES_S))]
        self._until = machine.clock.monotonic() + seconds
        self._hit(label, REFUSALS[kind])
        self._tell(f"the disk is {REFUSALS[kind]} at {label} of {process.name}, for {seconds} s")
        return REFUSALS[kind]

    # -- at the birth ----------------------------------------------------------------------------------------

    def delay_of(self, role: str) -> float:
        """Seconds until a new process begins; OSError if there is to be none."""
        if not self.active:
            return BOOTS_S[0]
        kind = self._draw(f"spawn of a {role}", len(BOOTS_S) + 1, self.swarm.spawn_rate)
        if kind == UNBORN:
            self._hit(f"spawn {role}", "fails")
            self._tell(f"a {role} cannot be started")
            self.machine.running.label = ""
            raise OSError(11, "Resource temporarily unavailable (simulated)")
        return BOOTS_S[kind]

    def _hit(self, point: str, kind: str) -> None:
        self.hits[point, kind] += 1

    def _tell(self, what: str) -> None:
        self.struck += 1
        self.story.append(f"{self.machine.clock.monotonic() - 1000:9.3f} s  {what}")
        self.machine.note("chance", what)
