"""The public API as users annotate it: type-checked by mypy, never run."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import assert_type

import autocron
from autocron import Result
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
