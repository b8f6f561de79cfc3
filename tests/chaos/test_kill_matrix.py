"""Every point at the seam × every fault that can strike there: nothing acknowledged is lost, nothing is left.

A signal strikes each of the three roles while one of them is held at the point; whoever is there can also end by
itself, and its call of the store can be refused. By default one fault for each point, another one each day;
`--chaos=all` takes them all.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from harness import Chaos, measured, strike
from processes import Application, World

from autocron.system.failpoints import POINTS
from autocron.testing.simulation.aims import BUSY, FULL, REFUSALS, STORE_LABELS, UNSURE, possible

SIGNALS = ("KILL", "STOP", "TERM")
WHOM = ("monitor", "worker", "application")


class Case(NamedTuple):
    """One cell of the matrix."""

    point: str
    how: str  # a signal, or what the process at the point does
    whom: str = "itself"

    @property
    def action(self) -> str:
        """Of the failpoint."""
        return "stop" if self.how in SIGNALS else self.how

    @property
    def fault(self) -> str:
        """In the table of times."""
        return f"{self.how} of the {self.whom}" if self.how in SIGNALS else f"{self.how} at the point"


def faults_at(point: str) -> Iterator[Case]:
    """The cells of a point."""
    yield from (Case(point, how, whom) for how in SIGNALS for whom in WHOM)
    yield Case(point, "exit")
    label, _, side = point.rpartition(".")
    if label in STORE_LABELS:
        kinds = possible(label)
        if side == "before":
            yield from (Case(point, REFUSALS[kind]) for kind in (FULL, BUSY) if kind in kinds)
        elif UNSURE in kinds:
            yield Case(point, "full")  # stored, and an error all the same


CASES = {point: list(faults_at(point)) for point in sorted(POINTS)}


def chosen(config: pytest.Config) -> list[Case]:
    """All, or one cell of each point, in a turn that is the same in all processes of a run."""
    if config.getoption("--chaos") == "all":
        return list(itertools.chain.from_iterable(CASES.values()))
    turn = int(os.environ["AUTOCRON_CHAOS_TURN"])
    return [cases[(number + turn) % len(cases)] for number, cases in enumerate(CASES.values())]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = chosen(metafunc.config)
        metafunc.parametrize("case", cases, ids=["-".join(case) for case in cases])


def test_a_fault_at_every_point(world: World, case: Case) -> None:
    """Design 1: whatever is struck, wherever: what was acknowledged is done, and the tree is empty at the end."""
    chaos = Chaos(world)
    application = chaos.application(f"{case.point}={case.action}")
    application.tell("load.start_and_register('load', 12)")
    in_a_plain_life = chaos.is_reached(lambda: "registered load" in world.notes() and not chaos.unfinished())
    assert in_a_plain_life or provoke(chaos, case, application), "the point was not reached"
    if case.how in SIGNALS:
        dies = strike_at(chaos, case, application)
    else:
        dies = case.how == "exit" and chaos.reached_by() == application.pid
        if dies:
            with measured(world, case.point, case.fault):
                application.wait()
    if not dies:
        if application.identity.is_alive():
            application.tell("note('goes on')")
            world.hear("goes on")
        with measured(world, case.point, case.fault):
            application.end()
    may_run_again = case.how in ("KILL", "exit") and not dies
    chaos.finish(exactly_once=not may_run_again)


def strike_at(chaos: Chaos, case: Case, application: Application) -> bool:
    """Send the signal while a process is held at the point; whether the application died of it."""
    held = chaos.held()
    targets = chaos.of_role(case.whom, application)[:1] or [held]
    if application.identity not in targets or case.how == "STOP":
        strike(case.how, targets, held)
        return False
    with measured(chaos.world, case.point, case.fault):
        strike(case.how, targets, held)
        application.wait()
    return True


def provoke(chaos: Chaos, case: Case, application: Application) -> bool:
    """Reach a point that a plain life does not reach, or only at its end."""
    world = chaos.world
    if case.point.startswith("monitor.tidy"):
        return chaos.is_reached(lambda: False)
    if case.point.startswith("app.fallback"):
        with open(world.directory / "app.db-autocron" / "lock", "r+") as lock:
            while not take(lock.fileno()):
                for each in world.monitors():
                    each.kill()
            application.tell("load.register_together('late', 3)")
            return chaos.is_reached(lambda: False)
    world.shut("gate")
    application.do("[hold(f'slow-{number}') for number in range(3)] and None")
    world.hear("begun")
    application.tell(
        "[load.at_once(f'waiting-{number}') for number in range(20)]; note('waiting'); import os; os._exit(0)"
    )
    world.hear("waiting")
    reached = chaos.is_reached(lambda: not world.family())
    world.open("gate")
    return reached


def take(lock: int) -> bool:
    """Whether we hold the lock of the monitor now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
