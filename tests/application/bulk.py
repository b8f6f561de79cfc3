"""Jobs of some size, and how many of them a store takes."""

import os
import time

import autocron

accepted = []  # those that were registered, with the size of each


@autocron.delay
def size(text):
    """A job whose result tells that its arguments came through."""
    return len(text)


def register(length=1000):
    """Register one; the refusal, or None."""
    try:
        accepted.append((size("x" * length), length))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def until_refused(length=1000, most=20_000):
    """Register until one is refused: why."""
    for _ in range(most):
        if refusal := register(length):
            return refusal
        time.sleep(0.001)
    return None


def until_accepted(length=1000):
    """Register until one is taken; how often it was refused before."""
    refusals = 0
    while register(length):
        refusals += 1
        time.sleep(0.01)
    return refusals


def until_done():
    """Wait for all that were accepted; those whose results are wrong."""
    for result, _ in accepted:
        while not result.is_ready():
            time.sleep(0.005)
    return [result for result, length in accepted if result.has_error or result.result != length]


def register_safely(number, length=100):
    """In blocking mode: note each one when it is acknowledged."""
    fd = os.open(
        os.path.join(os.environ["AUTOCRON_TEST"], "acknowledged"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
    )
    for _ in range(number):
        os.write(fd, size("x" * length).uuid.encode() + b"\n")
    os.close(fd)
