"""Has every planted bug found, and prints the table: how many seeds it took, and how short the tape became."""

from __future__ import annotations

import multiprocessing
import os
from typing import Final, NamedTuple

from .campaign import a_switcher, shrunk
from .planted import BUGS, Bug
from .run import run
from .switcher import Switcher

MOST_SEEDS: Final = 500


class Found(NamedTuple):
    """How a planted bug was found; `seeds` is 0 if it was not."""

    name: str
    about: str
    seeds: int
    promise: str
    length: int


def first_failing(bug: Bug, switcher: Switcher, most: int = MOST_SEEDS) -> int | None:
    """The first seed that shows this bug."""
    with bug.plant():
        for seed in range(most):
            if run(seed, switcher=switcher).failure is not None:
                return seed
    return None


def find(name: str) -> Found:
    """Find one planted bug and make its tape short."""
    bug = next(each for each in BUGS if each.name == name)
    with a_switcher() as switcher:
        seed = first_failing(bug, switcher)
        if seed is None:
            return Found(bug.name, bug.about, 0, "", 0)
        with bug.plant():
            verdict = shrunk(seed, switcher)
    assert verdict.failure is not None
    length = sum(map(len, verdict.numbers.values()))
    return Found(bug.name, bug.about, seed + 1, verdict.failure.promise, length)


def find_all(names: list[str], processes: int = 0) -> int:
    """Find planted bugs (all, if none is named), print the table; 0 if all were found."""
    names = names or [bug.name for bug in BUGS]
    print("| bug | what is wrong | seeds needed | decisions left | promise broken |")
    print("|---|---|---|---|---|")
    missed = 0
    with multiprocessing.get_context("spawn").Pool(processes or len(os.sched_getaffinity(0))) as pool:
        for found in pool.imap(find, names):  # in the order of the documentation
            missed += not found.seeds
            seeds = str(found.seeds) if found.seeds else f"not found in {MOST_SEEDS}"
            print(f"| `{found.name}` | {found.about} | {seeds} | {found.length} | {found.promise} |", flush=True)
    print(f"\n{len(names) - missed} of {len(names)} planted bugs were found.")
    return 1 if missed else 0
