"""Changed code: whatever reloads the server, new jobs run the new code, and running jobs end as they began."""

from __future__ import annotations

import contextlib
from typing import Final

import pytest
from cells import CELLS, GUNICORN, Cell, params
from processes import Process, Timeout, World, await_deaths, eventually
from server import WORKERS, Site, await_whole

from autocron.payload import decode

SAVES: Final = 5
NOTICED_S: Final = 10.0  # reloaders look each second


@pytest.mark.parametrize("cell", params(each for each in CELLS if each.reloads))
def test_new_jobs_run_the_new_code(cell: Cell, world: World) -> None:
    """Contract 6: after a reload new jobs run the new code, running jobs end as they began, new cron entries hold."""
    site = Site(world, cell.example)
    world.configure(grace_s=60)  # however long the reloader takes to start the next process on a busy machine
    server = site.serve(cell)
    server.order("first")
    server.await_text("report for first")
    world.shut("held")
    server.order("held")
    world.hear("begun")
    eventually(lambda: site.entries() == ["tidy_up#0"])
    for old, new in (("", "second "), ("second ", "third ")):
        reloaded = server.serving()
        site.edit(f'f"{old}report', f'f"{new}report', ("tidy_up", "clear_up"))
        await_reload(site, reloaded)
        server.await_up()
        server.order(f"number {new}")
        server.await_text(f"{new}report for number {new}")
        eventually(lambda: site.entries() == ["clear_up#0"], site.entries)
    world.open("held")
    eventually(lambda: all(each.result for each in world.stored() if not each.entry), server.stderr)
    expected = [
        "report for first",
        "report for held",
        "second report for number second ",
        "third report for number third ",
    ]
    assert [decode(each.result, allow_pickle=False) for each in world.stored() if not each.entry] == expected
    assert not [note for note in world.notes() if note.startswith("begun")]
    await_whole(world)


def await_reload(site: Site, reloaded: list[Process]) -> None:
    """Return when the reloader has ended all of these processes.

    One that was still loading when the file was saved takes what it sees first for what it has loaded, as gunicorn's
    does, and notices only another change.
    """
    for _ in range(SAVES):
        with contextlib.suppress(Timeout):
            await_deaths(reloaded, NOTICED_S)
            return
        site.tasks.touch()
    await_deaths(reloaded)


def test_a_rolling_deploy_with_a_renamed_task_loses_nothing(world: World) -> None:
    """Contract 6: old and new processes serve side by side; jobs under the old name run too, if the name is kept."""
    site = Site(world, "flask")
    world.configure(grace_s=60)
    cell = Cell("flask", "gunicorn app:app", GUNICORN)
    old = site.serve(cell)
    world.shut("held")
    for _ in range(WORKERS):
        old.order("held")
        world.hear("begun")
    old.order("before")
    site.edit("write_report", "compose_report", ("@autocron.cron", "write_report = compose_report\n\n\n@autocron.cron"))
    new = site.serve(cell)
    new.order("new")
    old.order("old")
    world.open("held")
    for name in ("held", "before", "new", "old"):
        new.await_text(f"report for {name}")
    old.order("last")
    old.process.terminate()
    assert old.wait() == 0
    new.await_text("report for last")
    await_whole(world)
    assert [each.error for each in world.stored() if not each.entry] == [""] * (WORKERS + 4)
