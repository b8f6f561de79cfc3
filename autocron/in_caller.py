"""Doing the work of a background where there can be no thread: whoever waits does it."""

from __future__ import annotations

from collections.abc import Callable

from .interface import Interface


class InCaller:
    """See `autocron.interface.Background`."""

    def __init__(self, interface: Interface, step: Callable[[float | None], bool]) -> None:
        self._interface = interface
        self._step = step

    def wait_for(self, condition: Callable[[], bool], until: float | None = None) -> bool:
        """See `autocron.interface.Background`."""
        while not condition():
            if until is not None and self._interface.clock.monotonic() >= until:
                return False
            if not self._step(until):
                return condition()
        return True

    def stop(self) -> None:
        """Nothing runs."""
