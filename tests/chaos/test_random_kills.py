"""Kills at random moments, two and three at once, and of the whole tree, under load."""

from __future__ import annotations

import os
import random
import time

import pytest
from harness import Chaos, measured, strike
from processes import Application, World, eventually

ROUNDS = 12
PAIRS = [
    ("monitor", "worker"),
    ("monitor", "application"),
    ("worker", "application"),
    ("monitor", "worker", "application"),
]


def start(chaos: Chaos, prefix: str) -> Application:
    """An application that registers in blocking mode, as fast as it can."""
    application = chaos.application()
    application.do("autocron.start(load.DATABASE, workers=2)")
    application.do(f"registering = load.Registering({prefix!r})")
    return application


@pytest.mark.parametrize("number", range(3))
def test_kills_at_random_moments(world: World, number: int) -> None:
    """Design 1: whoever dies, whenever, however often: no acknowledged job is lost, and nothing is left at the end."""
    seed = f"{os.environ['AUTOCRON_CHAOS_TURN']}.{number}"
    print(f"seed {seed}: AUTOCRON_CHAOS_TURN={seed.partition('.')[0]} strikes at the same moments again")
    dice = random.Random(seed)
    chaos = Chaos(world)
    world.configure(max_deaths=1000)  # innocent ones may be struck again and again
    applications = [start(chaos, f"first-{each}") for each in range(2)]
    for each in range(ROUNDS):
        time.sleep(dice.random() * 0.15)  # the moment is what is random; nothing waits for it
        victim = dice.choice(("monitor", "worker", "worker", "application"))
        if victim == "application":
            position = dice.randrange(2)
            strike("KILL", [applications[position].identity])
            applications[position].wait()
            applications[position] = start(chaos, f"later-{each}")
        else:
            found = world.monitors() if victim == "monitor" else world.workers()
            strike("KILL", dice.sample(found, 1) if found else [])
    for application in applications:
        application.do("registering.stop()")
        assert application.end() == 0
    world.await_empty()
    account = chaos.finish(exactly_once=False)
    print(account)
    assert account.accepted > ROUNDS


@pytest.mark.parametrize("whom", PAIRS, ids="+".join)
def test_several_at_once(world: World, whom: tuple[str, ...]) -> None:
    """Contract 6: after any crash, of several processes at once too, work goes on or the tree is empty."""
    chaos = Chaos(world)
    application = start(chaos, "load")
    application.do("load.at_once('first') and None")
    targets = [eventually(lambda role=role: chaos.of_role(role, application))[0] for role in whom]
    if "application" in whom:
        with measured(world, " + ".join(whom), "KILL of several at once"):
            strike("KILL", targets)
            application.wait()
    else:
        strike("KILL", targets)
        assert application.do("until_ready(add(1, 2))") == 3
        application.do("registering.stop()")
        with measured(world, " + ".join(whom), "KILL of several at once"):
            assert application.end() == 0
    chaos.finish(exactly_once=False)


def test_the_whole_tree_at_once(world: World) -> None:
    """Contract 6: after a crash of all processes at once the next start simply works; there is no flag to repair."""
    chaos = Chaos(world)
    world.configure(max_deaths=1000)  # each life may be struck while it loads the same first job
    for life in range(3):
        applications = [start(chaos, f"{life}-{each}") for each in range(2)]
        for application in applications:
            application.do("load.at_once('any') and None")
        with measured(world, "everything", "KILL of several at once"):
            strike("KILL", world.family())
            for application in applications:
                application.wait()
    assert chaos.finish(exactly_once=False).accepted > 0
