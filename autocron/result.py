"""The caller's handle on a job."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast

from . import messages, payload
from .errors import AutocronError, PayloadError
from .job import Status, Stored

T = TypeVar("T")

NEWS_S = 0.5  # where an answer is known, which holds if there is no other

NAMES = {status.value: status.name.lower() for status in Status}


class Result(Generic[T]):
    """What a call of a delayed function returns: ask it whether the task has been processed.

    >>> result = send_mail("ann@example.org")       # doctest: +SKIP
    >>> result.is_ready(), result.has_error, result.result  # doctest: +SKIP
    (True, False, 'sent')

    Can be pickled and asked in another process of the application.
    """

    def __init__(
        self,
        connection: Any = None,
        func: Any = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        function_result: T | None = None,
        error_message: str = "",
        uuid: str = "",
        status: int = Status.WAITING.value,
        ttl: datetime | None = None,
        function_name: str = "",
        function_module: str = "",
        function_arguments: Any = None,
        rowid: int | None = None,
    ) -> None:
        self.connection = connection
        self.func = func
        self.args = args
        self.kwargs = {} if kwargs is None else kwargs
        self.function_result = function_result
        self.error_message = error_message
        self.uuid = uuid
        self.status = int(status)
        self.ttl = ttl  # UTC; when the stored result is removed; None while it is not known
        self.function_name = function_name or getattr(func, "__name__", "")
        module = function_module or getattr(func, "__module__", "")
        self.function_module = "__main__" if module == "__mp_main__" else module
        self.function_arguments = (self.args, self.kwargs) if function_arguments is None else function_arguments
        self.rowid = rowid

    @property
    def has_error(self) -> bool:
        """Whether the task ended in an error; valid once `is_ready()` has returned True."""
        return bool(self.error_message)

    @property
    def result(self) -> T:
        """What the function returned (`function_result`); valid once `is_ready()` has returned True."""
        return cast(T, self.function_result)

    def is_ready(self) -> bool:
        """Whether the task has been processed, well or in error.

        Asks the monitor and waits for its answer: not for an event loop. AutocronError if nobody answers. False again
        if a job that had ended in error is retried.
        """
        had_failed = self.status == Status.ERROR
        if self.uuid and self.status != Status.READY:
            from .engine import current  # noqa: PLC0415 - the engine makes results

            more = {"within_s": NEWS_S} if had_failed else {}
            try:
                stored, pickle_allowed = current().look_up(bytes.fromhex(self.uuid), messages.STATE, **more)
            except AutocronError:
                if not had_failed:
                    raise
                return True
            if stored is not None:
                self._take(stored, pickle_allowed)  # who had failed may have been run again by hand
            elif not had_failed:
                self.status = Status.UNAVAILABLE.value
        return self.status in (Status.READY, Status.ERROR)

    def _take(self, stored: Stored, pickle_allowed: bool) -> None:
        self.status = int(stored.status)
        self.error_message = stored.error
        self.ttl = datetime.fromtimestamp(stored.expires, UTC) if stored.expires else None
        if stored.result:
            try:
                self.function_result = payload.decode(stored.result, allow_pickle=pickle_allowed)
            except PayloadError as error:
                self.status = Status.ERROR.value
                self.error_message = f"the stored result cannot be read: {error}"

    @classmethod
    def from_stored(cls, stored: Stored, pickle_allowed: bool, func: Any = None) -> Result[T]:
        """A handle on a job of the store."""
        module, _, name = stored.task.rpartition(":")
        args: tuple[Any, ...] = ()
        kwargs: dict[str, Any] = {}
        with suppress(PayloadError):  # arguments of a class that is not loaded here; the result may be readable
            args, kwargs = payload.decode_call(stored.payload, allow_pickle=pickle_allowed)
        result: Result[T] = cls(
            func=func,
            args=args,
            kwargs=kwargs,
            uuid=stored.id.hex(),
            function_name=name.rpartition(".")[2],
            function_module="__main__" if module.startswith("/") else module,
        )
        result._take(stored, pickle_allowed)
        return result

    def __getstate__(self) -> dict[str, Any]:
        # The task is left behind: it is found by its name, and may be a lambda in a test.
        return {**self.__dict__, "connection": None, "func": None}

    def __repr__(self) -> str:
        about = self.error_message or (repr(self.function_result) if self.status == Status.READY else "")
        name = f"{self.function_module}.{self.function_name}"
        return f"<Result {name} {NAMES[self.status]}{': ' if about else ''}{about}>"
