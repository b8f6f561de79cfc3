"""autocron.in_caller: those who wait do the work; whoever does it, everybody gets what is his."""

from __future__ import annotations

import threading
from pathlib import Path

from autocron.in_caller import InCaller
from autocron.system import real_interface
from autocron.system.bell import PipeBell
from autocron.system.clock import SystemClock
from autocron.system.processes import Processes

PATIENCE_S = 60.0  # the last line


class Post:
    """What comes is taken by whoever steps, for all."""

    def __init__(self) -> None:
        self.processes = Processes()
        self.caller = InCaller(real_interface(self.processes), self.step)
        self.bell = PipeBell()
        self.sent: set[str] = set()
        self.come: set[str] = set()
        self.readers: set[int] = set()
        self.most_readers = 0

    def step(self, until: float | None) -> bool:
        self.readers.add(threading.get_ident())
        self.most_readers = max(self.most_readers, len(self.readers))
        self.processes.wait([self.bell], None)
        self.come |= self.sent
        self.readers.discard(threading.get_ident())
        return "the end" not in self.come

    def await_(self, name: str) -> bool:
        return self.caller.wait_for(lambda: name in self.come, SystemClock.monotonic() + PATIENCE_S)

    def send(self, *names: str) -> None:
        self.sent |= set(names)
        self.bell.ring()


def sleeping(*names: str, post: Post, heard: dict[str, bool]) -> list[threading.Thread]:
    """Threads that wait for these, each in a system call."""

    def wait(name: str) -> None:
        heard[name] = post.await_(name)

    threads = [threading.Thread(target=wait, args=(name,), daemon=True) for name in names]
    for each in threads:
        each.start()
        while "poll" not in Path(f"/proc/self/task/{each.native_id}/wchan").read_text():
            pass
    return threads


def test_what_one_reads_another_waits_for() -> None:
    """contract 6: threads of a process that has joined: nobody sleeps on when his answer is there."""
    for together in (("a", "b", "c"), ("c",), ("b", "c"), ("a",)):
        post, heard = Post(), dict[str, bool]()
        threads = sleeping("a", "b", "c", post=post, heard=heard)
        post.send(*together)
        for each, name in zip(threads, "abc", strict=True):
            if name in together:
                each.join(PATIENCE_S)
                assert heard[name]
        post.send("a", "b", "c")
        for each in threads:
            each.join(PATIENCE_S)
        assert heard == {"a": True, "b": True, "c": True}
        assert post.most_readers == 1


def test_when_there_is_nothing_more_to_do_nobody_waits() -> None:
    """contract 1: another thread stops."""
    post, heard = Post(), dict[str, bool]()
    threads = sleeping("a", "b", post=post, heard=heard)
    post.send("the end")
    post.bell.ring()
    for each in threads:
        each.join(PATIENCE_S)
        post.bell.ring()
    assert heard == {"a": False, "b": False}


def test_a_signal_handler_that_waits_in_the_middle_of_a_step() -> None:
    """contract 6: nobody else would do the work."""
    post, heard = Post(), dict[str, bool]()

    def step(until: float | None) -> bool:
        if "inner" not in heard:
            heard["inner"] = False
            post.send("inner")
            heard["inner"] = post.await_("inner")
            post.send("outer")
        return post.step(until)

    post.caller = InCaller(real_interface(post.processes), step)
    assert post.await_("outer")
    assert heard == {"inner": True}


def test_who_is_broken_off_leaves_the_work_to_the_others() -> None:
    """contract 6: an exception that a signal handler raises in the middle of a step."""
    post, heard = Post(), dict[str, bool]()
    breaking = threading.Event()

    def step(until: float | None) -> bool:
        going = post.step(until)
        if breaking.is_set():
            breaking.clear()
            raise KeyboardInterrupt
        return going

    post.caller = InCaller(real_interface(post.processes), step)

    def wait_and_break() -> None:
        try:
            post.await_("a")
        except KeyboardInterrupt:
            heard["a"] = False

    breaking.set()
    first = threading.Thread(target=wait_and_break, daemon=True)
    first.start()
    while not post.readers:
        pass
    (second,) = sleeping("b", post=post, heard=heard)
    post.send()
    first.join(PATIENCE_S)
    post.send("b")
    second.join(PATIENCE_S)
    assert heard == {"a": False, "b": True}
