"""What the examples do in tests instead of sleeping: wait at a gate, if their name says so. Copied beside them."""

import fcntl
import os


def work(name):
    """Hold on if this is for somebody called "held …"; say so in the diary first."""
    if not name.startswith("held"):
        return
    directory = os.environ["AUTOCRON_TEST"]
    with open(os.path.join(directory, "diary"), "w") as diary:
        diary.write(f"begun {os.getpid()}\n")
    with open(os.path.join(directory, "gate-held"), "a") as gate:
        fcntl.flock(gate, fcntl.LOCK_SH)
