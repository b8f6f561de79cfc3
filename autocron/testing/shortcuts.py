"""The methods of the fake engine in force, as functions: `fast_forward("2d")`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import tzinfo

from .durations import Duration, Moment
from .engine import Raises, current
from .firings import Firings
from .jobs import AnyTask, EnqueuedJob
from .report import Report
from .running import MOST_RUNS
from .traps import Trap


def run_pending(
    task: AnyTask | None = None,
    *,
    limit: int = MOST_RUNS,
    raises: Raises = True,
    until_idle: bool = True,
    expect: int | None = None,
) -> Report:
    """See `FakeEngine.run_pending`."""
    return current().run_pending(task, limit=limit, raises=raises, until_idle=until_idle, expect=expect)


def fast_forward(by: Duration, *, raises: Raises = True, limit: int | None = None, run: bool = True) -> Report:
    """See `FakeEngine.fast_forward`."""
    return current().fast_forward(by, raises=raises, limit=limit, run=run)


def travel_to(when: Moment, *, raises: Raises = True, limit: int | None = None, run: bool = True) -> Report:
    """See `FakeEngine.travel_to`."""
    return current().travel_to(when, raises=raises, limit=limit, run=run)


async def arun_pending(
    task: AnyTask | None = None,
    *,
    limit: int = MOST_RUNS,
    raises: Raises = True,
    until_idle: bool = True,
    expect: int | None = None,
) -> Report:
    """See `FakeEngine.arun_pending`."""
    return await current().arun_pending(task, limit=limit, raises=raises, until_idle=until_idle, expect=expect)


async def afast_forward(by: Duration, *, raises: Raises = True, limit: int | None = None) -> Report:
    """See `FakeEngine.afast_forward`."""
    return await current().afast_forward(by, raises=raises, limit=limit)


def fast_forward_to_next(n: int = 1, *, raises: Raises = True) -> Report:
    """See `FakeEngine.fast_forward_to_next`."""
    return current().fast_forward_to_next(n, raises=raises)


def outage(by: Duration, *, raises: Raises = True, limit: int | None = None) -> Report:
    """See `FakeEngine.outage`."""
    return current().outage(by, raises=raises, limit=limit)


def simulate_duration(task: AnyTask, duration: Duration) -> None:
    """See `FakeEngine.simulate_duration`."""
    current().simulate_duration(task, duration)


def crash_worker(during: AnyTask, *, before: str | None = None, times: int = 1) -> None:
    """See `FakeEngine.crash_worker`."""
    current().crash_worker(during, before=before, times=times)


def trap(point: str) -> Trap:
    """See `FakeEngine.trap`."""
    return current().trap(point)


def upcoming(
    n: int = 10, *, task: AnyTask | None = None, after: Moment | None = None, tz: str | tzinfo | None = None
) -> Firings:
    """See `FakeEngine.upcoming`."""
    return current().upcoming(n, task=task, after=after, tz=tz)


def pending() -> list[EnqueuedJob]:
    """See `FakeEngine.pending`."""
    return current().pending()


def enqueued(task: AnyTask | None = None) -> list[EnqueuedJob]:
    """See `FakeEngine.enqueued`."""
    return current().enqueued(task)


def history() -> Report:
    """See `FakeEngine.history`."""
    return current().history()


def captured() -> AbstractContextManager[list[EnqueuedJob]]:
    """See `FakeEngine.captured`."""
    return current().captured()
