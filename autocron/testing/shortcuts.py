"""The methods of the fake engine in force, as functions: `fast_forward("2d")`."""

from __future__ import annotations

from contextlib import AbstractContextManager

from .durations import Duration, Moment
from .engine import MOST_RUNS, current
from .jobs import AnyTask, EnqueuedJob
from .report import Report


def run_pending(
    task: AnyTask | None = None,
    *,
    limit: int = MOST_RUNS,
    raises: bool = True,
    until_idle: bool = True,
    expect: int | None = None,
) -> Report:
    """See `FakeEngine.run_pending`."""
    return current().run_pending(task, limit=limit, raises=raises, until_idle=until_idle, expect=expect)


def fast_forward(by: Duration, *, raises: bool = True, limit: int | None = None, run: bool = True) -> Report:
    """See `FakeEngine.fast_forward`."""
    return current().fast_forward(by, raises=raises, limit=limit, run=run)


def travel_to(when: Moment, *, raises: bool = True, limit: int | None = None, run: bool = True) -> Report:
    """See `FakeEngine.travel_to`."""
    return current().travel_to(when, raises=raises, limit=limit, run=run)


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
