"""The store on a SQLite file: WAL, one writer, identified by its inode.

Durability: a transaction commits without waiting for the disk, which already survives the death of any process.
`sync` then makes all that came before safe against a power cut, with one `fdatasync` of the write-ahead log for
everybody who waits for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import StoreBusy, StoreError, StoreFull
from ..job import EntryState, Firing, Job, Outcome, Selection, Status, Stored
from .schema import APPLICATION_ID, MIGRATIONS, SCHEMA, VERSION

MEMORY: Final = ":memory:"
MAGIC: Final = b"SQLite format 3\x00"
BUSY_TIMEOUT_S: Final = 1.0
SCANNED: Final = 10_000  # jobs that one `select` looks at: some 10 ms
CHECKPOINT_PAGES: Final = 4000  # 16 MB of log: rare enough not to be felt, small enough to recover at once
NO_SPACE: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR_WRITE"})  # RLIMIT_FSIZE shows itself as a failed write
LOCKED: Final = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_BUSY_SNAPSHOT", "SQLITE_BUSY_RECOVERY"})

COLUMNS: Final = "id, task, payload, due, priority, queue, attempt, max_attempts, timeout_s, expires, entry, deaths"
INSERT: Final = (
    f"INSERT INTO jobs({COLUMNS}, status, token) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT(id) DO NOTHING"
)
SETTLE: Final = (
    "UPDATE jobs SET status = ?, result = ?, error = ?, prune_at = ? WHERE id = ? AND status = 2 AND token = ?"
)
RELEASE: Final = "UPDATE jobs SET status = 1, token = 0 WHERE id = ? AND status = 2 AND token = ?"
RETRY: Final = (
    "UPDATE jobs SET status = 1, token = 0, due = ?, deaths = 0, attempt = 1, expires = 0, result = NULL, error = NULL,"
    " prune_at = NULL WHERE id = ? AND status = 4"
)
STORED: Final = (
    "SELECT id, task, payload, due, status, coalesce(result, x''), coalesce(error, ''), coalesce(prune_at, 0),"
    " deaths, entry FROM jobs"
)
COUNTS: Final = (  # each from an index alone: the table holds the payloads
    "SELECT 1, count(*) FROM jobs INDEXED BY waiting WHERE status = 1"
    " UNION ALL SELECT 2, count(*) FROM jobs INDEXED BY processing WHERE status = 2"
    " UNION ALL SELECT status, count(*) FROM jobs INDEXED BY finished WHERE status >= 3 GROUP BY status"
)


class SQLiteStore:
    """See `autocron.interface.Store`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._log_fd = -1
        self._inode: tuple[int, int] | None = None
        self.pickle_allowed = True
        if path != MEMORY:
            self._prepare_file()
        with self._translated():
            self._db = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=64
            )
        try:
            self._configure()
        except BaseException:
            self._db.close()
            raise

    # -- the file --------------------------------------------------------------------------------------------

    def _prepare_file(self) -> None:
        """Refuse what is not ours before SQLite touches it; create what is missing whole, or not at all."""
        with self._translated():
            try:
                found = os.stat(self.path)
            except FileNotFoundError:
                self._create()
                found = os.stat(self.path)
            if stat.S_ISDIR(found.st_mode):
                raise StoreError(self.path, "it is a directory")
            if not stat.S_ISREG(found.st_mode):
                raise StoreError(self.path, "it is not a regular file")
            if not found.st_mode & 0o222 or not os.access(self.path, os.W_OK):
                raise StoreError(self.path, f"the file is read-only (mode {stat.S_IMODE(found.st_mode):04o})")
            if found.st_size == 0:
                self._create(replacing=True)
                found = os.stat(self.path)
            self._check_header()
        self._inode = (found.st_dev, found.st_ino)
        self.pickle_allowed = not found.st_mode & 0o022 and found.st_uid == os.geteuid()

    def _check_header(self) -> None:
        with open(self.path, "rb") as file:
            header = file.read(100)
            size = file.seek(0, os.SEEK_END)
        if len(header) < 100 or not header.startswith(MAGIC):
            raise StoreError(self.path, "it is not a SQLite database")
        if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
            raise StoreError(self.path, "it is a database of another program; give autocron a file of its own")
        version = int.from_bytes(header[60:64], "big")
        if version > VERSION:
            raise StoreError(
                self.path, f"it was written by a newer autocron (format {version}, known up to {VERSION}): upgrade"
            )
        page = int.from_bytes(header[16:18], "big")
        page = 65536 if page == 1 else page
        if page < 512 or page & (page - 1) or size < int.from_bytes(header[28:32], "big") * page:
            raise StoreError(self.path, "the file is damaged: it is shorter than its header says; restore a backup")

    def _create(self, *, replacing: bool = False) -> None:
        """Build the database under another name, so that a crash leaves no half-made file under this one."""
        path = Path(self.path)
        building = path.with_name(f"{path.name}-new-{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            building.unlink()
        os.close(os.open(building, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            db = sqlite3.connect(building, isolation_level=None)
            try:
                db.executescript(
                    f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; BEGIN;{SCHEMA}COMMIT;"
                )
            finally:
                db.close()
            if replacing:
                os.replace(building, path)
            else:
                with contextlib.suppress(FileExistsError):  # another process was faster
                    os.link(building, path)
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        finally:
            with contextlib.suppress(FileNotFoundError):
                building.unlink()

    def _configure(self) -> None:
        with self._translated():
            execute = self._db.execute
            execute("PRAGMA journal_mode = WAL")
            execute("PRAGMA synchronous = NORMAL")
            execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            execute("PRAGMA temp_store = MEMORY")
            execute("PRAGMA cache_size = -16000")
            if self.path == MEMORY:
                self._db.executescript(SCHEMA)
                return
            version = execute("PRAGMA user_version").fetchone()[0]
            for step in range(version, VERSION):
                self._db.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[step]}; PRAGMA user_version = {step + 1}; COMMIT")
            execute("SELECT count(*) FROM settings").fetchone()  # a damaged schema shows itself here

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Every error of SQLite and of the file becomes one that names the path and the reason."""
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            if name in NO_SPACE:
                raise StoreFull(self.path, f"there is no space left ({error})") from error
            if name in LOCKED:
                raise StoreBusy(self.path, f"another program holds it locked ({error})") from error
            if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise StoreError(self.path, f"the file is damaged ({error}); restore a backup") from error
            raise StoreError(self.path, str(error) or type(error).__name__) from error
        except OSError as error:
            raise StoreError(self.path, error.strerror or str(error)) from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._db
        with self._translated():
            if self._inode is not None:
                self._check_identity()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def _check_identity(self) -> None:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            raise StoreError(self.path, "the file was deleted while it was in use") from None
        if (found.st_dev, found.st_ino) != self._inode:
            raise StoreError(self.path, "the file was replaced by another one while it was in use")

    def sync(self) -> None:
        if self.path == MEMORY:
            return
        with self._translated():
            if self._log_fd < 0:
                # A descriptor of its own: SQLite holds no lock on the log, so closing it frees none.
                self._log_fd = os.open(f"{self.path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            os.fdatasync(self._log_fd)

    def close(self) -> None:
        if self._log_fd >= 0:
            os.close(self._log_fd)
            self._log_fd = -1
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    # -- jobs ------------------------------------------------------------------------------------------------

    def add(self, jobs: Sequence[Job], *, token: int) -> None:
        status = Status.PROCESSING.value if token else Status.WAITING.value
        with self._transaction() as db:
            db.executemany(INSERT, [(*job, status, token) for job in jobs])

    def claim(self, now: float, limit: int, token: int) -> list[Job]:
        jobs: list[Job] = []
        with self._transaction() as db:
            priority = None
            while len(jobs) < limit:
                # One range per priority: a single range would have to pass all that is not due yet.
                (priority,) = db.execute(
                    "SELECT min(priority) FROM jobs WHERE status = 1 AND priority > ?",
                    (-(1 << 62) if priority is None else priority,),
                ).fetchone()
                if priority is None:
                    break
                rows = db.execute(
                    f"SELECT {COLUMNS} FROM jobs WHERE status = 1 AND priority = ? AND due <= ?"
                    " ORDER BY due, id LIMIT ?",
                    (priority, now, limit - len(jobs)),
                ).fetchall()
                jobs += map(Job._make, rows)
            db.executemany("UPDATE jobs SET status = 2, token = ? WHERE id = ?", [(token, job.id) for job in jobs])
        return jobs

    def settle(self, outcomes: Sequence[Outcome], *, token: int, now: float, ttl_s: float) -> None:
        prune_at = now + ttl_s
        with self._transaction() as db:
            db.executemany(
                SETTLE,
                [(each.status, each.result, each.error, prune_at, each.id, token) for each in outcomes],
            )

    def release(self, ids: Sequence[bytes], *, token: int) -> None:
        with self._transaction() as db:
            db.executemany(RELEASE, [(id, token) for id in ids])

    def died(self, id: bytes, *, token: int) -> int:
        with self._transaction() as db:
            db.execute("UPDATE jobs SET deaths = deaths + 1 WHERE id = ? AND status = 2 AND token = ?", (id, token))
            row = db.execute("SELECT deaths FROM jobs WHERE id = ?", (id,)).fetchone()
        return int(row[0]) if row else 0

    def rescue(self, begun: Sequence[bytes], *, token: int) -> list[Job]:
        rescued: list[Job] = []
        with self._transaction() as db:
            for id in begun:
                changed = db.execute(
                    "UPDATE jobs SET deaths = deaths + 1, token = ? WHERE id = ? AND status = 2 AND token != ?",
                    (token, id, token),
                ).rowcount
                if changed:
                    row = db.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (id,)).fetchone()
                    rescued.append(Job._make(row))
            db.execute("UPDATE jobs SET status = 1, token = 0 WHERE status = 2 AND token != ?", (token,))
        return rescued

    def next_due(self) -> float | None:
        with self._translated():
            row = self._db.execute(
                "WITH RECURSIVE p(priority) AS (SELECT min(priority) FROM jobs WHERE status = 1 UNION ALL"
                " SELECT (SELECT min(priority) FROM jobs WHERE status = 1 AND jobs.priority > p.priority)"
                " FROM p WHERE p.priority IS NOT NULL)"
                " SELECT min((SELECT min(due) FROM jobs WHERE status = 1 AND jobs.priority = p.priority)) FROM p"
            ).fetchone()
        return None if row[0] is None else float(row[0])

    # -- cron ------------------------------------------------------------------------------------------------

    def entries(self) -> list[EntryState]:
        with self._translated():
            rows = self._db.execute("SELECT key, spec, last_fire, last_job FROM entries ORDER BY key").fetchall()
        return [EntryState._make(row) for row in rows]

    def set_entry(self, key: str, spec: str, last_fire: float) -> None:
        with self._transaction() as db:
            db.execute(
                "INSERT INTO entries(key, spec, last_fire, last_job) VALUES(?, ?, ?, x'')"
                " ON CONFLICT(key) DO UPDATE SET spec = excluded.spec, last_fire = excluded.last_fire",
                (key, spec, last_fire),
            )

    def fire(self, firings: Sequence[Firing], *, token: int) -> list[Job]:
        new: list[Job] = []
        with self._transaction() as db:
            for key, at, job in firings:
                # The row decides: a fire time that is not later than the last one has had its job.
                if job is None:
                    db.execute("UPDATE entries SET last_fire = ? WHERE key = ? AND last_fire < ?", (at, key, at))
                elif db.execute(
                    "UPDATE entries SET last_fire = ?, last_job = ? WHERE key = ? AND last_fire < ?",
                    (at, job.id, key, at),
                ).rowcount:
                    new.append(job)
            db.executemany(INSERT, [(*job, Status.PROCESSING.value, token) for job in new])
        return new

    def unfinished(self, id: bytes) -> bool:
        with self._translated():
            row = self._db.execute("SELECT status FROM jobs WHERE id = ?", (id,)).fetchone()
        return row is not None and row[0] in (Status.WAITING, Status.PROCESSING)

    # -- results ---------------------------------------------------------------------------------------------

    def result(self, id: bytes) -> Stored | None:
        with self._translated():
            row = self._db.execute(f"{STORED} WHERE id = ?", (id,)).fetchone()
        return None if row is None else Stored._make(row)

    def results(self, after: bytes, limit: int) -> list[Stored]:
        with self._translated():
            rows = self._db.execute(f"{STORED} WHERE id > ? ORDER BY id LIMIT ?", (after, limit)).fetchall()
        return [Stored._make(row) for row in rows]

    def select(self, selection: Selection, limit: int) -> tuple[list[Stored], Selection | None]:
        order = "DESC" if selection.newest_first else "ASC"
        statuses = selection.statuses or tuple(Status)
        between = (selection.after, selection.before)
        with self._translated():
            last = self._db.execute(
                f"SELECT id FROM jobs WHERE id > ? AND id < ? ORDER BY id {order} LIMIT 1 OFFSET ?",
                (*between, SCANNED - 1),
            ).fetchone()
            looked_at = "" if last is None else f"AND id {'>=' if selection.newest_first else '<='} ?"
            rows = self._db.execute(
                f"{STORED} WHERE id > ? AND id < ? {looked_at} AND task GLOB ?"
                f" AND status IN ({', '.join('?' * len(statuses))}) ORDER BY id {order} LIMIT ?",
                (*between, *(last or ()), selection.task, *map(int, statuses), limit),
            ).fetchall()
        found = [Stored._make(row) for row in rows]
        if len(found) == limit:
            return found, selection.beyond(found[-1].id)
        return found, None if last is None else selection.beyond(last[0])

    def retry(self, ids: Sequence[bytes], *, now: float) -> int:
        with self._transaction() as db:
            return db.executemany(RETRY, [(now, id) for id in ids]).rowcount

    def hasten(self, ids: Sequence[bytes], *, now: float) -> int:
        hasten = "UPDATE jobs SET due = ? WHERE id = ? AND status = 1 AND due > ?"
        with self._transaction() as db:
            return db.executemany(hasten, [(now, id, now) for id in ids]).rowcount

    def purge(self, ids: Sequence[bytes], statuses: Sequence[int]) -> int:
        purge = "DELETE FROM jobs WHERE id = ? AND status = ? AND status != 2"
        with self._transaction() as db:
            return db.executemany(purge, [(id, int(status)) for id in ids for status in statuses]).rowcount

    def counts(self) -> dict[int, int]:
        with self._translated():
            return {status: count for status, count in self._db.execute(COUNTS) if count}

    def next_prune(self) -> float | None:
        with self._translated():
            row = self._db.execute("SELECT min(prune_at) FROM jobs WHERE status >= 3").fetchone()
        return None if row[0] is None else float(row[0])

    def prune(self, now: float, limit: int) -> int:
        with self._transaction() as db:
            return db.execute(
                "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE status >= 3 AND prune_at <= ?"
                " ORDER BY prune_at LIMIT ?)",
                (now, limit),
            ).rowcount

    # -- settings --------------------------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        with self._translated():
            return {name: json.loads(value) for name, value in self._db.execute("SELECT name, value FROM settings")}

    def save_settings(self, values: Mapping[str, Any]) -> None:
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO settings(name, value) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
                [(name, json.dumps(value)) for name, value in values.items()],
            )
