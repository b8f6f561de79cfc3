"""How many descriptors the monitor may have: it needs two for each process of the application.

It takes as many as it may get; its workers, and what tasks start, have the number that it was given. The last few are
for the store and for workers, however many processes want to be linked.
"""

from __future__ import annotations

import contextlib
import os
import resource
from typing import Final

RESERVED: Final = 24

_given: list[tuple[int, int]] = []  # the limit before it was raised


def raise_limit() -> None:
    """As many as the system allows; only where the limit can be given back to each child."""
    if not _given and hasattr(resource, "prlimit"):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        _given.append((soft, hard))
        if soft != hard:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def give_back(pid: int) -> None:
    """A child gets the limit that we were given."""
    for limit in _given:
        with contextlib.suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)


def are_left() -> bool:
    """Whether another link leaves enough for what else is to be opened."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        reader, writer = os.pipe()  # the system gives the lowest numbers that are free
    except OSError:
        return False
    os.close(reader)
    os.close(writer)
    return limit == resource.RLIM_INFINITY or writer < limit - RESERVED
