"""The file under the store: what is refused untouched, what is created, what is noticed while it is in use."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from database_files import REFUSED, filled, job, state

from autocron.errors import StoreBusy, StoreError, StoreFull, StoreReplaced
from autocron.job import Outcome, Status
from autocron.stores import file as store_file
from autocron.stores import open_store, schema, sqlite
from autocron.stores.sqlite import SQLiteStore

TOKEN = 7


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may lie."""
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    return directory / "app.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(str(path))
    yield store
    store.close()


def ids(path: Path) -> list[int]:
    store = open_store(str(path), create=False)
    try:
        return [int.from_bytes(each.id, "big") for each in store.results(b"", 10**6)]
    finally:
        store.close()


# -- what is refused, and stays as it is ---------------------------------------------------------------------


@pytest.mark.parametrize(("make", "reason"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_what_is_not_a_database_of_ours_is_refused_with_its_path_and_the_reason_and_stays_untouched(
    path: Path, make: Callable[[Path], None], reason: str
) -> None:
    """design 5: a newer, foreign or damaged file is refused untouched, journal mode included."""
    make(path)
    before = state(path.parent)
    with pytest.raises(StoreError, match=reason) as caught:
        open_store(str(path))
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    assert state(path.parent) == before


def test_a_missing_file_is_created_only_where_that_is_wanted(path: Path) -> None:
    """design 5: a deleted database is noticed, never silently replaced by a new one."""
    with pytest.raises(StoreError, match="does not exist"):
        open_store(str(path), create=False)
    assert not path.exists()
    open_store(str(path)).close()
    open_store(str(path), create=False).close()


def test_an_empty_file_becomes_a_database_and_keeps_its_mode(path: Path) -> None:
    """contract 1: a file made beforehand, as `touch` does, is as good as none."""
    path.touch(mode=0o640)
    path.chmod(0o640)
    with pytest.raises(StoreError, match="empty"):
        open_store(str(path), create=False)
    filled(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert ids(path) == [0, 1, 2]


def test_a_format_that_only_the_log_tells_is_refused_too(path: Path) -> None:
    """design 5: the header may be older than the log; a newer format is refused by either."""
    filled(path)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer autocron"):
        open_store(str(path))
    assert path.read_bytes() == before
    db.close()


# -- creation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a?b#c%20d e.db", "ü ñ 漢字.db", 'it\'s "quoted".db', "-v.db", "%41.db", "\udcff\udcfe.db", "new\nline.db"]
)
def test_a_file_may_have_any_name(path: Path, name: str) -> None:
    """contract 1: a path is used as it is."""
    place = path.with_name(name)
    filled(place)
    assert ids(place) == [0, 1, 2]
    assert os.listdir(os.fsencode(path.parent)) == [os.fsencode(name)]


def test_the_file_its_log_and_its_index_are_private(path: Path, store: SQLiteStore) -> None:
    """design 2: modes 0600."""
    store.add([job(1)], token=0)
    assert {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {
        "app.db": 0o600,
        "app.db-wal": 0o600,
        "app.db-shm": 0o600,
    }


def test_a_symbolic_link_stands_for_the_file_it_names(path: Path, tmp_path: Path) -> None:
    """design 2: a database is identified by its real path and inode."""
    link = tmp_path / "link.db"
    link.symlink_to(path)
    store = open_store(str(link))
    store.add([job(1)], token=0)
    store.sync()
    assert path.with_name("app.db-wal").exists()
    store.close()
    assert link.is_symlink()
    assert ids(path) == [1]


@pytest.mark.parametrize("reason", [errno.EPERM, errno.ENOTSUP])
def test_a_file_system_without_hard_links_will_do(path: Path, monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
    """contract 1: an absolute path is used as it is, wherever it lies."""

    def refuse(*args: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", refuse)
    filled(path)
    assert ids(path) == [0, 1, 2]
    assert os.listdir(path.parent) == ["app.db"]


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_leaves_no_half_made_database(path: Path, monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
    """design 1: no flag to repair, and no file either."""

    def refuse(*args: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreFull, match=os.strerror(reason)):
        open_store(str(path))
    assert os.listdir(path.parent) == []


def test_an_older_file_is_brought_forward_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 5: migrations go forward."""
    filled(path)
    monkeypatch.setattr("autocron.stores.connection.VERSION", schema.VERSION + 1)
    monkeypatch.setattr("autocron.stores.file.VERSION", schema.VERSION + 1)
    monkeypatch.setitem(schema.MIGRATIONS, schema.VERSION, ("ALTER TABLE jobs ADD COLUMN colour TEXT",))
    first, second = open_store(str(path)), open_store(str(path))
    assert len(second.results(b"", 10)) == 3
    first.close()
    second.close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION + 1,)
    assert "colour" in [row[1] for row in db.execute("PRAGMA table_info(jobs)")]
    db.close()


def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 5: each migration is one transaction."""
    filled(path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("autocron.stores.connection.VERSION", schema.VERSION + 1)
        patch.setattr("autocron.stores.file.VERSION", schema.VERSION + 1)
        patch.setitem(schema.MIGRATIONS, schema.VERSION, ("ALTER TABLE jobs ADD COLUMN colour TEXT", "not SQL"))
        with pytest.raises(StoreError, match="syntax error"):
            open_store(str(path))
    assert ids(path) == [0, 1, 2]
    assert path.read_bytes() == before


# -- while it is in use --------------------------------------------------------------------------------------


def test_a_deleted_file_is_noticed_by_the_next_transaction_and_may_come_back(
    path: Path, store: SQLiteStore, tmp_path: Path
) -> None:
    """design 5: a deleted database is noticed, not written into the void; put back, it goes on."""
    store.add([job(1)], token=0)
    path.rename(tmp_path / "aside")
    for _ in range(2):
        with pytest.raises(StoreError, match="deleted while it was in use; put it back, or restart"):
            store.add([job(2)], token=0)
    (tmp_path / "aside").rename(path)
    store.add([job(3)], token=0)
    store.close()
    assert ids(path) == [1, 3]


def test_a_file_deleted_within_a_transaction_is_noticed_before_anybody_is_told(
    path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design 5: the identity is checked in each write transaction."""
    run_each = sqlite._run_each

    def and_delete(*args: Any) -> int:
        changed = run_each(*args)
        path.unlink()
        return changed

    monkeypatch.setattr(sqlite, "_run_each", and_delete)
    with pytest.raises(StoreError, match="deleted"):
        store.add([job(1)], token=0)


def test_a_replaced_file_is_noticed_and_neither_it_nor_its_log_is_touched(path: Path, store: SQLiteStore) -> None:
    """design 5: a replaced database is noticed, not written into the void."""
    store.add([job(1)], token=0)
    for name in ("app.db", "app.db-wal", "app.db-shm"):
        path.with_name(name).unlink()
    other = open_store(str(path))
    other.add([job(5)], token=0)
    with pytest.raises(StoreReplaced, match="replaced by another one"):
        store.add([job(2)], token=0)
    store.close()
    assert path.with_name("app.db-wal").exists()
    other.add([job(6)], token=0)
    other.close()
    assert ids(path) == [5, 6]


def test_a_file_replaced_beside_our_log_does_not_inherit_that_log(
    path: Path, store: SQLiteStore, tmp_path: Path
) -> None:
    """design 5: a backup put in the place of a database in use is not mixed with what was written since."""
    backup = tmp_path / "backup.db"
    filled(backup)
    store.add([job(50)], token=0)
    backup.rename(path)
    with pytest.raises(StoreReplaced):
        store.add([job(51)], token=0)
    store.close()
    assert not path.with_name("app.db-wal").exists()
    assert ids(path) == [0, 1, 2]


@pytest.mark.parametrize("gone", [("-wal",), ("-shm",), ("-wal", "-shm")])
def test_a_removed_log_loses_nothing(path: Path, store: SQLiteStore, gone: tuple[str, ...]) -> None:
    """design 1.1: accepted work is not lost, also where somebody removes the log of a database in use."""
    store.add([job(1)], token=0)
    store.sync()
    for each in gone:
        path.with_name("app.db" + each).unlink()
    store.add([job(2)], token=0)
    store.sync()
    assert path.with_name("app.db-wal").stat().st_size
    store.close()
    assert ids(path) == [1, 2]


def test_a_log_put_there_by_somebody_else_is_not_trusted(path: Path) -> None:
    """design 5: pickles are read only from a file that only its owner can write."""
    filled(path)
    path.with_name("app.db-wal").write_bytes(b"something")
    path.with_name("app.db-wal").chmod(0o666)
    with pytest.raises(StoreError, match=r"others can write to .*-wal"):
        open_store(str(path))


def test_a_failed_sync_is_not_mended_by_trying_again(
    path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design 5: nothing is acknowledged before it is safe; after a failed write the system forgets what it could not
    write, so that the next sync must bring everything to the disk another way."""
    real = store_file._fdatasync

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    store.add([job(1)], token=0)
    store.sync()
    before = path.read_bytes()
    monkeypatch.setattr(store_file, "_fdatasync", fail)
    store.add([job(2)], token=0)
    with pytest.raises(StoreError, match="Input/output error"):
        store.sync()
    assert path.read_bytes() == before
    monkeypatch.setattr(store_file, "_fdatasync", real)
    store.sync()
    image = path.with_name("image.db")
    image.write_bytes(path.read_bytes())  # without the log, which is in doubt
    assert ids(image) == [1, 2]


def test_a_lock_of_another_program_is_told_apart(path: Path, store: SQLiteStore) -> None:
    """design 5: another program that locks the file only delays."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="another program holds it locked"):
        store.add([job(1)], token=0)
    other.execute("ROLLBACK")
    other.close()
    store.add([job(1)], token=0)


def test_no_space_is_told_apart_and_may_come_back(path: Path, store: SQLiteStore) -> None:
    """design 1.1: what was accepted before is safe, and the system goes on when there is space again."""
    store.add([job(1, payload=bytes(10_000))], token=0)
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StoreFull, match="no space left"):
        store.add([job(2, payload=bytes(100_000))], token=0)
    store.settle([Outcome(job(1).id, Status.READY.value)], token=0, now=1.0, ttl_s=1.0)
    store._db.execute("PRAGMA max_page_count = 1000000")
    store.add([job(3, payload=bytes(100_000))], token=0)
    store.close()
    assert ids(path) == [1, 3]


def test_opening_leaves_the_locks_of_the_applications_own_connections_alone(path: Path) -> None:
    """design 2: closing a descriptor of the database would drop SQLite's own locks, the application's too."""
    filled(path)
    own = sqlite3.connect(path, isolation_level=None)
    own.execute("SELECT count(*) FROM jobs").fetchone()
    locks_before = _locks(path)
    assert locks_before
    open_store(str(path)).close()
    assert _locks(path) == locks_before
    own.close()


def _locks(path: Path) -> list[str]:
    """The POSIX locks on a file, as the system tells them."""
    inode = f":{path.stat().st_ino} "
    return sorted(line.split(": ", 1)[1] for line in Path("/proc/locks").read_text().splitlines() if inode in line)


# -- housekeeping --------------------------------------------------------------------------------------------


def test_a_setting_that_is_not_json_is_passed_over(store: SQLiteStore, caplog: pytest.LogCaptureFixture) -> None:
    """Contract 6: there is no flag to repair; what a hand has broken does not keep autocron from starting."""
    store.save_settings({"workers": 3})
    store._db.execute("INSERT INTO settings VALUES('grace_s', 'five')")
    assert store.settings() == {"workers": 3}
    assert "grace_s=five is not JSON" in caplog.text


def test_tidying_folds_the_log_and_gives_free_space_back(path: Path, store: SQLiteStore) -> None:
    """design 5: checkpoints when idle; the file does not stay as large as its worst day."""
    store.add([job(n, payload=bytes(4000)) for n in range(4000)], token=TOKEN)
    store.settle([Outcome(job(n).id, Status.READY.value) for n in range(4000)], token=TOKEN, now=0.0, ttl_s=0.0)
    assert store.prune(1.0, 10_000) == 4000
    while store.tidy():
        pass
    assert not store.tidy()
    store.add([job(9999)], token=0)
    store.tidy()
    image = path.with_name("image.db")
    image.write_bytes(path.read_bytes())  # the database without its log
    assert ids(image) == [9999]
    assert path.stat().st_size < 6 << 20
    assert path.with_name("app.db-wal").stat().st_size <= 20 << 20


def test_the_log_does_not_grow_under_load(path: Path, store: SQLiteStore) -> None:
    """design 5: checkpoints above a size."""
    for n in range(400):
        store.add([job(n * 100 + k, payload=bytes(2000)) for k in range(20)], token=0)
    assert path.stat().st_size > 16 << 20
    assert path.with_name("app.db-wal").stat().st_size < 24 << 20
