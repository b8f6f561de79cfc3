"""autocron.system.threads: what the real background decides by itself."""

from __future__ import annotations

import asyncio
import multiprocessing.process  # noqa: F401 - looked for where it is imported
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest

from autocron.system.bell import PipeBell
from autocron.system.threads import BackgroundThread


@contextmanager
def thread(step: Callable[[], bool]) -> Iterator[BackgroundThread]:
    """A background that has closed its bell, and ended, before another test begins."""
    others = set(threading.enumerate())
    yield BackgroundThread(step, PipeBell())
    for each in set(threading.enumerate()) - others:
        each.join()


@pytest.fixture
def background() -> Iterator[BackgroundThread]:
    with thread(lambda: False) as made:
        yield made


def test_only_who_runs_an_event_loop_is_spared(background: BackgroundThread) -> None:
    """Contract 3: a call of a task does not hold up an event loop; other callers send what comes alone themselves."""

    async def in_loop() -> tuple[bool, bool]:
        return background.spares_caller(), await asyncio.to_thread(background.spares_caller)

    assert not background.spares_caller()
    assert asyncio.run(in_loop()) == (True, False)
    assert not background.spares_caller()


def test_who_is_ended_by_a_signal_blocks(background: BackgroundThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract 6: what a process of `multiprocessing.Pool` has called is stored when it answers; then it is killed."""
    assert not background.must_block()
    monkeypatch.setattr("multiprocessing.process.current_process", lambda: SimpleNamespace(daemon=True))
    assert background.must_block()
    monkeypatch.setattr(signal, "getsignal", lambda number: print)  # a server's worker, which sees to its end itself
    assert not background.must_block()


def test_nobody_is_waited_for_when_the_interpreter_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Design 1.1: a finalizer that comes then does not wait for a thread that will never run again."""
    ending = threading.Event()
    with thread(lambda: not ending.wait()) as background:
        monkeypatch.setattr(sys, "is_finalizing", lambda: True)
        assert not background.wait_for(lambda: False)
        ending.set()


def test_what_another_thread_is_just_importing_is_not_used_yet(
    background: BackgroundThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contract 3: a call may meet a module of which only a part is there yet."""
    for name in ("asyncio.events", "multiprocessing.process"):
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__spec__._initializing = True  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    assert not background.spares_caller()
    assert not background.must_block()


@pytest.mark.parametrize("until", [2 * threading.TIMEOUT_MAX, 1e300, float("inf")])
def test_who_waits_for_ages_is_woken_all_the_same(until: float) -> None:
    """Contract 1: `stop` waits for the grace period, however long somebody has made it."""
    ending = threading.Event()

    def condition() -> bool:
        if background._gates:  # it is about to sleep
            ending.set()
        return False

    with thread(lambda: not ending.wait()) as background:
        assert not background.wait_for(condition, until)
