"""Jobs whose task is an `async def`, awaited in the event loop of the test; the worker's step stops meanwhile."""

from __future__ import annotations

from ..registry import registry
from .jobs import is_async
from .processes import WorkerProcess


async def run_awaiting(worker: WorkerProcess) -> None:
    """Have a worker run its next job; a coroutine is awaited here, whatever library's loop this is."""
    job = worker.next_job()
    if worker.strand is None and (job is None or not is_async(registry.tasks.get(job.task))):
        worker.world.run_job(worker)
        return
    passes: BaseException | None = None
    for call in worker.world.turn_of(worker, worker.run_job):
        try:
            await call.await_it()
        except BaseException as error:  # the test is cancelled
            passes = error
    if passes is not None:
        raise passes
