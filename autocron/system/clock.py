"""The system's clock, as it is: a freezer of a test moves what `time.time` shows, not what a real engine waits for."""

from __future__ import annotations

import sys
import time as _time
from typing import Any


def _unfrozen(name: str) -> Any:
    """The function of this name. freezegun puts its own in its place, maybe just now."""
    return getattr(sys.modules.get("freezegun.api"), f"real_{name}", None) or getattr(_time, name)


_real_time = _unfrozen("time")


def _wall() -> float:
    """time-machine changes the function itself, for whoever holds it, and leaves a way out."""
    way_out = getattr(sys.modules.get("time_machine"), "escape_hatch", None)
    return float(_real_time() if way_out is None or not way_out.is_travelling() else way_out.time.time())


class SystemClock:
    """See `autocron.interface.Clock`. A real engine inside a frozen test neither spins nor stalls."""

    time = staticmethod(_wall)
    monotonic = staticmethod(_unfrozen("monotonic"))
