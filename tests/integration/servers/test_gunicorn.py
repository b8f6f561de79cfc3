"""gunicorn: what dies, is recycled or reloaded around the monitor leaves one monitor, the workers, and every job."""

from __future__ import annotations

import os
import signal

import pytest
from cells import GUNICORN, Cell
from processes import World, await_deaths, eventually
from server import Server, Site, await_whole

PRELOAD = pytest.mark.parametrize(
    "preload", [pytest.param("", marks=pytest.mark.all_servers), "--preload "], ids=["", "preload"]
)


def serve(world: World, command: str) -> Server:
    """Flask's example under gunicorn, with both workers up."""
    server = Site(world, "flask").serve(Cell("flask", command, GUNICORN))
    await_whole(world)
    return server


def begin(world: World, server: Server) -> None:
    """Have a job run that goes on until its gate is opened."""
    world.shut("held")
    server.order("held report")
    world.hear("begun")


def finish(world: World, server: Server) -> None:
    """The job ends well, and was run once."""
    world.open("held")
    server.await_text("report for held report")
    assert not [note for note in world.notes() if note.startswith("begun")]


@PRELOAD
def test_a_killed_worker_of_gunicorn_is_nothing_to_autocron(preload: str, world: World) -> None:
    """Contract 6: when all workers of gunicorn are killed, the running job goes on, and the next workers join."""
    server = serve(world, f"gunicorn {preload}--workers 3 app:app")
    monitor = world.monitor()
    begin(world, server)
    for each in server.children():
        each.kill()
    eventually(lambda: len(server.children()) == 3)
    finish(world, server)
    server.order("afterwards")
    server.await_text("report for afterwards")
    await_whole(world)
    assert preload == "" or world.monitor() == monitor  # with --preload the master is linked all the time


@PRELOAD
def test_hup_reloads_gunicorn_and_its_running_job_ends(preload: str, world: World) -> None:
    """Contract 6: HUP replaces all workers of gunicorn; the running job goes on to its end."""
    server = serve(world, f"gunicorn {preload}--workers 3 app:app")
    before = server.children()
    begin(world, server)
    os.kill(server.pid, signal.SIGHUP)
    await_deaths(before)
    eventually(lambda: len(server.children()) == 3)
    finish(world, server)
    server.order("afterwards")
    server.await_text("report for afterwards")
    await_whole(world)


@PRELOAD
def test_gunicorn_recycles_its_workers(preload: str, world: World) -> None:
    """Contract 6: with `--max-requests` and one worker, no order is lost and one monitor is left."""
    server = serve(world, f"gunicorn {preload}--max-requests 4 app:app")
    first = server.children()
    for number in range(12):
        server.order(f"number {number}.")
    for number in range(12):
        server.await_text(f"report for number {number}.")
    await_deaths(first)
    await_whole(world)
    assert [each.error for each in world.stored() if not each.entry] == [""] * 12


@PRELOAD
def test_usr2_hands_gunicorn_over_to_a_new_master(preload: str, world: World) -> None:
    """Contract 6: USR2, an upgrade of the running server, keeps the application, and so its monitor, alive."""
    server = serve(world, f"gunicorn {preload}--pid gunicorn.pid --workers 2 app:app")
    before = server.processes()
    begin(world, server)
    os.kill(server.pid, signal.SIGUSR2)
    eventually(lambda: len(server.processes()) == 6)
    os.kill(server.pid, signal.SIGTERM)
    server.wait()
    await_deaths(before)
    eventually(lambda: len(server.processes()) == 3)
    finish(world, server)
    server.order("afterwards")
    server.await_text("report for afterwards")
    await_whole(world)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGQUIT, marks=pytest.mark.all_servers),
        pytest.param(signal.SIGINT, marks=pytest.mark.all_servers),
    ],
    ids=lambda number: number.name,
)
@PRELOAD
def test_gunicorn_ends_as_it_would_without_autocron(preload: str, number: signal.Signals, world: World) -> None:
    """Contract 6: a server that handles signals itself ends in good order, and its tree with it."""
    server = serve(world, f"gunicorn {preload}--workers 3 app:app")
    server.order("first")
    os.kill(server.pid, number)
    assert server.wait() == 0
    world.await_empty()
    (job,) = [each for each in world.stored() if not each.entry]
    assert not job.error
    # A quick end may interrupt gunicorn while it still writes its answer; it prints a traceback of its own then.
    assert f"{os.sep}autocron{os.sep}" not in server.stderr()
    assert "was sent" not in server.stderr()  # no child that gunicorn does not know of


@PRELOAD
def test_a_killed_monitor_is_replaced_unnoticed_by_gunicorn(preload: str, world: World) -> None:
    """Contract 6: when the monitor is killed, the application starts the next one; gunicorn does not notice."""
    server = serve(world, f"gunicorn {preload}--workers 3 app:app")
    world.monitor().kill()
    server.order("afterwards")
    server.await_text("report for afterwards")
    await_whole(world)
    assert len(server.children()) == 3
    assert "was sent" not in server.stderr()
    assert not world.zombies([each.pid for each in server.processes()])
