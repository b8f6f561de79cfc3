"""The directory, the database file, and its log."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ... import __version__
from ...errors import StoreBusy, StoreError, StoreFull
from ...stores import open_store
from ...system import address as addresses
from . import NOTE, OK, PROBLEM, Case, Finding

# On these, processes of one machine may not see each other's locks or shared memory.
REMOTE: Final = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "fuse.sshfs", "fuse.s3", "lustre", "beegfs")
LITTLE_SPACE: Final = 100 << 20
LONG_LOG: Final = 64 << 20  # four times what a checkpoint leaves
LARGE: Final = 1 << 30


def versions(case: Case) -> Iterator[Finding]:
    """What this command runs on."""
    python = sys.version.partition(" ")[0]
    yield Finding("versions", OK, f"autocron {__version__}, Python {python}, SQLite {sqlite3.sqlite_version}")


def directory(case: Case) -> Iterator[Finding]:
    """Where the database lies: writable, local, with space."""
    path = case.path.parent
    try:
        found = path.stat()
    except OSError as error:
        yield Finding("directory", PROBLEM, f"{path}: {error.strerror}", f"mkdir -p {path}")
        return
    if not os.access(path, os.W_OK | os.X_OK):
        yield Finding(
            "directory",
            PROBLEM,
            f"{path} belongs to {_user(found.st_uid)} and cannot be written by {_user(os.geteuid())}",
            "run as its owner, or move the database into a directory of this user",
        )
    elif found.st_mode & 0o002 and not found.st_mode & stat.S_ISVTX:
        yield Finding("directory", NOTE, f"{path} can be written by everybody", f"chmod o-w {path}")
    kind = file_system(path)
    if kind.startswith(REMOTE):
        yield Finding(
            "directory",
            PROBLEM,
            f"{path} is on a network file system ({kind}), where SQLite's log and locks do not work",
            "put the database on a local disk",
        )
    free = shutil.disk_usage(path).free
    if free < LITTLE_SPACE:
        state = NOTE if free > 1 << 20 else PROBLEM
        yield Finding("directory", state, f"only {_size(free)} are free on its disk", "make space")
    else:
        yield Finding("directory", OK, f"{path}: {kind or 'unknown file system'}, {_size(free)} free")


def file_system(path: Path) -> str:
    """The type of the file system that this path lies on; "" where nothing tells."""
    best, kind = "", ""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    for line in mounts:
        _, point, type_, *_ = line.split(" ")
        point = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), point)  # a blank is \040
        if os.path.commonpath([point, path]) == point and len(point) >= len(best):
            best, kind = point, type_
    return kind


def file(case: Case) -> Iterator[Finding]:
    """The database itself: there, ours, whole, and only for its owner."""
    path = case.path
    try:
        found = path.stat()
    except FileNotFoundError:
        yield Finding(
            "file", PROBLEM, f"{path} does not exist{_elsewhere(case)}", "autocron.start() of an application makes it"
        )
        return
    except OSError as error:
        yield Finding("file", PROBLEM, f"{path}: {error.strerror}", "run as the owner of the database")
        return
    if found.st_uid != os.geteuid() and os.geteuid():
        remedy = f"run as {_user(found.st_uid)}: one user's applications share a database"
        yield Finding("file", PROBLEM, f"{path} belongs to {_user(found.st_uid)}", remedy)
        return
    trouble = _trouble(case)
    if trouble is not None:
        yield Finding("file", PROBLEM, f"{path}: {trouble.reason}", _remedy(case, trouble))
        return
    if case.database is not None and not case.has_monitor:
        try:
            case.overview = case.database.overview()
        except StoreError as error:
            yield Finding("file", PROBLEM, f"{path}: {error.reason}", _remedy(case, error))
            return
    if found.st_mode & 0o022:
        yield Finding(
            "file",
            NOTE,
            f"others can write it (mode {stat.S_IMODE(found.st_mode):04o}), so arguments and results are not pickled",
            f"chmod 600 {path}",
        )
    elif found.st_mode & 0o044:
        yield Finding(
            "file",
            NOTE,
            f"others can read arguments and results (mode {stat.S_IMODE(found.st_mode):04o})",
            f"chmod 600 {path}",
        )
    if found.st_size > LARGE:
        yield Finding("file", OK, f"{path}: {_size(found.st_size)}, too large to be read through here")
        return
    yield _read_through(path, found.st_size)


def _trouble(case: Case) -> StoreError | None:
    """Why the store cannot be opened. While a monitor has it open, it can."""
    if case.has_monitor or case.trouble is not None:
        return case.trouble
    try:
        open_store(str(case.path)).close()
    except StoreError as error:
        return error
    return None


def _read_through(path: Path, size: int) -> Finding:
    """Have SQLite look at every page."""
    try:
        with open(path, "rb") as readable:
            readable.read(1)
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5.0)
        try:
            problems = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
        finally:
            db.close()
    except (sqlite3.Error, OSError) as error:
        problems = [str(error)]
    if problems == ["ok"]:
        return Finding("file", OK, f"{path}: {_size(size)}, every page is sound")
    return Finding(
        "file",
        PROBLEM,
        f"{path} is damaged: {'; '.join(problems)}",
        f"end the application; restore a backup, or save what can be read: sqlite3 {path} .recover | sqlite3 saved.db",
    )


def log(case: Case) -> Iterator[Finding]:
    """The write-ahead log beside the database: what commits go into first."""
    path = Path(f"{case.path}-wal")
    try:
        size = path.stat().st_size
    except OSError:
        yield Finding("log", OK, "empty: everything is in the database file")
        return
    if size > LONG_LOG:
        others = ", ".join(f"{pid} ({name})" for pid, name in _users_of(case.path)) or "unknown"
        yield Finding(
            "log",
            NOTE,
            f"{path} has grown to {_size(size)}: a program that reads the database keeps it from being taken over;"
            f" it is open in: {others}",
            "end that program's transaction (a shell, a backup, a notebook)",
        )
    else:
        yield Finding("log", OK, f"{_size(size)}, folded into the database after a second without work, or at 16 MB")


def _users_of(path: Path) -> Iterator[tuple[int, str]]:
    """The processes that have this file open, as far as this user may know."""
    real = os.path.realpath(path)
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        try:
            if entry.isdigit() and any(
                os.path.realpath(f"/proc/{entry}/fd/{fd}") == real for fd in os.listdir(f"/proc/{entry}/fd")
            ):
                yield int(entry), Path(f"/proc/{entry}/comm").read_text().strip()
        except OSError:
            continue


def private_directory(case: Case) -> Iterator[Finding]:
    """The directory beside the database that the monitor and applications share."""
    path = addresses.directory_of(str(case.path))
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        case.is_blind = True
        yield Finding("private directory", PROBLEM, f"{path}: {error.strerror}", "run as the owner of the database")
        return
    if not stat.S_ISDIR(found.st_mode):
        yield Finding(
            "private directory", PROBLEM, f"{path} is in the way: it is no directory", f"mv {path} {path}.old"
        )
    elif found.st_uid != os.geteuid() and os.geteuid():
        case.is_blind = True
        yield Finding(
            "private directory",
            PROBLEM,
            f"{path} belongs to {_user(found.st_uid)}, whose monitor cannot be spoken to",
            f"run as {_user(found.st_uid)}: one user's applications share a database",
        )
    elif found.st_mode & 0o077:
        yield Finding(
            "private directory",
            PROBLEM,
            f"{path} is open to others (mode {stat.S_IMODE(found.st_mode):04o}), so nothing starts",
            f"chmod 700 {path}",
        )


def _elsewhere(case: Case) -> str:
    here = Path(case.given).absolute()
    if Path(case.given).is_absolute() or not here.exists():
        return ""
    return f" (relative names lie in ~/.autocron/; there is {here})"


def _remedy(case: Case, trouble: StoreError) -> str:
    if isinstance(trouble, StoreFull):
        return "make space; what was accepted is safe"
    if isinstance(trouble, StoreBusy):
        others = ", ".join(f"{pid} ({name})" for pid, name in _users_of(case.path)) or "unknown"
        return f"end the other program's transaction; the file is open in: {others}"
    for words, remedy in (
        ("speaks protocol", "restart the application as a whole, and use the command of its environment"),
        ("not a SQLite", "give autocron a file of its own; if this was its database, restore a backup"),
        ("damaged", "restore a backup, or save what can be read: sqlite3 FILE .recover | sqlite3 saved.db"),
        ("newer", "pip install --upgrade autocron"),
        ("to its directory", "run as the owner of the file and of its directory, or move it"),
        ("read-only", f"chmod u+w {case.path}, or run as its owner"),
        ("directory", "give the name of a file in it"),
        ("empty", "autocron.start() makes a database of it"),
    ):
        if words in trouble.reason:
            return remedy
    return "give autocron a file of its own"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _size(number: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GB"
