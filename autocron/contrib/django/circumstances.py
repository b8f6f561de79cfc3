"""In which circumstances Django is being set up: as a server, its reloader, a test run, or anything else."""

from __future__ import annotations

import sys
from collections.abc import Container
from enum import Enum, auto
from typing import Final

from ...system.frameworks import reloader

RELOADING: Final = ("runserver", "runserver_plus", "runsslserver")  # commands that run under an autoreloader


class Process(Enum):
    """What this process is for."""

    SERVER = auto()  # starts monitor and workers
    RELOADER = auto()  # only starts the server anew
    TESTS = auto()  # calls of tasks run in the caller, or in a `fake_engine`
    OTHER = auto()  # a command, a script, a shell: registers only


def recognise(server_commands: Container[str]) -> Process:
    """Look at who is setting Django up: a management command, or the WSGI or ASGI module of a server."""
    arguments: list[str] = []
    is_served = is_tested = False
    frame = sys._getframe()
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module == "django.core.management" and frame.f_code.co_name == "execute":
            arguments = list(frame.f_locals["self"].argv)
        is_tested |= module.startswith("_pytest.")
        is_served |= module.rpartition(".")[2] in ("wsgi", "asgi")  # the project's, or Django's that it has called
        frame = frame.f_back  # type: ignore[assignment]  # None at the bottom
    command = arguments[1] if len(arguments) > 1 else ""
    if command in server_commands:
        # An autoreloader sets Django up in both of its processes; the second one is marked.
        is_reloader = command in RELOADING and "--noreload" not in arguments and not reloader()
        return Process.RELOADER if is_reloader else Process.SERVER
    if command == "test" or is_tested:
        return Process.TESTS
    return Process.SERVER if is_served else Process.OTHER
