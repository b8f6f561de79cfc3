"""autocron.stores.errors: what SQLite says, in words that name the way out."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from autocron.errors import StoreError
from autocron.stores.errors import translated


def test_a_database_that_cannot_be_written_needs_its_directory_too(tmp_path: Path) -> None:
    """style 10: of a directory that only others can write to, SQLite says the same as of a file."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t(x)")
    message = r"read-only: .* must be able to write to the file and to its directory"
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db,
        pytest.raises(StoreError, match=message),
        translated(str(path)),
    ):
        db.execute("CREATE TABLE u(x)")
