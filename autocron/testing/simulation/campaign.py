"""Many seeds: in several processes, with an account of what was reached, and the first failure shrunk."""

from __future__ import annotations

import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .aims import CELLS, SITUATIONS
from .run import OWN, Tale, Verdict, run
from .shrink import shrink
from .switcher import Switcher
from .tape import Entry, Numbers, numbers_of, save

DIRECTORY: Final = Path(".autocron-sim")
CHUNK: Final = 25
LONGEST_NAME: Final = 100  # of a test, as a part of a file name


@dataclass
class Account:
    """What all runs together have come to."""

    runs: int = 0
    events: int = 0
    virtual_s: float = 0.0
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    sometimes: Counter[str] = field(default_factory=Counter)
    states: set[tuple[object, ...]] = field(default_factory=set)
    new_states: list[int] = field(default_factory=list)  # for each run: how many it has seen first
    failures: list[tuple[int, str, str]] = field(default_factory=list)  # seed, promise, what was seen

    def add(self, verdict: Verdict) -> None:
        """One more run."""
        self.runs += 1
        self.events += verdict.events
        self.virtual_s += verdict.seconds
        self.hits += verdict.hits
        self.sometimes += +verdict.sometimes
        self.new_states.append(len(verdict.states - self.states))
        self.states |= verdict.states
        if verdict.failure is not None:
            self.failures.append((verdict.seed, verdict.failure.promise, verdict.failure.seen))

    def merge(self, other: Account) -> None:
        """What another process has found."""
        self.runs += other.runs
        self.events += other.events
        self.virtual_s += other.virtual_s
        self.hits += other.hits
        self.sometimes += other.sometimes
        self.new_states.append(len(other.states - self.states))
        self.states |= other.states
        self.failures += other.failures

    def cells(self) -> dict[tuple[str, str], int]:
        """The matrix: each point with each fault that can strike there, and how often it did."""
        return {(cell.point, cell.fault): self.hits[cell.point, cell.fault] for cell in CELLS}

    def missing(self) -> list[str]:
        """Situations that never came about."""
        return [what for what in SITUATIONS if not self.sometimes[what]]


@contextmanager
def a_switcher() -> Iterator[Switcher]:
    """Threads for runs, ended afterwards."""
    switcher = Switcher()
    try:
        yield switcher
    finally:
        switcher.close()


def account_of(seeds: Iterable[int]) -> Account:
    """Run these seeds in this process."""
    account = Account()
    with a_switcher() as switcher:
        for seed in seeds:
            account.add(run(seed, switcher=switcher))
    return account


def campaign(seeds: range, processes: int = 0) -> Iterator[Account]:
    """Run seeds in several processes (0: one per processor); the account so far, again and again."""
    total = Account()
    chunks: Sequence[range] = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    processes = processes or len(os.sched_getaffinity(0))
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for account in pool.imap_unordered(account_of, chunks):
            total.merge(account)
            yield total


def shrunk(seed: int, switcher: Switcher, numbers: Numbers | None = None, tale: Tale = OWN) -> Verdict:
    """The shortest run found that breaks the same promise as this seed, or this tape, does."""
    verdict = run(seed, numbers, switcher=switcher, tale=tale)
    if verdict.failure is None:
        return verdict
    promise = verdict.failure.promise

    def fails(candidate: Numbers) -> bool:
        failure = run(seed, candidate, switcher=switcher, tale=tale).failure
        return failure is not None and failure.promise == promise

    entries = [Entry(label, nth, value) for label, row in verdict.numbers.items() for nth, value in row.items()]
    return run(seed, numbers_of(shrink(entries, fails)), switcher=switcher, tale=tale)


def write(verdict: Verdict, directory: Path = DIRECTORY, test: str = "") -> Path:
    """Keep the tape of a run in a file that can be played again; `test`: of whose simulation, if not of our own."""
    assert verdict.failure is not None
    name = re.sub(r"[^\w.]+", "-", test)[-LONGEST_NAME:].strip("-")
    path = directory / f"{f'{name}-' if name else ''}seed-{verdict.seed}.json"
    about = {"seed": verdict.seed, "promise": verdict.failure.promise, "seen": verdict.failure.seen}
    if test:
        about["test"] = test
    save(path, verdict.numbers, {**about, "story": verdict.story})
    return path
