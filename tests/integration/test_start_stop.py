"""`start` and `stop`."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from processes import PATIENCE_S, Raised, World, eventually


def test_start_returns_true_where_it_starts_the_monitor(world: World) -> None:
    """Contract 1: True if this call started the monitor; idempotent; False in another process, whose tasks run too."""
    first = world.application(start=False)
    assert first.do("autocron.start(DATABASE)") is True
    assert first.do("autocron.start(DATABASE)") is False
    second = world.application(start=False)
    assert second.do("autocron.start(DATABASE)") is False
    assert second.do("until_ready(add(1, 2))") == 3
    assert len(world.monitors()) == 1


def test_a_relative_database_lies_in_the_home_directory(world: World) -> None:
    """Contract 1: relative → inside ~/.autocron/, created if missing, mode 0700."""
    application = world.application(start=False)
    assert application.do("autocron.start('relative.db')") is True
    directory = world.directory / ".autocron"
    assert (directory / "relative.db").is_file()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_path_object_and_a_symbolic_link_mean_the_same_database(world: World) -> None:
    """Contract 1: str or Path. Design 2: a database is identified by its real path."""
    (world.directory / "elsewhere").symlink_to(world.directory)
    first = world.application()
    second = world.application(start=False)
    assert second.do("__import__('pathlib').Path(DATABASE)") == str(world.database)
    assert second.do("autocron.start(__import__('pathlib').Path(DATABASE).parent / 'elsewhere' / 'app.db')") is False
    assert first.do("autocron.start(DATABASE)") is False
    assert len(world.monitors()) == 1


def test_a_missing_directory_is_named(world: World) -> None:
    """Contract 1: a missing directory is a FileNotFoundError that names it."""
    application = world.application(start=False)
    missing = world.directory / "missing"
    with pytest.raises(Raised, match=f"FileNotFoundError: .*{re.escape(str(missing))} "):
        application.do(f"autocron.start({str(missing / 'app.db')!r})")
    assert world.monitors() == []


@pytest.mark.parametrize(
    ("workers", "error"),
    [("0", "ValueError"), ("-1", "ValueError"), ("True", "TypeError"), ("2.5", "TypeError"), ("'2'", "TypeError")],
)
def test_unusable_numbers_of_workers(workers: str, error: str) -> None:
    """Contract 1: anything but an int ≥ 1 is a ValueError or TypeError naming the argument; nothing is started."""
    import autocron

    with pytest.raises((ValueError, TypeError), match=f"workers={re.escape(workers)}") as raised:
        autocron.Engine().start("/nowhere/at/all/app.db", workers=eval(workers))
    assert raised.type.__name__ == error


def test_the_number_of_workers_is_stored(world: World) -> None:
    """Contract 1: stored in the database; None takes the stored number; default 1."""
    first = world.application()
    world.worker()
    assert first.end() == 0
    world.await_empty()
    second = world.application(workers=3)
    eventually(lambda: len(world.workers()) == 3)
    assert second.end() == 0
    world.await_empty()
    world.application()
    eventually(lambda: len(world.workers()) == 3)


def test_numbers_that_are_enumerations(world: World) -> None:
    """Contract 1: they are whole numbers too, and so are levels of the log."""
    application = world.application(start=False)
    application.do("import enum, logging\nclass Number(enum.IntEnum):\n    two = 2\n    info = 20\n")
    application.do("logging.getLogger().setLevel(Number.info)")
    assert application.do("autocron.start(DATABASE, workers=Number.two)") is True
    eventually(lambda: len(world.workers()) == 2)
    second = world.application(start=False)
    second.do("import enum\nclass Number(enum.IntEnum):\n    one = 1\n")
    assert second.do("autocron.start(DATABASE, workers=Number.one)") is False
    eventually(lambda: len(world.workers()) == 1)


def test_start_with_another_number_resizes_the_pool(world: World) -> None:
    """Contract 1: a later start(workers=n) changes the stored value and resizes the running pool."""
    application = world.application(workers=2)
    eventually(lambda: len(world.workers()) == 2)
    world.shut("gate")
    application.do("held = hold('job')")
    *_, holder = world.hear("begun job")
    assert application.do("autocron.start(DATABASE, workers=4)") is False
    eventually(lambda: len(world.workers()) == 4)
    second = world.application(workers=1)
    # Whoever runs a job may be the one to go: it ends its job first.
    eventually(lambda: len([each for each in world.workers() if str(each.pid) != holder]) <= 1)
    world.open("gate")
    assert application.do("until_ready(held)") == "job"
    eventually(lambda: len(world.workers()) == 1)
    assert second.end() == 0
    assert application.end() == 0
    world.await_empty()
    world.application()
    world.worker()


def test_switched_off(world: World) -> None:
    """Contract 1: False if autocron is switched off in the database. Contract 3: then tasks run in the caller."""
    world.configure(enabled=False)
    application = world.application(start=False)
    assert application.do("autocron.start(DATABASE)") is False
    assert application.do("told('here').result") == "here"
    assert world.hear("told here")[-1] == str(application.pid)
    world.await_empty(application.identity)
    assert world.zombies([application.pid]) == []


def test_start_inside_a_task_does_nothing(world: World) -> None:
    """Contract 1: False if this is a worker process."""
    application = world.application()
    assert application.do("until_ready(start_in_task())") is False
    assert application.do("until_ready(start_in_task())") is False
    assert len(world.workers()) == 1


def test_stop_ends_everything_where_the_last_application_stops(world: World) -> None:
    """Contract 1: stop drains and ends workers and monitor if this is the last process; it has when it returns."""
    application = world.application(workers=2)
    assert application.do("until_ready(add(1, 2))") == 3
    application.do("autocron.stop()")
    assert [each.role for each in world.family()] == [""]
    assert world.zombies([application.pid]) == []
    application.do("autocron.stop()")
    assert not (world.directory / "app.db-autocron").exists()


def test_stop_leaves_the_monitor_to_the_others(world: World) -> None:
    """Contract 1: stop ends this process' part only, as long as another one is there."""
    first, second = world.application(), world.application()
    monitor = world.monitor()
    first.do("autocron.stop()")
    assert second.do("until_ready(add(1, 2))") == 3
    assert world.monitor() == monitor
    second.do("autocron.stop()")
    world.await_empty(first.identity, second.identity)


def test_between_stop_and_start_tasks_run_in_the_caller(world: World) -> None:
    """Contract 3: after stop and before the next start autocron is inactive: calls run in the caller."""
    application = world.application()
    application.do("autocron.stop()")
    assert application.do("told('inside').is_ready()") is True
    assert world.hear("told inside")[-1] == str(application.pid)
    assert application.do("autocron.start(DATABASE)") is True
    application.do("told('outside')")
    assert world.hear("told outside")[-1] == str(world.worker().pid)


def test_start_and_stop_again_and_again(world: World) -> None:
    """Contract 1: neither descriptors nor threads nor processes pile up."""
    application = world.application()
    application.do("import gc, os, threading; gc.disable()")
    application.do("def picture(): return len(os.listdir('/proc/self/fd')), threading.active_count()")
    application.do("autocron.stop()")
    before = application.do("picture()")
    for _ in range(3):
        assert application.do("autocron.start(DATABASE)") is True
        assert application.do("until_ready(add(1, 2))") == 3
        application.do("autocron.stop()")

    def nothing_more() -> bool:
        """Than before; a thread that had been told to end may have been counted then."""
        return all(now <= was for now, was in zip(application.do("picture()"), before, strict=True))

    eventually(nothing_more, lambda: f"{application.do('picture()')}, not {before}")
    world.await_empty(application.identity)


def test_a_stopped_starter_stops_nobody(world: World) -> None:
    """Contract 1: a process that is suspended while it starts the monitor does not hold up the others for ever."""
    directory = world.directory / "app.db-autocron"
    directory.mkdir(mode=0o700)
    with open(directory / "starting", "w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        application = world.application(start=False)
        assert application.do("autocron.start(DATABASE)") is True
        assert application.do("until_ready(add(1, 2))") == 3


def test_never_started(world: World) -> None:
    """Contract 3: inactive: the result is ready or in error; an exception of the function is in it, not raised."""
    application = world.application(start=False)
    assert application.do("add(1, 2).result") == 3
    assert application.do("fail('no').is_ready()") is True
    assert application.do("fail('no').error_message") == "ValueError: no"
    assert application.do("autocron.get_results()") == []
    world.await_empty(application.identity)
    assert not world.database.exists()


def test_pending_tasks_run_after_the_next_start(world: World) -> None:
    """Contract 1: pending tasks stay in the database and run after the next start."""
    first = world.application()
    world.shut("gate")
    first.do("hold('first')")
    world.hear("begun first")
    first.do("uuids = [told(f'pending-{number}').uuid for number in range(20)]")
    uuids = first.do("uuids")
    first.do("autocron.stop()")
    assert {each.id.hex() for each in world.stored() if each.status == 1} >= set(uuids)
    world.open("gate")
    second = world.application()
    for number in range(20):
        world.hear(f"told pending-{number}")
    assert second.do(f"until_ready(autocron.Result(uuid={uuids[-1]!r}))") == "pending-19"


def test_results_after_a_restart(world: World) -> None:
    """Contract 4 and 5: results are kept, and can be asked for by the next life of the application, oldest first."""
    first = world.application()
    uuids = first.do("[add(number, number).uuid for number in range(5)]")
    first.do(f"until_ready(autocron.Result(uuid={uuids[-1]!r}))")
    assert first.end() == 0
    second = world.application()
    assert second.do("[each.uuid for each in autocron.get_results()]") == uuids
    assert second.do("[until_ready(each) for each in autocron.get_results()]") == [0, 2, 4, 6, 8]
    assert second.do("[(each.function_name, each.function_module) for each in autocron.get_results()][0]") == (
        "add",
        "tasks",
    )


def test_a_result_asked_in_another_process(world: World) -> None:
    """Contract 4: a Result can be pickled and asked in another process of the application."""
    first, second = world.application(), world.application()
    world.shut("gate")
    pickled = first.do("__import__('pickle').dumps(hold('job'))")
    second.do(f"result = __import__('pickle').loads({pickled!r})")
    assert second.do("(result.is_ready(), result.status in (1, 2), result.has_error)") == (False, True, False)
    world.open("gate")
    assert second.do("until_ready(result)") == "job"
    assert second.do("result.status") == 3


def test_results_are_kept_for_their_time_to_live(world: World) -> None:
    """Contract 4: kept for the stored time to live and then removed; an unknown one is unavailable."""
    world.configure(ttl_s=0)
    application = world.application()
    application.do("result = add(1, 2)")
    eventually(lambda: application.do("(result.is_ready(), result.status)")[1] in (3, 5))
    eventually(lambda: not world.stored())
    assert application.do("(lambda r: (r.is_ready(), r.status))(autocron.Result(uuid='00' * 16))") == (False, 5)


def test_blocking_mode(world: World) -> None:
    """Contract 3: blocking mode returns only when the job is safely stored."""
    world.configure(blocking=True)
    application = world.application()
    world.shut("gate")
    application.do("hold('first')")
    for number in range(10):
        uuid = application.do(f"add({number}, 1).uuid")
        assert uuid in {each.id.hex() for each in world.stored()}
    world.open("gate")


def test_a_refused_start_leaves_nothing(world: World) -> None:
    """Contract 6: a database that cannot be used is an exception; no process stays, the file is untouched."""
    world.database.write_bytes(b"not a database at all" * 100)
    application = world.application(start=False)
    with pytest.raises(Raised, match=f"StoreError: .*{re.escape(str(world.database))}: it is not a SQLite database"):
        application.do("autocron.start(DATABASE)")
    world.await_empty(application.identity)
    assert world.zombies([application.pid]) == []
    assert world.database.read_bytes() == b"not a database at all" * 100
    assert application.do("add(1, 2).result") == 3


def test_another_database_in_one_process_is_refused(world: World) -> None:
    """Contract 1: one engine has one database; the message names the way out."""
    application = world.application()
    with pytest.raises(Raised, match=r"call autocron\.stop"):
        application.do("autocron.start(DATABASE + '2')")


IMPORT = """
import os, signal, sys, threading
def picture():
    handlers = [signal.getsignal(each) for each in signal.valid_signals()]
    return handlers, threading.enumerate(), os.listdir("/proc/self/fd"), os.listdir("."), sys.excepthook
before, modules = picture(), set(sys.modules)
import autocron
assert picture() == before
new = set(sys.modules) - modules
assert not new & {"sqlite3", "socket", "subprocess", "multiprocessing", "asyncio", "logging", "ctypes"}, new
from autocron import cron, delay
@delay
def task(): ...
@cron
def entry(): ...
assert picture() == before
"""


def test_importing_has_no_side_effect(tmp_path: Path) -> None:
    """Contract 1: import autocron has no side effects: no signal handler, no thread, no file, no process."""
    (tmp_path / "program.py").write_text(IMPORT)
    done = subprocess.run(
        [sys.executable, "program.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path) == ["program.py"]


def test_where_processes_cannot_be_started_it_says_so_and_tests_work(tmp_path: Path) -> None:
    """README, Limits: Windows, where `fcntl` is missing."""
    script = tmp_path / "app.py"
    script.write_text(f"""
import sys
sys.modules["fcntl"] = None
import autocron
from autocron.testing import fake_engine, run_pending

@autocron.delay
def double(number):
    return 2 * number

if __name__ == "__main__":
    with fake_engine():
        double(2)
        print(run_pending().results)
    try:
        autocron.start({str(tmp_path / "app.db")!r})
    except autocron.AutocronError as error:
        print(error)
""")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    results, error = done.stdout.splitlines()
    assert results == "[4]"
    assert "on Windows run the application in WSL" in error
    assert not (tmp_path / "app.db").exists()
