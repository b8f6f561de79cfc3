"""The thread that calls a role's `step` beside the application, and what others wait for meanwhile."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable

from .clock import SystemClock

logger = logging.getLogger("autocron.system")


def can_have_threads() -> bool:
    """False under gevent's patches, where a blocking thread would stop the whole application."""
    monkey = sys.modules.get("gevent.monkey")
    return not (monkey is not None and monkey.is_module_patched("threading"))


class BackgroundThread:
    """See `autocron.interface.Background`."""

    def __init__(self, step: Callable[[], bool]) -> None:
        self._step = step
        self._changed = threading.Condition()
        self._stopped = False
        # A daemon: it must never keep the application from ending.
        threading.Thread(target=self._run, name="autocron", daemon=True).start()

    def _run(self) -> None:
        while not self._stopped:
            try:
                going = self._step()
            except Exception:
                logger.exception("autocron's background thread met an error and goes on")
                going = True
            with self._changed:
                if not going:
                    self._stopped = True
                self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], until: float | None = None) -> bool:
        timeout = None if until is None else max(0.0, until - SystemClock.monotonic())
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._stopped, timeout)
        return condition()

    def stop(self) -> None:
        self._stopped = True
