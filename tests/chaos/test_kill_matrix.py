"""Every point at the seam × every way to strike × every process: nothing acknowledged is lost, nothing is left.

By default one way and one process for each point, another one each day; `--chaos=all` takes them all.
"""

from __future__ import annotations

import fcntl
import os
from typing import NamedTuple

import pytest
from harness import Chaos, measured, strike
from processes import Application, Process, World

from autocron.system.failpoints import POINTS

HOW = ("KILL", "STOP", "TERM")
WHOM = ("monitor", "worker", "application")


class Case(NamedTuple):
    """One cell of the matrix."""

    point: str
    how: str
    whom: str


CASES = [Case(point, how, whom) for point in sorted(POINTS) for how in HOW for whom in WHOM]


def chosen(config: pytest.Config) -> list[Case]:
    """All, or one of the nine cells of each point, in a turn that is the same in all processes of a run."""
    if config.getoption("--chaos") == "all":
        return CASES
    turn = int(os.environ["AUTOCRON_CHAOS_TURN"])
    cells = len(HOW) * len(WHOM)
    return [case for number, case in enumerate(CASES) if number % cells == (number // cells + turn) % cells]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = chosen(metafunc.config)
        metafunc.parametrize("case", cases, ids=["-".join(case) for case in cases])


def test_a_strike_at_every_point(world: World, case: Case) -> None:
    """Design 1: whatever is struck, wherever: what was acknowledged is done, and the tree is empty at the end."""
    chaos = Chaos(world)
    application = chaos.application(f"{case.point}=stop")
    application.tell("load.start_and_register('load', 12)")
    held = chaos.watch(lambda: "registered load" in world.notes() and not chaos.unfinished())
    if held is None:
        held = provoke(chaos, case, application)
    assert held is not None, "the point was not reached"
    targets = chaos.of_role(case.whom, application)[:1] or [held]
    dies = application.identity in targets and case.how != "STOP"
    if dies:
        with measured(world, *case):
            strike(case.how, targets, held)
            application.wait()
    else:
        alive = application.identity.is_alive()
        strike(case.how, targets, held)
        if alive:
            application.tell("note('goes on')")
            world.hear("goes on")
        with measured(world, *case):
            application.end()
    chaos.finish(exactly_once=case.how != "KILL" or dies)


def provoke(chaos: Chaos, case: Case, application: Application) -> Process | None:
    """Reach a point that a plain life does not reach, or only at its end."""
    world = chaos.world
    if case.point.startswith("monitor.tidy"):
        return chaos.watch(lambda: False)
    if case.point.startswith("app.fallback"):
        with open(world.directory / "app.db-autocron" / "lock", "r+") as lock:
            while not take(lock.fileno()):
                for each in world.monitors():
                    each.kill()
            application.tell("load.register_together('late', 3)")
            return chaos.watch(lambda: False)
    world.shut("gate")
    application.do("[hold(f'slow-{number}') for number in range(3)] and None")
    world.hear("begun")
    application.tell(
        "[load.at_once(f'waiting-{number}') for number in range(20)]; note('waiting'); import os; os._exit(0)"
    )
    world.hear("waiting")
    held = chaos.watch(lambda: not world.family())
    world.open("gate")
    return held


def take(lock: int) -> bool:
    """Whether we hold the lock of the monitor now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
