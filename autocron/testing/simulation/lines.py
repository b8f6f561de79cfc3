"""A task of a user can be killed before each of its lines: a trace function makes every line a point."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final

from .machine import Machine

PACKAGE: Final = str(Path(__file__).resolve().parents[2])
LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@cache
def is_of_user(file: str) -> bool:
    """Whether this is a file of the program under test, and none of Python's, of a library's, or ours."""
    return not (file.startswith((PACKAGE, *LIBRARIES)) or file.startswith("<frozen"))


def with_points(machine: Machine, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a point before each line of it and of what it calls in the user's files."""

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if not is_of_user(code.co_filename):
            return None
        if event == "line":
            machine.point(f"{Path(code.co_filename).name}:{frame.f_lineno}")
        return trace

    def traced(*args: Any, **kwargs: Any) -> Any:
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            return function(*args, **kwargs)
        finally:
            sys.settrace(before)

    return traced
