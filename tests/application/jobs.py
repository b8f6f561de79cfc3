"""What processes of multiprocessing run."""

from tasks import add, until_ready

import autocron


def register(database, number):
    """Register jobs, and end at once."""
    autocron.start(database)
    for each in range(number):
        add(each, 1)


def register_and_wait(number):
    """Register a job, and wait for its result."""
    return until_ready(add(number, 1))
