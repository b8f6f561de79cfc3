"""A load that accounts for itself: what was acknowledged, and what was done, in two files that survive everybody."""

import os
import threading

from tasks import note

import autocron
from autocron.engine import current
from autocron.errors import StoreError

DIRECTORY = os.environ["AUTOCRON_TEST"]
DATABASE = os.path.join(DIRECTORY, "app.db")


def write(name, line):
    """A line at the end of a file, whole or not at all."""
    fd = os.open(os.path.join(DIRECTORY, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


def effect(name):
    """What a job does to the world, so that it can be counted."""
    write("done", name)
    return name


@autocron.delay
def at_once(name):
    """Due when it is registered."""
    return effect(name)


@autocron.delay(minutes=0.0005)
def soon(name):
    """Due 30 ms after it was registered: claimed from the store."""
    return effect(name)


@autocron.delay
def twice(name):
    """Registers another one."""
    at_once(f"{name}-inner")
    return effect(name)


@autocron.cron("* * * * *")
def every_minute():
    """Fired at the start, because it was missed."""


def start_and_register(prefix, number):
    """In blocking mode: whatever is noted here was acknowledged. Tell when that is over."""
    while True:
        try:
            autocron.start(DATABASE, workers=2)
            break
        except StoreError:
            continue  # its disk was full for a moment
    register(prefix, number)
    note("registered", prefix)


def register(prefix, number):
    """Register jobs of all kinds, and note each one when it is acknowledged."""
    for each in range(number):
        task = (at_once, soon, twice)[each % 3]
        name = f"{prefix}-{each}"
        try:
            write("accepted", f"{task(name).uuid} {name}")
        except StoreError:
            continue  # it was refused, so nobody relies on it


class Registering:
    """A thread that registers until it is told to stop."""

    def __init__(self, prefix, batch=1):
        self._going = True
        self._thread = threading.Thread(target=self._run, args=(prefix, batch), daemon=True)
        self._thread.start()

    def _run(self, prefix, batch):
        number = 0
        while self._going:
            register_together(f"{prefix}.{number}", batch)
            number += 1

    def stop(self):
        """Return when the last job is acknowledged."""
        self._going = False
        self._thread.join()


def register_together(prefix, number):
    """Register jobs one after the other, and note all of them once all are acknowledged."""
    registrar = current()._registrar
    names = [f"{prefix}-{each}" for each in range(number)]
    lines = [f"{at_once(name).uuid} {name}" for name in names]
    while not registrar.is_idle():
        registrar.flush(1.0)
    write("accepted", "\n".join(lines))
