"""The setting AUTOCRON of a Django project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from os import PathLike
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What AUTOCRON may say."""

    database: str  # the file; see `autocron.start`
    workers: int | None = None
    on_commit: bool | str = False  # a call goes out when the transaction commits, on this connection or the default one
    start: bool | None = None  # None: where a server runs
    server_commands: tuple[str, ...] = ("runserver", "runserver_plus", "runsslserver", "testserver")


CHECKS: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "database": (lambda value: isinstance(value, str | PathLike), "the path of a file"),
    "workers": (lambda value: value is None or (type(value) is int and value > 0), "a whole number from 1 on, or None"),
    "on_commit": (
        lambda value: isinstance(value, bool) or (isinstance(value, str) and value in settings.DATABASES),
        "True, False or a name in DATABASES",
    ),
    "start": (lambda value: value is None or isinstance(value, bool), "True, False or None"),
    "server_commands": (
        lambda value: isinstance(value, list | tuple | set) and all(isinstance(each, str) for each in value),
        "a list of names of commands",
    ),
}


def read(value: Any) -> Options:
    """The setting, checked. ImproperlyConfigured names what is wrong and what is known."""
    known = [each.name for each in fields(Options)]
    if not isinstance(value, dict):
        raise ImproperlyConfigured(f"AUTOCRON = {value!r}: a dictionary is needed, at least {{'database': 'app.db'}}")
    if unknown := [name for name in value if name not in known]:
        raise ImproperlyConfigured(f"AUTOCRON[{unknown[0]!r}] is not known; known are: {', '.join(known)}")
    if not value.get("database"):
        raise ImproperlyConfigured("AUTOCRON['database'] is missing: the file of autocron's database")
    for name, given in value.items():
        is_good, needed = CHECKS[name]
        if not is_good(given):
            raise ImproperlyConfigured(f"AUTOCRON[{name!r}] = {given!r}: {needed} is needed")
    return Options(**value)
