"""Jobs as a test wants to see them: the task by name, the arguments by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeGuard

from .. import payload
from ..decorators import Task
from ..errors import PayloadError
from ..job import Job
from ..registry import registry
from ..signature import signature_of

AnyTask = Task[..., Any] | Callable[..., Any] | str  # what names a task: itself, its function, or its name


def address_of_task(task: AnyTask) -> str:
    """The address of a task. ValueError if it is none, with the most similar names."""
    if is_bound(task):
        task = task.func
    if isinstance(task, Task):
        return task.address
    if isinstance(task, str):
        found = [each for each in registry.tasks if task in (each, each.rpartition(":")[2], name_of(each))]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{task!r} is the name of several tasks: {', '.join(found)}; give the whole address")
        similar = difflib.get_close_matches(task, [name_of(each) for each in registry.tasks], 3)
        hint = f"; similar are {', '.join(similar)}" if similar else ""
        raise ValueError(f"{task!r} is not a known task{hint}")
    for address, function in registry.tasks.items():
        if function == task:
            return address
    own = str(getattr(task, "address", ""))  # of a task of Django's
    if own in registry.tasks:
        return own
    if (wrapped := getattr(task, "__wrapped__", None)) is not None:  # by a decorator above ours
        return address_of_task(wrapped)
    raise ValueError(f"{task!r} is not a task: decorate it with @autocron.delay or @autocron.cron")


def is_bound(task: object) -> TypeGuard[partial[Any]]:
    """Whether it is a task that is a method, taken from an instance, which is its only argument then."""
    return isinstance(task, partial) and isinstance(task.func, Task)


def name_of(address: str) -> str:
    """The name of a task without its module.

    >>> name_of("app.tasks:send_mail"), name_of("tests:test_it.<locals>.send_mail")
    ('send_mail', 'send_mail')
    """
    return address.rpartition(":")[2].rpartition("<locals>.")[2]


def is_async(function: object) -> bool:
    """Whether it is an `async def`."""
    return inspect.iscoroutinefunction(function)


@dataclass(frozen=True)
class EnqueuedJob:
    """A registered call that waits."""

    id: str
    task: str  # the address of the task
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    due: datetime  # UTC
    entry: str  # the cron entry that fired it, or ""

    @property
    def arguments(self) -> dict[str, Any]:
        """All arguments by name, defaults included."""
        return by_name(self.task, self.args, self.kwargs, defaults=True)

    def __str__(self) -> str:
        return call_of(self.task, self.args, self.kwargs)

    @classmethod
    def from_job(cls, job: Job) -> EnqueuedJob:
        """As the store has it."""
        args, kwargs = arguments_of(job)
        return cls(job.id.hex(), job.task, args, kwargs, datetime.fromtimestamp(job.due, UTC), job.entry)


class Unreadable:
    """Stands for arguments that cannot be decoded: the job is there, and all others can be looked at."""

    def __init__(self, error: PayloadError) -> None:
        self._reason = str(error).removeprefix("the payload cannot be read: ")

    def __repr__(self) -> str:
        return f"<cannot be read: {self._reason}>"


def arguments_of(job: Job) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The decoded arguments; one `Unreadable` for all if they cannot be."""
    try:
        return payload.decode_call(job.payload, allow_pickle=True)
    except PayloadError as error:
        return (Unreadable(error),), {}


def by_name(
    address: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, defaults: bool = False
) -> dict[str, Any]:
    """Arguments by the names of the function's parameters; those of `*args` and `**kwargs` under these names."""
    function = registry.tasks.get(address)
    if args and isinstance(args[0], Unreadable):
        return dict.fromkeys(inspect.signature(function).parameters if function is not None else (), args[0])
    if function is not None:
        with suppress(TypeError):  # a signature that has changed since, or arguments that never fitted
            found = bound(function, args, kwargs)
            if defaults:
                found.apply_defaults()
            return dict(found.arguments)
    return {**{str(number): value for number, value in enumerate(args)}, **kwargs}


def bound(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
    """Arguments by the parameters of what a decorator wraps, or by its own if they fit only these; else TypeError."""
    try:
        return inspect.signature(function).bind_partial(*args, **kwargs)
    except TypeError:
        return signature_of(function).bind_partial(*args, **kwargs)


def call_of(address: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """A call as one would write it."""
    if args and isinstance(args[0], Unreadable):
        return f"{name_of(address)}({args[0]!r})"
    named = ", ".join(f"{name}={short(value)}" for name, value in by_name(address, args, kwargs).items())
    return f"{name_of(address)}({named})"


def shown(value: object) -> str:
    """A `repr`, whatever it raises."""
    try:
        return repr(value)
    except Exception as error:  # of the application, as that of a row whose session is closed
        return f"<{type(value).__name__}, whose repr() raises {type(error).__name__}>"


def short(value: object) -> str:
    """A `repr` that stays within a line."""
    text = shown(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."
