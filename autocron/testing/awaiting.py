"""Jobs whose task is an `async def`, awaited in the event loop of the test.

The worker's step is plain code that calls the function and waits for its value. So that the test's own loop can run
the coroutine meanwhile, that step goes into a thread, and hands the coroutine over. Only one of the two threads ever
runs: the other one waits for it, so nothing is less deterministic than without.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..registry import registry
from ..run import Interrupted
from .crashing import Killed
from .jobs import is_async
from .processes import WorkerProcess


async def run_awaiting(worker: WorkerProcess) -> None:
    """Have a worker run its next job; a coroutine is awaited here, whatever library's loop this is."""
    job = worker.next_job()
    if job is None or not is_async(registry.tasks.get(job.task)):
        worker.run_job()
    else:
        await _Bridge(worker).cross()


class _Bridge:
    """From the worker's thread to the test's loop and back."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self._coroutine: Any = None
        self._value: Any = None
        self._error: BaseException | None = None
        self._here = threading.Semaphore(0)  # the test's thread may go on
        self._there = threading.Semaphore(0)  # the worker's

    async def cross(self) -> None:
        thread = threading.Thread(target=self._step, name="autocron-worker", daemon=True)
        self._worker.bridge = self._wrap
        passes: BaseException | None = None
        thread.start()
        self._here.acquire()
        if self._coroutine is not None:
            try:
                self._value = await self._coroutine
            except (Exception, SystemExit, Killed) as error:
                self._error = error
            except BaseException as error:  # the test is cancelled: the job waits again
                self._error, passes = Interrupted(), error
            self._there.release()
            self._here.acquire()
        thread.join()
        self._worker.bridge = None
        if passes is not None:
            raise passes

    def _step(self) -> None:
        try:
            self._worker.run_job()
        finally:
            self._here.release()

    def _wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._coroutine = function(*args, **kwargs)
            self._here.release()
            self._there.acquire()
            if self._error is not None:
                raise self._error
            return self._value

        return call
