"""An application with autocron that measures itself. Run by compare.py."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import autocron
from autocron.engine import engine


@autocron.delay
def noop(number: int) -> int:
    """The smallest job."""
    return number


@autocron.delay
def moment(_: int) -> float:
    """When it began, by a clock that all processes share."""
    return time.monotonic()


@autocron.delay
def tell(path: str) -> None:
    """Say who runs this, and stay until killed."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()} {time.monotonic()}\n")
    time.sleep(3600)


def wait_for(result: autocron.Result[object]) -> None:
    """Until the job has ended."""
    while not result.is_ready():
        time.sleep(0.001)


def throughput(count: int) -> dict[str, float]:
    """Register, run and settle no-op jobs, from the first call to the last result."""
    registrar = engine._registrar  # only it knows what is acknowledged
    assert registrar is not None
    begin = time.perf_counter()
    results = [noop(number) for number in range(count)]
    called = time.perf_counter()
    registrar.background.wait_for(registrar.is_idle)
    stored = time.perf_counter()
    wait_for(results[-1])
    while not all(each.is_ready() for each in results[-200:]):
        time.sleep(0.001)
    ended = time.perf_counter()
    return {
        "call_us": (called - begin) / count * 1e6,
        "stored_per_s": count / (stored - begin),
        "jobs_per_s": count / (ended - begin),
    }


def latency(count: int) -> dict[str, list[float]]:
    """From the call to the first line of the task, with an idle system each time."""
    found = []
    for number in range(count):
        time.sleep(0.03)
        called = time.monotonic()
        result = moment(number)
        wait_for(result)
        found.append((result.result - called) * 1000)
    return {"ms": found}


def main() -> None:
    """compare.py says what to do."""
    database, what, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    begin = time.perf_counter()
    autocron.start(database, workers=count if what == "job" else 2)
    wait_for(noop(0))
    first_s = time.perf_counter() - begin
    time.sleep(1)  # the second worker is up too
    if what == "throughput":
        print(json.dumps(throughput(count) | {"first_s": first_s}))
    elif what == "latency":
        print(json.dumps(latency(count)))
    else:
        if what == "job":
            tell(sys.argv[4])
        print("{}", flush=True)
        time.sleep(3600)
    autocron.stop()


if __name__ == "__main__":
    main()
