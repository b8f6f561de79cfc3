"""The public API as users annotate it: type-checked by mypy, never run."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import assert_type

import autocron
from autocron import Result, testing
from autocron.sqlite_interface import Result as SameResult


@autocron.delay
def plain(a: int, b: str = "") -> float:
    return a + len(b)


@autocron.delay()
def with_brackets(a: int) -> str:
    return str(a)


@autocron.delay(weeks=1, days=2, hours=3, minutes=4, schedule=datetime(2027, 1, 1))
def later(a: int) -> list[int]:
    return [a]


@autocron.delay
async def asynchronous(a: int) -> bytes:
    return bytes(a)


@autocron.cron("30 9 0,2 * *")
def by_string() -> None: ...


@autocron.cron
def every_minute() -> None: ...


@autocron.cron()
def every_minute_too() -> None: ...


@autocron.cron(minutes=[30], hours=[9], dow=[0, 2], tz="Europe/Berlin")
def by_lists() -> int:
    return 1


assert_type(plain(1, b="x"), Result[float])
assert_type(plain(1).result, float)
assert_type(with_brackets(1), Result[str])
assert_type(later(1), Result[list[int]])
assert_type(asynchronous(1), Result[bytes])
assert_type(by_lists(), int)
assert_type(autocron.start(Path("app.db"), workers=2), bool)
assert_type(autocron.Schedule("@daily").next_after(datetime(2027, 1, 1)), datetime)
result: SameResult[float] = plain(1)
plain("1")  # type: ignore[arg-type]
plain()  # type: ignore[call-arg]
with_brackets(1, 2)  # type: ignore[call-arg]
by_string(1)  # type: ignore[call-arg]
for each in autocron.get_results():
    assert_type(each.is_ready(), bool)
    assert_type(each.has_error, bool)
autocron.stop()
assert_type(autocron.now(), datetime)


def test_with_a_fake_engine(fake_engine: testing.FakeEngine) -> None:
    """What a test of an application looks like to a type checker."""
    assert_type(testing.run_pending(plain, raises=False).failed, testing.Report)
    assert_type(testing.fast_forward("1d 2h").ran(with_brackets).times, int)
    assert_type(testing.assert_enqueued(plain, 1, run_in="2d"), testing.EnqueuedJob)
    assert_type(testing.assert_schedule(by_string, year=2027, times=1), list[datetime])
    assert_type(fake_engine.upcoming(3)[0].at, datetime)
    with testing.captured() as jobs:
        assert_type(jobs, list[testing.EnqueuedJob])
    with testing.fake_engine(start="2027-01-01T00:00Z") as engine:
        assert_type(engine, testing.FakeEngine)
        assert_type(engine.spawner, testing.InProcessSpawner)
    with testing.trap("worker.run.before") as held:
        assert_type(held, testing.Trap)
        assert_type(held.held[0].role, str)


async def test_with_a_loop() -> None:
    """The same for async tests."""
    assert_type(await testing.arun_pending(), testing.Report)
    assert_type(await testing.afast_forward(60), testing.Report)
