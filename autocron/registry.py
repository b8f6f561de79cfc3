"""What has been decorated in this process: tasks by address, cron entries by key."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import CodeType
from typing import Any

from .errors import TaskError
from .job import Entry

_loading: ContextVar[str] = ContextVar("loading", default="")  # threads that tasks have left load nothing

Load = tuple[CodeType, int]  # what tells apart that a module is loaded again: its body, and its namespace by id


class Registry:
    """The definitions of this process; state belongs to the engine."""

    def __init__(self) -> None:
        self.tasks: dict[str, Callable[..., Any]] = {}
        self.entries: dict[str, Entry] = {}
        self.decorated: dict[str, Any] = {}  # the function behind each entry
        self._claims: dict[str, tuple[Callable[..., Any], Load | None]] = {}
        self.version = 0  # grows with each change of the entries
        self.dialect = "autocron"  # of crontabs that do not say
        # Calls back when a registration is to go out.
        self.postpone: Callable[[Callable[[], None]], None] | None = None

    @property
    def loading(self) -> str:
        """What a worker is just loading in this thread: a module, or the path of the main script."""
        return _loading.get()

    @contextmanager
    def while_loading(self, name: str) -> Iterator[None]:
        """What a module calls while it is imported was called in the application too, when it imported it."""
        token = _loading.set(name)
        try:
            yield
        finally:
            _loading.reset(token)

    def claim(self, address: str, function: Callable[..., Any], load: Load | None) -> None:
        """TaskError if two functions want one address. `load`: of the module that decorates, if one does.

        A module that is loaded again brings the same functions, in another load. Inside of functions anything goes:
        what is decorated there is made anew at each call.
        """
        holder, its_load = self._claims.get(address, (None, None))
        if load is not None and its_load == load and not _is_same(holder, function):
            raise TaskError(
                f"{address} is the address of two functions, and a worker could not tell them apart: "
                "give one of them another name"
            )
        self._claims[address] = function, load

    def add_task(self, address: str, function: Callable[..., Any]) -> None:
        """Make a function callable by workers."""
        self.tasks[address] = function

    def add_entry(self, function: Callable[..., Any], entry: Entry) -> None:
        """Add an entry; a function decorated twice has two, a module that is loaded again replaces its own.

        A main script may be imported under its name too: it has its entries once, under its path.
        """
        module, _, name = entry.task.rpartition(":")
        if f"{_file_of(module)}:{name}" in {each.task for each in self.entries.values()}:
            return
        for each in list(self.entries.values()):
            its_module, _, its_name = each.task.rpartition(":")
            if its_name == name and _file_of(its_module) == module:
                self.forget(each.task)
        ordinal = 0
        while _is_of_one(self.decorated.get(f"{entry.task}#{ordinal}"), function):
            ordinal += 1
        if ordinal == 0:
            self.forget(entry.task)
        key = f"{entry.task}#{ordinal}"
        self.entries[key] = entry._replace(key=key)
        self.decorated[key] = function
        self.version += 1

    def forget(self, task: str) -> None:
        """Drop all entries of this task."""
        for key in [key for key, entry in self.entries.items() if entry.task == task]:
            del self.entries[key], self.decorated[key]
        self.version += 1


def _file_of(module: str) -> str | None:
    return getattr(sys.modules.get(module), "__file__", None)


def _is_same(old: Any, new: Any) -> bool:
    """Whether this is one function: with a decorator more, or made anew in the same way.

    Methods of one object are equal, not identical.
    """
    if any(layer == old for layer in layers_of(new)):
        return True
    if getattr(old, "__code__", None) is not getattr(new, "__code__", new):
        return False
    if getattr(old, "__self__", None) is not getattr(new, "__self__", None):
        return False
    for one, other in zip(old.__closure__ or (), new.__closure__ or (), strict=True):
        ours, theirs = one.cell_contents, other.cell_contents
        refers_to_itself = ours is old and theirs is new  # to count its calls, say
        if not (refers_to_itself or one == other or _is_same(ours, theirs)):
            return False
    return True


def _is_of_one(old: Any, new: Any) -> bool:
    """Whether they are the same even in what is below: a module that is loaded again makes a function anew."""
    return old is not None and _innermost(old) == _innermost(new) and _is_same(old, new)


def _innermost(function: Any) -> Any:
    *_, inner = layers_of(function)
    return inner


def layers_of(function: Any) -> Iterator[Any]:
    """The function, and what is below its decorators, as far as they have told."""
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        yield function
        seen.add(id(function))
        function = getattr(function, "__wrapped__", None)


registry = Registry()
