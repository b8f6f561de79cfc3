"""What has been decorated in this process: tasks by address, cron entries by key."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from .job import Entry

_loading: ContextVar[str] = ContextVar("loading", default="")  # threads that tasks have left load nothing


class Registry:
    """The definitions of this process; state belongs to the engine."""

    def __init__(self) -> None:
        self.tasks: dict[str, Callable[..., Any]] = {}
        self.entries: dict[str, Entry] = {}
        self.decorated: dict[str, Any] = {}  # the function behind each entry
        self.version = 0  # grows with each change of the entries
        self.dialect = "autocron"  # of crontabs that do not say
        # Calls back when a registration is to go out.
        self.postpone: Callable[[Callable[[], None]], None] | None = None

    @property
    def loading(self) -> str:
        """What a worker is just loading in this thread: a module, or the path of the main script."""
        return _loading.get()

    @loading.setter
    def loading(self, name: str) -> None:
        _loading.set(name)

    def add_task(self, address: str, function: Callable[..., Any]) -> None:
        """Make a function callable by workers."""
        self.tasks[address] = function

    def add_entry(self, function: Callable[..., Any], entry: Entry) -> None:
        """Add an entry; a function decorated twice has two, a module that is loaded again replaces its own."""
        ordinal = 0
        while self.decorated.get(f"{entry.task}#{ordinal}") is function:
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


registry = Registry()
