"""Where a database lies, and the private directory beside it that its monitor uses.

app.db             the database
app.db-autocron/   mode 0700, there while a monitor runs
    lock           held by the one monitor
    starting       held by the process that starts a monitor
    link           the socket
    slots          which worker has begun which job
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import AutocronError, StoreError

try:
    import fcntl
except ImportError:
    raise AutocronError(
        "autocron starts its processes on Linux and other POSIX systems; on Windows run the application in WSL "
        "(autocron.testing works everywhere)"
    ) from None

SUFFIX: Final = "-autocron"
FILES: Final = ("link", "slots", "starting", "lock")  # in the order in which they are removed
LONGEST_SOCKET_PATH: Final = 100
FORBIDDEN: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
PAUSE_S: Final = 0.005  # flock cannot wait for a limited time


def locate(database_file: str | Path) -> str:
    """The real, absolute path of a database. Relative: inside ~/.autocron/, which is created if missing."""
    if not isinstance(database_file, str | Path):
        raise TypeError(f"database_file={database_file!r}: a str or a Path is needed")
    text = str(database_file)
    if not text or "\0" in text:
        raise ValueError(f"database_file={text!r}: the name of a file is needed")
    if "://" in text:
        reason = f"there is no store for {text.partition('://')[0]!r} yet"
        raise ValueError(f"database_file={text!r}: {reason}; give the path of a SQLite file")
    if text == ":memory:":
        raise ValueError(f"database_file={text!r}: the workers could not see it; give the name of a file")
    path = _expanded(text)
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir():
        raise FileNotFoundError(f"the directory {real.parent} of the database {path} does not exist: create it first")
    return str(real)


def _expanded(text: str) -> Path:
    """The absolute path of a name; StoreError where that would be in a home directory that cannot be used."""
    try:
        path = Path(text).expanduser()
        if not path.is_absolute():
            home = Path.home() / ".autocron"
            _make_private(home)
            path = home / path
    except (OSError, RuntimeError) as error:  # as of many a service
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error).rstrip(".")
        reason = f"it would lie in the home directory of this user ({why}); give an absolute path"
        raise StoreError(text, reason) from error
    return path


def directory_of(address: str) -> Path:
    """The private directory beside a database."""
    return Path(address + SUFFIX)


def make_directory(address: str) -> Path:
    """That directory, made if needed; StoreError if it cannot be, or if it is open to others."""
    path = directory_of(address)
    try:
        found = _make_private(path)
    except OSError as error:
        writable = f"; this user must be able to write to {path.parent}" if error.errno in FORBIDDEN else ""
        raise StoreError(address, f"cannot create {path}: {error.strerror}{writable}") from error
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StoreError(address, f"{path} must belong to this user alone (chmod 700)")
    return path


def _make_private(path: Path) -> os.stat_result:
    """A directory that its owner can use, whatever the umask is, or was when it was made."""
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & 0o700 != 0o700:
        path.chmod(stat.S_IMODE(found.st_mode) | 0o700)
    return found


def remove_directory(address: str) -> None:
    """Leave nothing behind. Safe at any moment, because `acquire` checks that its lock file is still there."""
    path = directory_of(address)
    with contextlib.suppress(OSError):
        for name in FILES:
            (path / name).unlink(missing_ok=True)
        path.rmdir()


def acquire(address: str, name: str, *, within_s: float = 0.0) -> int | None:
    """Lock a file in the private directory; its descriptor, or None if another process holds it for so long."""
    until = time.monotonic() + within_s
    while True:
        path = make_directory(address) / name
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:  # a monitor that ended has just removed the directory
            continue
        except OSError as error:
            raise StoreError(address, f"cannot open {path}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            if time.monotonic() >= until:
                return None
            time.sleep(PAUSE_S)
            continue
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), os.fstat(fd)):
                return fd
        os.close(fd)  # it was removed before we had it: whoever comes now would lock another file


@contextlib.contextmanager
def socket_path(directory: Path) -> Iterator[str]:
    """A path of the socket that fits into the kernel's 107 bytes."""
    path = str(directory / "link")
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        yield path
        return
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/link"
    finally:
        os.close(fd)
