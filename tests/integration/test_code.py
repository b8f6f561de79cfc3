"""The application's code in a worker: what makes it stale, and the names under which tasks are found."""

from __future__ import annotations

import _thread
import logging
import os
import queue
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import eventually

from autocron.errors import AutocronError
from autocron.registry import registry
from autocron.system.code import MAIN, ApplicationCode

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
    for name in ("__main__", MAIN):
        monkeypatch.setitem(sys.modules, name, sys.modules["__main__"])
    code = ApplicationCode(time.time())
    code.prepare({"path": sys.path, "argv": sys.argv})
    yield code
    for name in ("deployed", "released"):
        sys.modules.pop(name, None)
        registry.forget(f"{name}:entry")
    for task in [each for each in registry.tasks if each.startswith(("deployed:", "released:", str(tmp_path)))]:
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


def test_a_script_is_never_taken_from_a_cache(
    code: ApplicationCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contract 6: new jobs run the new code, of a script too that was written again in the same second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    script = tmp_path / "app.py"
    for number in (1, 2):
        script.write_text(f"number = {number}")
        os.utime(script, (1e9, 1e9))
        ApplicationCode(time.time()).load_main(str(script))
        assert sys.modules[MAIN].number == number
    assert not (tmp_path / "__pycache__").exists()


SCRIPT = """
import sys
import autocron

class Order: ...

@autocron.delay
def pay():
    return Order is sys.modules["__main__"].Order is sys.modules["__mp_main__"].Order
"""


def test_each_job_sees_the_script_it_comes_from(code: ApplicationCode, tmp_path: Path) -> None:
    """Contract 3: tasks of two scripts on one database find classes of their own, whoever's turn it is."""
    for name in ("web.py", "nightly.py"):
        (tmp_path / name).write_text(SCRIPT)
    for name in ("web.py", "nightly.py", "web.py", "nightly.py"):
        assert code.resolve(f"{tmp_path / name}:pay")()
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        code.resolve(f"{tmp_path / 'broken.py'}:pay")
    assert code.resolve(f"{tmp_path / 'web.py'}:pay")()


def test_a_script_that_never_returns_is_told(
    code: ApplicationCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contract 3: an unguarded server, loaded by a worker, would serve for ever; style 10: the way out is said."""
    monkeypatch.setattr("autocron.system.code.SLOW_S", 0.01)
    os.mkfifo(tmp_path / "requests")
    script = tmp_path / "app.py"
    # It reads until somebody has opened and closed the pipe.
    script.write_text(f"with open({str(tmp_path / 'requests')!r}) as requests: requests.read()")
    words: queue.Queue[str] = queue.Queue()
    handler = logging.Handler()
    handler.emit = lambda record: words.put(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("autocron.worker")
    logger.addHandler(handler)

    def end() -> str:
        try:
            return words.get(timeout=60)
        finally:
            (tmp_path / "requests").write_text("")

    try:
        with ThreadPoolExecutor(1) as pool:
            told = pool.submit(end)
            with pytest.raises(AutocronError, match="there is no task"):
                code.resolve(f"{script}:task")
    finally:
        logger.removeHandler(handler)
    assert f"still loading {script}" in told.result()
    assert 'belongs under `if __name__ == "__main__":`' in told.result()


def test_of_what_is_loaded_at_once_nothing_is_told(code: ApplicationCode) -> None:
    """Design 1.6: nobody is left who would tell it later."""
    before = _thread._count()
    assert code.resolve("deployed:task")() == 1
    eventually(lambda: _thread._count() <= before)  # one of an earlier test may just have ended, too
