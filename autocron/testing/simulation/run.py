"""One run of a seed or of a tape, from the first process to the verdict."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Protocol

from .disk import Disk
from .faults import Faults, Swarm
from .invariants import Witness
from .machine import Machine, Violation
from .model import Model
from .program import Program
from .roles import Roles
from .scenario import Scenario
from .switcher import Switcher
from .tape import Numbers, Tape


@dataclass
class Verdict:
    """What came of a run."""

    seed: int
    failure: Violation | None
    numbers: Numbers
    story: list[str]
    trace: list[tuple[float, str, str]]
    events: int
    seconds: float  # virtual
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    sometimes: Counter[str] = field(default_factory=Counter)
    states: set[tuple[Any, ...]] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)

    def trace_hash(self) -> str:
        """The same for the same run."""
        digest = hashlib.blake2b(digest_size=8)
        for line in self.trace:
            digest.update(repr(line).encode())
        return digest.hexdigest()


class Story(Protocol):
    """What is simulated: who starts what, and what must hold in the end."""

    roles: Roles

    def operate(self) -> None: ...


class Tale(Protocol):
    """Makes the story of a run."""

    def swarm(self, seed: int) -> Swarm: ...
    def story(self, machine: Machine, disk: Disk, faults: Faults, witness: Witness) -> Story: ...


class OwnTale:
    """Our own program, with every fault there is."""

    def swarm(self, seed: int) -> Swarm:
        return Swarm.of(seed)

    def story(self, machine: Machine, disk: Disk, faults: Faults, witness: Witness) -> Story:
        return Scenario(machine, disk, faults, witness, Program(machine))


OWN: Final = OwnTale()


def run(
    seed: int, numbers: Mapping[str, Mapping[int, int]] | None = None, *, switcher: Switcher, tale: Tale = OWN
) -> Verdict:
    """Simulate this seed; or, with the numbers of a tape, that run again."""
    tape = Tape(Random(f"autocron {seed}")) if numbers is None else Tape(None, numbers)
    swarm = tale.swarm(seed)
    tape.favoured = swarm.road
    machine = Machine(str(seed), tape, switcher)
    machine.switch_rate, machine.partial_rate = swarm.switch_rate, swarm.partial_rate
    machine.death_signal = tape.draw("no signal at the death of the parent", 2, 0.6) == 0
    disk = Disk(keeps_states=True)
    faults = Faults(machine, disk, swarm)
    model = Model()
    witness = Witness(machine, disk, model)
    machine.witness, machine.chance = witness, faults
    story = tale.story(machine, disk, faults, witness)
    failure = None
    with logged(machine), story.roles.in_force():
        try:
            machine.run(machine.process("operator"), story.operate)
        except Violation as violation:
            failure = violation
        finally:
            disk.close()
    return Verdict(
        seed,
        failure,
        tape.numbers,
        faults.story,
        machine.trace,
        machine.events,
        machine.clock.monotonic() - 1000.0,
        faults.hits,
        model.sometimes,
        witness.states,
        tape.unread() if tape.replays else [],
    )


@contextmanager
def logged(machine: Machine) -> Iterator[None]:
    """The log of the roles goes into the trace."""
    logger = logging.getLogger("autocron")
    before = logger.level, logger.propagate
    handler = _Notes(machine)
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
        logger.setLevel(before[0])


class _Notes(logging.Handler):
    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def emit(self, record: logging.LogRecord) -> None:
        self._machine.note(self._machine.running.name, f"log: {record.getMessage().splitlines()[0]}")
