"""A task of a user can be killed before each of its lines: a trace function makes every line a point."""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final

from ...run import completed
from .machine import Machine

PACKAGE: Final = str(Path(__file__).resolve().parents[2]) + os.sep
LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def program_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Where the files of the program begin that this task is part of: its own and its package, installed or not."""
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    package = sys.modules.get(function.__module__.partition(".")[0])
    paths = [os.path.join(path, "") for path in getattr(package, "__path__", ())]
    return tuple(paths) if code is None else (code.co_filename, *paths)


@cache
def is_of_user(file: str, program: tuple[str, ...] = ()) -> bool:
    """Whether this is a file of the program under test, and none of Python's, of a library's, or ours."""
    if file.startswith((PACKAGE, "<")):  # "<": what Python itself has made, of a NamedTuple or a dataclass
        return False
    return file.startswith(program) or not file.startswith(LIBRARIES)


def with_points(machine: Machine, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a point before each line of it and of what it calls in the user's files."""
    program = program_of(function)

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if not is_of_user(code.co_filename, program):
            return None
        if event == "line" and not machine.running.at_point:
            machine.point(f"{Path(code.co_filename).name}:{frame.f_lineno}")
        return trace

    def traced(*args: Any, **kwargs: Any) -> Any:
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            return completed(function(*args, **kwargs))  # a coroutine has its lines when it is run
        finally:
            sys.settrace(before)

    return traced
