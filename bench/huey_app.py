"""The same with huey's SQLite store. Run by compare.py, which starts the consumer beside it."""

from __future__ import annotations

import json
import os
import sys
import time

from huey import SqliteHuey
from huey.exceptions import HueyException

TUNED = os.environ.get("HUEY_TUNED") == "1"
huey = SqliteHuey(filename=os.environ["HUEY_FILE"], **({"fsync": False} if TUNED else {}))


@huey.task()
def noop(number: int) -> int:
    """The smallest job."""
    return number


@huey.task()
def moment(_: int) -> float:
    """When it began, by a clock that all processes share."""
    return time.monotonic()


def throughput(count: int) -> dict[str, float]:
    """Register, run and settle no-op jobs, from the first call to the last result."""
    begin = time.perf_counter()
    results = [noop(number) for number in range(count)]
    called = time.perf_counter()
    while huey.pending_count():
        time.sleep(0.005)
    ended = time.perf_counter()
    lost = 0  # a worker that meets "database is locked" drops the task it has just taken
    for each in results:
        try:
            each.get(blocking=True, timeout=0.0 if lost else 5.0)
        except HueyException:
            lost += 1
    return {
        "lost": lost,
        "call_us": (called - begin) / count * 1e6,
        "stored_per_s": count / (called - begin),
        "jobs_per_s": count / (ended - begin),
    }


def latency(count: int) -> dict[str, list[float]]:
    """From the call to the first line of the task, with an idle system each time."""
    found = []
    for number in range(count):
        time.sleep(0.03)
        called = time.monotonic()
        began = moment(number).get(blocking=True, backoff=1.0, max_delay=0.001)
        found.append((began - called) * 1000)
    return {"ms": found}


def main() -> None:
    """compare.py says what to do."""
    what, count = sys.argv[1], int(sys.argv[2])
    begin = time.perf_counter()
    noop(0).get(blocking=True, backoff=1.0, max_delay=0.002)
    first_s = time.perf_counter() - begin
    time.sleep(1)
    if what == "throughput":
        print(json.dumps(throughput(count) | {"first_s": first_s}))
    elif what == "latency":
        print(json.dumps(latency(count)))
    else:
        print("{}", flush=True)
        time.sleep(3600)
