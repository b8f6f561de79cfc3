"""The conformance suite on a file, each store really closed and opened again."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from autocron.interface import Store
from autocron.stores import open_store
from autocron.testing import StoreConformance


class TestFile(StoreConformance):
    """design 4: one conformance suite runs on every store."""

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        """A new file for each store."""
        self._paths = (str(tmp_path / f"{number}.db") for number in itertools.count())
        self._at: dict[Store, str] = {}

    def new_store(self) -> Store:
        path = next(self._paths)
        store = open_store(path)
        self._at[store] = path
        return store

    def reopened(self, store: Store) -> Store:
        store.close()
        again = open_store(self._at[store], create=False)
        self._at[again] = self._at[store]
        return again
