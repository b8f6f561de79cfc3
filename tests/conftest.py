"""What all tests with real processes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A directory, a database and processes of one's own; nothing of it survives the test."""
    world = World(tmp_path)
    yield world
    world.end()
    print(world.stderr())  # pytest shows it where a test fails
