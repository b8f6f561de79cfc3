"""autocron.run: whatever ends a function becomes an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from autocron.run import Ended, Interrupted, message_of, run


def test_arguments_are_passed_and_the_value_is_returned() -> None:
    """contract 3: a worker process calls the function."""
    ended = run(lambda a, *, b: (a, b), (1,), {"b": 2})
    assert (ended.value, ended.error, ended.exception, ended.traceback()) == ((1, 2), "", None, "")


def test_a_coroutine_is_run_in_a_loop_of_its_own() -> None:
    """contract 3: async functions are tasks."""

    async def task() -> bool:
        await asyncio.sleep(0)
        return asyncio.get_running_loop().is_running()

    assert run(task, (), {}).value is True
    assert run(task, (), {}).value is True


def test_a_coroutine_is_run_where_a_loop_is_running_already() -> None:
    """contract 3: autocron inactive: the function runs in the caller, who may be a coroutine, and sees its context."""
    name = ContextVar("name", default="")

    async def task() -> str:
        await asyncio.sleep(0)
        return name.get()

    async def fails() -> None:
        raise SystemExit(3)

    async def caller() -> None:
        name.set("ann")
        assert run(task, (), {}).value == "ann"
        assert run(fails, (), {}).error == "SystemExit: 3"

    asyncio.run(caller())


def test_only_an_interruption_passes() -> None:
    """contract 6: the end of the grace period is nothing that a task has done."""

    def task() -> None:
        raise Interrupted

    async def later() -> None:
        raise Interrupted

    for each in (task, later):
        with pytest.raises(Interrupted):
            run(each, (), {})


def test_an_error_keeps_its_traceback_without_our_frames() -> None:
    """contract 6: job failed (traceback): the application's lines only."""

    def task() -> None:
        raise ValueError("boom")

    ended = run(task, (), {})
    lines = ended.traceback().splitlines()
    assert ended.error == lines[-1] == "ValueError: boom"
    assert "in task" in lines[1]
    assert not any('run.py", line' in line and "autocron" in line and "tests" not in line for line in lines)


def test_a_message_is_never_empty() -> None:
    """contract 4: `''` when there is none, so an error has one."""
    assert message_of(AssertionError()) == "AssertionError"
    assert message_of(ValueError("")) == "ValueError"
    assert message_of(SystemExit(0)) == "SystemExit: 0"


class Plain(Exception):
    pass


def test_an_error_of_the_main_program_has_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 3: tasks of `__main__`: a worker, which loads that under another name, says what the caller says."""
    told = []
    for main in ("__main__", "__mp_main__"):
        monkeypatch.setattr(Plain, "__module__", main)
        told.append(message_of(Plain("text")))
    assert told == ["Plain: text", "Plain: text"]


def test_wrong_arguments_are_an_error_of_the_call() -> None:
    """contract 3: whatever ends the function: a deploy has changed its signature."""
    assert run(lambda: 1, (1,), {}).error.startswith("TypeError: ")


def test_what_runs_a_task_for_another_library_says_itself_how_it_ended() -> None:
    """contract 4: an error may come with more than its message."""
    said = Ended({"worker": 7}, "LookupError: gone", LookupError("gone"))
    assert run(lambda: said, (), {}) is said


class Hostile(type):
    """What lets nobody ask for a name."""

    def __getattribute__(cls, name: str) -> Any:
        raise SystemExit(name)


class Api(Exception):
    """An error of a library that looks up what it is asked for in what it was given."""

    def __getattr__(self, name: str) -> Any:
        return {"code": 1}[name]

    def __str__(self) -> str:
        return "api"


def unnamed() -> BaseException:
    """Not at the top, where pytest looks at everything."""

    class Unnamed(Exception, metaclass=Hostile):
        pass

    return Unnamed("x")


class Dumb(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (Api, "Api: api"),
        (unnamed, "Unnamed: x"),
        (Dumb, "Dumb"),
        (lambda: SyntaxError("bad", ("f.py", 1, "two", b"x")), "SyntaxError: "),
    ],
    ids=["api", "unnamed", "dumb", "syntax"],
)
def test_an_error_that_cannot_be_told_as_others_are_is_told_all_the_same(
    made: Callable[[], BaseException], told: str
) -> None:
    """contract 3: any exception ends in the Result."""

    def task() -> None:
        raise made()

    ended = run(task, (), {})
    assert told in ended.error
    assert isinstance(ended.traceback(), str)
