"""What a real application meets when its database is not as it should be, and when that is mended."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from database_files import REFUSED, filled, state
from processes import Application, Raised, World, eventually
from small import job_of

from autocron.errors import StoreFull
from autocron.job import Status
from autocron.stores import open_store
from autocron.stores.file import DatabaseFile

UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")


def may_mount() -> bool:
    """Whether this system lets us have a mount namespace."""
    command = [*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return (
        shutil.which("unshare") is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


def files(directory: Path) -> dict[str, tuple[int, int, int, str]]:
    """The database and what lies beside it."""
    return {name: each for name, each in state(directory).items() if name.startswith("app.db")}


def bulk(world: World, **options: object) -> Application:
    """An application that has started and can register in bulk."""
    application = world.application(**options)  # type: ignore[arg-type]
    application.do("import bulk")
    return application


def finish(world: World, application: Application) -> None:
    """All that was accepted is done, with the right results; then the application ends, and nothing is left."""
    assert application.do("bulk.until_done()") == []
    assert application.do("len(bulk.accepted)") > 0
    assert application.end() == 0
    world.await_empty()


# -- at the start --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "reason"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_start_names_the_path_and_the_reason_and_leaves_the_file_as_it_is(
    world: World, make: Callable[[Path], None], reason: str
) -> None:
    """Design 5: one exception type; the file is untouched. Contract 3: inactive, tasks run in the caller."""
    make(world.database)
    before = files(world.directory)
    application = world.application(start=False)
    with pytest.raises(Raised, match=f"^StoreError: .*{re.escape(str(world.database))}.*{reason}"):
        application.do("autocron.start(DATABASE)")
    assert application.do("until_ready(add(1, 2))") == 3
    world.await_empty(application.identity)
    assert files(world.directory) == before


@pytest.mark.skipif(not may_mount(), reason="no user and mount namespaces here")
def test_a_file_on_a_read_only_file_system_is_refused(world: World) -> None:
    """Design 5: as above, also for root, whom the mode of a file does not stop."""
    filled(world.database)
    mount = f'mount --bind {world.directory} {world.directory} && mount -o remount,ro,bind {world.directory}; exec "$@"'
    application = world.application(start=False, python=(*UNSHARE, "sh", "-c", mount, "sh", sys.executable))
    with pytest.raises(Raised, match=r"StoreError: .*(read-only|Read-only)"):
        application.do("autocron.start(DATABASE)")


def test_texts_and_names_that_are_not_utf_8_end_nobody(world: World) -> None:
    """Contract 3: whatever ends the function ends in the `Result`. Contract 1: a path is used as it is."""
    application = world.application(start=False)
    name = "DATABASE + '? #%41 \\udcff'"
    assert application.do(f"autocron.start({name})") is True
    monitor = world.monitor()
    assert application.do(r"until_ready(fail('\udcff\0'))") == "ValueError: \udcff\0"
    assert application.do("until_ready(add(1, 2))") == 3
    assert world.monitors() == [monitor]
    assert application.do(f"os.path.exists({name})") is True


def test_start_waits_for_another_program_that_holds_the_file_locked(world: World) -> None:
    """Design 5: another program that locks the file for a while only delays."""
    filled(world.database, jobs=0)
    other = sqlite3.connect(world.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    application = world.application(start=False)
    application.tell("autocron.start(DATABASE)")
    log = f"{world.database}-wal"
    # Any of them: what starts the monitor has the same arguments, and ends at once.
    eventually(lambda: any(log in _open_files(each.pid) for each in world.monitors()))
    other.execute("ROLLBACK")
    other.close()
    assert application.answer() is True
    assert application.do("until_ready(add(1, 2))") == 3


def _open_files(pid: int) -> set[str]:
    directory = Path(f"/proc/{pid}/fd")
    found = set()
    with contextlib.suppress(FileNotFoundError):  # the process has ended meanwhile
        for each in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.add(os.readlink(directory / each))
    return found


# -- a lock --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocking", [False, True])
def test_a_lock_delays_registrations_and_results_and_nobody_is_told_of_an_error(world: World, blocking: bool) -> None:
    """Design 5: another program that locks the file for a while (a shell, a backup) only delays."""
    world.configure(blocking=blocking)
    world.shut("gate")
    application = bulk(world)
    application.do("held = hold('one')")
    world.hear("begun")
    other = sqlite3.connect(world.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    world.open("gate")
    world.hear("ended")
    application.tell("bulk.register()")
    # The monitor has tried, and tries again.
    eventually(lambda: "another program holds it locked" in world.stderr())
    if not blocking:
        assert application.answer() is None
        assert application.do("[bulk.register() for _ in range(100)]") == [None] * 100
    other.execute("ROLLBACK")
    other.close()
    if blocking:
        assert application.answer() is None
    assert application.do("until_ready(held)") == "one"
    finish(world, application)


# -- no space ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocking", [False, True])
def test_registering_on_a_full_disk_fails_loudly_and_goes_on_when_there_is_space(world: World, blocking: bool) -> None:
    """Design 1.1: nothing accepted is lost; a limit on the size of files is the first of three ways."""
    world.configure(blocking=blocking)
    world.shut("gate")
    application = bulk(world)
    monitor = world.monitor()
    application.do("held = hold('one')")
    world.hear("begun")
    resource.prlimit(monitor.pid, resource.RLIMIT_FSIZE, (1 << 19, resource.RLIM_INFINITY))
    refusal = application.do("bulk.until_refused(30_000)")
    assert re.match(r"Store(Full|Error): .*app\.db: it cannot grow", refusal), refusal
    world.open("gate")
    world.hear("ended")  # its outcome waits in the monitor
    resource.prlimit(monitor.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    application.do("bulk.until_accepted()")
    assert application.do("until_ready(held)") == "one"
    assert world.monitor() == monitor
    finish(world, application)


@pytest.mark.skipif(not may_mount(), reason="no user and mount namespaces here")
def test_a_file_system_without_space(world: World) -> None:
    """Design 1.1: the same on a small file system of its own, which then grows."""
    small = world.directory / "small"
    small.mkdir()
    mount = f'mount -t tmpfs -o size=1m,mode=700 tmpfs {small}; exec "$@"'
    application = world.application(start=False, python=(*UNSHARE, "sh", "-c", mount, "sh", sys.executable))
    application.do("import bulk, os")
    assert application.do(f"autocron.start({str(small / 'app.db')!r})") is True
    refusal = application.do("bulk.until_refused(30_000)")
    assert re.match(r"Store(Full|Error): .*app\.db: (there is no space left|it cannot grow)", refusal), refusal
    assert application.do(f"os.system('mount -o remount,size=64m {small}')") == 0
    application.do("bulk.until_accepted()")
    finish(world, application)


# -- a file that is gone -------------------------------------------------------------------------------------


def test_a_deleted_file_is_noticed_and_goes_on_when_it_is_put_back(world: World) -> None:
    """Design 5: a deleted database is noticed, not written into the void, and no new one takes its place."""
    application = bulk(world)
    monitor = world.monitor()
    application.do("bulk.register()")
    aside = world.directory / "aside"
    world.database.rename(aside)
    refusal = application.do("bulk.until_refused()")
    assert re.match(r"StoreError: .*app\.db: the file was deleted while it was in use; put it back, or", refusal), (
        refusal
    )
    assert [application.do("bulk.register()") for _ in range(20)].count(None) == 0
    assert not world.database.exists()
    assert world.monitors() == [monitor]
    assert world.stderr().count("deleted while it was in use") <= 3, world.stderr()
    aside.rename(world.database)
    application.do("bulk.until_accepted()")
    assert world.monitors() == [monitor]
    finish(world, application)


def test_a_new_start_makes_the_deleted_database_anew_without_what_the_old_one_left(world: World) -> None:
    """Design 5: only `start` makes a new database, and the log of the old one does not become part of it."""
    application = bulk(world)
    application.do("until_ready(add(1, 2))")
    world.database.unlink()
    assert "deleted while it was in use" in application.do("bulk.until_refused()")
    assert application.end() == 0
    world.await_empty()
    assert files(world.directory) == {}
    again = bulk(world)
    assert again.do("until_ready(add(1, 2))") == 3
    assert [each.task for each in world.stored()] == ["tasks:add"]
    again.end()


def test_no_successor_of_the_monitor_replaces_a_deleted_database_by_a_new_one(world: World) -> None:
    """Design 5: no silent new database; only `start` makes one."""
    application = bulk(world)
    application.do("until_ready(add(1, 2))")
    for name in ("app.db", "app.db-wal", "app.db-shm"):
        (world.directory / name).unlink()
    world.monitor().kill()
    refusal = application.do("bulk.until_refused()")
    assert re.match(r"StoreError: .*app\.db: it does not exist any more; put it back, or start anew", refusal), refusal
    assert not world.database.exists()
    filled(world.database)  # a backup
    application.do("bulk.until_accepted()")
    finish(world, application)


def test_a_replaced_file_is_taken_by_a_new_monitor_and_what_waited_goes_into_it(world: World) -> None:
    """Design 5: a replaced database is noticed, not written into the void; after that the system goes on."""
    application = bulk(world)
    monitor = world.monitor()
    application.do("until_ready(add(1, 2))")
    filled(world.directory / "other")
    (world.directory / "other").rename(world.database)
    application.do("bulk.register()")  # nobody has noticed yet
    application.do("bulk.until_accepted()")
    assert application.do("bulk.until_done()") == []
    assert "replaced by another one while it was in use" in world.stderr()
    assert world.monitors() != [monitor]
    finish(world, application)
    tasks = [each.task for each in world.stored()]
    assert tasks[:3] == ["app:task"] * 3
    assert set(tasks[3:]) == {"bulk:size"}


def test_a_file_replaced_by_a_foreign_one_is_not_touched_and_no_monitor_storms_it(world: World) -> None:
    """Design 5: what takes the place of the database is refused untouched."""
    application = bulk(world)
    application.do("until_ready(add(1, 2))")
    foreign = world.directory / "foreign"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE customers(name)")
    db.close()
    content = foreign.read_bytes()
    foreign.rename(world.database)
    application.do("bulk.register()")
    eventually(lambda: "database of another program" in (application.do("bulk.register()") or ""))
    assert world.database.read_bytes() == content
    assert world.stderr().count("database of another program") <= 5, world.stderr()
    application.end()
    world.await_empty()
    assert world.database.read_bytes() == content


def test_a_removed_directory_ends_in_errors_that_name_it_and_the_application_ends_as_ever(world: World) -> None:
    """Design 1.4: nothing outlives the application, wherever its database has gone."""
    directory = world.directory / "data"
    directory.mkdir()
    application = world.application(start=False)
    application.do("import bulk")
    application.do(f"autocron.start({str(directory / 'app.db')!r})")
    application.do("until_ready(add(1, 2))")
    shutil.rmtree(directory)
    refusal = application.do("bulk.until_refused()")
    assert str(directory) in refusal
    assert application.end() == 0
    world.await_empty()


def test_a_log_removed_while_it_is_in_use_loses_nothing(world: World) -> None:
    """Design 1.1: accepted work is not lost, also if everybody is killed right after it."""
    world.configure(blocking=True)
    world.shut("gate")
    application = bulk(world)
    application.do("held = hold('one')")
    world.hear("begun")
    (world.directory / "app.db-wal").unlink()
    application.do("[told(n) for n in range(50)]")
    for each in (application.identity, world.monitor()):
        each.kill()
    world.await_empty()
    assert len(world.stored()) == 51


def test_a_log_removed_while_no_new_one_can_be_made_delays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Design 5: when that is over, the same store goes on."""

    def full(file: DatabaseFile) -> None:
        raise OSError(errno.ENOSPC, "no space")

    store = open_store(str(tmp_path / "app.db"))
    store.add([job_of(number=1)], token=0)
    (tmp_path / "app.db-wal").unlink()
    with monkeypatch.context() as no_space:
        no_space.setattr(DatabaseFile, "opened", full)
        for _ in range(2):
            with pytest.raises(StoreFull):
                store.add([job_of(number=2)], token=0)
    assert len(store.add([job_of(number=2)], token=0)) == 1
    assert store.counts() == {Status.WAITING: 2}
    store.close()


def test_a_damaged_page_is_told_and_does_not_end_the_system(world: World) -> None:
    """Design 5: damage that only use can show is told to the caller, with the way out."""
    store = open_store(str(world.database))
    store.close()
    data = bytearray(world.database.read_bytes())
    with sqlite3.connect(world.database) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'jobs'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    db.close()
    data[(root - 1) * size : (root - 1) * size + 100] = bytes(100)
    world.database.write_bytes(data)
    application = world.application(start=False)
    try:
        application.do("import bulk")
        application.do("autocron.start(DATABASE)")
        refusal = application.do("bulk.until_refused()")
    except Raised as error:
        refusal = str(error)
    assert re.match(r"StoreError: .*app\.db: the file is damaged .*restore a backup", refusal), refusal
    application.end()
    world.await_empty()
