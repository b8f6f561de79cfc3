"""Which calls fit a task. Applications ask; a worker that loads the same modules need not, nor import this."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


class Signature:
    """What a function takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._signature = inspect.signature(function)
        parameters = self._signature.parameters.values()
        self.names = tuple(self._signature.parameters)
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
    if any(each.kind not in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters):
        return None
    return range(sum(map(_is_required, parameters)), len(parameters) + 1)
