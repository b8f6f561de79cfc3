"""The tables, their version, and how an older file is brought forward."""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x6175746F  # "auto"; marks the file as ours
VERSION: Final = 1

# The id sorts by registration, so the table itself is the index of the order, and inserts go to its end.
# Each index ends with the status, though it holds only one: else SQLite reads the row to make sure of it.
SCHEMA: Final = """
CREATE TABLE jobs(
  id BLOB PRIMARY KEY, status INTEGER NOT NULL, task TEXT NOT NULL, payload BLOB NOT NULL, due REAL NOT NULL,
  priority INTEGER NOT NULL, queue TEXT NOT NULL, attempt INTEGER NOT NULL, max_attempts INTEGER NOT NULL,
  timeout_s REAL NOT NULL, expires REAL NOT NULL, entry TEXT NOT NULL, deaths INTEGER NOT NULL,
  token INTEGER NOT NULL, result BLOB, error TEXT, prune_at REAL
) WITHOUT ROWID;
CREATE INDEX waiting ON jobs(priority, due, id, status) WHERE status = 1;
CREATE INDEX processing ON jobs(token, id, status) WHERE status = 2;
CREATE INDEX finished ON jobs(prune_at, id, status) WHERE status >= 3;
CREATE TABLE entries(
  key TEXT PRIMARY KEY, spec TEXT NOT NULL, last_fire REAL NOT NULL, last_job BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

MIGRATIONS: Final[dict[int, tuple[str, ...]]] = {}  # the statements from version n to n + 1
