"""Event loops that run in the thread of a test, while the tasks of autocron expect none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


def is_in_loop() -> bool:
    """Whether an event loop runs in this thread: of asyncio or trio."""
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return True
    return trio is not None and bool(trio.lowlevel.in_trio_run())


@contextmanager
def without_loop() -> Iterator[None]:
    """Code inside finds no event loop of asyncio, as in a worker: it may call `asyncio.run`, and Django's models."""
    asyncio = sys.modules.get("asyncio")
    loop = None if asyncio is None else asyncio._get_running_loop()
    if asyncio is None or loop is None:
        yield
        return
    # The task that runs is one of the loop before Python 3.14, and one of the thread since.
    swap = getattr(asyncio.tasks, "_swap_current_task", lambda loop, task: None)
    task = swap(loop, None)
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)
        swap(loop, task)
