"""autocron.engine: the application's side."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from small import Small

import autocron
from autocron import engine, messages
from autocron.engine import Engine, current
from autocron.errors import AutocronError, MonitorError, PayloadError, TaskError
from autocron.job import Status
from autocron.linker import Linker
from autocron.payload import decode_call
from autocron.registrar import Registrar
from autocron.registry import registry
from autocron.testing.world import View

ran: list[Any] = []


@autocron.delay
def note(word: str) -> str:
    ran.append(word)
    return word


@pytest.fixture
def started() -> Iterator[Small]:
    ran.clear()
    made = Small().start()
    yield made
    made.engine.stop()


# -- start ---------------------------------------------------------------------------------------------------


def test_start_tells_whether_this_call_started_the_monitor() -> None:
    """contract 1: True if this call started the monitor; False if another process has it, whose tasks run too."""
    small = Small()
    assert small.engine.start("app.db") is True
    second = Engine(small.world.interface())
    assert second.start("app.db") is False
    assert second.active


def test_calling_start_twice_is_harmless(started: Small) -> None:
    """contract 1: idempotent: calling it twice in a process is harmless."""
    before = started.registrar
    assert started.engine.start("app.db") is False
    assert started.registrar is before
    assert len(started.world.monitors) == 1


def test_a_signal_handler_may_start_in_the_middle_of_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 1: idempotent, wherever the second call comes from: one link, one registrar."""
    small = Small()
    inner: list[Registrar] = []
    link = Linker.link

    def interrupted(self: Linker, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(Linker, "link", link)
        assert small.engine.start("app.db") is True
        inner.append(small.registrar)
        found = link(self, *args, **kwargs)
        assert found[0] is not None
        monkeypatch.setattr(found[0], "close", lambda: closed.append(found[0]))
        return found

    closed: list[Any] = []
    monkeypatch.setattr(Linker, "link", interrupted)
    assert small.engine.start("app.db") is False
    assert [small.registrar] == inner
    assert len(closed) == 1


def test_who_joins_while_another_thread_starts_is_no_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 1: the engine has one registrar, and `stop` ends it."""
    small = Small()
    small.engine.join("app.db")
    mutex = small.engine._mutex

    class Late:
        def __enter__(self) -> None:
            monkeypatch.setattr(Engine, "_mutex", mutex)
            small.engine._registrar = Registrar(small.world.interface(), "app.db", link=None)

        def __exit__(self, *args: object) -> None: ...

    monkeypatch.setattr(Engine, "_mutex", Late())
    found = small.engine._own_registrar()
    assert found is small.registrar
    assert type(found) is Registrar


def test_who_interrupts_stop_has_stopped(started: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 1: Ctrl-C ends the waiting, not the stopping: nothing of ours goes on."""
    registrar = started.registrar

    def interrupt(within_s: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registrar, "leave", interrupt)
    with pytest.raises(KeyboardInterrupt):
        started.engine.stop()
    assert (registrar.stopped, registrar.link, started.engine.active) == (True, None, False)
    assert current() is engine.engine


def test_one_engine_has_one_database(started: Small) -> None:
    """contract 1: the message names the way out."""
    with pytest.raises(AutocronError, match=r"started on app\.db in this process; call autocron\.stop\(\) before"):
        started.engine.start("other.db")


@pytest.mark.parametrize("workers", [0, -1])
def test_a_number_of_workers_below_one_is_a_value_error(workers: int) -> None:
    """contract 1: anything but an int ≥ 1 → ValueError naming the argument."""
    with pytest.raises(ValueError, match=f"workers={workers}: at least 1"):
        Engine(Small().world.interface()).start("app.db", workers)


@pytest.mark.parametrize("workers", [True, False, 2.5, "2", [1]])
def test_a_number_of_workers_of_another_type_is_a_type_error(workers: Any) -> None:
    """contract 1: anything but an int ≥ 1 (True, 2.5, "2") → TypeError naming the argument."""
    with pytest.raises(TypeError, match="workers="):
        Engine(Small().world.interface()).start("app.db", workers)


def test_none_takes_the_stored_number() -> None:
    """contract 1: `None` takes the stored number (default 1)."""
    assert len(Small().start().workers) == 1
    assert len(Small().start(workers=None, **{"paused": False}).workers) == 1
    small = Small()
    small.store.save_settings({"workers": 3})
    small.start()
    assert len(small.workers) == 3


def test_switched_off_in_the_database_nothing_is_started() -> None:
    """contract 1: `False` if autocron is switched off in the database; contract 3: then calls run in the caller."""
    ran.clear()
    small = Small()
    small.store.save_settings({"enabled": False})
    assert small.engine.start("app.db") is False
    assert not small.engine.active
    assert small.call(note.__wrapped__, "here").result == "here"
    small.settle()
    assert not small.world.monitors
    assert not small.world.workers


def test_switched_off_nobody_can_be_asked(caplog: pytest.LogCaptureFixture) -> None:
    """contract 4: who asks for results is told that autocron is switched off, where, and how it is switched on."""
    engine = Small().start(enabled=False).engine
    why = "autocron is switched off in app.db, .*: `autocron settings app.db --enabled`"
    with pytest.raises(AutocronError, match=why):
        engine.look_up(bytes(16))
    assert engine.get_results() == []
    assert re.search(why, caplog.text)


def test_inside_a_worker_start_does_nothing(started: Small) -> None:
    """contract 1: `False` if this is a worker process."""
    worker = Engine(started.world.interface())
    worker.bind(started.world.interface(), "app.db", started.registrar, False)
    assert worker.start("app.db", 7) is False
    worker.stop()
    assert worker.active


def test_a_monitor_that_ends_at_once_is_not_started_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 6: a clear error, no restart storm."""
    small = Small()
    spawns = []

    def dying(self: View, role: str, address: str, spec: Any) -> Any:
        ours, theirs = small.world.pair(1)
        theirs.close()
        spawns.append(role)
        return ours

    monkeypatch.setattr(View, "spawn", dying)
    with pytest.raises(MonitorError, match=r"the monitor of app\.db ends at once; see its messages on stderr"):
        small.engine.start("app.db")
    assert spawns == ["monitor"] * 3


class Slow:
    """The application's `wait` in which time passes before anything is heard from a monitor that has just started."""

    def __init__(self, small: Small, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.waited: list[Any] = []
        wait = View.wait

        def late(view: View, sources: Any, until: float | None) -> list[Any]:
            if view.process is None and len(sources) == 1 and sources[0] not in self.waited:
                self.waited.append(sources[0])
                small.clock.advance(seconds)
                return []
            return wait(view, sources, until)

        monkeypatch.setattr(View, "wait", late)


def test_a_monitor_that_starts_slowly_is_waited_for(started: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 2, self-healing: who gave up would end it, and the next one is as slow."""
    started.world.kill(started.process.pid)
    Slow(started, monkeypatch, 10.0)
    started.registrar.step()  # hears of its end
    started.registrar.step()
    assert started.registrar.link is not None
    assert len(started.world.monitors) == 1


def test_a_monitor_that_takes_no_links_is_not_replaced(started: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 2, one monitor: one that is stopped holds the database, and no other could."""

    def full(view: View, address: str) -> None:
        started.clock.advance(1.0)
        raise TimeoutError("it takes no more links")

    monkeypatch.setattr(View, "connect", full)
    monkeypatch.setattr(View, "spawn", lambda *_: pytest.fail("a second monitor is started"))
    second = Engine(started.world.interface())
    assert second.start("app.db") is False
    assert second.active
    guest = Engine(started.world.interface())
    guest.join("app.db")
    guest.register(note.__wrapped__, f"{__name__}:note", ("from a guest",), {})
    assert len(started.jobs()) == 1


def test_a_question_of_a_guest_is_asked_again_when_its_monitor_has_died(
    started: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """contract 4: whoever may ask for a result gets it from the next monitor."""
    guest = Engine(started.world.interface())
    guest.join("app.db")
    result = guest.register(note.__wrapped__, f"{__name__}:note", ("from a guest",), {})
    assert guest._registrar is not None
    questions = guest._registrar._questions
    put = questions.put

    def put_and_kill(kind: str, *rest: object) -> int:
        number = put(kind, *rest)
        started.world.kill(started.process.pid)
        started.registrar.step()  # hears of its end
        started.registrar.step()  # and starts the next one
        return number

    monkeypatch.setattr(questions, "put", put_and_kill)
    stored, _ = guest.look_up(bytes.fromhex(result.uuid))
    assert stored is not None
    assert stored.task == f"{__name__}:note"


def test_a_job_that_is_still_on_its_way_is_known_with_its_task(started: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 4: it waits, and whoever asks for it learns of which task it is a call, and its arguments."""
    monkeypatch.setattr(started.registrar, "_await_safe", lambda job: None)
    monkeypatch.setattr(started.registrar, "_send_stream", lambda link: None)
    result = started.call(note.__wrapped__, "one")
    stored, _ = started.engine.look_up(bytes.fromhex(result.uuid))
    assert stored is not None
    assert (stored.task, decode_call(stored.payload)) == (f"{__name__}:note", (("one",), {}))
    assert stored.status == Status.WAITING


def test_who_needs_a_stored_job_waits_for_it(started: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 3: blocking mode, for a single call."""
    waits: list[bool] = []
    monkeypatch.setattr(started.registrar, "add", lambda job, *, blocking: waits.append(blocking))
    for blocking in (True, False):
        started.engine.register(note.__wrapped__, f"{__name__}:note", ("one",), {}, blocking=blocking)
    assert waits == [True, False]


def test_a_monitor_that_is_started_for_nothing_is_seen_ending() -> None:
    """contract 6: no zombie: who started it is the one who buries it."""
    small = Small()
    small.store.save_settings({"enabled": False})
    assert small.engine.start("app.db") is False
    assert small.world.monitors == {}


def test_there_is_one_lock_whoever_wants_it_first() -> None:
    """contract 1: two threads that start at once, in versions of Python whose cached properties are made twice."""
    small = Small()
    others: list[object] = []
    mutex = View.mutex

    def meanwhile(view: View) -> object:
        if not others:
            others.append(None)
            others[0] = small.engine._mutex
        return mutex(view)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(View, "mutex", meanwhile)
        assert small.engine._mutex is others[0] is not None


def test_engines_are_independent() -> None:
    """contract 1: `Engine(interface=None)`: anything else than None is an injected Interface."""
    ran.clear()
    one, two = Small().start(), Small().start()
    one.call(note.__wrapped__, "one")
    two.call(note.__wrapped__, "two")
    two.settle()
    assert ran == ["two"]
    one.settle()
    assert ran == ["two", "one"]


def test_start_stop_and_results_are_those_of_the_current_engine(started: Small) -> None:
    """contract 1: both are shortcuts to one module-level Engine; contract 5: so is get_results."""
    assert current() is started.engine
    assert autocron.start("app.db") is False
    note("one")
    started.settle()
    assert [each.result for each in autocron.get_results()] == ["one"]
    autocron.stop()
    assert not started.engine.active
    assert current() is not started.engine
    assert autocron.get_results() == []


# -- stop ----------------------------------------------------------------------------------------------------


def test_stop_can_be_called_at_any_time(started: Small) -> None:
    """contract 1: idempotent."""
    started.engine.stop()
    started.engine.stop()
    Engine(started.world.interface()).stop()


def test_after_stop_calls_run_in_the_caller_until_the_next_start(started: Small) -> None:
    """contract 3: after stop() (and before the next start) autocron is inactive: calls run in the caller."""
    started.engine.stop()
    assert started.call(note.__wrapped__, "here").is_ready()
    assert ran == ["here"]
    started.settle()
    started.engine.start("app.db")
    assert started.call(note.__wrapped__, "later").status == Status.WAITING
    assert ran == ["here"]


def test_pending_tasks_run_after_the_next_start(started: Small) -> None:
    """contract 1: pending tasks stay in the database and run after the next start."""
    started.call(note.__wrapped__, "one", after_s=60.0)
    started.engine.stop()
    started.settle()
    started.clock.advance(3600.0)
    started.engine.start("app.db")
    started.settle()
    assert ran == ["one"]


def test_two_threads_that_stop_are_one_stop(started: Small) -> None:
    """contract 1: idempotent, whoever calls."""
    left = []
    registrar = started.registrar
    leave = registrar.leave

    def noting(within_s: float) -> None:
        left.append(within_s)
        other.join()
        leave(within_s)

    other = threading.Thread(target=started.engine.stop)
    registrar.leave = noting  # type: ignore[method-assign]

    flush = registrar.flush

    def meanwhile(within_s: float) -> None:
        if not other.ident:
            other.start()
        flush(within_s)

    registrar.flush = meanwhile  # type: ignore[method-assign]
    started.engine.stop()
    assert len(left) == 1


# -- calls ---------------------------------------------------------------------------------------------------


def test_a_call_waits_for_no_database(started: Small) -> None:
    """contract 3: registration does not block the caller on the database."""
    points: list[str] = []
    started.points = points.append
    result = note("one")
    assert points in ([], ["app.register.before", "app.register.after"])
    assert result.status == Status.WAITING
    started.hear()
    assert "monitor.add.after" in points


def test_arguments_are_captured_at_the_call(started: Small) -> None:
    """contract 3: arguments are captured at the call: changing a list afterwards changes nothing."""
    words = ["a"]
    started.call(note.__wrapped__, words)
    words.append("b")
    started.settle()
    assert ran == [["a"]]


def test_what_cannot_be_stored_is_refused_at_the_call_by_its_name(started: Small) -> None:
    """contract 3: arguments that cannot be serialised are refused at the call."""
    with pytest.raises(PayloadError, match="argument 'word': a lambda cannot be stored"):
        note(lambda: None)  # type: ignore[arg-type]
    assert started.jobs() == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (
            "app:outer.<locals>.inner",
            "outer.<locals>.inner: a worker cannot find a nested function or a lambda; define it at module level,"
            " or use functools.wraps if it is what a decorator returns",
        ),
        ("app:<lambda>", "<lambda>: a worker cannot find a nested function or a lambda; define it at module level"),
        ("__main__:task", "task: a worker cannot find a task of an interactive session; put it into a module"),
    ],
)
def test_what_no_worker_would_find_is_refused_at_the_call(
    started: Small, monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    """contract 3: refused at the call: lambdas, nested functions, tasks of an interactive session."""
    monkeypatch.setattr(View, "in_process", False)
    with pytest.raises(TaskError) as caught:
        started.engine.register(note.__wrapped__, address, ("x",), {})
    assert str(caught.value).startswith(words)
    assert started.jobs() == []


def test_a_script_in_a_directory_of_any_name_has_tasks(started: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 3: functions of the main script work, also where its path looks like a nested function."""
    monkeypatch.setattr(View, "in_process", False)
    started.engine.register(note.__wrapped__, "/home/<ann>/app.py:task", ("x",), {})
    started.hear()
    assert [each.task for each in started.jobs()] == ["/home/<ann>/app.py:task"]


def test_ids_sort_by_registration(started: Small) -> None:
    """contract 5: oldest first: by the moment of registration, and within one by the order of the calls."""
    results = [started.call(note.__wrapped__, str(number)) for number in range(300)]
    started.clock.advance(1.0)
    results += [started.call(note.__wrapped__, "last")]
    ids = [each.uuid for each in results]
    assert ids == sorted(ids)
    assert len(set(ids)) == 301
    started.settle()
    assert [each.uuid for each in started.engine.get_results()] == ids


def test_calls_from_many_threads_are_all_registered(started: Small) -> None:
    """contract 3: whatever thread calls."""

    def call() -> None:
        for number in range(50):
            started.call(note.__wrapped__, str(number))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    started.settle()
    assert len(ran) == 200
    assert len({each.uuid for each in started.engine.get_results()}) == 200


def test_while_a_worker_loads_the_application_its_calls_are_ignored(
    started: Small, caplog: pytest.LogCaptureFixture
) -> None:
    """design 2: tasks called during that import are ignored with a warning."""
    with registry.while_loading("/app.py"):
        result = note("again and again")
    assert result.status == Status.UNAVAILABLE
    assert "is ignored" in caplog.text
    assert started.jobs() == []
    assert ran == []


def test_inactive_nobody_can_be_asked(started: Small) -> None:
    """contract 4: a Result of a job, asked before start, says why it cannot know."""
    result = started.call(note.__wrapped__, "one")
    started.engine.stop()
    with pytest.raises(AutocronError, match="autocron is not started in this process"):
        result.is_ready()


def test_a_forked_child_of_a_worker_links_for_itself(started: Small) -> None:
    """design 2: forked children replace our state and link for themselves: what a task has forked registers too."""
    worker = Engine(started.world.interface())
    link, _ = started.world.pair(1)
    worker.bind(started.world.interface(), "app.db", Registrar(started.world.interface(), "app.db", link=link), True)
    worker._after_fork()
    assert worker._registrar is not None
    assert link.closed
    worker.register(note.__wrapped__, f"{__name__}:note", ("from the child",), {})
    worker._registrar.step()
    assert worker._registrar.link not in (None, link)
    started.hear()
    assert len(started.jobs()) == 1


# -- the link ------------------------------------------------------------------------------------------------


def test_a_dead_monitor_is_replaced_and_told_everything(started: Small) -> None:
    """design 2, self-healing: if the monitor dies, a linked application process starts the next."""
    old = started.process.pid
    started.world.kill(old)
    started.hear()
    assert started.process.pid != old
    assert started.call(note.__wrapped__, "one").status == Status.WAITING
    started.settle()
    assert ran == ["one"]


def test_settings_that_change_hold_in_the_application_at_once(started: Small) -> None:
    """contract 3: blocking mode, a setting; contract 1: switched off."""
    started.ask(messages.SETTINGS, {"enabled": False})
    started.hear()
    started.registrar.step()
    assert not started.engine.active
    started.ask(messages.SETTINGS, {"enabled": True})
    started.hear()
    started.registrar.step()
    assert started.engine.active


def test_the_level_of_the_log_is_passed_on(started: Small) -> None:
    """contract 6: one line each, to the application's stderr, as its loggers say."""
    logger = logging.getLogger("autocron")
    before = logger.level
    levels: list[int] = []
    logger.setLevel(logging.DEBUG)
    try:
        started.monitor._on_level = levels.append
        other = Engine(started.world.interface())
        other.start("app.db")
        assert levels == [logging.DEBUG]
        other.leave()
        started.hear()
    finally:
        logger.setLevel(before)
    # And what holds when it has gone is what who stays has said.
    assert levels == [logging.DEBUG, logger.getEffectiveLevel()]


def test_now_is_the_time_of_the_current_engine(started: Small) -> None:
    """contract 7: freeze_time and autocron agree about the time."""
    assert autocron.now().timestamp() == started.clock.time()
    assert engine.now().utcoffset() is not None
