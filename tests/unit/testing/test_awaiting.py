"""autocron.testing: tasks that are an `async def`."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest

import autocron
from autocron.testing import FakeEngine, TaskPending, arun_pending, fast_forward, run_pending, trap


def test_an_async_task_runs_in_a_plain_test(fake_engine: FakeEngine) -> None:
    """contract 3: a coroutine is run to its end."""

    @autocron.delay
    async def double(n: int) -> int:
        await asyncio.sleep(0)
        return 2 * n

    double(21)
    assert run_pending().results == [42]


def test_an_async_task_is_awaited_in_the_loop_of_the_test(fake_engine: FakeEngine) -> None:
    """contract 7: `await arun_pending()` awaits coroutines in the caller's loop."""
    loops = []

    @autocron.delay
    async def note() -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())

    @autocron.delay
    def plain() -> None: ...

    async def test() -> None:
        note()
        plain()
        report = await arun_pending()
        assert report.times == 2
        note()
        assert (await fake_engine.afast_forward("1h")).ran(note).times == 1
        assert loops == [asyncio.get_running_loop()] * 2

    asyncio.run(test())


def test_the_error_of_an_async_task_is_raised(fake_engine: FakeEngine) -> None:
    """contract 7: the original exception object is raised."""
    error = ValueError("no")

    @autocron.delay
    async def fail() -> None:
        raise error

    async def test() -> None:
        fail()
        await arun_pending()

    with pytest.raises(ValueError, match="no") as caught:
        asyncio.run(test())
    assert caught.value is error


def test_the_plain_form_in_a_loop_names_the_other_one(fake_engine: FakeEngine) -> None:
    """contract 7: the sync form with a running loop and an async task says what to do, and the job still waits."""

    @autocron.delay
    async def note() -> None: ...

    async def test() -> None:
        note()
        with pytest.raises(autocron.AutocronError, match=r"use `await fake_engine.arun_pending\(\)`"):
            run_pending()

    asyncio.run(test())
    assert fake_engine.enqueued(note)
    assert fast_forward(0).ran(note).times == 1


def test_a_decorated_async_task_is_awaited_too(fake_engine: FakeEngine) -> None:
    """contract 7: coroutines are awaited in the caller's loop, whatever lies between the task and the `async def`."""
    loops = []

    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @autocron.delay
    @logged
    async def note() -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())

    @autocron.delay
    def hides_it() -> Any:
        return note.__wrapped__()

    async def test() -> None:
        note()
        assert (await arun_pending()).ran(note).ok
        assert loops == [asyncio.get_running_loop()]
        hides_it()
        assert (await arun_pending()).ran(hides_it).ok  # in a loop of its own, as in production
        assert len(loops) == 2

    asyncio.run(test())


def test_a_task_may_start_a_loop_inside_a_loop(fake_engine: FakeEngine) -> None:
    """testing 1: one execution path: a worker has no loop, and neither has a task of a test that has one."""

    async def five() -> int:
        await asyncio.sleep(0)
        return 5

    @autocron.delay
    def runs_a_loop() -> int:
        return asyncio.run(five())

    async def test() -> None:
        here, task = asyncio.get_running_loop(), asyncio.current_task()
        runs_a_loop()
        assert (await arun_pending()).results == [5]
        assert (asyncio.get_running_loop(), asyncio.current_task()) == (here, task)
        runs_a_loop()
        assert run_pending().results == [5]
        with trap("worker.run.before") as held:
            runs_a_loop()
            assert not await arun_pending()
            held.release()
            assert (await arun_pending()).results == [5]

    asyncio.run(test())


def test_inline_runs_async_tasks_of_an_async_application(fake_engine: FakeEngine) -> None:
    """testing 2.3: a call runs its job before it returns, also in a loop; the coroutine has one of its own."""

    @autocron.delay
    async def double(n: int) -> int:
        await asyncio.sleep(0)
        return 2 * n

    async def request() -> int:
        result = double(21)
        assert result.is_ready()
        await asyncio.sleep(0)
        return int(result.result)

    with fake_engine.mode("inline"):
        assert asyncio.run(request()) == 42


def test_a_cancelled_test_leaves_the_job_waiting(fake_engine: FakeEngine) -> None:
    """contract 6: an interrupted job waits again."""

    @autocron.delay
    async def endless() -> None:
        await asyncio.Event().wait()

    async def test() -> None:
        endless()
        run = asyncio.ensure_future(arun_pending())
        await asyncio.sleep(0)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(test())
    assert fake_engine.enqueued(endless)


class Odd(BaseException):
    """No `Exception`."""


@pytest.mark.parametrize("kind", [asyncio.CancelledError, Odd, SystemExit])
def test_whatever_ends_a_task_ends_in_its_result(fake_engine: FakeEngine, kind: type[BaseException]) -> None:
    """contract 3: whatever ends the function, in an event loop and outside; only what ends the test passes."""

    @autocron.delay
    def plain() -> None:
        raise kind

    @autocron.delay
    async def later() -> None:
        await asyncio.sleep(0)
        raise kind

    async def test() -> None:
        result = later()
        assert isinstance((await arun_pending(raises=False)).failed[0].exc, kind)
        assert result.is_ready()
        assert result.has_error
        later()
        with pytest.raises(kind):
            await arun_pending()

    asyncio.run(test())
    plain()
    later()
    assert [type(run.exc) for run in run_pending(raises=False).failed] == [kind, kind]
    assert not fake_engine.pending()


def test_what_a_task_cancels_itself_is_its_own(fake_engine: FakeEngine) -> None:
    """contract 3: a part of the task that was cancelled, and for which it waits, ends the task and not the test."""

    @autocron.delay
    async def give_up() -> None:
        part = asyncio.ensure_future(asyncio.Event().wait())
        await asyncio.sleep(0)
        part.cancel()
        await part

    async def test() -> None:
        give_up()
        assert (await arun_pending(raises=False)).failed.times == 1

    asyncio.run(test())


def test_trio_may_cancel_the_test(fake_engine: FakeEngine) -> None:
    """contract 6: an interrupted job waits again, whatever library's loop this is."""
    import trio

    @autocron.delay
    async def endless() -> None:
        await trio.sleep_forever()

    async def test() -> None:
        endless()
        with trio.move_on_after(0):
            await arun_pending(raises=False)

    trio.run(test)
    assert fake_engine.enqueued(endless)


def test_the_loop_may_be_that_of_trio(fake_engine: FakeEngine) -> None:
    """contract 7: a plain await, so that asyncio, trio and anyio are alike."""
    import anyio
    import trio

    @autocron.delay
    async def note() -> str:
        await anyio.sleep(0)
        return trio.lowlevel.current_task().name

    async def test() -> None:
        note()
        with pytest.raises(autocron.AutocronError, match="arun_pending"):
            run_pending()
        (name,) = (await arun_pending()).results
        assert name == trio.lowlevel.current_task().name

    trio.run(test)


def test_the_loop_may_be_that_of_anyio(fake_engine: FakeEngine) -> None:
    """contract 7: as with asyncio."""
    import anyio

    @autocron.delay
    async def note() -> int:
        await anyio.sleep(0)
        return anyio.get_current_task().id

    async def test() -> None:
        note()
        assert (await arun_pending()).results == [anyio.get_current_task().id]

    anyio.run(test)


def test_polls_in_a_loop_raise_when_nobody_answers_them(fake_engine: FakeEngine) -> None:
    """testing 1: never hang; another coroutine has some time to have the job run."""

    @autocron.delay
    async def double(n: int) -> int:
        return 2 * n

    async def poll(result: autocron.Result[int]) -> int:
        while not result.is_ready():
            await asyncio.sleep(0)
        return result.result

    async def run_later() -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        await arun_pending()

    async def test() -> None:
        assert (await asyncio.gather(poll(double(21)), run_later()))[0] == 42
        with pytest.raises(TaskPending, match=r"await arun_pending\(\) or afast_forward\(\) before"):
            await poll(double(1))

    asyncio.run(test())
