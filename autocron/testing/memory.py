"""The real store in memory, which stays when a monitor lets go of it."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from ..job import Job, Status
from ..stores.connection import MEMORY
from ..stores.sqlite import SQLiteStore


class MemoryStore(SQLiteStore):
    """The SQLite store on ":memory:". `close` keeps the data, as a file would; `dump` shows them."""

    def __init__(self) -> None:
        super().__init__(MEMORY)
        weakref.finalize(self, self._db.close)  # Python 3.13 complains of a connection that nobody has closed
        self.added: list[Job] = []  # all that was ever registered; not what entries have fired

    def add(self, jobs: Sequence[Job], *, token: int) -> Sequence[Job]:
        """See `autocron.interface.Store`."""
        new = super().add(jobs, token=token)
        self.added += new
        return new

    def close(self) -> None:
        """The next monitor opens it again."""

    def discard(self) -> None:
        """Free the memory."""
        super().close()

    def waiting(self) -> int:
        """How many jobs wait, or are claimed and not yet run."""
        counts = self.counts()
        return counts.get(Status.WAITING, 0) + counts.get(Status.PROCESSING, 0)

    def dump(self) -> dict[str, list[dict[str, Any]]]:
        """All rows of all tables, for the eye."""
        tables = {}
        for table in ("jobs", "entries", "settings"):
            cursor = self._db.execute(f"SELECT * FROM {table}")  # noqa: S608 - names of our own
            names = [each[0] for each in cursor.description]
            tables[table] = [dict(zip(names, row, strict=True)) for row in cursor]
        return tables
