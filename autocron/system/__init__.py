"""The real world: clock, processes, sockets, files."""

from __future__ import annotations

import random

from ..interface import Interface
from ..stores import open_store
from .clock import SystemClock
from .processes import Processes


def real_interface(spawner: Processes | None = None) -> Interface:
    """The world as it is, for an application or (with its spawner) for one of our processes."""
    return Interface(
        clock=SystemClock(),
        spawner=spawner or Processes(),
        open_store=open_store,
        random=random.SystemRandom(),
    )
