"""Doing the work of a background where there can be no thread: one of those who wait does it, for all of them.

What one reads may be what another waits for. So one steps at a time, and the others sleep, each by a bell of its own,
which is rung after each step. A signal handler, or a finalizer, that waits in the middle of a step steps itself: who
would ring for it is further down its stack.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from .interface import Bell, Interface, wall_at

_inside: ContextVar[object] = ContextVar("inside", default=None)  # whose step this thread is in


class InCaller:
    """See `autocron.interface.Background`."""

    def __init__(self, interface: Interface, step: Callable[[float | None], bool]) -> None:
        self._interface = interface
        self._step = step
        self._mutex = interface.spawner.mutex()
        self._stepper: object = None
        self._sleepers: list[Bell] = []

    def wait_for(self, condition: Callable[[], bool], until: float | None = None) -> bool:
        """See `autocron.interface.Background`."""
        take_part = self._step_again if _inside.get() is self else self._step_or_sleep
        while not condition():
            if until is not None and self._interface.clock.monotonic() >= until:
                return False
            if not take_part(condition, until):
                return condition()
        return True

    def spares_caller(self) -> bool:
        """There is nobody else."""
        return False

    def must_block(self) -> bool:
        """There is nobody else."""
        return True

    def is_dead(self) -> bool:
        """The caller lives."""
        return False

    def _step_again(self, condition: Callable[[], bool], until: float | None) -> bool:
        return self._step(until)

    def _step_or_sleep(self, condition: Callable[[], bool], until: float | None) -> bool:
        """One step, one's own or another's; False: there are no more."""
        me, outside = object(), _inside.get()
        try:
            _inside.set(self)
            with self._mutex:
                self._stepper = self._stepper or me
            if self._stepper is me:
                return condition() or self._step(until)  # the step that has just ended may have brought it
        finally:
            _inside.set(outside)
            with self._mutex:
                if self._stepper is me:
                    self._stepper = None
                    for each in self._sleepers:
                        each.ring()
        self._sleep(condition, until)
        return True

    def _sleep(self, condition: Callable[[], bool], until: float | None) -> None:
        """Return after the step of another, or soon."""
        bell = self._interface.spawner.bell()
        try:
            with self._mutex:
                self._sleepers.append(bell)
            if self._stepper is not None and not condition():  # only now: a step that ends rings from now on
                self._interface.spawner.wait([bell], None if until is None else wall_at(self._interface.clock, until))
        finally:
            with self._mutex:  # nobody rings while it is closed
                if bell in self._sleepers:
                    self._sleepers.remove(bell)
                bell.close()

    def stop(self) -> None:
        """Nothing runs."""
