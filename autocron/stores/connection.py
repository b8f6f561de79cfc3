"""A SQLite file, opened so that one writer may rely on it: WAL, transactions, and what a power cut may take.

Durability: a transaction commits without waiting for the disk, which already survives the death of any process.
`sync` then makes all that came before safe against a power cut, with one `fdatasync` of the write-ahead log for
everybody who waits for it. What a checkpoint has moved out of the log by then is safe too: SQLite syncs the database
before it begins the log anew.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import logging
import sqlite3
from typing import Final, cast

from ..errors import StoreBusy, StoreError
from .errors import translated
from .file import DatabaseFile
from .schema import MIGRATIONS, SCHEMA, VERSION

logger = logging.getLogger("autocron.stores")

MEMORY: Final = ":memory:"
BUSY_TIMEOUT_S: Final = 0.25  # who calls us tries again; it has other things to do meanwhile
CHECKPOINT_PAGES: Final = 4000  # 16 MB of log: rare enough not to be felt, small enough to recover at once
SPARE_PAGES: Final = 1000  # free pages that the next jobs may have; more are given back
SLICE_PAGES: Final = 1000  # given back at a time

LENIENT: Final = "autocron.lenient"

_abandoned: list[sqlite3.Connection] = []  # closing them would remove files that belong to somebody else


def _decode_leniently(error: UnicodeError) -> tuple[str | bytes, int]:
    """A file name that is not UTF-8 is text with lone surrogates; what else is no text was not written by us."""
    try:
        return codecs.lookup_error("surrogatepass")(error)
    except UnicodeError:
        return codecs.lookup_error("replace")(error)


codecs.register_error(LENIENT, _decode_leniently)


class Connection:
    """What a store on a SQLite file stands on; its file is the same one as long as it is in use."""

    def __init__(self, path: str, *, create: bool = True) -> None:
        self._file = None if path == MEMORY else DatabaseFile(path, create=create)
        self.path = path if self._file is None else self._file.path
        self.pickle_allowed = self._file is None or self._file.pickle_allowed
        self.written = 0
        self._sync_failed = False
        self._is_open = False
        self._connect()

    def _connect(self) -> None:
        with translated(self.path):
            self._db = sqlite3.connect(
                self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=64
            )
            try:
                self._configure()
            except BaseException:
                self._db.close()
                raise
        self._is_open = True

    def _configure(self) -> None:
        execute = self._db.execute
        self._db.text_factory = functools.partial(str, encoding="utf-8", errors=LENIENT)
        execute("PRAGMA temp_store = MEMORY")
        execute("PRAGMA cache_size = -16000")
        if self._file is None:
            self._db.executescript(SCHEMA)
            return
        (mode,) = execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(self.path, "its file system has no shared memory; put it on a disk of this machine")
        execute("PRAGMA synchronous = NORMAL")
        execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        execute(f"PRAGMA journal_size_limit = {CHECKPOINT_PAGES * 4096}")  # after a burst
        self._migrate()
        execute("SELECT count(*) FROM settings").fetchone()  # a damaged schema shows itself here
        self._file.opened()

    def _migrate(self) -> None:
        assert self._file is not None
        while True:
            # The header, read before, may be older than the log.
            version = self._version()
            self._file.check_version(version)
            if version == VERSION:
                return
            self._db.execute("BEGIN IMMEDIATE")
            if self._version() == version:  # else another process was faster
                for statement in MIGRATIONS[version]:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {version + 1}")
            self._db.execute("COMMIT")

    def _version(self) -> int:
        return cast(int, self._db.execute("PRAGMA user_version").fetchone()[0])

    def _transaction(self) -> _Transaction:
        return _Transaction(self)

    def _check(self) -> None:
        if self._file is not None and self._file.has_moved():
            # The log has lost its name, but not its content, which we still hold.
            if self._is_open:
                logger.warning("%s: its log was removed while it was in use; it is written anew", self.path)
                self._fold()
                self._is_open = False
                self._db.close()
            self._connect()

    def _fold(self) -> None:
        """Move everything from the log into the database, and the database to the disk."""
        busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreBusy(self.path, "another program reads it")

    def sync(self) -> None:
        if self._file is None:
            return
        with translated(self.path):
            # After a failure the system takes for written what it could not write: another try would lie.
            self._sync_failed, failed = True, self._sync_failed
            if failed:
                self._fold()
            self._file.sync()
            self._sync_failed = False

    def tidy(self) -> bool:
        if self._file is None:
            return False
        with translated(self.path):
            self._check()
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
            if free <= SPARE_PAGES:
                return False
            self._db.execute(f"PRAGMA incremental_vacuum({min(SLICE_PAGES, free - SPARE_PAGES)})").fetchall()
            return True

    def close(self) -> None:
        file = self._file
        if file is not None:
            file.close()
            if not file.owns_its_names():
                # SQLite would remove the log and its index by their names, which are another database's now.
                _abandoned.append(self._db)
                return
        lost = file is not None and not file.has_its_name()
        if lost:
            # Wherever the file is now, it becomes complete; the next one of its name must not inherit the log.
            with contextlib.suppress(sqlite3.Error, StoreError):
                self._fold()
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        if lost and file is not None:
            file.remove_logs()


class _Transaction:
    """Commits at the end of the block, or undoes it; a generator would cost more than the statements of most."""

    __slots__ = ("_store",)

    def __init__(self, store: Connection) -> None:
        self._store = store

    def __enter__(self) -> sqlite3.Connection:
        store = self._store
        with translated(store.path):
            store._check()
            store._db.execute("BEGIN IMMEDIATE")
            return store._db

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        store = self._store
        with translated(store.path):
            try:
                if error is not None:
                    raise error
                store._db.execute("COMMIT")
            finally:
                if store._db.in_transaction:
                    store._db.execute("ROLLBACK")
            if store._file is not None:
                store.written += 1
