"""The application for INSTALLED_APPS."""

from __future__ import annotations

from collections.abc import Callable

from django.apps import AppConfig
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.module_loading import autodiscover_modules

from ... import engine
from ...registry import registry
from . import circumstances, options
from .circumstances import Process


class AutocronConfig(AppConfig):  # type: ignore[misc]  # Django is not typed
    """Finds the `tasks` of all applications; starts with a server, and registers only elsewhere."""

    name = "autocron.contrib.django"
    label = "autocron"
    verbose_name = "autocron"

    def ready(self) -> None:
        """The registry of models is complete."""
        chosen = options.read(getattr(settings, "AUTOCRON", None))
        autodiscover_modules("tasks")
        if chosen.on_commit:
            registry.postpone = _at_commit(DEFAULT_DB_ALIAS if chosen.on_commit is True else chosen.on_commit)
        found = circumstances.recognise(chosen.server_commands)
        if chosen.start or (chosen.start is None and found is Process.SERVER):
            engine.start(chosen.database, chosen.workers)
        elif found is Process.OTHER:
            engine.current().join(chosen.database)


def _at_commit(using: str) -> Callable[[Callable[[], None]], None]:
    """Hands a registration over when the transaction commits: at once where there is none, after a rollback never."""

    def postpone(hand_over: Callable[[], None]) -> None:
        # Django's own on_commit opens a connection to find out, which an event loop refuses.
        database = connections[using]
        commits = database.settings_dict["AUTOCOMMIT"] if database.connection is None else database.autocommit
        if commits and not database.in_atomic_block:
            hand_over()
        else:
            database.on_commit(hand_over)

    return postpone
