"""autocron.registrar: registrations are handed over in groups, sent again, or written directly; none is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from small import Link, Small, job_of

import autocron
from autocron import messages
from autocron.errors import AutocronError, MonitorError, StoreBusy, StoreError, StoreFull
from autocron.interface import Body
from autocron.job import Job, Status
from autocron.outbox import GROUP_BYTES, GROUP_JOBS
from autocron.registrar import CROWDED_S, RETRY_S, SETTLE_S, WINDOW_JOBS, Registrar
from autocron.testing.world import MemoryChannel

ran: list[int] = []


@autocron.delay
def note(number: int) -> int:
    ran.append(number)
    return number


class Alone:
    """A registrar whose monitor is the test: what it sends is seen, and answered by hand."""

    def __init__(self) -> None:
        self.small = Small()
        self.ends: list[MemoryChannel] = []
        self.is_there = True
        self.settings: list[tuple[dict[str, Any], bool]] = []
        link = self.connect()
        assert link is not None
        self.registrar = Registrar(
            self.small.world.interface(),
            "app.db",
            link=link,
            relink=self.connect,
            on_settings=lambda *told: self.settings.append(told),
        )

    def connect(self) -> MemoryChannel | None:
        if not self.is_there:
            return None
        ours, theirs = self.small.world.pair(1)
        self.ends.append(theirs)
        return ours

    def register(self, *numbers: int, payload: bytes = b"") -> None:
        for number in numbers:
            job = job_of(number=number)
            self.registrar.add(job._replace(payload=payload) if payload else job)

    def sent(self) -> list[Body]:
        """What has come to the monitor since it was asked last."""
        self.registrar.step()
        bodies = list(self.ends[-1].inbox)
        self.ends[-1].inbox.clear()
        return bodies

    def groups(self) -> list[tuple[int, bool, list[int]]]:
        """The groups of registrations: number, whether again, the jobs."""
        return [
            (body[1], body[2], [int.from_bytes(row[0], "big") for row in body[3]])
            for body in self.sent()
            if body[0] == messages.REGISTER
        ]

    def answer(self, *body: Any) -> None:
        self.ends[-1].send(body)
        self.registrar.step()

    def break_link(self) -> None:
        """The monitor has gone."""
        self.ends[-1].close()
        self.registrar.step()

    def stored(self) -> list[int]:
        return [int.from_bytes(each.id, "big") for each in self.small.jobs()]


@pytest.fixture
def alone() -> Alone:
    return Alone()


@pytest.fixture
def small() -> Small:
    ran.clear()
    return Small().start()


# -- groups --------------------------------------------------------------------------------------------------


def test_what_comes_together_goes_in_one_group_in_its_order(alone: Alone) -> None:
    """contract 3: the registrar hands it over, in groups."""
    alone.register(1)  # goes at once
    alone.register(2, 3, 4)
    assert alone.groups() == [(1, False, [1]), (2, False, [2, 3, 4])]
    assert not alone.registrar.is_idle()
    alone.answer(messages.REGISTERED, 1)
    alone.answer(messages.REGISTERED, 2)
    assert alone.registrar.is_idle()


def test_a_caller_who_must_not_be_held_up_sends_nothing(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract 3: an event loop is not blocked: what comes alone is left to the background there too."""
    alone.register(1)
    assert [body[0] for body in alone.ends[-1].inbox] == [messages.REGISTER]
    alone.answer(messages.REGISTERED, 1)
    alone.sent()
    monkeypatch.setattr(alone.registrar.background, "spares_caller", lambda: True)
    alone.register(2)
    assert not alone.ends[-1].inbox
    assert alone.groups() == [(2, False, [2])]


def test_a_group_is_bounded_in_jobs_and_in_bytes(alone: Alone) -> None:
    """design 2: what is on its way is bounded."""
    alone.register(*range(1, 2 * GROUP_JOBS + 2))
    sizes = [len(jobs) for _, _, jobs in alone.groups()]
    assert sizes == [1, GROUP_JOBS, GROUP_JOBS]
    alone.register(*range(5000, 5010), payload=b"x" * (GROUP_BYTES // 2))
    assert [len(jobs) for _, _, jobs in alone.groups()] == [2] * 5


def test_the_window_bounds_what_is_in_flight(alone: Alone) -> None:
    """design 2: sent and not acknowledged is bounded, whatever the application registers; the rest follows."""
    number = WINDOW_JOBS + 3 * GROUP_JOBS
    alone.register(*range(1, number + 1))
    groups = alone.groups()
    sent = sum(len(jobs) for _, _, jobs in groups)
    assert WINDOW_JOBS <= sent < WINDOW_JOBS + GROUP_JOBS
    assert alone.groups() == []
    for group, _, _ in groups:
        alone.answer(messages.REGISTERED, group)
    assert sent + sum(len(jobs) for _, _, jobs in alone.groups()) == number


def test_while_the_window_is_full_the_bell_stays_unheard_and_questions_are_not(alone: Alone) -> None:
    """design 2: callers need no system call for what cannot be sent yet; a look comes by itself."""
    waits: list[tuple[bool, float | None]] = []
    spawner = alone.registrar.interface.spawner
    wait = spawner.wait

    def noted(sources: Any, until: float | None) -> Any:
        waits.append((alone.registrar.bell in sources, until))
        return wait(sources, until)

    spawner.wait = noted  # type: ignore[method-assign]
    alone.register(*range(1, WINDOW_JOBS + 3 * GROUP_JOBS))
    groups = alone.groups()
    hears_bell, until = waits[-1]
    assert not hears_bell
    assert until == alone.small.clock.time() + CROWDED_S
    alone.registrar._questions.put(messages.ASK, messages.SETTINGS, None)
    assert alone.sent() == [(messages.ASK, 1, messages.SETTINGS, None)]
    for group, _, _ in groups:
        alone.answer(messages.REGISTERED, group)
    alone.small.clock.advance(1.0)
    for group, _, _ in alone.groups():
        alone.answer(messages.REGISTERED, group)
    alone.sent()
    assert waits[-1] == (True, None)


def test_a_signal_handler_may_register_in_the_middle_of_a_registration(alone: Alone) -> None:
    """contract 6: applications that handle signals themselves work as if autocron were not there."""
    link = alone.registrar.link
    assert link is not None
    send = link.send

    def interrupted(body: Body) -> None:
        link.send = send  # type: ignore[method-assign]
        alone.register(3, 4)
        send(body)
        alone.register(5)

    link.send = interrupted  # type: ignore[method-assign]
    alone.register(1)
    alone.register(2)
    assert sorted(number for _, _, jobs in alone.groups() for number in jobs) == [1, 2, 3, 4, 5]


# -- a link that breaks --------------------------------------------------------------------------------------


def test_what_is_unacknowledged_is_sent_again_over_the_next_link(alone: Alone) -> None:
    """design 2, self-healing: a link that breaks loses nothing; what may be stored already says so."""
    alone.register(1)
    alone.register(2)
    assert [jobs for _, _, jobs in alone.groups()] == [[1], [2]]
    alone.answer(messages.REGISTERED, 1)
    alone.break_link()
    alone.register(3)
    assert [(again, jobs) for _, again, jobs in alone.groups()] == [(True, [2]), (False, [3])]


def test_the_store_keeps_a_job_once_whoever_brings_it(small: Small) -> None:
    """design 2: same uuid, once in the store: the monitor died between its commit and its acknowledgement."""
    small.points = lambda point: small.world.kill(small.process.pid) if point == "monitor.acknowledge.before" else None
    for number in range(3):
        small.call(note.__wrapped__, number)
    small.points = lambda point: None
    small.settle()
    small.pass_time(2.0)
    assert len(small.jobs()) == 3
    assert sorted(ran) == [0, 1, 2]


def test_a_question_is_asked_again_over_the_next_link(alone: Alone) -> None:
    """design 2, self-healing: who waits for an answer does not wait for a dead monitor."""
    alone.registrar._questions.put(messages.ASK, messages.RESULT, b"?")
    assert [body[0] for body in alone.sent()] == [messages.ASK]
    alone.break_link()
    assert [body[:2] for body in alone.sent()] == [(messages.ASK, 1)]


def test_a_question_that_is_interrupted_is_forgotten(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 2: what nobody waits for is not kept, and not asked again over every new link."""

    def interrupted(condition: Callable[[], bool], until: float | None = None) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(alone.registrar.background, "wait_for", interrupted)
    with pytest.raises(KeyboardInterrupt):
        alone.registrar.ask(messages.RESULT, b"?")
    assert alone.registrar._questions.are_answered()
    alone.registrar.receive((messages.REPLY, 1, None))
    assert not alone.registrar._questions.is_answered(1)


def test_a_monitor_that_cannot_be_had_is_tried_more_and_more_seldom(alone: Alone) -> None:
    """design 2: a monitor that cannot start must not be tried in a loop of new processes."""
    alone.is_there = False
    alone.break_link()
    tries = []
    connect = alone.connect
    alone.registrar._relink = lambda: (tries.append(alone.small.clock.monotonic()), connect())[1]
    for _ in range(100):
        alone.registrar.step()
        alone.small.clock.advance(1.0)
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert gaps[:3] == sorted(gaps[:3])
    assert gaps[-1] == 30.0
    assert len(tries) <= 9


def test_a_new_process_links_when_it_has_settled_or_has_something_to_say(alone: Alone) -> None:
    """Contract 6: a forked child may close all descriptors, and open others under their numbers, to become a daemon."""

    def forked() -> Registrar:
        return Registrar(alone.small.world.interface(), "app.db", link=None, relink=alone.connect)

    idle = forked()
    idle.step()
    assert idle.link is None
    alone.small.clock.advance(2 * SETTLE_S)
    idle.step()
    assert idle.link is not None
    busy = forked()
    busy.add(job_of(number=1))
    busy.step()
    assert busy.link is not None
    curious = forked()
    curious._questions.put(messages.ASK, messages.RESULTS, (b"", 1))
    curious.step()
    assert curious.link is not None


def test_of_two_links_that_are_found_at_once_the_newest_is_kept_and_told_everything(alone: Alone) -> None:
    """A signal handler that comes while this process looks for its monitor looks too; the monitor drops older links."""
    registrar = Registrar(alone.small.world.interface(), "app.db", link=None)
    first, second = alone.connect(), alone.connect()
    assert first is not None

    def relink() -> MemoryChannel | None:
        registrar.link = first
        registrar.add(job_of(number=1))
        return second

    registrar._relink = relink
    alone.small.clock.advance(2 * SETTLE_S)
    registrar.step()
    assert registrar.link is second
    assert first.closed
    assert [body[2] for body in alone.ends[-1].inbox if body[0] == messages.REGISTER] == [True]


# -- no monitor within reach ---------------------------------------------------------------------------------


def test_without_a_monitor_registrations_are_written_after_a_second(alone: Alone) -> None:
    """design 2: no monitor within reach: after 1 s the registrar opens the store itself, writes, and closes."""
    alone.register(1)
    alone.registrar.step()
    alone.is_there = False
    alone.break_link()
    alone.register(2, 3)
    alone.registrar.step()
    assert alone.stored() == []
    alone.small.clock.advance(1.0)
    alone.registrar.step()
    assert alone.stored() == [1, 2, 3]
    assert alone.registrar.is_idle()
    assert {each.status for each in alone.small.jobs()} == {Status.WAITING}


def test_a_monitor_that_ends_at_once_is_no_trouble_of_the_store(alone: Alone) -> None:
    """design 2: none can be started: registrations wait, and are written after 1 s; the caller is not refused."""

    def relink() -> MemoryChannel | None:
        raise MonitorError("the monitor ends at once")

    alone.registrar._relink = relink
    alone.break_link()
    alone.registrar.step()
    assert alone.registrar.refusal() is None
    alone.register(1)
    alone.small.clock.advance(1.0)
    alone.registrar.step()
    assert alone.stored() == [1]


def test_what_a_monitor_had_stored_already_is_not_written_twice(alone: Alone) -> None:
    """design 2: same uuid, INSERT OR IGNORE."""
    alone.register(1)
    alone.small.store.add([job_of(number=1)], token=5)  # the monitor did so, and died before it could tell
    alone.is_there = False
    alone.break_link()
    alone.small.clock.advance(2.0)
    alone.registrar.step()
    (stored,) = alone.small.jobs()
    assert stored.status == Status.PROCESSING


def test_at_a_clean_exit_what_no_monitor_takes_is_written(alone: Alone) -> None:
    """design 1.1: a clean exit flushes."""
    alone.register(1, 2)
    alone.is_there = False
    alone.break_link()
    alone.registrar.flush(3.0)
    assert alone.stored() == [1, 2]


def test_what_cannot_be_written_at_the_exit_is_told(
    alone: Alone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """design 1.1: never lost in silence."""
    monkeypatch.setattr(alone.small.store, "add", _raise_full)
    alone.register(1, 2)
    alone.is_there = False
    alone.break_link()
    alone.registrar.end(3.0)
    assert caplog.text.count("registrations are lost") == 1
    assert "2 registrations are lost: cannot use the database app.db: no space" in caplog.text


def test_what_a_monitor_has_may_still_be_stored(
    small: Small, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """design 1.1: another program holds the file locked; the monitor waits for that longer than we do."""
    monkeypatch.setattr(small.store, "add", _raise_busy)
    small.registrar.add(job_of(number=1))
    small.engine.stop()
    assert caplog.text.count("1 registrations are not stored yet, and may be lost: cannot use the database") == 1


def test_a_registration_at_the_moment_of_stop_is_stored(small: Small) -> None:
    """contract 1: pending tasks stay in the database; design 1.1: a clean end loses nothing, in no thread."""
    registrar = small.registrar
    small.engine.stop()
    registrar.add(job_of(number=9))  # a thread that had looked before
    registrar.add(job_of(number=10), blocking=True)
    assert [int.from_bytes(each.id, "big") for each in small.jobs()] == [9, 10]


def test_a_registration_between_flush_and_stop_is_stored(small: Small) -> None:
    """contract 1: pending tasks stay in the database."""
    registrar = small.registrar
    leave = registrar.leave

    def meanwhile(within_s: float) -> None:
        leave(within_s)
        registrar._outbox.pending.append(job_of(number=9))

    registrar.leave = meanwhile  # type: ignore[method-assign]
    small.engine.stop()
    assert [int.from_bytes(each.id, "big") for each in small.jobs()] == [9]


def test_a_handler_of_the_log_may_register(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 6: its lock may be held by a thread that registers, so nothing is logged under a lock of ours."""

    class Mailing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert not alone.registrar._is_inside
            alone.registrar._outbox.pending.append(job_of(number=2))
            monkeypatch.undo()

    monkeypatch.setattr(alone.small.store, "add", _raise_full)
    logger = logging.getLogger("autocron.registrar")
    handler = Mailing()
    logger.addHandler(handler)
    try:
        alone.is_there = False
        alone.break_link()
        alone.register(1)
        assert alone.registrar._write_directly() is not None
    finally:
        logger.removeHandler(handler)
    assert alone.registrar._write_directly() is None
    assert alone.stored() == [1, 2]


def test_what_is_registered_when_all_is_over_is_told_if_it_is_lost(
    alone: Alone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """design 1.1: never lost in silence: another thread has stopped, and the file is locked."""
    alone.registrar.stop()
    monkeypatch.setattr(alone.small.store, "add", _raise_busy)
    alone.register(1)
    assert "1 registrations are lost: cannot use the database app.db: another program holds it locked" in caplog.text


def test_a_link_that_is_found_when_all_is_over_is_closed(alone: Alone) -> None:
    """contract 1: after stop, nothing of this process keeps the monitor, whatever its thread was just doing."""

    def relink() -> MemoryChannel | None:
        alone.registrar.stop()
        return alone.connect()

    alone.registrar._relink = relink
    alone.break_link()
    alone.registrar.step()
    assert alone.registrar.link is None
    assert alone.ends[-1].peer.closed


# -- a store that refuses ------------------------------------------------------------------------------------


def _raise_full(*args: Any, **kwargs: Any) -> None:
    raise StoreFull("app.db", "no space")


def test_what_was_refused_is_kept_and_tried_again(alone: Alone) -> None:
    """contract 6: nothing accepted is lost; the next try comes after a while, in the order of registration."""
    alone.register(1)
    alone.register(2)
    (first, _, _), (second, _, _) = alone.groups()
    alone.answer(messages.UNSTORED, first, True, "app.db", "no space")
    alone.answer(messages.UNSTORED, second, True, "app.db", "no space")
    assert alone.groups() == []
    assert isinstance(alone.registrar.trouble, StoreFull)
    alone.small.clock.advance(RETRY_S)
    ((number, again, jobs),) = alone.groups()
    assert (again, sorted(jobs)) == (True, [1, 2])
    alone.answer(messages.REGISTERED, number)
    assert alone.registrar.trouble is None


def test_registering_fails_loudly_while_there_is_no_space_and_works_again_after(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """contract 6: full disk: registering fails loudly, the system goes on when there is space again."""
    add = small.store.add
    monkeypatch.setattr(small.store, "add", _raise_full)
    small.call(note.__wrapped__, 1)
    small.settle()
    traces = []
    for _ in range(2):
        with pytest.raises(StoreFull, match=r"app\.db: no space") as caught:
            small.call(note.__wrapped__, 2)
        traces.append(len(caught.traceback))
    assert traces[0] == traces[1]  # each time an exception of its own
    monkeypatch.setattr(small.store, "add", add)
    small.clock.advance(2 * RETRY_S)
    small.registrar.step()
    small.settle()
    small.call(note.__wrapped__, 3)
    small.settle()
    assert ran == [1, 3]


def test_what_the_store_took_though_it_reported_an_error_runs_once(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design 1: the file lost its name between the commit and the look that follows it; then it is put back."""
    add = small.store.add

    def add_and_raise(jobs: Any, *, token: int) -> Any:
        add(jobs, token=token)
        monkeypatch.setattr(small.store, "add", add)
        raise StoreError("app.db", "the file was deleted while it was in use")

    monkeypatch.setattr(small.store, "add", add_and_raise)
    small.call(note.__wrapped__, 1)
    small.settle()
    assert ran == []
    small.clock.advance(2 * RETRY_S)
    small.registrar.step()
    small.settle()
    assert ran == [1]
    assert small.registrar.link is not None
    small.registrar._lose_link(small.registrar.link)  # sent again over the next one, it does not run again
    small.settle()
    assert ran == [1]


# -- blocking mode -------------------------------------------------------------------------------------------


def test_blocking_mode_returns_when_the_job_is_stored() -> None:
    """contract 3: blocking mode returns only when the job is safely stored."""
    small = Small().start(blocking=True)
    points: list[str] = []
    small.points = points.append
    result = small.call(note.__wrapped__, 1)
    assert points.index("monitor.sync.after") < points.index("monitor.acknowledge.after")
    assert [each.id.hex() for each in small.jobs()] == [result.uuid]


def test_blocking_mode_raises_when_the_store_is_full_and_the_job_never_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 3 and 6: who is told that it was refused may rely on it; the next call tries again."""
    ran.clear()
    small = Small().start(blocking=True)
    add = small.store.add
    monkeypatch.setattr(small.store, "add", _raise_full)
    with pytest.raises(StoreFull):
        small.call(note.__wrapped__, 1)
    monkeypatch.setattr(small.store, "add", add)
    small.clock.advance(2 * RETRY_S)
    small.call(note.__wrapped__, 2)
    small.settle()
    assert ran == [2]


def test_a_monitor_that_does_not_answer_is_passed_over(alone: Alone) -> None:
    """contract 3: blocking mode returns when the job is safely stored; with a stopped monitor too, and it runs once."""
    alone.register(1)
    alone.registrar.add(job_of(number=2), blocking=True)
    assert alone.stored() == [1, 2]
    assert alone.registrar.is_idle()
    assert alone.sent()[-1] == (messages.LOOK,)  # for when it goes on


def test_nobody_waits_for_ever_for_a_file_that_stays_locked(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 3: a caller is told that its job may not be stored, whatever holds the database."""
    monkeypatch.setattr(alone.small.store, "add", _raise_busy)
    with pytest.raises(StoreBusy, match=r"app\.db: it is locked.*the job may still be stored"):
        alone.registrar.add(job_of(number=1), blocking=True)
    assert not alone.registrar._outbox.watched


def _raise_busy(*args: Any, **kwargs: Any) -> None:
    raise StoreBusy("app.db", "another program holds it locked")


def test_who_waits_while_another_thread_stops_is_not_told_that_it_is_safe(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """contract 3: blocking mode never returns for a job that is nowhere."""
    alone.registrar.stop()
    monkeypatch.setattr(alone.small.store, "add", _raise_busy)
    with pytest.raises(StoreBusy):
        alone.registrar.add(job_of(number=1), blocking=True)


def test_who_is_refused_was_not_on_its_way(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 6: trouble of another job says nothing about one that the monitor may just be storing."""
    alone.register(1)
    ((group, _, _),) = alone.groups()
    monkeypatch.setattr(alone.registrar.background, "wait_for", lambda holds, until: seen.append(holds()) or seen[-1])
    monkeypatch.setattr(alone.registrar, "_write_directly", lambda: alone.answer(messages.REGISTERED, group + 1))
    seen: list[bool] = []
    alone.answer(messages.UNSTORED, group, True, "app.db", "no space")
    alone.registrar.trouble = None
    alone.registrar._outbox.pending.append(job_of(number=2))
    alone.registrar._outbox.watched.add(job_of(number=2).id)
    alone.registrar.send()
    alone.registrar.trouble = StoreFull("app.db", "no space")
    alone.registrar._await_safe(job_of(number=2))
    assert seen == [False, True]


class Interrupted:
    """A link during whose next `send` a signal handler comes."""

    def __init__(self, alone: Alone, handler: Callable[[], object]) -> None:
        link = alone.registrar.link
        assert link is not None
        send = link.send

        def interrupted(body: Body) -> None:
            link.send = send  # type: ignore[method-assign]
            handler()
            send(body)

        link.send = interrupted  # type: ignore[method-assign]
        # As in a thread that waits for the caller, which waits for it.
        alone.registrar.background.wait_for = self.deadlock  # type: ignore[method-assign]

    def deadlock(self, holds: Callable[[], bool], until: float | None = None) -> bool:
        raise AssertionError("the background cannot send while this thread does")


def test_a_signal_handler_may_block_in_the_middle_of_a_registration(alone: Alone) -> None:
    """contract 3 and 6: what it registers is safe when the call returns, and nobody waits for a thread that waits."""
    Interrupted(alone, lambda: alone.registrar.add(job_of(number=2), blocking=True))
    alone.register(1)
    assert alone.stored() == [2]
    assert [jobs for _, _, jobs in alone.groups()] == [[1]]


def test_a_signal_handler_may_stop_everything_in_the_middle_of_a_registration(alone: Alone) -> None:
    """contract 1: SIGTERM may call `stop` at any moment; nothing is lost, and it does not wait in vain."""

    def stop() -> None:
        alone.registrar._outbox.pending.append(job_of(number=2))  # another thread's
        alone.registrar.flush(3.0)
        assert alone.stored() == [1, 2]
        alone.registrar.leave(3.0)
        alone.registrar.stop()
        raise SystemExit

    Interrupted(alone, stop)
    with pytest.raises(SystemExit):
        alone.register(1)
    assert alone.stored() == [1, 2]
    assert [body[0] for body in alone.ends[-1].inbox][-1] == messages.BYE


def test_a_signal_handler_is_told_that_it_cannot_ask_now(alone: Alone) -> None:
    """contract 4: is_ready never hangs."""

    def ask() -> None:
        with pytest.raises(AutocronError, match="in the middle of a registration"):
            alone.registrar.ask(messages.RESULT, b"?")

    Interrupted(alone, ask)
    alone.register(1)


def test_an_exception_in_the_middle_of_a_registration_loses_nothing_of_others(alone: Alone) -> None:
    """design 1.1: a clean exit flushes, after Ctrl-C too."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    alone.is_there = False
    alone.break_link()
    alone.register(1, 2, 3)
    alone.is_there = True
    alone.registrar._find_link()
    Interrupted(alone, interrupt)
    with pytest.raises(KeyboardInterrupt):
        alone.registrar.send()
    alone.registrar._write_directly()
    assert alone.stored() == [1, 2, 3]


def test_an_exception_before_a_group_is_sent_keeps_nobody_waiting_for_its_acknowledgement(alone: Alone) -> None:
    """design 1.1: it is sent with the next look, not only over the next link."""

    def interrupt(point: str) -> None:
        if point == "app.register.before":
            alone.small.points = lambda point: None
            raise KeyboardInterrupt

    alone.small.points = interrupt
    with pytest.raises(KeyboardInterrupt):
        alone.register(1, 2)
    alone.register(3)
    assert alone.groups() == [(2, True, [1]), (3, False, [3])]


# -- what the monitor says -----------------------------------------------------------------------------------


def test_an_answer_that_does_not_come_is_an_error_with_a_way_out(alone: Alone) -> None:
    """contract 4: is_ready never hangs for ever on a monitor that is stopped."""
    with pytest.raises(AutocronError, match=r"the monitor of app\.db does not answer; is it stopped\?"):
        alone.registrar.ask(messages.RESULT, b"?")
    assert not alone.registrar._questions._asked


def test_an_answer_that_comes_too_late_is_not_kept(alone: Alone) -> None:
    """design 2: nothing grows for ever."""
    with pytest.raises(AutocronError):
        alone.registrar.ask(messages.RESULT, b"?")
    alone.answer(messages.REPLY, 1, "late")
    assert alone.registrar._questions._answers == {}


def test_a_question_that_fails_raises_what_the_store_said(alone: Alone) -> None:
    """contract 6: one exception type that names the path and the reason."""
    alone.ends[-1].send((messages.FAILED, 1, "app.db", "the file is damaged"))
    with pytest.raises(StoreError, match=r"app\.db: the file is damaged"):
        alone.registrar.ask(messages.RESULT, b"?")


def test_changed_settings_are_passed_on(alone: Alone) -> None:
    """contract 1: a running monitor takes new values at once, and so does everybody who is linked."""
    alone.answer(messages.CHANGED, {"blocking": True}, True)
    assert alone.settings == [({"blocking": True}, True)]


def test_entries_are_announced_when_they_change_and_again_to_the_next_monitor() -> None:
    """design 6: application processes announce their entries on the link."""
    alone = Alone()
    version = 1
    alone.registrar._announcement = lambda: (version, [])
    alone.registrar.nudge()
    assert [body[0] for body in alone.sent()] == [messages.ANNOUNCE]
    assert alone.sent() == []
    version = 2
    alone.registrar.nudge()
    assert [body[0] for body in alone.sent()] == [messages.ANNOUNCE]
    alone.break_link()
    assert [body[0] for body in alone.sent()] == [messages.ANNOUNCE]


# -- in a worker ---------------------------------------------------------------------------------------------


def test_inside_a_task_a_call_goes_to_the_monitor_before_the_outcome(small: Small) -> None:
    """contract 3: inside a running task, a call of a delayed function registers a new job, as anywhere."""
    ours, theirs = small.world.pair(1)
    registrar = Registrar(small.world.interface(), "app.db", link=ours)
    registrar.add(Job(b"1" * 16, "app:task", b"j[[],{}]", 0.0))
    ours.send((messages.DONE, ()))
    assert [body[0] for body in theirs.inbox] == [messages.REGISTER, messages.DONE]
    assert registrar.is_idle()  # if the monitor dies so does the worker, and the job runs again


def test_a_good_bye_says_no_more_than_it_must(small: Small) -> None:
    """contract 1: stop ends this process' part; others go on."""
    other = Link(small, {})
    small.engine.stop()
    small.world.pump()
    assert small.world.monitors
    assert not small.engine.active
    other.close()
    small.settle()
    assert not small.world.monitors
