"""The system's clock."""

from __future__ import annotations

import time as _time


class SystemClock:
    """See `autocron.interface.Clock`.

    The functions are held as class attributes: a freezer replaces names in modules, and a real engine inside a
    frozen test must neither spin nor stall.
    """

    time = staticmethod(_time.time)
    monotonic = staticmethod(_time.monotonic)
