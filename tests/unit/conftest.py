"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small import MIDNIGHT, Small

from autocron import engine, messages
from autocron.interface import Store
from autocron.job import Selection
from autocron.stores import open_store


class OnFile(Small):
    """A small world whose store is a file, with one worker."""

    midnight = MIDNIGHT

    def __init__(self, path: Path) -> None:
        super().__init__(MIDNIGHT + 60)
        self.stores: list[Store] = []
        self.path = str(path)

    def open(self, address: str) -> Store:
        self.stores.append(open_store(address))
        return self.stores[-1]

    def start(self, workers: int | None = None, **settings: Any) -> OnFile:
        assert self.engine.start(self.path, workers)
        self.settle()
        return self

    def ask(self, question: str, argument: Any = None) -> Any:
        answer = super().ask(question, argument)
        self.settle()
        return answer

    def interface(self) -> Any:
        """The view of another process."""
        return self.world.interface()

    def jobs(self, *statuses: int) -> list[Any]:
        return list(self.ask(messages.JOBS, (tuple(Selection(statuses)), 100, True))[0])


@pytest.fixture(autouse=True)
def no_engine_is_left() -> Iterator[None]:
    """What a test has made the engine of this process is so no more after it."""
    before = list(engine._current)
    yield
    engine._current[:] = before


@pytest.fixture
def small(tmp_path: Path) -> Iterator[OnFile]:
    """A small world that has started."""
    made = OnFile(tmp_path / "app.db")
    made.start()
    yield made
    made.engine.stop()
    made.world.pump()
    for each in made.stores:
        each.close()
