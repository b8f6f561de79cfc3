"""Running the function of a task: whatever ends it becomes an outcome."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from types import CoroutineType, TracebackType
from typing import Any, Final, NamedTuple

LONGEST_MESSAGE: Final = 100_000
MAIN: Final = "__mp_main__."  # the main program, as a worker has loaded it

LEADING: Final = ("autocron.", "asyncio.", "concurrent.", "asgiref.", "django.tasks.")  # modules that lead to a task

attempt: ContextVar[int] = ContextVar("attempt", default=1)  # of the job that a worker runs; death ends one too


class Interrupted(BaseException):
    """Raised inside a running job when its grace is over; the job waits again."""


class Ended(NamedTuple):
    """How a function ended; `error` is empty if it returned.

    What runs a task for another library returns one itself: it may have to tell of an error more than its message.
    """

    value: Any
    error: str
    exception: BaseException | None = None

    def traceback(self) -> str:
        """The lines of the traceback, without the frames that led to the task; empty if there are no others."""
        error = self.exception
        return "" if error is None else _text_of(lambda: _traceback_of(error), lambda: "")


def run(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Ended:
    """Call the function; a coroutine is run to its end. Only `Interrupted` passes."""
    try:
        value = completed(function(*args, **kwargs))
    except Interrupted:
        raise
    except BaseException as error:
        return Ended(None, message_of(error), error)
    return value if isinstance(value, Ended) else Ended(value, "")


def completed(value: Any) -> Any:
    """What a function has returned; a coroutine is run to its end.

    In a Django project as Django does it: what it asks the database is asked in this thread, whose connections are
    looked after.
    """
    if not isinstance(value, CoroutineType):
        return value
    import asyncio  # noqa: PLC0415 - expensive, and few tasks need it

    if asyncio._get_running_loop() is not None:
        # The caller is a coroutine itself, and one thread cannot have two loops that run.
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - where autocron is not active only
        from contextvars import copy_context  # noqa: PLC0415

        with ThreadPoolExecutor(1) as elsewhere:
            return elsewhere.submit(copy_context().run, completed, value).result()
    apps = sys.modules.get("django.apps")
    if apps is None or not apps.apps.ready:
        return asyncio.run(value)
    from asgiref.sync import async_to_sync  # noqa: PLC0415 - Django has it

    begun: list[tuple[Any, Any]] = []

    async def complete() -> Any:
        begun.append((asyncio.get_running_loop(), asyncio.current_task()))
        return await value

    try:
        return async_to_sync(complete)()
    except Interrupted:  # it comes in this thread, and the loop may run in another one
        for loop, task in begun:
            loop.call_soon_threadsafe(task.cancel)
        raise


def _is_ours(error: BaseException) -> bool:
    """Whether nothing but autocron has a part in it: then its message says all."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        frames = each.__traceback__
        while frames is not None:
            if not _module_of(frames).startswith("autocron."):
                return False
            frames = frames.tb_next
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return True


def _module_of(frames: TracebackType) -> str:
    return str(frames.tb_frame.f_globals.get("__name__", ""))


def _traceback_of(error: BaseException) -> str:
    if _is_ours(error):
        return ""
    frames = error.__traceback__
    while frames is not None and _module_of(frames).startswith(LEADING):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames)).rstrip()


def message_of(error: BaseException) -> str:
    """Never empty, so that an error message tells that there was an error."""
    name = type.__getattribute__(type(error), "__qualname__")
    told = _text_of(lambda: "".join(traceback.format_exception_only(error)), lambda: f"{name}: {error}")
    return shortened(told.strip().removeprefix(MAIN) or name)


def report_of(error: BaseException) -> str:
    """Its traceback as Python shows it, as far as it can be told."""
    return shortened(_text_of(lambda: "".join(traceback.format_exception(error)), lambda: message_of(error)))


def _text_of(*ways: Callable[[], str]) -> str:
    """The text that the first of these ways gives: whoever writes exceptions may let anything raise anything."""
    for way in ways:
        try:
            return way()
        except Interrupted:
            raise
        except BaseException:  # noqa: S112 - there is nobody to be told: it is what should tell
            continue
    return ""


def shortened(text: str) -> str:
    """The text, unless it is too long to be kept; then its beginning."""
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}… ({len(text):,} characters)"
