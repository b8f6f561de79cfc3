"""Why a value cannot be stored, and what to do instead, in words."""

from __future__ import annotations

import io
import reprlib
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

PLAIN_DATA = "convert it to plain data (numbers, text, lists, dicts, dataclasses), or allow pickle"


class Refusal(Exception):
    """JSON cannot hold it: why, what else to do, and the way there, collected while the recursion unwinds."""

    def __init__(self, reason: str, way_out: str) -> None:
        self.reason = reason
        self.way_out = way_out
        self.steps: list[str] = []  # innermost first
        self.parents: list[int] = []


def sentence(refusal: Refusal | RecursionError, name: str) -> str:
    if isinstance(refusal, RecursionError):
        return f"{name}: so many levels cannot be stored; nest less deeply"
    if len(set(refusal.parents)) < len(refusal.parents):
        return f"{name}: what contains itself cannot be stored; break the circle, or allow pickle"
    return f"{name}{''.join(reversed(refusal.steps))}: {refusal.reason}; {refusal.way_out}"


def described(value: Any) -> str:
    kind = type(value)
    if kind is FunctionType:
        return "a lambda" if value.__name__ == "<lambda>" else f"the function {value.__qualname__}"
    if issubclass(kind, type):
        return f"the class {value.__qualname__}"
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"an {name}" if name[:1] in "aeiou" else f"a {name}"


def way_out(value: Any) -> str:
    kind = type(value)
    if issubclass(kind, io.IOBase):
        return "use its path, and open it inside the task"
    if issubclass(kind, FunctionType | MethodType):
        return "use the data it needs, and choose the function inside the task"
    if issubclass(kind, Iterator):
        return "use a list of what it yields"
    if "<locals>" in (value if issubclass(kind, type) else kind).__qualname__:
        return "define the class at the top of its module"
    return ""


def short(key: object) -> str:
    try:
        return reprlib.repr(key)
    except ValueError:  # an int of too many digits
        return f"<{type(key).__name__}>"


def attributes(value: object) -> dict[str, Any]:
    """The attributes of `value`, those in slots too, whatever its class says about pickling."""
    state: Any = object.__getstate__(value)
    return {**(state[0] or {}), **state[1]} if type(state) is tuple else state or {}
