"""What can go wrong, and the swarm: each seed has a menu of its own, with rates of its own.

A run in which everything fails all the time finds little, because nothing ever gets far. So a seed enables some kinds
of faults, bounds their number, and often aims at one particular point. All that concerns only how a tape comes about;
a tape that is played again has its faults where it has them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Final

from ...labels import LABELS
from .disk import WRITES, Disk
from .machine import Actor, Machine, Process

CRASH, PAUSE, BACK, FORWARD, KILL, TERMINATE, KILL_ALL, POWER = range(1, 9)
KINDS: Final = {
    CRASH: "crash",
    PAUSE: "pause",
    BACK: "clock back",
    FORWARD: "clock forward",
    KILL: "kill another",
    TERMINATE: "terminate another",
    KILL_ALL: "kill all",
    POWER: "power cut",
}
BUSY, FULL, BROKEN = 1, 2, 3
REFUSALS: Final = {BUSY: "busy", FULL: "full", BROKEN: "broken"}
PAUSES_S: Final = (0.001, 0.03, 0.5, 3.0, 31.0, 100.0)
STEPS_S: Final = (1.0, 61.0, 3700.0)
TROUBLES_S: Final = (0.0, 0.5, 3.0, 12.0)
BOOTS_S: Final = (0.05, 0.0, 0.5, 4.0)
STORE_LABELS: Final = tuple(
    sorted(
        {
            f"monitor.{each}"
            for each in ("open", "rescue", "add", "sync", "claim", "settle", "release", "fire", "prune", "tidy")
        }
    )
)
SIDES: Final = ("before", "after")
LABELS_IN_ORDER: Final = tuple(sorted(LABELS))
POINTS: Final = tuple(f"{label}.{side}" for label in LABELS_IN_ORDER for side in SIDES)


# What else has to happen for a run to come to a rare point: numbers to be favoured, and how often.
ROADS: Final[dict[str, dict[str, tuple[int, float]]]] = {
    "monitor.fire": {"cron": (1, 1.0), "length": (3, 0.8)},
    "monitor.prune": {"settings": (1, 1.0), "ttl": (1, 1.0), "length": (2, 0.8)},
    "monitor.drain": {"leaves early": (1, 0.6), "step": (14, 0.3)},
    "monitor.release": {"leaves early": (1, 0.6), "step": (14, 0.2), "task": (2, 0.4), "applications": (0, 0.6)},
    "app.fallback": {"spawn of a monitor": (4, 0.6), "monitor.wait": (1, 0.15), "length": (2, 0.8)},
}


def possible(label: str) -> tuple[int, ...]:
    """How the disk can refuse this call: what only reads needs no space, what only syncs waits for no lock."""
    if label == "monitor.sync":
        return (FULL, BROKEN)
    method = label.rpartition(".")[2]
    return (BUSY, FULL, BROKEN) if label == "app.fallback" or method in WRITES else (BUSY, BROKEN)


@dataclass
class Swarm:
    """How the tape of a seed comes about."""

    kinds: tuple[int, ...] = ()
    rate: float = 0.0
    refusals: tuple[int, ...] = ()
    refusal_rate: float = 0.0
    spawn_rate: float = 0.0
    most: int = 0  # faults in this run
    aim: str = ""  # a label, or "disk <label>"
    aim_kind: int = 0
    aim_rate: float = 0.0
    switch_rate: float = 1.0
    partial_rate: float = 0.0
    victims: tuple[str, ...] = ("app", "monitor", "worker")
    favoured: dict[str, tuple[int, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, random: Random) -> Swarm:
        """The swarm of a seed."""
        kinds = tuple(kind for kind in KINDS if random.random() < 0.4)
        refusals = tuple(kind for kind in REFUSALS if random.random() < 0.3)
        swarm = cls(
            kinds=kinds,
            rate=10 ** random.uniform(-3.5, -1.3) if kinds else 0.0,
            refusals=refusals,
            refusal_rate=10 ** random.uniform(-2.5, -0.5) if refusals else 0.0,
            spawn_rate=random.choice((0.0, 0.0, 0.1, 0.4)),
            most=random.choice((0, 1, 2, 3, 5, 8, 12)),
            switch_rate=random.choice((0.02, 0.1, 0.3, 1.0)),
            partial_rate=random.choice((0.0, 0.0, 0.1, 0.4)),
        )
        if random.random() < 0.9:
            swarm._take_aim(random)
        return swarm

    def _take_aim(self, random: Random) -> None:
        """One fault at one point, again and again; often at a point that few runs come to."""
        self.aim_rate = random.choice((0.05, 0.3, 0.8))
        label = random.choice((*LABELS_IN_ORDER, *tuple(ROADS) * 3, *("app.fallback",) * 3))
        self.favoured = ROADS.get(label, {})
        self.most = max(self.most, 12 if label == "app.fallback" else 2)
        if random.random() < 0.8:
            self.aim, self.aim_kind = label, random.choice(tuple(KINDS))
        else:
            if label not in (*STORE_LABELS, "app.fallback"):
                label = random.choice(STORE_LABELS)
                self.favoured = ROADS.get(label, {})
            self.aim, self.aim_kind = f"disk {label}", random.choice(possible(label))


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
    _reason: str = ""  # the disk refuses everything with it for a while
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
        swarm, tape = self.swarm, self.machine.tape
        if self.struck >= swarm.most:
            kind = tape.draw(point, 9, 0.0)
        elif point.rpartition(".")[0] == swarm.aim:
            kind = tape.draw(point, 9, swarm.aim_rate, (swarm.aim_kind,))
        else:
            kind = tape.draw(point, 9, swarm.rate, swarm.kinds)
        if kind:
            self._do(kind, process, point)

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
        if machine.clock.monotonic() < self._until:
            self._hit(label, self._reason)
            return self._reason
        point = f"disk {label}"
        allowed = possible(label)
        if self.struck >= swarm.most:
            kind = machine.tape.draw(point, 4, 0.0)
        elif point == swarm.aim and swarm.aim_kind in allowed:
            kind = machine.tape.draw(point, 4, swarm.aim_rate, (swarm.aim_kind,))
        else:
            among = [each for each in swarm.refusals if each in allowed]
            kind = machine.tape.draw(point, 4, swarm.refusal_rate if among else 0.0, among)
        if not kind:
            return ""
        self.refused += 1
        self._reason = REFUSALS[kind]
        seconds = TROUBLES_S[machine.tape.draw("length of a refusal", len(TROUBLES_S))]
        self._until = machine.clock.monotonic() + seconds
        self._hit(label, self._reason)
        self._tell(f"the disk is {self._reason} at {label} of {process.name}, for {seconds} s")
        return self._reason

    # -- at the birth ----------------------------------------------------------------------------------------

    def delay_of(self, role: str) -> float:
        """Seconds until a new process begins; OSError if there is to be none."""
        if not self.active:
            return BOOTS_S[0]
        rate = self.swarm.spawn_rate if self.struck < self.swarm.most else 0.0
        kind = self.machine.tape.draw(f"spawn of a {role}", len(BOOTS_S) + 1, rate)
        if kind:
            self._hit(f"spawn {role}", "fails" if kind == len(BOOTS_S) else "takes another time")
        if kind == len(BOOTS_S):
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
