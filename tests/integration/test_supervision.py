"""The monitor and its workers: as many as wanted, replaced when they die, gone when nobody needs them."""

from __future__ import annotations

from processes import World, eventually


def test_one_monitor_and_n_workers(world: World) -> None:
    """Contract 6: one monitor per database, which starts and supervises the workers."""
    application = world.application(workers=3)
    assert application.do("until_ready(add(1, 2))") == 3
    eventually(lambda: len(world.workers()) == 3)
    assert len(world.monitors()) == 1
    assert application.end() == 0
    world.await_empty()
