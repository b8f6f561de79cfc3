"""What a framework wants of a worker before it can load the modules of the application. Unused ones are not imported.

Django's models can only be imported after `django.setup()`, which `manage.py` or the WSGI module of the application
has called. And Django keeps database connections open for a request; here a job takes the place of the request.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Final

logger = logging.getLogger("autocron.worker")

DJANGO_SETTINGS: Final = "DJANGO_SETTINGS_MODULE"


def reloader() -> int:
    """The pid of the process that only starts this one anew when code changes; 0 if there is none.

    Flask and Django load the application in both, and the older one keeps what it was when the server was started.
    """
    return os.getppid() if "true" in (os.environ.get("WERKZEUG_RUN_MAIN"), os.environ.get("RUN_MAIN")) else 0


def django_settings() -> str:
    """The settings module of the Django project that this process is; empty if it is none."""
    return os.environ.get(DJANGO_SETTINGS, "") if "django.conf" in sys.modules else ""


def set_up_django(settings: str) -> None:
    """What manage.py does before anything else."""
    os.environ[DJANGO_SETTINGS] = settings
    importlib.import_module("django").setup()


def as_request(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with Django's connections looked after as around a request, where Django is in use."""
    apps = sys.modules.get("django.apps")
    if apps is None or not apps.apps.ready:
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        _tidy_connections()
        try:
            return function(*args, **kwargs)
        finally:
            _tidy_connections()

    return call


def _tidy_connections() -> None:
    """Close what is broken or too old: the database may have ended it while nothing ran."""
    try:
        db = importlib.import_module("django.db")
        db.reset_queries()
        db.close_old_connections()
    except Exception:
        logger.exception("Django cannot close its old database connections")
