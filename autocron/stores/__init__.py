"""Where jobs are kept. One file per kind of store; `open_store` chooses by the address."""

from __future__ import annotations

from ..interface import Store


def open_store(address: str, *, create: bool = True) -> Store:
    """Open the store at this address: an absolute path, or ":memory:". `create`: make it if it is missing.

    StoreError if it cannot be used.
    """
    from .sqlite import SQLiteStore  # noqa: PLC0415 - `import autocron` must not load sqlite3

    return SQLiteStore(address, create=create)
