"""autocron.contrib.django.circumstances: what a process is for, by who sets Django up in it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from autocron.contrib.django.circumstances import Process, recognise

COMMANDS = ("runserver", "runserver_plus", "testserver", "serve")


@pytest.fixture(autouse=True)
def outside_of_reloaders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUN_MAIN", "WERKZEUG_RUN_MAIN"):
        monkeypatch.delenv(name, raising=False)


def managed(*arguments: str) -> Process:
    """What `manage.py` with these arguments is recognised as."""
    names = {"__name__": "django.core.management", "recognise": lambda: recognise(COMMANDS)}
    exec("def execute(self): return recognise()", names)
    with ThreadPoolExecutor(1) as outside_of_tests:  # pytest is not on the stack of another thread
        found = outside_of_tests.submit(names["execute"], SimpleNamespace(argv=["manage.py", *arguments])).result()  # type: ignore[arg-type]
    assert isinstance(found, Process)
    return found


def imported(module: str) -> Process:
    """What a process is recognised as that imports this module, which sets Django up."""
    with ThreadPoolExecutor(1) as outside_of_tests:
        return outside_of_tests.submit(imported_here, module).result()


def imported_here(module: str) -> Process:
    names = {"__name__": module, "recognise": lambda: recognise(COMMANDS)}
    exec("found = recognise()", names)
    found = names["found"]
    assert isinstance(found, Process)
    return found


@pytest.mark.parametrize(("command", "mark"), [("runserver", "RUN_MAIN"), ("runserver_plus", "WERKZEUG_RUN_MAIN")])
def test_of_two_processes_of_a_reloader_one_is_the_server(
    command: str, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """servers, Django: started under server commands, and only where the server is."""
    assert managed(command) is Process.RELOADER
    assert managed(command, "--noreload") is Process.SERVER
    monkeypatch.setenv(mark, "true")
    assert managed(command) is Process.SERVER


@pytest.mark.parametrize("command", ["testserver", "serve"])
def test_a_command_of_ones_own_is_a_server_alone(command: str) -> None:
    """servers, Django: server_commands may name any command; who has no reloader is the server."""
    assert managed(command) is Process.SERVER


@pytest.mark.parametrize("module", ["django.core.wsgi", "django.core.asgi", "project.asgi", "wsgi"])
def test_what_a_server_loads(module: str) -> None:
    """servers, Django: whatever loads the WSGI or ASGI application, also if its module sets Django up by itself."""
    assert imported(module) is Process.SERVER


def test_what_only_registers() -> None:
    """servers, Django: other commands, scripts and shells only register."""
    assert managed("migrate") is managed() is imported("script") is Process.OTHER


def test_tests_start_nothing() -> None:
    """servers, Django: `manage.py test` and pytest do neither, also where they load the WSGI application."""
    assert managed("test") is Process.TESTS
    assert imported_here("project.wsgi") is Process.TESTS


def test_a_server_may_have_imported_pytest() -> None:
    """servers, Django: what counts is who runs, not what is loaded: here pytest is, in another thread."""
    assert imported("project.wsgi") is Process.SERVER
