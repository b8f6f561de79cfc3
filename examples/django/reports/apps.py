"""Where the background starts: with the application, in every process of it."""

from __future__ import annotations

from django.apps import AppConfig

import autocron


class ReportsConfig(AppConfig):
    """The one application of this project."""

    name = "reports"

    def ready(self) -> None:
        """The registry of models is complete."""
        from . import tasks  # noqa: F401, PLC0415 - its cron entries are to be known

        autocron.start("django-example.db", workers=2)
