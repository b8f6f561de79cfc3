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
    from .clock import FakeClock as FakeClock
    from .conformance import StoreConformance as StoreConformance
    from .engine import FakeEngine as FakeEngine
    from .engine import RunawayTasks as RunawayTasks
    from .engine import TaskPending as TaskPending
    from .engine import fake_engine as fake_engine
    from .memory import MemoryStore as MemoryStore
    from .model import ModelStore as ModelStore
    from .report import Report as Report
    from .report import Run as Run
    from .shortcuts import captured as captured
    from .shortcuts import enqueued as enqueued
    from .shortcuts import fast_forward as fast_forward
    from .shortcuts import history as history
    from .shortcuts import pending as pending
    from .shortcuts import run_pending as run_pending
    from .shortcuts import travel_to as travel_to

_WHERE = {
    "FakeClock": "clock",
    "StoreConformance": "conformance",
    "FakeEngine": "engine",
    "RunawayTasks": "engine",
    "TaskPending": "engine",
    "fake_engine": "engine",
    "MemoryStore": "memory",
    "ModelStore": "model",
    "Report": "report",
    "Run": "report",
    "captured": "shortcuts",
    "enqueued": "shortcuts",
    "fast_forward": "shortcuts",
    "history": "shortcuts",
    "pending": "shortcuts",
    "run_pending": "shortcuts",
    "travel_to": "shortcuts",
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
