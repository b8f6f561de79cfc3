"""The methods of the fake engine in force, as functions: `fast_forward("2d")`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from .engine import FakeEngine, current

P = ParamSpec("P")
T = TypeVar("T")


def _of_the_one_in_force(method: Callable[Concatenate[FakeEngine, P], T]) -> Callable[P, T]:
    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        bound: Callable[P, T] = getattr(current(), method.__name__)
        return bound(*args, **kwargs)

    signature = inspect.signature(method)
    shown: Any = call
    shown.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])
    return call


run_pending = _of_the_one_in_force(FakeEngine.run_pending)
arun_pending = _of_the_one_in_force(FakeEngine.arun_pending)
fast_forward = _of_the_one_in_force(FakeEngine.fast_forward)
afast_forward = _of_the_one_in_force(FakeEngine.afast_forward)
fast_forward_to_next = _of_the_one_in_force(FakeEngine.fast_forward_to_next)
travel_to = _of_the_one_in_force(FakeEngine.travel_to)
outage = _of_the_one_in_force(FakeEngine.outage)
simulate_duration = _of_the_one_in_force(FakeEngine.simulate_duration)
crash_worker = _of_the_one_in_force(FakeEngine.crash_worker)
trap = _of_the_one_in_force(FakeEngine.trap)
upcoming = _of_the_one_in_force(FakeEngine.upcoming)
pending = _of_the_one_in_force(FakeEngine.pending)
enqueued = _of_the_one_in_force(FakeEngine.enqueued)
history = _of_the_one_in_force(FakeEngine.history)
captured = _of_the_one_in_force(FakeEngine.captured)
