"""A process that works on a store until it is killed: python store_child.py (claims|sequence) FILE …

It says what is done as soon as it is done: that is the acknowledgement.
"""

from __future__ import annotations

import os
import signal
import sys

from autocron.errors import StoreBusy
from autocron.interface import Store
from autocron.job import Outcome, Status
from autocron.stores.sqlite import SQLiteStore
from autocron.testing.sequences import Tape


def claims(store: Store, token: int) -> None:
    """Claim and settle all that is due, a few at a time, beside other processes."""
    sys.stdin.readline()  # they begin together
    while True:
        try:
            jobs = store.claim(1e9, 7, token)
            break_off = not jobs
            while jobs:
                outcomes = [Outcome(job.id, Status.READY.value) for job in jobs]
                try:
                    store.settle(outcomes, token=token, now=1.0, ttl_s=1e9)
                except StoreBusy:
                    continue
                for job in jobs:
                    print(job.id.hex())
                jobs = []
        except StoreBusy:
            continue
        if break_off:
            return


def sequence(store: SQLiteStore, seed: int, steps: int, target: int, instructions: int) -> None:
    """Make these calls; within the one of this number, die before the n-th instruction of SQLite's machine."""
    left = [instructions]

    def count() -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for number, call in enumerate(Tape(seed).calls(steps)):
        store._db.set_progress_handler(count if number == target else None, 1)
        call.on(store)
        os.write(1, b"%d\n" % number)


if __name__ == "__main__":
    work, path, *numbers = sys.argv[1:]
    {"claims": claims, "sequence": sequence}[work](SQLiteStore(path), *map(int, numbers))
