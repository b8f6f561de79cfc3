"""autocron.system.bell and the thread that listens: whoever rings is heard, whatever happens to the pipe."""

from __future__ import annotations

import gc
import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from autocron.interface import Event
from autocron.system import bell as bells
from autocron.system.bell import PipeBell
from autocron.system.clock import SystemClock
from autocron.system.processes import Processes
from autocron.system.threads import BackgroundThread

PATIENCE_S = 60.0  # the last line


def is_readable(bell: PipeBell) -> bool:
    poll = select.poll()
    poll.register(bell.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def test_a_bell_that_is_rung_is_heard_once() -> None:
    """design 3: makes the current or the next wait return; cheap when repeated."""
    bell = PipeBell()
    with bells.attending([bell]) as rung:
        assert not rung
        for _ in range(100_000):  # a pipe holds 65,536 bytes
            bell.ring()
        assert is_readable(bell)
        assert list(bell.receive(select.POLLIN)) == []
        assert not is_readable(bell)
        bell.ring()
        assert is_readable(bell)
    bell.close()
    bell.close()


def test_who_is_awake_is_told_without_a_byte_and_does_not_sleep() -> None:
    """contract 3: a call holds up nobody: a system call lets go of the interpreter, which others then take."""
    bell = PipeBell()
    bell.ring()
    assert not is_readable(bell)
    with bells.attending([bell]) as rung:
        assert rung
    with bells.attending([bell]) as rung:
        assert not rung
    bell.ring()
    Processes().wait([bell], None)  # returns
    assert not bell.is_rung()
    bell.close()


def test_what_rings_is_not_forgotten_when_the_waiting_is_broken_off() -> None:
    """contract 6: an exception of a handler, while somebody waits, leaves to the next one what is not looked at yet."""
    bell = PipeBell()
    bell.ring()
    with suppress(KeyboardInterrupt), bells.attending([bell]):
        raise KeyboardInterrupt
    assert bell.is_rung()
    bell.close()


def test_a_bell_whose_pipe_was_taken_away_gets_another_one() -> None:
    """design 7: an application closes all descriptors to become a daemon."""
    bell = PipeBell()
    for fd in bell._ends[:2]:
        os.close(fd)
    assert not bell.is_ours()
    list(bell.disowned())
    assert bell.is_ours()
    with bells.attending([bell]):
        bell.ring()
        assert is_readable(bell)
    bell.close()


def test_a_closed_bell_stays_closed() -> None:
    """design 2: forked children let go of what the fork has copied."""
    bell = PipeBell()
    bell.close()
    bell.ring()
    assert bell.fileno() == -1


def test_who_rings_when_no_descriptor_is_left_is_not_hurt(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 3: a registration is not refused for want of a bell; the next one tries again."""
    bell = PipeBell()
    for fd in bell._ends[:2]:
        os.close(fd)
    with bells.attending([bell]):
        with monkeypatch.context() as patch:
            patch.setattr(os, "pipe2", _refuse)
            bell.ring()
        assert not bell.is_ours()
        bell.ring()
        assert bell.is_ours()
    with bells.attending([bell]) as rung:
        assert rung
    bell.close()


def _refuse(flags: int) -> tuple[int, int]:
    raise OSError(24, "Too many open files")


@pytest.fixture
def without_garbage() -> Iterator[None]:
    """What other tests have left is not closed in the middle of this one, where the system's calls raise."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_garbage")
@pytest.mark.parametrize("moment", ["os.write", "os.fstat"])
def test_a_ring_that_a_signal_handler_breaks_off(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 6: an exception of a handler (Ctrl-C, an alarm) leaves a bell that still rings."""
    bell = PipeBell()
    name = moment.partition(".")[2]
    really = getattr(os, name)
    for number in range(8):  # each of the calls that `ring` makes, and after the last of them
        calls = iter(range(number))

        def interrupted(*arguments: Any, calls: Iterator[int] = calls) -> Any:
            if next(calls, None) is None:
                raise KeyboardInterrupt
            return really(*arguments)

        with bells.attending([bell]):
            with monkeypatch.context() as patch:
                patch.setattr(os, name, interrupted)
                with suppress(KeyboardInterrupt):
                    bell.ring()
            bell.ring()
            assert is_readable(bell)
            list(bell.receive(select.POLLIN))
    bell.close()


@pytest.mark.usefixtures("without_garbage")
@pytest.mark.parametrize("moment", ["os.write", "os.fstat"])
def test_a_signal_handler_that_rings_in_the_middle_of_a_ring_may_wait(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """contract 6: what it waits for comes, though the ring that it has interrupted goes on only afterwards."""
    bell = PipeBell()
    name = moment.partition(".")[2]
    really = getattr(os, name)
    for number in range(6):
        calls = iter(range(number))
        heard: list[bool] = []

        def interrupted(*arguments: Any, calls: Iterator[int] = calls, heard: list[bool] = heard) -> Any:
            if next(calls, None) is None and not heard:
                heard.append(False)
                bell.ring()
                heard[0] = is_readable(bell)
            return really(*arguments)

        with bells.attending([bell]):
            with monkeypatch.context() as patch:
                patch.setattr(os, name, interrupted)
                bell.ring()
            assert heard in ([], [True])
            list(bell.receive(select.POLLIN))
    bell.close()


def test_a_ring_that_ends_late_does_not_pass_for_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 6: between its byte and its end another thread may have rung, and been broken off by an exception."""
    bell = PipeBell()
    really = os.write

    def late(fd: int, data: bytes) -> int:
        written = really(fd, data)
        monkeypatch.setattr(os, "write", really)
        bell.answer()
        monkeypatch.setattr(bell, "_wake", _interrupt)
        with suppress(KeyboardInterrupt):
            bell.ring()
        monkeypatch.undo()
        return written

    with bells.attending([bell]):
        monkeypatch.setattr(os, "write", late)
        bell.ring()
        assert not is_readable(bell)
        bell.ring()
        assert is_readable(bell)
    bell.close()


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_a_signal_handler_may_wait_in_the_middle_of_a_wait() -> None:
    """contract 6: whoever it has interrupted sleeps on, and is still woken."""
    bell = PipeBell()
    with bells.attending([bell]):
        with bells.attending([bell]):
            pass
        bell.ring()
        assert is_readable(bell)
    bell.close()


class Listening:
    """A thread that waits for a bell, as a registrar's does: it looks, then sleeps until it is rung."""

    def __init__(self) -> None:
        self.processes = Processes()
        self.bell = PipeBell()
        self.pending: list[str] = []
        self.seen: list[str] = []
        self.ending = False
        self.others = set(threading.enumerate())
        self.background = BackgroundThread(self.step, self.bell)

    def step(self) -> bool:
        while self.pending:
            self.seen.append(self.pending.pop())
        self.processes.wait([self.bell], None)
        return not self.ending

    def sleep(self) -> None:
        """Return when all its threads sleep in poll."""
        for each in self.threads():
            while "poll" not in Path(f"/proc/self/task/{each.native_id}/wchan").read_text():
                os.sched_yield()

    def say(self, word: str) -> bool:
        """Whether it is heard."""
        self.pending.append(word)
        self.bell.ring()
        return self.background.wait_for(lambda: word in self.seen, SystemClock.monotonic() + PATIENCE_S)

    def threads(self) -> set[threading.Thread]:
        """Those that listen, or sleep where nobody rings."""
        return set(threading.enumerate()) - self.others

    def end(self) -> None:
        """Return when the bell is closed: the next test may look at each call of the system."""
        listener = None if self.background._stopped else self.background._thread
        self.ending = True
        self.bell.ring()
        for each in self.threads():
            if each.ident == listener:
                each.join()


@pytest.fixture(name="listening")
def fixture_listening() -> Iterator[Listening]:
    listening = Listening()
    yield listening
    listening.end()


@pytest.fixture(name="take")
def fixture_take() -> Iterator[Callable[[Listening], None]]:
    """Give the bell's numbers to pipes in which nothing ever happens."""
    taken: list[int] = []

    def take(listening: Listening) -> None:
        listening.sleep()
        bell = listening.bell
        quiet = os.pipe()
        for fd in bell._ends[:2]:
            os.dup2(quiet[0], fd)
        taken.extend((*quiet, *bell._ends[:2]))

    yield take
    for fd in taken:
        os.close(fd)


def test_numbers_that_are_taken_while_the_thread_sleeps_on_them(
    listening: Listening, take: Callable[[Listening], None]
) -> None:
    """contract 6: close all descriptors to become daemons: the sleeping thread knows nothing of it; another goes on."""
    assert listening.say("before")
    for number in range(20):
        take(listening)
        assert listening.say(f"after {number}")
        assert listening.say(f"again {number}")


def test_numbers_that_are_taken_behind_a_ring_that_was_not_heard(
    listening: Listening, take: Callable[[Listening], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """contract 6: the byte is gone with the pipe, although the bell believes that it is rung."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: len(data))
        listening.bell.ring()
    take(listening)
    assert listening.say("after")


def test_many_who_ring_at_once_have_one_thread(listening: Listening, take: Callable[[Listening], None]) -> None:
    """contract 6: whatever thread rings first: one thread goes on, and everybody is heard."""
    take(listening)
    heard: list[bool] = []
    gate = threading.Barrier(8)

    def say(number: int) -> None:
        gate.wait()
        heard.append(listening.say(f"from {number}"))

    threads = [threading.Thread(target=say, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert heard == [True] * 8
    assert len(listening.threads()) == 2  # with the one that sleeps where nobody rings


def test_a_thread_that_is_woken_long_after_leaves_everything_to_its_successor(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """contract 6: it ends, and what it has taken from the pipe is said again."""
    reader, writer = os.pipe()
    former = os.dup(listening.bell._ends[1])  # what the sleeping thread is woken by
    (sleeper,) = listening.threads()
    listening.sleep()
    taken = listening.bell._ends[:2]
    for fd in taken:
        os.dup2(reader, fd)
    assert listening.say("after")
    (successor,) = listening.threads() - {sleeper}
    receive = listening.bell.receive

    def receive_the_others(mask: int) -> Iterator[Event]:
        """Somebody rings, and the sleeper is the one who reads it."""
        if threading.current_thread() is sleeper:
            listening.pending.append("at last")
        return receive(mask)

    monkeypatch.setattr(listening.bell, "receive", receive_the_others)
    os.write(writer, b"x")
    os.write(former, b"!")
    sleeper.join(PATIENCE_S)
    assert listening.threads() == {successor}
    assert listening.background.wait_for(lambda: "at last" in listening.seen, SystemClock.monotonic() + PATIENCE_S)
    assert os.read(reader, 100) == b"x"  # it was not ours
    for fd in (reader, writer, former, *taken):
        os.close(fd)


def test_where_no_thread_can_be_started_any_more_nobody_waits_for_one(
    listening: Listening, take: Callable[[Listening], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """design 7: new threads fail while the interpreter ends: what waits is then written by who waits."""
    take(listening)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _end)
        assert listening.say("in vain") is False


def _end(thread: threading.Thread) -> None:
    raise RuntimeError("can't create new thread at interpreter shutdown")


def test_who_was_left_behind_does_not_say_that_nobody_listens() -> None:
    """contract 6: where its successor sleeps, a bell that is taken away again must be noticed again."""
    bell = PipeBell()
    with ExitStack() as successor:
        with bells.attending([bell]):
            successor.enter_context(bells.attending([bell]))
        bell.ring()
        assert is_readable(bell)
    assert not bell.sleepers
    bell.close()
