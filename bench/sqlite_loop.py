"""The limit: what one process reaches with `sqlite3` alone, in groups, doing for each job what a queue must do."""

from __future__ import annotations

import json
import sqlite3
import sys
import time

GROUP = 500
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE jobs(id INTEGER PRIMARY KEY, task TEXT, payload BLOB, due REAL, status INTEGER, result BLOB);
CREATE INDEX waiting ON jobs(due) WHERE status = 1;
"""


def main() -> None:
    """Insert, claim and settle, each in groups of one transaction."""
    path, count = sys.argv[1], int(sys.argv[2])
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(SCHEMA)
    begin = time.perf_counter()
    for first in range(0, count, GROUP):
        rows = [("app:noop", b"[[1],{}]", float(number)) for number in range(first, min(first + GROUP, count))]
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO jobs(task, payload, due, status) VALUES(?, ?, ?, 1)", rows)
        db.execute("COMMIT")
    stored = time.perf_counter()
    for _ in range(0, count, GROUP):
        db.execute("BEGIN IMMEDIATE")
        found = db.execute(
            "SELECT id, task, payload FROM jobs WHERE status = 1 ORDER BY due LIMIT ?", (GROUP,)
        ).fetchall()
        db.executemany("UPDATE jobs SET status = 2 WHERE id = ?", [(row[0],) for row in found])
        db.execute("COMMIT")
        db.execute("BEGIN IMMEDIATE")
        db.executemany("UPDATE jobs SET status = 3, result = x'' WHERE id = ?", [(row[0],) for row in found])
        db.execute("COMMIT")
    ended = time.perf_counter()
    print(
        json.dumps(
            {
                "call_us": (stored - begin) / count * 1e6,
                "stored_per_s": count / (stored - begin),
                "jobs_per_s": count / (ended - begin),
            }
        )
    )


if __name__ == "__main__":
    main()
