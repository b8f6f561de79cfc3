"""ASGI applications: start with the application's lifespan, end with it.

    app = FastAPI(lifespan=lifespan("app.db", workers=2))            # Starlette takes the same
    app = FastAPI(lifespan=lifespan("app.db", around=my_lifespan))   # around one of your own

Starting waits for the monitor, so it is done in a thread. At the end this process leaves, without waiting for running
jobs: a server that reloads would stand still, and its successor takes them over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from ..engine import current, start
from ..result import Result

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def lifespan(database_file: str | Path, workers: int | None = None, *, around: Lifespan | None = None) -> Lifespan:
    """A lifespan for Starlette, FastAPI and whoever takes an async context manager of the application.

    `database_file`, `workers`: see `autocron.start`. `around`: another lifespan, which begins later and ends earlier.
    """

    @asynccontextmanager
    async def started(app: Any) -> AsyncIterator[Any]:
        await asyncio.to_thread(start, database_file, workers)
        try:
            if around is None:
                yield None
            else:
                async with around(app) as state:
                    yield state
        finally:
            await asyncio.to_thread(current().leave)

    return started


async def is_ready(result: Result[Any]) -> bool:
    """`result.is_ready()` without holding up the event loop."""
    return await asyncio.to_thread(result.is_ready)


async def get_results() -> list[Result[Any]]:
    """`autocron.get_results()` without holding up the event loop."""
    return await asyncio.to_thread(current().get_results)
