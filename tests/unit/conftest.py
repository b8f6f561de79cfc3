"""Fixtures of the unit tests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autocron import messages
from autocron.engine import Engine
from autocron.interface import Store
from autocron.job import Selection, Status
from autocron.stores import open_store
from autocron.testing.clock import FakeClock
from autocron.testing.world import World

MIDNIGHT = 1_800_057_600.0  # of a Saturday, UTC


class Small:
    """An application and a monitor with one worker, in one thread."""

    midnight = MIDNIGHT

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock(MIDNIGHT + 60)
        self.stores: list[Store] = []
        self.world = World(self.clock, self.open, random.Random(1))
        self.engine = Engine(self.world.interface())
        self.path = str(path)

    def open(self, address: str) -> Store:
        self.stores.append(open_store(address))
        return self.stores[-1]

    def start(self) -> None:
        assert self.engine.start(self.path)
        self.world.registrar = lambda: self.engine._registrar
        self.settle()

    def settle(self) -> None:
        """Let everything happen that can."""
        self.world.pump()
        while self.world.run_one():
            self.world.pump()

    def ask(self, question: str, argument: Any = None) -> Any:
        assert self.engine._registrar is not None
        answer = self.engine._registrar.ask(question, argument)
        self.settle()
        return answer

    def interface(self) -> Any:
        """The view of another process."""
        return self.world.interface()

    def jobs(self, *statuses: Status) -> list[Any]:
        return list(self.ask(messages.JOBS, (tuple(Selection(statuses)), 100, True))[0])


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    """A small world that has started."""
    made = Small(tmp_path / "app.db")
    made.start()
    yield made
    made.engine.stop()
    made.world.pump()
