"""Every exception a user of autocron can meet."""

from __future__ import annotations


class AutocronError(Exception):
    """Base of all exceptions that autocron raises for reasons of its own."""


class CrontabError(AutocronError, ValueError):
    """A crontab, or one of its fields, that can never fire or cannot be read."""


class PayloadError(AutocronError, TypeError):
    """An argument or a result that cannot be stored."""


class TaskError(AutocronError, TypeError):
    """A function that cannot be a task: a lambda, a nested function, one of an interactive session."""


class MonitorError(AutocronError):
    """No monitor can be started; its messages on stderr say why. What is registered meanwhile is not lost."""


class StoreError(AutocronError):
    """The database cannot be used; `path` and `reason` say which and why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot use the database {path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[StoreError], tuple[str, str]]:
        return type(self), (self.path, self.reason)


class StoreFull(StoreError):
    """There is no space left for the database; what was accepted before is safe."""


class StoreBusy(StoreError):
    """Another program holds the database locked; trying again later may work."""


class StoreReplaced(StoreError):
    """Another file has taken the place of the database while it was in use; nothing is written into it unasked."""
