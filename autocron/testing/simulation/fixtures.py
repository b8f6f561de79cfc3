"""What the pytest plugin takes from the simulator; nothing of it is loaded before a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, cast

import pytest

if TYPE_CHECKING:
    from .user import Simulation

MARKER: Final = "autocron_sim(seeds, workers, first): how many runs `autocron_sim` simulates, and with how many workers"


def add_options(group: pytest.OptionGroup) -> None:
    """Options of the simulator."""
    group.addoption("--autocron-seeds", type=int, help="runs that each test with autocron_sim simulates")
    group.addoption("--autocron-replay", metavar="FILE", help="play this tape again instead of simulating seeds")


@pytest.fixture
def autocron_sim(request: pytest.FixtureRequest) -> Iterator[Simulation]:
    """Tasks under crashes: say what is run and what must hold; many runs are simulated when the test has returned."""
    from ...registry import registry  # noqa: PLC0415
    from .user import of_markers  # noqa: PLC0415

    before = dict(registry.tasks), dict(registry.entries), dict(registry.decorated)
    config = request.config
    markers = reversed(list(request.node.iter_markers("autocron_sim")))
    seeds, replay = config.getoption("--autocron-seeds"), config.getoption("--autocron-replay")
    yield of_markers(markers, seeds, replay, request.node.nodeid, freeze=config.getini("autocron_freeze"))
    registry.tasks, registry.entries, registry.decorated = before
    registry.version += 1


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """The test has said what is to be simulated: do so."""
    result = yield
    simulation = cast("Simulation | None", pyfuncitem.funcargs.get("autocron_sim"))
    if simulation is not None:
        simulation.run()
    return result
