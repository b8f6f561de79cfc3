"""How long it takes from the death of the application until its tree is empty, by the point at which it was struck.

    python bench/kill_times.py                one cell of the kill matrix per point
    python bench/kill_times.py --chaos=all    all of them, as for docs/reliability.md

Runs tests/chaos and prints a table: seconds at the median, the 99th percentile, and at most.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so many are not above."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def row(name: str, values: list[float]) -> str:
    """A line of the table, in milliseconds."""
    p50, p99, most = (1000 * each for each in (percentile(values, 0.5), percentile(values, 0.99), max(values)))
    return f"| {name} | {len(values)} | {p50:,.0f} | {p99:,.0f} | {most:,.0f} |"


def main() -> int:
    """Run the tests with the variable that makes them write down their times, and add up."""
    with tempfile.TemporaryDirectory() as directory:
        times = Path(directory) / "times"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "tests/chaos", "-q", "-n", "2", *sys.argv[1:]],
            cwd=ROOT,
            env={**os.environ, "AUTOCRON_CHAOS_TIMES": str(times)},
            check=False,
        )
        measured = defaultdict(list)
        for line in times.read_text().splitlines() if times.exists() else ():
            found = json.loads(line)
            point, how, *whom = found["labels"]
            measured[point.rpartition(".")[0] or point].append(found["seconds"])
            measured[f"*{how} of the {whom[0]}*" if whom else f"*{how}, several at once*"].append(found["seconds"])
    print("\n| struck at | times | p50 ms | p99 ms | max ms |\n| --- | ---: | ---: | ---: | ---: |")
    for name, values in sorted(measured.items()):
        print(row(name, values))
    if measured:
        print(row("**all**", [each for name, values in measured.items() if "*" not in name for each in values]))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
