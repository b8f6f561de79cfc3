"""The command: run many seeds, play a tape again, or have the planted bugs found."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from .campaign import a_switcher, campaign, shrunk, write
from .report import account_in_words, failure_in_words
from .run import run
from .tape import load


def main() -> int:
    """0 if every promise held."""
    parser = argparse.ArgumentParser(prog="python -m autocron.testing.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=0, help="default: one per processor")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play the tape in this file again")
    parser.add_argument("--planted", nargs="*", metavar="NAME", help="plant bugs, find them, print the table")
    options = parser.parse_args()
    if options.replay is not None:
        return _replay(options.replay)
    if options.planted is not None:
        from .hunt import find_all  # noqa: PLC0415 - patches nothing until it is asked to

        return find_all(options.planted, options.processes)
    return _campaign(range(options.first, options.first + options.seeds), options.processes)


def _replay(path: Path) -> int:
    numbers, about = load(path)
    with a_switcher() as switcher:
        verdict = run(int(str(about["seed"])), numbers, switcher=switcher)
    if verdict.failure is None:
        print(f"{path}: all promises hold; this tape had broken: {about['promise']}")
        return 0
    print(failure_in_words(verdict))
    return 1


def _campaign(seeds: range, processes: int) -> int:
    started = time.monotonic()
    for account in campaign(seeds, processes):
        if sys.stderr.isatty():
            print(f"\r{account.runs:,} of {len(seeds):,}", end="", file=sys.stderr, flush=True)
    seconds = time.monotonic() - started
    print(account_in_words(account, seconds))
    if not account.failures:
        return 0
    with a_switcher() as switcher:
        verdict = shrunk(account.failures[0][0], switcher)
    print(f"\n{failure_in_words(verdict)}\nplay it again: --replay {write(verdict)}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
