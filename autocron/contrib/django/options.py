"""The setting AUTOCRON of a Django project."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What AUTOCRON may say."""

    database: str  # the file; see `autocron.start`
    workers: int | None = None
    on_commit: bool | str = False  # a call goes out when the transaction commits, on this connection or the default one
    start: bool | None = None  # None: where a server runs
    server_commands: tuple[str, ...] = ("runserver", "runserver_plus", "runsslserver", "testserver")


def read(value: Any) -> Options:
    """The setting, checked. ImproperlyConfigured names what is wrong and what is known."""
    known = [each.name for each in fields(Options)]
    if not isinstance(value, dict):
        raise ImproperlyConfigured(f"AUTOCRON = {value!r}: a dictionary is needed, at least {{'database': 'app.db'}}")
    if unknown := [name for name in value if name not in known]:
        raise ImproperlyConfigured(f"AUTOCRON[{unknown[0]!r}] is not known; known are: {', '.join(known)}")
    if not value.get("database"):
        raise ImproperlyConfigured("AUTOCRON['database'] is missing: the file of autocron's database")
    return Options(**value)
