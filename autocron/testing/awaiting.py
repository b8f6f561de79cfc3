"""Jobs whose task is an `async def`, awaited in the event loop of the test; the worker's step stops meanwhile."""

from __future__ import annotations

import inspect
import sys
import threading

from ..registry import registry
from .jobs import is_async
from .loops import without_loop
from .processes import WorkerProcess


async def run_awaiting(worker: WorkerProcess) -> None:
    """Have a worker run its next job; a coroutine is awaited here, whatever library's loop this is."""
    job = worker.next_job()
    # Looks behind decorators; a coroutine that comes from one that hides it is run in a loop of its own.
    if worker.strand is None and (job is None or not is_async(inspect.unwrap(registry.tasks.get(job.task, _nothing)))):
        await _run_here(worker)
        return
    passes: BaseException | None = None
    for call in worker.world.turn_of(worker, worker.run_job):
        try:
            await call.await_it()
        except BaseException as error:  # the test is cancelled
            passes = error
    if passes is not None:
        raise passes


async def _run_here(worker: WorkerProcess) -> None:
    """In the thread of the test, and of its connections: Django runs the loop of an async test in another one."""

    def run() -> None:
        with without_loop():
            worker.world.run_job(worker)

    asgiref, asyncio, main = sys.modules.get("asgiref.sync"), sys.modules.get("asyncio"), threading.main_thread()
    if (
        asgiref is not None
        and asyncio is not None
        and asyncio._get_running_loop() is not None
        and threading.current_thread() is not main
        and await asgiref.sync_to_async(threading.current_thread)() is main
    ):
        await asgiref.sync_to_async(run)()
    else:
        run()


def _nothing() -> None:
    """In place of a task that is not there."""
