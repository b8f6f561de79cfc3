"""How long it takes from the death of the application until its tree is empty, by the point at which it was struck.

    python bench/kill_times.py                        one cell of the kill matrix per point
    python bench/kill_times.py --chaos=all --write    all of them, into docs/reliability.md

Runs tests/chaos and prints a table: milliseconds at the median, the 99th percentile, and at most. All other arguments
go to pytest.
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
PAGE = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- from bench/kill_times.py, begin -->\n"
END = "<!-- from bench/kill_times.py, end -->\n"


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so many are not above."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def row(name: str, values: list[float]) -> str:
    """A line of the table, in milliseconds."""
    p50, p99, most = (1000 * each for each in (percentile(values, 0.5), percentile(values, 0.99), max(values)))
    return f"| {name} | {len(values)} | {p50:,.0f} | {p99:,.0f} | {most:,.0f} |\n"


def table(lines: list[str]) -> str:
    """The table of what the tests have noted."""
    by_point = defaultdict(list)
    by_fault = defaultdict(list)
    for line in lines:
        found = json.loads(line)
        by_point[found["point"].removesuffix(".before").removesuffix(".after")].append(found["seconds"])
        by_fault[found["fault"]].append(found["seconds"])
    everything = [each for values in by_point.values() for each in values]
    return "".join(
        (
            "| struck at | deaths | p50 ms | p99 ms | max ms |\n| --- | ---: | ---: | ---: | ---: |\n",
            *(row(name, values) for name, values in sorted(by_point.items())),
            *(row(f"*{name}*", values) for name, values in sorted(by_fault.items())),
            row("**all**", everything) if everything else "",
        )
    )


def main(arguments: list[str]) -> int:
    """Run the tests with the variable that makes them write down their times, and add up."""
    writes = "--write" in arguments
    with tempfile.TemporaryDirectory() as directory:
        times = Path(directory) / "times"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "tests/chaos", "-q", "-n", "2"),
                *(each for each in arguments if each != "--write"),
            ],
            cwd=ROOT,
            env={**os.environ, "AUTOCRON_CHAOS_TIMES": str(times)},
            check=False,
        )
        found = table(times.read_text().splitlines() if times.exists() else [])
    print(f"\n{found}")
    if writes and done.returncode == 0:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + found + END + rest.partition(END)[2])
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
