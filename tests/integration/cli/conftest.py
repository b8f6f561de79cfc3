"""A database, and applications that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Application

from autocron.stores import open_store


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of an empty database in an own home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    directory = tmp_path / ".autocron"
    directory.mkdir(mode=0o700)
    path = directory / "app.db"
    open_store(str(path)).close()
    return path


@pytest.fixture
def start(tmp_path: Path, database: Path) -> Iterator[Callable[..., Application]]:
    """Starts applications, and sees to their end."""
    started: list[Application] = []

    def starter(*args: str, cwd: Path | None = None) -> Application:
        started.append(Application(tmp_path, database, *args, cwd=cwd))
        return started[-1]

    yield starter
    running = [each for each in started if each.process.poll() is None]
    for each in running:
        each.process.kill()
    for each in running:  # only now: the monitor, which all share, has the pipe of the first
        each.process.communicate()
