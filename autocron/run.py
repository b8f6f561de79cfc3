"""Running the function of a task: whatever ends it becomes an outcome."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from types import CoroutineType
from typing import Any, Final, NamedTuple

LONGEST_MESSAGE: Final = 100_000


class Interrupted(BaseException):
    """Raised inside a running job when its grace is over; the job waits again."""


class Ended(NamedTuple):
    """How a function ended; `error` is empty if it returned."""

    value: Any
    error: str
    exception: BaseException | None = None

    def traceback(self) -> str:
        """The lines of the traceback, without the frames of autocron itself."""
        if self.exception is None:
            return ""
        frames = self.exception.__traceback__
        while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith("autocron."):
            frames = frames.tb_next
        return "".join(traceback.format_exception(type(self.exception), self.exception, frames)).rstrip()


def run(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Ended:
    """Call the function; a coroutine is run to its end. Only `Interrupted` passes."""
    try:
        value = function(*args, **kwargs)
        if isinstance(value, CoroutineType):
            import asyncio  # noqa: PLC0415 - expensive, and few tasks need it

            value = asyncio.run(value)
    except Interrupted:
        raise
    except BaseException as error:
        return Ended(None, message_of(error), error)
    return Ended(value, "")


def message_of(error: BaseException) -> str:
    """Never empty, so that an error message tells that there was an error."""
    text = "".join(traceback.format_exception_only(error)).strip()
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}… ({len(text):,} characters)"
