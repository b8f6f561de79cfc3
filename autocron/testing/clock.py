"""A clock that stands still until the test moves it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from math import floor


class FakeClock:
    """See `autocron.interface.Clock`. Two clocks in one: `monotonic` only moves forward, the wall can be set.

    `start`: UTC epoch seconds or an aware datetime at which the wall clock begins; None: what `time.time()` shows.
    """

    def __init__(self, start: float | datetime | None = None) -> None:
        if start is None:
            start = shown_time()
        self._wall = start.timestamp() if isinstance(start, datetime) else float(start)
        # The difference of two walls is exact, a sum of durations is not: what is due at a wall is due then.
        self._zero = self._wall  # where the wall clock would be at monotonic 0
        self.moved: Callable[[float], None] = lambda wall: None  # told about each change of the wall clock

    def time(self) -> float:
        """Wall clock, UTC epoch seconds."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self._wall - self._zero

    def advance(self, seconds: float) -> None:
        """Let time pass. ValueError if it would run backwards."""
        if seconds < 0:
            raise ValueError(f"advance({seconds!r}): time only passes forward; step_wall sets the wall clock back")
        self._set(self._wall + seconds)

    def reach(self, wall: float) -> None:
        """Let time pass until the wall clock shows exactly this."""
        self._zero -= max(0.0, self._wall - wall)
        self._set(wall)

    def move_to(self, when: datetime) -> None:
        """Let time pass until this aware moment; a moment in the past sets the wall clock back."""
        self.reach(when.timestamp())

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock, as NTP or a person does; no time passes."""
        self._zero += seconds
        self._set(self._wall + seconds)

    def _set(self, wall: float) -> None:
        self._wall = wall
        self.moved(wall)


def shown_time() -> float:
    """UTC epoch seconds, also those of a freezer."""
    return floor(time.time() * 1000) / 1000  # milliseconds are easier to read
