"""Workers that die in the middle of a task: is it safe to run it again?"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from .jobs import is_async, name_of
from .processes import WorkerProcess

Function = Callable[..., Any]


class Killed(BaseException):
    """Unwinds a function whose worker is dead: what it does from now on has no effect on autocron."""


class Crash:
    """The next runs of a task end by the death of their worker.

    before: a piece of the source line that is not reached any more; None: all of the function runs, but its outcome
    is lost. ValueError if no line of the task has it.
    """

    def __init__(self, address: str, function: Function, before: str | None, times: int) -> None:
        if times < 1:
            raise ValueError(f"times={times!r}: a worker dies once or more often")
        self.task = name_of(address)
        self.before = before
        self.times = self.left = times
        self.is_survived = False  # the task has caught it
        self.code: CodeType = inspect.unwrap(function).__code__
        self._line = None if before is None else _line_with(before, function, self.task)

    def check(self) -> None:
        """AssertionError if it has not come."""
        where = "" if self.before is None else f", before={self.before!r}"
        if self.left:
            came = self.times - self.left
            how = f"it came {came} of {self.times} times" if came else "it did not come"
            limit = ", and a job is given up when its third worker has died" if came else ""
            raise AssertionError(
                f"crash_worker(during={self.task}{where}): {how}; the task was not run, or not to that line{limit}"
            )
        if self.is_survived:
            raise AssertionError(
                f"crash_worker(during={self.task}{where}): the task has caught the death of its worker and gone on, "
                "which no dead process does; let it catch Exception instead of everything"
            )

    def wrap(self, process: WorkerProcess, function: Function) -> Function:
        """The function as a doomed worker runs it."""
        if is_async(function):

            async def crash_later(*args: Any, **kwargs: Any) -> Any:
                with _Doom(self, process) as doom:
                    value = await function(*args, **kwargs)
                    doom.at_end()
                return value

            return crash_later

        def crash(*args: Any, **kwargs: Any) -> Any:
            with _Doom(self, process) as doom:
                value = function(*args, **kwargs)
                doom.at_end()
            return value

        return crash

    def is_line(self, frame: FrameType) -> bool:
        """Whether this is the line that is not reached."""
        return frame.f_code is self.code and frame.f_lineno == self._line


class _Doom:
    """The worker dies inside the block: at a line, or when the function has ended."""

    def __init__(self, crash: Crash, process: WorkerProcess) -> None:
        self._crash = crash
        self._process = process
        self._before: Any = None

    def __enter__(self) -> _Doom:
        if self._crash.before is not None:
            self._before = sys.gettrace()
            sys.settrace(self._trace)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._crash.before is not None:
            sys.settrace(self._before)
            self._crash.is_survived |= error is None and not self._process.is_alive
        elif error is not None and not isinstance(error, Killed):
            self._die()  # it has raised, and nobody will know

    def at_end(self) -> None:
        if self._crash.before is None:
            self._die()

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._trace_line if frame.f_code is self._crash.code else None

    def _trace_line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line" and self._crash.is_line(frame):
            self._die()
        return self._trace_line

    def _die(self) -> None:
        self._crash.left -= 1
        self._process.world.kill(self._process.pid)
        raise Killed(f"the worker of {self._crash.task} is killed")


def _line_with(text: str, function: Function, name: str) -> int:
    lines, first = inspect.getsourcelines(inspect.unwrap(function))
    found = [number for number, line in enumerate(lines, first) if text in line]
    if len(found) != 1:
        listed = "".join(lines)
        raise ValueError(f"before={text!r}: {len(found)} lines of {name} have it, exactly one is needed\n{listed}")
    return found[0]
