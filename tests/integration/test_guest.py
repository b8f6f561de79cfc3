"""Processes that only register: beside an application, before it, and through its end."""

from __future__ import annotations

from processes import World, eventually

JOIN = "autocron.engine.engine.join(DATABASE)"


def test_a_guest_registers_and_neither_starts_nor_keeps_anything(world: World) -> None:
    """Contract 6: a management command beside a server is no part of the application."""
    application = world.application()
    guest = world.application(start=False)
    guest.do(JOIN)
    assert guest.do("until_ready(add(1, 2))") == 3
    assert guest.do("len(autocron.get_results())") == 1
    assert application.end() == 0
    world.await_empty(guest.identity)
    assert guest.end() == 0


def test_what_a_guest_registers_alone_waits_for_the_next_start(world: World) -> None:
    """Contract 1: pending tasks stay in the database and run after the next start; none is opened before."""
    guest = world.application(start=False)
    guest.do(JOIN)
    assert not world.database.exists()
    guest.do("kept = [add(1, each) for each in range(3)]")
    assert [each.status for each in world.stored()] == [1, 1, 1]
    assert guest.do("kept[0].is_ready(), kept[0].status, len(autocron.get_results())") == (False, 1, 3)
    assert world.family() == [guest.identity]
    application = world.application()
    eventually(lambda: all(each.result for each in world.stored()))
    assert guest.do("[until_ready(each) for each in kept]") == [1, 2, 3]
    assert application.end() == 0
    assert guest.do("kept[1].is_ready(), kept[1].result") == (True, 2)  # through the end of the monitor
    guest.do("more = add(2, 2)")
    assert len(world.stored()) == 4
    assert guest.end() == 0
    world.await_empty()


def test_a_guest_forks_and_may_start_after_all(world: World) -> None:
    """Contract 6: applications fork before or after `start`; a process that joined can still start."""
    guest = world.application(start=False)
    guest.do(JOIN)
    guest.do("add(1, 1)")
    assert guest.do("((pid := os.fork()) or (add(1, 2), os._exit(0))) and os.waitpid(pid, 0)[1]") == 0
    assert [each.status for each in world.stored()] == [1, 1]
    assert guest.do("autocron.start(DATABASE)") is True
    assert guest.do("until_ready(add(1, 3))") == 4
    assert guest.end() == 0
    world.await_empty()


def test_leaving_does_not_wait_for_the_workers(world: World) -> None:
    """Contract 1: `leave` ends this process' part at once; whoever starts next finds the running job going on."""
    world.configure(grace_s=60)
    application = world.application()
    world.shut("gate")
    application.do("kept = hold('one')")
    world.hear("begun")
    application.do("autocron.engine.engine.leave()")
    other = world.application()
    world.open("gate")
    world.hear("ended")
    assert application.do("add(1, 2).result") == 3  # inactive: in the caller
    application.end()
    other.end()
    world.await_empty()
    assert not [note for note in world.notes() if note.startswith("begun")]
