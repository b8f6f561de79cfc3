"""Plain blocking code that stops in the middle, and goes on later.

A worker's step calls the function of a task and waits for its value; a monitor's step goes from call to call at the
seam. So that such a step can stop, it goes into a thread. Only one of the two threads ever runs: who lets the other
one go on waits until it stops or has ended, so nothing is less deterministic than without.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Mapping
from types import CoroutineType
from typing import Any

from ..run import Interrupted
from .crashing import Killed
from .loops import without_loop


class Call:
    """What a strand stops for: a function that is to be called where it was begun, in the thread of the test."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._value: Any = None
        self._error: BaseException | None = None

    def make(self) -> None:
        """Call it here."""
        try:
            self._value = self._function(*self._args, **self._kwargs)
        except BaseException as error:
            self._error = error

    async def await_it(self) -> None:
        """Call it here, and await its value in the caller's event loop. What cancels the test passes."""
        try:
            with without_loop():
                value = self._function(*self._args, **self._kwargs)
            self._value = await value if isinstance(value, CoroutineType) else value
        except BaseException as error:
            if _ends_the_test(error):
                self._error = Interrupted()  # the job waits again
                raise
            self._error = error

    def outcome(self) -> Any:
        """What the function returned; what it raised is raised."""
        if self._error is not None:
            raise self._error
        return self._value


def _ends_the_test(error: BaseException) -> bool:
    """Whether the caller's event loop is ended or cancelled here, and not only what the task has begun in it."""
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return True
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    if trio is not None and isinstance(error, trio.Cancelled):
        return True
    if asyncio is None or asyncio._get_running_loop() is None or not isinstance(error, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is not None and bool(task.cancelling())


class Strand:
    """A piece of plain code in a thread of its own, which runs only while somebody waits for it."""

    def __init__(self, body: Callable[[], object]) -> None:
        self.is_over = False
        self._body = body
        self._why: object = None
        self._error: BaseException | None = None
        self._here = threading.Semaphore(0)  # who lets it go on may go on
        self._there = threading.Semaphore(0)  # the strand may
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="autocron-strand", daemon=True)
        self._thread.start()

    # -- from outside ----------------------------------------------------------------------------------------

    def go_on(self) -> object:
        """Let it run until it stops, and return why it did; None: it has ended. What it raises is raised."""
        self._there.release()
        self._here.acquire()
        if self.is_over:
            self._thread.join()
            if self._error is not None:
                raise self._error
            return None
        return self._why

    def kill(self) -> None:
        """Unwind it where it has stopped."""
        self._error = Killed("its process is killed")
        try:
            while self.go_on() is not None:
                pass
        except Killed:
            pass

    # -- from inside -----------------------------------------------------------------------------------------

    def stop(self, why: object) -> None:
        """Stop here until it is let go on."""
        self._why = why
        self._here.release()
        self._there.acquire()
        if self._error is not None:
            raise self._error

    def lend(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is called from inside: it runs where the strand was begun."""

        def call(*args: Any, **kwargs: Any) -> Any:
            made = Call(function, args, kwargs)
            self.stop(made)
            return made.outcome()

        return call

    def _run(self) -> None:
        self._there.acquire()
        try:
            if self._error is None:
                self._body()
        except BaseException as error:
            self._error = error
        self.is_over = True
        self._here.release()
