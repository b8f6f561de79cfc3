"""The real world: clock, processes, sockets, files."""

from __future__ import annotations

import functools
import os
import random

from ..interface import Interface
from ..stores import open_store
from .clock import SystemClock
from .processes import Processes


def real_interface(spawner: Processes | None = None, *, create: bool = False) -> Interface:
    """The world as it is, for an application or (with its spawner) for one of our processes.

    `create`: a missing database is made. Only `start` and `join` want that: one that went missing is not replaced.
    """
    world = Interface(
        clock=SystemClock(),
        spawner=spawner or Processes(),
        open_store=functools.partial(open_store, create=create),
        random=random.SystemRandom(),
    )
    if os.environ.get("AUTOCRON_FAILPOINTS"):
        from .failpoints import from_environment  # noqa: PLC0415 - only tests ask for it

        world.reach = from_environment()
    return world
