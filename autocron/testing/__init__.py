"""Testing tasks and schedules: the real engine in one thread, on a clock that the test moves.

>>> from autocron.testing import fake_engine, run_pending
>>> import autocron
>>> with fake_engine():
...     @autocron.delay
...     def double(n: int) -> int:
...         return 2 * n
...     result = double(21)
...     run_pending().results
[42]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assertions import assert_enqueued as assert_enqueued
    from .assertions import assert_idle as assert_idle
    from .assertions import assert_not_enqueued as assert_not_enqueued
    from .assertions import assert_ran as assert_ran
    from .case import AutocronTestCase as AutocronTestCase
    from .clock import FakeClock as FakeClock
    from .conformance import StoreConformance as StoreConformance
    from .engine import FakeEngine as FakeEngine
    from .engine import fake_engine as fake_engine
    from .firings import Firing as Firing
    from .guarding import TaskPending as TaskPending
    from .jobs import EnqueuedJob as EnqueuedJob
    from .memory import MemoryStore as MemoryStore
    from .model import ModelStore as ModelStore
    from .report import Report as Report
    from .report import Run as Run
    from .running import RunawayTasks as RunawayTasks
    from .schedules import assert_schedule as assert_schedule
    from .shortcuts import afast_forward as afast_forward
    from .shortcuts import arun_pending as arun_pending
    from .shortcuts import captured as captured
    from .shortcuts import crash_worker as crash_worker
    from .shortcuts import enqueued as enqueued
    from .shortcuts import fast_forward as fast_forward
    from .shortcuts import fast_forward_to_next as fast_forward_to_next
    from .shortcuts import history as history
    from .shortcuts import outage as outage
    from .shortcuts import pending as pending
    from .shortcuts import run_pending as run_pending
    from .shortcuts import simulate_duration as simulate_duration
    from .shortcuts import trap as trap
    from .shortcuts import travel_to as travel_to
    from .shortcuts import upcoming as upcoming
    from .spawner import InProcessSpawner as InProcessSpawner
    from .traps import Held as Held
    from .traps import Trap as Trap

_WHERE = {
    "assert_enqueued": "assertions",
    "assert_idle": "assertions",
    "assert_not_enqueued": "assertions",
    "assert_ran": "assertions",
    "AutocronTestCase": "case",
    "FakeClock": "clock",
    "StoreConformance": "conformance",
    "FakeEngine": "engine",
    "fake_engine": "engine",
    "Firing": "firings",
    "TaskPending": "guarding",
    "EnqueuedJob": "jobs",
    "MemoryStore": "memory",
    "ModelStore": "model",
    "Report": "report",
    "Run": "report",
    "RunawayTasks": "running",
    "assert_schedule": "schedules",
    "afast_forward": "shortcuts",
    "arun_pending": "shortcuts",
    "captured": "shortcuts",
    "crash_worker": "shortcuts",
    "enqueued": "shortcuts",
    "fast_forward": "shortcuts",
    "fast_forward_to_next": "shortcuts",
    "history": "shortcuts",
    "outage": "shortcuts",
    "pending": "shortcuts",
    "run_pending": "shortcuts",
    "simulate_duration": "shortcuts",
    "trap": "shortcuts",
    "travel_to": "shortcuts",
    "upcoming": "shortcuts",
    "InProcessSpawner": "spawner",
    "Held": "traps",
    "Trap": "traps",
}

__all__ = [*_WHERE]


def __getattr__(name: str) -> Any:
    """Public names are loaded when they are first used."""
    if name not in _WHERE:
        raise AttributeError(
            f"module 'autocron.testing' has no attribute {name!r}; public names are: {', '.join(__all__)}"
        )
    from importlib import import_module  # noqa: PLC0415

    value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
