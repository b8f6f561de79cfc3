"""How long a registering call holds up an event loop.

    python bench/event_loop.py [calls] [seconds between calls]

An asyncio program registers jobs, some alone, some in bursts, while a worker runs them. Measured is each call by
itself, on the clock of the loop; the sync of the disk goes on in another process. The machine's own pauses are
measured the same way and printed beside: by a call that does nothing, and, when autocron has ended, by one that
computes for as long as a registering call took.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import autocron


@autocron.delay
def job(number: int, text: str, about: dict[str, int]) -> int:
    """Something with arguments."""
    return number


def nothing(number: int, text: str, about: dict[str, int]) -> None:
    """What the machine itself does to a call."""


def computing(seconds: float) -> Callable[..., None]:
    """What the machine itself does to a call that has something to do."""

    def compute(number: int, text: str, about: dict[str, int]) -> None:
        until = time.thread_time() + seconds
        while time.thread_time() < until:
            pass

    return compute


def waits() -> int:
    """How often this thread has gone to sleep, for the interpreter or anything else."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


async def measure(call: Callable[..., object], calls: int, pause_s: float) -> list[tuple[float, bool]]:
    """Seconds of each call, and whether it has waited; every tenth is followed by a burst of ten."""
    spent = []
    for number in range(calls):
        for _ in range(10 if number % 10 == 0 else 1):
            before, begun = waits(), time.perf_counter()
            call(number, "some text", {"a": 1, "b": 2})
            seconds = time.perf_counter() - begun
            spent.append((seconds, waits() > before))
        await asyncio.sleep(pause_s)
    return sorted(spent)


def show(name: str, spent: list[tuple[float, bool]]) -> None:
    """One line."""
    points = " ".join(f"p{share:g} {spent[int(len(spent) * share / 100)][0] * 1000:7.3f}" for share in (50, 99, 99.9))
    over = [has_waited for seconds, has_waited in spent if seconds > 0.001]
    print(
        f"{name:12} {len(spent):6} calls   {points}   max {spent[-1][0] * 1000:7.3f} ms   "
        f"over 1 ms: {len(over)}, of which waited: {sum(over)}"
    )


def main() -> None:
    """Register for a while and tell."""
    calls = int(sys.argv[1]) if sys.argv[1:] else 2000
    pause_s = float(sys.argv[2]) if sys.argv[2:] else 0.005
    with tempfile.TemporaryDirectory() as directory:
        autocron.start(Path(directory) / "bench.db")
        job(0, "the first call loads what is needed", {})
        gc.collect()
        show("nothing", asyncio.run(measure(nothing, calls, pause_s)))
        show("registering", spent := asyncio.run(measure(job, calls, pause_s)))
        autocron.stop()
        show("computing", asyncio.run(measure(computing(spent[len(spent) // 2][0]), calls, pause_s)))


if __name__ == "__main__":
    main()
