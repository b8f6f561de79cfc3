"""Results whose time to live is over are removed."""

from __future__ import annotations

import logging
from typing import Final

from ..errors import StoreError
from ..interface import Interface, Store
from ..labels import MONITOR_PRUNE

logger = logging.getLogger("autocron.monitor.pruner")

BATCH: Final = 1000  # between two batches, jobs are served
SHARE: Final = 0.05  # of their time to live, results may stay longer: they end one by one and are removed together
AT_MOST_EVERY_S: Final = 1.0  # however short they live
RETRY_S: Final = 60.0


class Pruner:
    """Removes results, a batch at a time."""

    def __init__(self, interface: Interface, store: Store) -> None:
        self.interface = interface
        self.store = store
        self.next_at: float | None = store.next_prune()  # wall time
        self.pause_s = AT_MOST_EVERY_S

    def settled(self, now: float, ttl_s: float) -> None:
        """A result has just been stored."""
        self.pause_s = max(AT_MOST_EVERY_S, ttl_s * SHARE)
        at = now + ttl_s + self.pause_s
        self.next_at = at if self.next_at is None else min(self.next_at, at)  # results may live less long by now

    def prune(self, now: float) -> None:
        """Remove what is over, if it is time."""
        if self.next_at is None or now < self.next_at:
            return
        try:
            if self.interface.call(MONITOR_PRUNE, self.store.prune, now, BATCH) == BATCH:
                return
            following = self.store.next_prune()
        except StoreError as error:
            logger.warning("results cannot be removed: %s", error)
            self.next_at = now + RETRY_S
            return
        self.next_at = None if following is None else max(following, now) + self.pause_s
