"""What SQLite and the system say, in the words of `autocron.errors`."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from ..errors import StoreBusy, StoreError, StoreFull

NO_SPACE: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"})
LOCKED: Final = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_BUSY_SNAPSHOT", "SQLITE_BUSY_RECOVERY"})
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class translated:  # noqa: N801 - reads as a function; a generator would cost more than most statements
    """Every error of SQLite and of the file becomes one that names the path and the reason."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise _translation(self._path, error) from error
        if isinstance(error, OSError):
            cause = StoreFull if error.errno in NO_ROOM else StoreError
            raise cause(self._path, error.strerror or str(error)) from error


def _translation(path: str, error: sqlite3.Error) -> StoreError:
    name = getattr(error, "sqlite_errorname", "")
    if name in NO_SPACE:
        return StoreFull(path, f"there is no space left ({error})")
    if name == "SQLITE_IOERR_WRITE":  # how a limit on the size of files shows itself
        return StoreFull(path, f"it cannot grow: a limit is reached, or the disk fails ({error})")
    if name in LOCKED:
        return StoreBusy(path, f"another program holds it locked ({error})")
    if name.startswith("SQLITE_READONLY"):
        return StoreError(path, "it is read-only: this user must be able to write to the file and to its directory")
    if name == "SQLITE_NOTADB":
        return StoreError(path, "it is not a SQLite database, or the beginning of the file is damaged")
    if name.startswith("SQLITE_CORRUPT"):
        return StoreError(path, f"the file is damaged ({error}); restore a backup")
    return StoreError(path, str(error) or type(error).__name__)
