"""Which calls fit a task. Applications ask; a worker that loads the same modules need not, nor import this."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from .errors import TaskError

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Signature:
    """What a function takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._signature = signature_of(function)
        parameters = self._signature.parameters.values()
        self.names = tuple(each.name for each in parameters if each.kind in _BY_POSITION)
        self.required = [each.name for each in parameters if _is_required(each)]
        self._positional = _plain_positional(self._signature)
        self._nameless = [each.name for each in parameters if each.kind is each.POSITIONAL_ONLY and _is_required(each)]

    def check(self, address: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """TypeError, which names the task, for arguments that do not fit."""
        if not kwargs and self._positional is not None and len(args) in self._positional:
            return
        try:
            self._signature.bind(*args, **kwargs)
            if missing := self._nameless[len(args) :]:  # Python 3.13.0 takes their names for others
                raise TypeError(f"missing a required argument: {missing[0]!r}")
        except TypeError as error:
            raise TypeError(f"{address}: {error}") from None


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """What the function takes itself: one that wraps another may add arguments to its call, or take some away.

    TaskError where nobody knows.
    """
    for follow_wrapped in (False, True):  # what is written in C (functools.cache) has only what it wraps
        with suppress(ValueError):
            return inspect.signature(function, follow_wrapped=follow_wrapped)
    raise TaskError(
        f"{function.__qualname__}: Python does not know what it takes, so wrong arguments could not be refused;"
        " decorate a function that calls it"
    )


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether a call runs nothing yet."""
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )


def _plain_positional(signature: inspect.Signature) -> range | None:
    """How many positional arguments alone are enough; None where only binding them can tell."""
    parameters = list(signature.parameters.values())
    if any(each.kind not in _BY_POSITION for each in parameters):
        return None
    return range(sum(map(_is_required, parameters)), len(parameters) + 1)
