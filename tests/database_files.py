"""Files that may be found where a database is expected: what they are, and why they are refused."""

from __future__ import annotations

import hashlib
import os
import socket
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

from autocron.job import Job
from autocron.stores import open_store, schema


def job(number: int, **changes: object) -> Job:
    return Job(number.to_bytes(16, "big"), "app:task", b"payload", 100.0)._replace(**changes)  # type: ignore[arg-type]


def filled(path: Path, jobs: int = 3) -> None:
    """A database with waiting jobs, closed in good order."""
    store = open_store(str(path))
    store.add([job(n) for n in range(jobs)], token=0)
    store.close()


def a_directory(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("This is not a database, and long enough to be mistaken for one.\n" * 100)


def five_bytes(path: Path) -> None:
    path.write_text("hello")


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE customers(name)")
    db.close()


def foreign_in_wal_mode(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE customers(name)")
    db.close()


def newer(path: Path) -> None:
    filled(path)
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    db.close()


def without_version(path: Path) -> None:
    filled(path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 0")
    db.close()


def damaged_header(path: Path) -> None:
    filled(path)
    data = bytearray(path.read_bytes())
    data[3] ^= 0xFF
    path.write_bytes(data)


def damaged_page_size(path: Path) -> None:
    filled(path)
    data = bytearray(path.read_bytes())
    data[16:18] = b"\x12\x34"
    path.write_bytes(data)


def damaged_schema(path: Path) -> None:
    filled(path)
    data = bytearray(path.read_bytes())
    data[100:200] = os.urandom(100)
    path.write_bytes(data)


def truncated(path: Path) -> None:
    filled(path)
    os.truncate(path, path.stat().st_size - 4096)


def truncated_to_its_header(path: Path) -> None:
    filled(path)
    os.truncate(path, 100)


def truncated_to_nothing_beside_its_log(path: Path) -> None:
    filled(path)
    os.truncate(path, 0)
    path.with_name("app.db-wal").write_bytes(b"x" * 5000)


def read_only(path: Path) -> None:
    filled(path)
    path.chmod(0o444)


def missing_beside_its_log(path: Path) -> None:
    path.with_name("app.db-wal").write_bytes(b"x" * 5000)


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        cwd = os.getcwd()
        os.chdir(path.parent)  # the name of a socket is short
        try:
            sock.bind(path.name)
        finally:
            os.chdir(cwd)


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (a_directory, "it is a directory"),
    (text, "not a SQLite database"),
    (five_bytes, "not a SQLite database"),
    (foreign, "another program"),
    (foreign_in_wal_mode, "another program"),
    (newer, "newer autocron .format 2, known up to 1.: upgrade"),
    (without_version, "format 0 is unknown"),
    (damaged_header, "damaged"),
    (damaged_page_size, "damaged"),
    (damaged_schema, "damaged"),
    (truncated, "damaged"),
    (truncated_to_its_header, "damaged"),
    (truncated_to_nothing_beside_its_log, "damaged: it is empty"),
    (missing_beside_its_log, "missing, but not its log"),
    (read_only, "read-only .mode 0444"),
    (a_fifo, "not a regular file"),
    (a_socket, "not a regular file"),
]


def state(directory: Path) -> dict[str, tuple[int, int, int, str]]:
    """Everything in a directory: mode, inode, time of change, content."""
    found = {}
    for each in sorted(directory.iterdir()):
        status = each.lstat()
        content = hashlib.sha256(each.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        found[each.name] = status.st_mode, status.st_ino, status.st_mtime_ns, content
    return found
