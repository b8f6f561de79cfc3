"""Pickle, where it is allowed; and, where it fails, what in the value is to blame."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from contextlib import suppress
from copyreg import dispatch_table
from enum import Enum
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

from .errors import PayloadError
from .payload import MAX_DEPTH
from .refusal import attributes, described, short, way_out

PROTOCOL: Final = 5  # fixed, so that every supported Python reads what another one wrote


def read(data: bytes) -> Any:
    """The value, of a payload."""
    return _Unpickler(io.BytesIO(data[1:])).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # The application's main script, as a worker has loaded it.
        return super().find_class("__main__" if module == "__mp_main__" else module, name)


def pickled(value: object, name: str) -> bytes:
    """What holds `value`; PayloadError, which calls it `name` and finds the culprit in it, if it cannot be pickled."""
    try:
        return _dumps(value)
    except RecursionError:
        raise PayloadError(f"{name}: so many levels cannot be stored; nest less deeply") from None
    except Exception as error:  # __reduce__ of any class may raise anything
        steps, culprit, owner = _culprit(value, MAX_DEPTH)
        if owner is not culprit:
            instead = f"pass the data that the task needs, not {described(owner)}"
        else:
            instead = way_out(culprit) or "use what it is made from, and make it inside the task"
        raise PayloadError(f"{name}{steps}: {described(culprit)} cannot be stored; {instead}") from error


def _dumps(value: object) -> bytes:
    data = io.BytesIO()
    _Pickler(data, PROTOCOL).dump(value)
    return data.getvalue()


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        # An exception whose __init__ takes more than it keeps is pickled, and can never be read.
        if issubclass(kind := type(value), BaseException) and kind not in dispatch_table:
            made = value.__reduce_ex__(PROTOCOL)
            if type(made) is tuple:
                made[0](*made[1])
        return NotImplemented


def _culprit(value: Any, room: int) -> tuple[str, object, object]:
    """The way to what refuses to be pickled; the innermost such object; and the outermost one that is not mere data."""
    for step, child in _children(value) if room else ():
        try:
            _dumps(child)
        except Exception:
            steps, culprit, owner = _culprit(child, room - 1)
            is_data = not step.startswith(".") or hasattr(type(value), "__dataclass_fields__")
            return step + steps, culprit, owner if is_data else value
    return "", value, value


# Below, issubclass(type(value), …) and not isinstance: a proxy may do anything if asked for its __class__.


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    kind = type(value)
    if issubclass(kind, dict):
        for key, item in value.items():
            yield f" key {short(key)}", key
            yield f"[{short(key)}]", item
    elif issubclass(kind, list | tuple):
        yield from ((f"[{number}]", item) for number, item in enumerate(value))
    elif issubclass(kind, set | frozenset):
        yield from ((" element", item) for item in value)
    elif not issubclass(kind, type | Enum | ModuleType | FunctionType | MethodType):
        with suppress(Exception):
            yield from [(f".{name}", item) for name, item in attributes(value).items()]
