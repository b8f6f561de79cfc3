"""How fast tests are: years of cron through the real monitor and worker, and the price of the fixture.

    python bench/testing.py [--freezer none|time-machine|freezegun] [--days N]

Each firing is really run: fired, claimed, dispatched, run by the worker, settled and, half an hour later, pruned.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any

import autocron
from autocron.testing import fake_engine, fast_forward

clock = time.process_time  # one thread, no waiting: what a quiet machine would show

MIXED = [
    "* * * * *",
    "*/5 * * * *",
    "*/10 * * * *",
    "*/15 * * * *",
    "*/30 * * * *",
    "0 * * * *",
    "30 * * * *",
    "15 */2 * * *",
    "0 */6 * * *",
    "0 3 * * *",
    "30 3 * * *",
    "15,30 7 * * *",
    "0 9 0-4 * *",
    "30 9 0,2 * *",
    "0 6 4 * *",
    "0 0 6 * *",
    "0 0 * * 1",
    "0 12 * * 15",
    "0 0 * 1,4,7,10 1",
    "0 0 * 1 1",
]


def year_of(crontabs: list[str], days: float, freeze: bool) -> tuple[int, float]:
    """How many firings there were, and how many seconds that took."""
    with fake_engine(start="2027-01-01T00:00Z", tz="UTC", freeze=freeze):
        for number, crontab in enumerate(crontabs):
            autocron.cron(crontab)(task_called(f"<bench>.entry_{number}"))
        start = clock()
        report = fast_forward(days * 86400)
        return report.times, clock() - start


def task_called(name: str) -> Callable[[], None]:
    """A task that does nothing."""

    def entry() -> None: ...

    entry.__qualname__ = name
    return entry


def of_fixture(times: int = 200) -> float:
    """Seconds for entering and leaving a fake engine, median."""
    seconds = []
    for _ in range(times):
        start = clock()
        with fake_engine():
            pass
        seconds.append(clock() - start)
    return median(seconds)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--freezer", choices=("none", "time-machine", "freezegun"), default="none")
    parser.add_argument("--days", type=float, default=365)
    chosen = parser.parse_args()
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    if chosen.freezer == "freezegun":
        from freezegun import freeze_time

        around = lambda: freeze_time("2027-01-01", real_asyncio=True)  # noqa: E731
    freeze = chosen.freezer == "time-machine"
    of_fixture(20)
    print(f"fake_engine, entered and left: {of_fixture() * 1000:.2f} ms")
    with around():
        firings, seconds = year_of(["0 3 * * *"], 365, freeze)
        print(f"a year of one daily entry: {firings} firings in {seconds:.3f} s")
        firings, seconds = year_of(MIXED, chosen.days, freeze)
    rate = firings / seconds
    print(f"{chosen.days:g} days of {len(MIXED)} mixed entries: {firings} firings in {seconds:.1f} s: {rate:,.0f}/s")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
