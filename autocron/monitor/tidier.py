"""Housekeeping of the store while nobody waits for it: a checkpoint, and free space given back.

It begins when nothing has been written for a moment, goes on slice by slice, and then there is silence: an idle
monitor does not wake up.
"""

from __future__ import annotations

import logging
from typing import Final

from ..errors import StoreError
from ..interface import Interface, Store
from ..labels import MONITOR_TIDY

logger = logging.getLogger("autocron.monitor.tidier")

IDLE_S: Final = 1.0
PAUSE_S: Final = 0.01  # between two slices, jobs are served
RETRY_S: Final = 60.0


class Tidier:
    """Tidies the store, a slice at a time."""

    def __init__(self, interface: Interface, store: Store) -> None:
        self.interface = interface
        self.store = store
        self.next_at: float | None = None  # monotonic
        self._seen = store.written

    def tidy(self) -> None:
        """Do a slice, if it is time."""
        now = self.interface.clock.monotonic()
        if self.store.written != self._seen:
            self._seen = self.store.written
            self.next_at = now + IDLE_S
        elif self.next_at is not None and now >= self.next_at:
            self.next_at = self._slice(now)

    def _slice(self, now: float) -> float | None:
        try:
            return now + PAUSE_S if self.interface.call(MONITOR_TIDY, self.store.tidy) else None
        except StoreError as error:
            logger.warning("the store cannot be tidied: %s", error)
            return now + RETRY_S
