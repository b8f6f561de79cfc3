"""autocron.monitor: one pass over what has happened; the beginning and the end of it all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from small import MIDNIGHT, Small, job_of

import autocron
from autocron import messages
from autocron.errors import StoreError
from autocron.job import Status
from autocron.testing.world import View

ran: list[Any] = []
meanwhile: list[Callable[[], None]] = []


@autocron.delay
def note(word: str) -> str:
    ran.append(word)
    while meanwhile:
        meanwhile.pop()()
    return word


@autocron.delay
def fan_out(number: int) -> None:
    for each in range(number):
        note(str(each))


@pytest.fixture
def small() -> Small:
    ran.clear()
    return Small().start()


def test_a_job_goes_all_the_way(small: Small) -> None:
    """contract 3: a worker calls the function later; contract 4: then the Result is ready."""
    result = small.call(note.__wrapped__, "one")
    assert not result.is_ready()
    assert ran == []
    small.settle()
    assert result.is_ready()
    assert (result.result, ran) == ("one", ["one"])


def test_with_nothing_due_nobody_wakes_up(small: Small) -> None:
    """design 1.6: quiet: no time at which anything is to be done, but to remove the results."""
    small.settle()
    small.pass_time(60.0)  # housekeeping is over
    assert small.monitor._until() is None
    small.call(note.__wrapped__, "one")
    small.settle()
    small.pass_time(60.0)
    until = small.monitor._until()
    assert until is not None
    assert until - small.clock.time() > 1700


def test_a_second_monitor_leaves_it_to_the_first(small: Small) -> None:
    """contract 6: one monitor process per database and machine."""
    channel = small.world.spawn("monitor", "app.db", View(small.world))
    assert channel.peer.closed  # type: ignore[attr-defined]
    assert len(small.world.monitors) == 1


def test_a_database_that_cannot_be_used_is_told_to_who_has_started_the_monitor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """contract 6: one exception type that names the path and the reason."""
    small = Small()

    def refuse(address: str) -> Any:
        raise StoreError("app.db", "it is not a SQLite database")

    monkeypatch.setattr(small, "store", None)
    small.world._open_store = refuse
    with pytest.raises(StoreError, match=r"cannot use the database app\.db: it is not a SQLite database"):
        small.engine.start("app.db")
    assert not small.world.monitors
    assert not small.engine.active


def test_what_a_dead_monitor_had_claimed_runs_under_the_next_one(small: Small) -> None:
    """design 1.1: accepted work survives the death of any process; what had not begun is charged with nothing."""
    results = [small.call(note.__wrapped__, word) for word in "abc"]
    small.hear()
    assert {each.status for each in small.jobs()} == {Status.PROCESSING}
    small.world.kill(small.process.pid)
    small.settle()
    assert sorted(ran) == ["a", "b", "c"]
    assert all(each.is_ready() for each in results)
    assert {each.deaths for each in small.jobs()} == {0}


def test_a_job_whose_worker_dies_runs_again_and_after_three_deaths_ends_in_error(small: Small) -> None:
    """design 1.2: run again at once; after three deaths while it was running it ends in error."""
    result = small.call(note.__wrapped__, "poison")
    for death in range(3):
        small.hear()
        (worker,) = small.workers
        assert worker.next_job() is not None, death
        worker.view.begin(bytes.fromhex(result.uuid))
        small.world.kill(worker.pid)
    small.settle()
    assert result.is_ready()
    assert result.error_message == "the worker died (signal 9) while running this task"
    assert ran == []


def test_jobs_registered_in_a_task_are_stored_before_its_outcome(small: Small) -> None:
    """contract 3: inside a running task, a call of a delayed function registers a new job, as anywhere."""
    small.call(fan_out.__wrapped__, 3)
    small.settle()
    assert sorted(ran) == ["0", "1", "2"]


def test_a_number_of_workers_given_later_resizes_the_pool(small: Small) -> None:
    """contract 1: a later start(workers=n) with another n changes the stored value and resizes the running pool."""
    assert small.engine.start("app.db", 3) is False
    small.settle()
    assert len(small.workers) == 3
    assert small.store.settings()["workers"] == 3
    small.engine.start("app.db", 1)
    small.settle()
    assert len(small.workers) == 1


def test_a_task_that_ends_in_the_grace_period_is_settled(small: Small) -> None:
    """contract 6: running tasks get a grace period; what they return then is stored, and nothing else begins."""
    meanwhile.append(small.die)
    small.call(note.__wrapped__, "one")
    small.call(note.__wrapped__, "two")
    small.settle()
    assert ran == ["one"]
    assert not small.world.monitors
    assert [each.status for each in small.jobs()] == [Status.READY, Status.WAITING]


def test_nothing_begins_once_the_application_has_gone(small: Small) -> None:
    """contract 6: then running tasks get a grace period, everything ends; contract 1: pending tasks stay."""
    for word in "abc":
        small.call(note.__wrapped__, word)
    small.hear()
    small.die()
    small.settle()
    assert ran == []
    assert not small.world.monitors
    assert not small.world.workers
    assert {each.status for each in small.jobs()} == {Status.WAITING}


def test_a_process_that_starts_while_the_last_one_goes_calls_the_end_off(
    small: Small, caplog: pytest.LogCaptureFixture
) -> None:
    """contract 1: `False` never means "nothing works": tasks registered by that process are executed too."""
    caplog.set_level(logging.INFO)
    small.call(note.__wrapped__, "one")
    small.hear()
    small.registrar.link.close()  # type: ignore[union-attr]
    small.world.others_turn()
    assert "draining: the application has gone" in caplog.text
    link = small.link()
    small.settle()
    assert ran == ["one"]
    assert len(small.world.monitors) == 1
    assert len(small.workers) == 1
    assert link.heard(messages.WELCOME)


def test_a_store_that_takes_nothing_does_not_keep_the_monitor_for_ever(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design 1.4: nothing outlives the application, a full disk neither: what is not settled runs once more."""
    small.call(note.__wrapped__, "one")
    small.hear()

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise StoreError("app.db", "input/output error")

    monkeypatch.setattr(small.store, "settle", refuse)
    small.world.run_one()
    small.die()
    small.pass_time(10.0)
    assert ran == ["one"]
    assert not small.world.monitors
    assert [each.status for each in small.jobs()] == [Status.PROCESSING]


def test_a_worker_that_even_a_kill_does_not_end_is_waited_for_in_silence(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design 1.6: who sleeps in the kernel dies when it wakes up; nothing is to be done until then."""
    small.call(note.__wrapped__, "one")
    small.hear()
    monkeypatch.setattr(small.world, "kill", lambda pid: None)
    small.die()
    for _ in range(4):  # the grace, the kill, and what comes after it
        small.process.turn()
        small.clock.advance(5.0)
    assert small.monitor.pool.members
    assert small.monitor.monotonic_at is None
    assert not small.process.has_turn()


def test_switched_off_it_runs_nothing_and_keeps_everything() -> None:
    """contract 1: autocron is switched off in the database."""
    ran.clear()
    small = Small().start()
    link = small.link()
    small.ask(messages.SETTINGS, {"enabled": False})
    link.say(messages.REGISTER, 1, False, [tuple(job_of("x:y"))])
    small.settle()
    assert [each.status for each in small.jobs()] == [Status.WAITING]
    assert small.monitor.pool.target == 0
    assert not small.engine.active
    assert small.call(note.__wrapped__, "here").is_ready()
    assert ran == ["here"]


def test_what_was_written_past_the_monitor_runs_as_soon_as_somebody_says_so(small: Small) -> None:
    """design 2: the command line does the same (writes directly), and says: look."""
    small.store.add([job_of(f"{__name__}:note", "past", due=MIDNIGHT)], token=0)
    small.settle()
    assert ran == []
    small.link().say(messages.LOOK)
    small.settle()
    assert ran == ["past"]


def test_what_a_process_has_written_past_the_monitor_runs_when_it_ends(small: Small) -> None:
    """design 2: it may have been killed before it could say so, or be at its very end, where nothing more is said."""
    link = small.link()
    small.settle()
    small.store.add([job_of(f"{__name__}:note", "past", due=MIDNIGHT)], token=0)
    small.settle()
    assert ran == []
    link.channel.close()
    small.settle()
    assert ran == ["past"]


def test_who_has_stopped_does_not_wait_for_an_end_that_is_called_off(small: Small) -> None:
    """contract 1: `stop` returns, though another process starts before the workers have ended."""
    small.call(note.__wrapped__, "one")
    small.hear()
    number = small.registrar._questions.put(messages.BYE)
    small.registrar.send()
    small.world.others_turn()
    assert not small.registrar._questions.is_answered(number)
    small.link()
    small.settle()
    assert small.registrar._questions.is_answered(number)
    assert ran == ["one"]


def test_asked_to_stop_it_drains(small: Small) -> None:
    """contract 6: the monitor that gets SIGTERM ends its workers in good order."""
    from autocron.interface import Stop

    small.monitor._handle(Stop())
    small.monitor._handle(Stop())
    (worker,) = small.workers
    small.world.others_turn()
    assert worker.worker is not None
    assert worker.worker._ending


HELLO = (messages.HELLO, messages.PROTOCOL)


@pytest.mark.parametrize(
    "body",
    [
        ("",),
        (None, 1),
        ([], 1),
        (messages.HELLO,),
        (*HELLO, {}, None, "a field of another version"),
        (*HELLO, "spec", None),
        (messages.REGISTER,),
        (messages.REGISTER, 1, False, [], "a field of another version"),
        (messages.REGISTER, 1, False, None),
        (messages.ANNOUNCE, [("key", "task")]),
        (messages.ANNOUNCE, [("key", "app:task", "* * * * *", "", None, "skip")]),
        (messages.ANNOUNCE, [("key", "app:task", "* * * * *", "", float("nan"), "skip")]),
        (messages.ASK, 1),
        (messages.ASK, 1, messages.PURGE, None),
        (messages.BYE,),
    ],
    ids=str,
)
def test_a_message_that_cannot_be_taken_ends_only_the_link_it_came_over(
    small: Small, body: tuple[Any, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """contract 6: a process of another version, or none of ours, ends neither the monitor nor what others do."""
    link = small.link()
    caplog.clear()
    link.say(*body)
    if body[0] in ("", None, []):  # a kind that other versions may have is passed over
        assert not link.channel.peer.closed
    elif link.heard(messages.FAILED) == []:
        assert link.channel.peer.closed
        (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
        assert f"process {link.channel.peer.pid} is cut off" in record.message
        assert repr(body[0]) in record.message
    result = small.call(note.__wrapped__, "one")
    small.pass_time(60.0)
    assert result.is_ready()
    assert ran == ["one"]


def test_an_application_whose_spec_lacks_what_a_worker_needs_ends_nothing(small: Small) -> None:
    """contract 6: its workers cannot be started; those of the next one can."""
    monitor, spawn = small.monitor, small.monitor.interface.spawner.spawn

    def demanding(role: str, address: str, spec: Any) -> Any:
        assert spec["directory"] is not None
        return spawn(role, address, spec)

    small.monitor.interface.spawner.spawn = demanding  # type: ignore[method-assign]
    odd = small.link()
    odd.say(*HELLO, {"pid": 1, "executable": "elsewhere"}, None)
    small.pass_time(1.0)
    assert small.monitor is monitor
    small.link(executable="here")
    result = small.call(note.__wrapped__, "one")
    small.pass_time(60.0)
    assert result.is_ready()


@pytest.mark.parametrize(
    "body",
    [(messages.DONE,), (messages.DONE, (b"id", "3", b"", "", 0.0)), (messages.RELEASED, None), (messages.ASK,)],
    ids=str,
)
def test_a_worker_that_cannot_be_understood_is_replaced(small: Small, body: tuple[Any, ...]) -> None:
    """contract 6: its jobs run in another one."""
    result = small.call(note.__wrapped__, "one")
    small.hear()
    (worker,) = small.workers
    worker.channel.send(body)
    small.settle()
    (other,) = small.workers
    assert other is not worker
    assert result.is_ready()
    assert ran == ["one"]
