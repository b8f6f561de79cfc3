"""The application's code in a worker: what makes it stale, and the names under which tasks are found."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocron.errors import AutocronError
from autocron.registry import registry
from autocron.system.code import ApplicationCode

MODULE = """
import autocron

@autocron.delay
def task():
    return {number}

alias = task

@autocron.cron("@daily")
def entry(): ...

renamed_entry = entry

def plain(): ...
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApplicationCode]:
    """A worker's view of a directory with one module, `deployed`."""
    (tmp_path / "deployed.py").write_text(MODULE.format(number=1))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "argv", ["app.py"])
    code = ApplicationCode(time.time())
    code.prepare({"path": sys.path, "argv": sys.argv})
    yield code
    for name in ("deployed", "released"):
        sys.modules.pop(name, None)
        registry.forget(f"{name}:entry")
        for task in [each for each in registry.tasks if each.startswith(f"{name}:")]:
            del registry.tasks[task]


def test_code_is_stale_when_a_file_is_replaced_by_an_older_one(code: ApplicationCode, tmp_path: Path) -> None:
    """Design 2: changed files count, whatever time they bear; deployments keep the times of files."""
    assert code.resolve("deployed:task")() == 1
    assert not code.is_stale()
    replacement = tmp_path / "replacement"
    replacement.write_text(MODULE.format(number=2))
    os.utime(replacement, (1_000_000_000, 1_000_000_000))
    replacement.replace(tmp_path / "deployed.py")
    assert code.is_stale()


def test_code_from_the_future_is_not_stale(code: ApplicationCode, tmp_path: Path) -> None:
    """Design 1.2: the clock of who has built it is ahead; else each worker would give way to the next one for ever."""
    file = tmp_path / "deployed.py"
    os.utime(file, (time.time() + 86400,) * 2)
    assert code.resolve("deployed:task")() == 1
    assert not code.is_stale()
    os.utime(file, (time.time() + 86401,) * 2)
    assert code.is_stale()


def test_code_that_was_written_while_it_was_loaded_may_be_stale(tmp_path: Path, code: ApplicationCode) -> None:
    """Design 2: what is younger than its worker may have changed before anybody looked."""
    now = time.time()
    os.utime(tmp_path / "deployed.py", (now, now))
    young = ApplicationCode(now - 1)
    young.prepare({"path": sys.path, "argv": sys.argv})
    assert young.resolve("deployed:task")() == 1
    assert young.is_stale()


def test_code_is_stale_when_a_release_is_switched(code: ApplicationCode, tmp_path: Path) -> None:
    """Design 2: a symbolic link that leads to another release is a change of all files in it."""
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "released.py").write_text(MODULE.format(number=release))
        os.utime(tmp_path / release / "released.py", (1_000_000_000, 1_000_000_000))
    current = tmp_path / "current"
    current.symlink_to("1")
    sys.path.insert(0, str(current))
    assert code.resolve("released:task")() == 1
    assert not code.is_stale()
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(current)
    assert code.is_stale()


@pytest.mark.parametrize("name", ["alias", "renamed_entry"])
def test_a_renamed_task_is_found_under_its_old_name(name: str, code: ApplicationCode) -> None:
    """Contract 6: jobs registered before a deploy run after it, if the old name is kept beside the new one."""
    assert callable(code.resolve(f"deployed:{name}"))


@pytest.mark.parametrize("name", ["plain", "os", "missing", "alias.missing"])
def test_only_tasks_are_found(name: str, code: ApplicationCode) -> None:
    """Design 5: a worker calls only what is decorated."""
    with pytest.raises(AutocronError, match=f"there is no task deployed:{name}"):
        code.resolve(f"deployed:{name}")


def test_a_script_that_never_returns_is_told(
    code: ApplicationCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Contract 3: an unguarded server, loaded by a worker, would serve for ever; style 10: the way out is said."""
    monkeypatch.setattr("autocron.system.code.SLOW_S", 0.01)
    os.mkfifo(tmp_path / "requests")
    script = tmp_path / "app.py"
    # It reads until somebody has opened and closed the pipe.
    script.write_text(f"with open({str(tmp_path / 'requests')!r}) as requests: requests.read()")
    told = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: told.set()  # type: ignore[method-assign]
    logger = logging.getLogger("autocron.worker")
    logger.addHandler(handler)
    end = threading.Thread(target=lambda: told.wait(60) and (tmp_path / "requests").write_text(""))
    end.start()
    try:
        with pytest.raises(AutocronError, match="there is no task"):
            code.resolve(f"{script}:task")
    finally:
        logger.removeHandler(handler)
        end.join()
    assert f"still loading {script}" in caplog.text
    assert 'belongs under `if __name__ == "__main__":`' in caplog.text


def test_of_what_is_loaded_at_once_nothing_is_told(code: ApplicationCode) -> None:
    """Design 1.6: no timer is left."""
    before = threading.active_count()
    assert code.resolve("deployed:task")() == 1
    assert threading.active_count() == before
