"""The file under the store: what is ours, made whole or not at all, and the same one as long as it is in use.

A database is three files: the database itself, its log (`-wal`) and the index of the log (`-shm`). Who removes or
replaces one of them while we have it open leaves us writing into a file that nobody will ever find again. So their
identities are compared with what the names say before a transaction, and after it, before anybody is told.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote

from ..errors import StoreError, StoreReplaced
from .errors import translated
from .schema import APPLICATION_ID, SCHEMA, VERSION

LOG: Final = "-wal"
INDEX: Final = "-shm"
NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})

Identity = tuple[int, int]


class DatabaseFile:
    """A file of ours at this path, created if that is wanted; StoreError if it cannot be used."""

    def __init__(self, path: str, *, create: bool) -> None:
        self.path = os.path.realpath(path)  # SQLite puts the log beside the real file
        self.pickle_allowed = False
        self._identity: Identity = (0, 0)
        self._logs: tuple[Identity | None, Identity | None] = (None, None)
        self._log_fd = -1
        with translated(self.path):
            self._prepare(create=create)

    def _prepare(self, *, create: bool) -> None:
        """Refuse what is not ours before SQLite touches it."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            if not create:
                raise StoreError(self.path, "it does not exist any more; put it back, or start anew") from None
            if _size(self.path + LOG):
                reason = f"it is missing, but not its log {self.path}{LOG}; put it back, or remove its log"
                raise StoreError(self.path, reason) from None
            self._build()
            found = os.stat(self.path)
        if stat.S_ISDIR(found.st_mode):
            raise StoreError(self.path, "it is a directory")
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(self.path, "it is not a regular file")
        if not found.st_mode & 0o222 or not os.access(self.path, os.W_OK):
            raise StoreError(self.path, f"the file is read-only (mode {stat.S_IMODE(found.st_mode):04o})")
        if found.st_size == 0:
            if _size(self.path + LOG):
                raise StoreError(self.path, "the file is damaged: it is empty and its log is not; restore a backup")
            if not create:
                raise StoreError(self.path, "the file is empty; put it back, or start anew")
            self._build(replacing=found)
            found = os.stat(self.path)
        self._check_header(found.st_size)
        self._identity = found.st_dev, found.st_ino
        self.pickle_allowed = not found.st_mode & 0o022 and found.st_uid == os.geteuid()

    def _check_header(self, size: int) -> None:
        # Read through SQLite: closing a descriptor of our own would free all locks that this process has on the file,
        # those of the application's own connections too. `immutable` takes no locks and makes no files.
        db = sqlite3.connect(f"file:{quote(os.fsencode(self.path))}?mode=ro&immutable=1", uri=True)
        try:
            # Without this a crash in the middle of a checkpoint would look like damage: until its log is read, the
            # file is shorter than its header says.
            db.execute("PRAGMA writable_schema = ON")
            if _pragma(db, "application_id") != APPLICATION_ID:
                raise StoreError(self.path, "it is a database of another program; give autocron a file of its own")
            self.check_version(_pragma(db, "user_version"))
            if not _size(self.path + LOG) and size < _pragma(db, "page_count") * _pragma(db, "page_size"):
                raise StoreError(self.path, "the file is damaged: a part is missing; restore a backup")
        finally:
            db.close()

    def check_version(self, version: int) -> None:
        """Refuse a format that this version of autocron does not know."""
        if version > VERSION:
            raise StoreError(
                self.path, f"it was written by a newer autocron (format {version}, known up to {VERSION}): upgrade"
            )
        if version < 1:
            raise StoreError(self.path, f"its format {version} is unknown; restore a backup")

    # -- creation --------------------------------------------------------------------------------------------

    def _build(self, *, replacing: os.stat_result | None = None) -> None:
        """Build the database under another name, so that a crash leaves no half-made file under this one."""
        path = Path(self.path)
        building = path.with_name(f"{path.name}-new-{os.getpid()}")
        building.unlink(missing_ok=True)
        mode = 0o600 if replacing is None else stat.S_IMODE(replacing.st_mode)
        os.close(os.open(building, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            db = sqlite3.connect(building, isolation_level=None)
            try:
                db.executescript(
                    f"PRAGMA synchronous = OFF; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
                    f" PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; BEGIN;{SCHEMA}COMMIT;"
                )
            finally:
                db.close()
            _sync(building)  # once, instead of SQLite after each step
            os.chmod(building, mode)
            if replacing is not None:
                os.replace(building, path)
            else:
                _put(building, path)
            _sync(path.parent)
        finally:
            building.unlink(missing_ok=True)

    # -- while it is in use ----------------------------------------------------------------------------------

    def opened(self) -> None:
        """SQLite has opened the file: remember it and its log, which must be as trustworthy as itself."""
        # Only now: a file of a lower layer (a container's image) becomes another one when it is opened for writing.
        self._identity = _identity(self.path) or self._identity
        self._logs = self._owned(self.path + LOG), self._owned(self.path + INDEX)
        self._forget_log()

    def _owned(self, path: str) -> Identity | None:
        """In a directory that others can write to, somebody else may have put a file of this name there."""
        try:
            found = os.stat(path)
        except FileNotFoundError:
            return None
        owners = os.geteuid(), os.stat(self.path).st_uid
        if found.st_uid not in owners or (self.pickle_allowed and found.st_mode & 0o022):
            raise StoreError(self.path, f"others can write to {path}; use a directory that only its owner can write to")
        return found.st_dev, found.st_ino

    def has_moved(self) -> bool:
        """Whether the log or its index has been removed. StoreError if the database itself has been, or replaced."""
        found = _identity(self.path)
        if found is None:
            raise StoreError(
                self.path, "the file was deleted while it was in use; put it back, or restart the application"
            )
        if found != self._identity:
            raise StoreReplaced(self.path, "the file was replaced by another one while it was in use")
        logs = self._found_logs()
        if logs == self._logs:
            return False
        if not self.owns_its_names():
            raise StoreReplaced(self.path, "its log was replaced by another one while it was in use")
        return True

    def owns_its_names(self) -> bool:
        """Whether nobody has put another log, or index of a log, in the place of ours."""
        return all(found in (None, ours) for found, ours in zip(self._found_logs(), self._logs, strict=True))

    def has_its_name(self) -> bool:
        """Whether the file of this path is the one that was opened."""
        return _identity(self.path) == self._identity

    def remove_logs(self) -> None:
        """The database of this log has lost its name."""
        for name, found, ours in zip((LOG, INDEX), self._found_logs(), self._logs, strict=True):
            if found is not None and found == ours:
                os.unlink(self.path + name)

    def _found_logs(self) -> tuple[Identity | None, Identity | None]:
        return _identity(self.path + LOG), _identity(self.path + INDEX)

    def sync(self) -> None:
        """What is in the log is on the disk."""
        if self._log_fd < 0:
            # A descriptor of its own: SQLite holds no lock on the log, so closing it frees none.
            self._log_fd = os.open(self.path + LOG, os.O_RDONLY | os.O_CLOEXEC)
        _fdatasync(self._log_fd)

    def close(self) -> None:
        """Let go of the log."""
        self._forget_log()

    def _forget_log(self) -> None:
        if self._log_fd >= 0:
            os.close(self._log_fd)
            self._log_fd = -1


_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return cast(int, db.execute(f"PRAGMA {name}").fetchone()[0])


def _identity(path: str) -> Identity | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _put(building: Path, path: Path) -> None:
    """Give the new file its name, unless another process was faster."""
    try:
        os.link(building, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # A file system without hard links: take the name first, then replace what holds it.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            os.replace(building, path)
