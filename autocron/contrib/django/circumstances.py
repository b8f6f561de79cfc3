"""In which circumstances Django is being set up: as a server, its reloader, a test run, or anything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Container
from enum import Enum, auto


class Process(Enum):
    """What this process is for."""

    SERVER = auto()  # starts monitor and workers
    RELOADER = auto()  # only starts the server anew
    TESTS = auto()  # calls of tasks run in the caller, or in a `fake_engine`
    OTHER = auto()  # a command, a script, a shell: registers only


def recognise(server_commands: Container[str]) -> Process:
    """Look at who is setting Django up: a management command, or the WSGI or ASGI module of a server."""
    arguments: list[str] = []
    frame = sys._getframe()
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if module in ("django.core.wsgi", "django.core.asgi"):
            return Process.SERVER
        if module == "django.core.management" and frame.f_code.co_name == "execute":
            arguments = list(frame.f_locals["self"].argv)
        frame = frame.f_back  # type: ignore[assignment]  # None at the bottom
    command = arguments[1] if len(arguments) > 1 else ""
    if command in server_commands:
        # Django's autoreloader sets Django up in both of its processes; the second one is marked.
        is_reloader = "--noreload" not in arguments and os.environ.get("RUN_MAIN") != "true"
        return Process.RELOADER if is_reloader and command != "testserver" else Process.SERVER
    if command == "test" or "pytest" in sys.modules:
        return Process.TESTS
    return Process.OTHER
