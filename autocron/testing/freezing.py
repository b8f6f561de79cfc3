"""One time for autocron, `datetime.now()` and the test, whoever sets it: freezegun, time-machine or the test.

A *freezer* that the test has started is followed: its time is autocron's time, and moving autocron's clock moves
it. Where there is none, it starts one of its own, if one is installed: time-machine, which costs next to nothing, at
once, freezegun at the first move. When a freezer of the test ends, the clock is back where it was; and a freezer that
was there before is back where it was when the clock ends.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Protocol

from .clock import FakeClock, shown_time

logger = logging.getLogger("autocron.testing")

INSTALL = (
    "only autocron.now() moves, because no freezer is installed; "
    "pip install time-machine, and datetime.now() moves with it (freeze=False: leave it)"
)


EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NAIVE_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - as freezegun counts
NO_ZONE: Final = timezone(timedelta(minutes=1))  # time-machine would make UTC, or a named zone, the local one


class Freezer(Protocol):
    """Something that decides what `datetime.now()` shows."""

    def time(self) -> float:
        """UTC epoch seconds."""

    def move(self, wall: float) -> None:
        """Show this from now on."""

    def stop(self) -> None:
        """Show the real time again; only for those we have started."""


class Freezegun:
    """A freezer of freezegun: a factory of moments."""

    name = "freezegun"

    def __init__(self, factory: Any, started: Any = None) -> None:
        self.key = factory
        self._started = started

    def time(self) -> float:
        # A factory that ticks at each call must not tick because we look.
        moment = self.key.time_to_freeze if hasattr(self.key, "step_width") else self.key()
        return float(moment.replace(tzinfo=UTC).timestamp())

    def move(self, wall: float) -> None:
        self.key.move_to(datetime.fromtimestamp(wall, UTC))

    def stop(self) -> None:
        self._started.stop()

    @classmethod
    def start(cls, wall: float) -> Freezegun:
        from freezegun import api  # noqa: PLC0415 - optional

        started = api.freeze_time(datetime.fromtimestamp(wall, UTC), real_asyncio=True, ignore=["trio"])
        factory = started.start()
        # Trio's own clock is left alone by now; what it calls has no reason to see the real time.
        api.ignore_lists[-1] = tuple(name for name in api.ignore_lists[-1] if name != "trio")
        api.tz_offsets[-1] = LocalOffset()  # type: ignore[call-overload]
        return cls(factory, started)


class LocalOffset:
    """What freezegun adds to UTC where a naive datetime is asked for: the offset of the local zone at that moment.

    Its own `tz_offset` is the same in summer and winter, and is added to aware datetimes too.
    """

    def __radd__(self, moment: datetime) -> datetime:
        """What the wall shows at a moment of UTC; an aware one is right already."""
        return moment if moment.tzinfo is not None else moment + _offset_at((moment - NAIVE_EPOCH).total_seconds())

    def __rsub__(self, wall: timedelta) -> timedelta:
        """The time since the epoch, when so much of it is on the wall."""
        seconds = time.mktime((NAIVE_EPOCH + wall).timetuple())
        return timedelta(seconds=seconds, microseconds=wall.microseconds)

    def total_seconds(self) -> float:
        """The offset now."""
        return _offset_at(time.time()).total_seconds()


def _offset_at(seconds: float) -> timedelta:
    return timedelta(seconds=time.localtime(seconds).tm_gmtoff)


class TimeMachine:
    """A freezer of time-machine: a traveller."""

    name = "time-machine"

    def __init__(self, traveller: Any, started: Any = None) -> None:
        self.key = traveller
        self._started = started

    def time(self) -> float:
        return float(self.key.time_ns() // 1000 / 1_000_000)  # the microseconds that a datetime shows

    def move(self, wall: float) -> None:
        # `move_to` would forget the zone that the test has given.
        shown = EPOCH + timedelta(microseconds=self.key.time_ns() // 1000)
        self.key.shift(datetime.fromtimestamp(wall, UTC) - shown)

    def stop(self) -> None:
        self._started.stop()

    @classmethod
    def start(cls, wall: float) -> TimeMachine:
        import time_machine  # noqa: PLC0415 - optional

        started = time_machine.travel(datetime.fromtimestamp(wall, NO_ZONE), tick=False)
        return cls(started.start(), started)


def active() -> tuple[type[Freezegun | TimeMachine], Any] | None:
    """The innermost freezer that is in force, and of which kind."""
    freezegun = sys.modules.get("freezegun.api")
    if freezegun is not None and (factories := getattr(freezegun, "freeze_factories", None)):
        return Freezegun, factories[-1]
    time_machine = sys.modules.get("time_machine")
    if time_machine is not None and (travellers := _travellers(time_machine)):
        return TimeMachine, travellers[-1]
    return None


def _travellers(time_machine: Any) -> Any:
    # Called coordinates_stack before version 3.
    return getattr(time_machine, "traveller_stack", None) or getattr(time_machine, "coordinates_stack", None)


def installed() -> type[Freezegun | TimeMachine] | None:
    """The kind of freezer that would be started."""
    for name, kind in (("time_machine", TimeMachine), ("freezegun", Freezegun)):
        if name in sys.modules or importlib.util.find_spec(name) is not None:
            return kind
    return None


class FollowingClock(FakeClock):
    """A `FakeClock` that agrees with the freezer in force.

    start: UTC epoch seconds, None: what `datetime.now()` shows. freeze: whether it may start a freezer.
    """

    said = False  # once per process is enough

    def __init__(self, start: float | None = None, *, freeze: bool = True) -> None:
        super().__init__(shown_time() if active() is None else 0.0)
        self._freeze = freeze
        self._ours: Freezegun | TimeMachine | None = None
        self._theirs: Freezegun | TimeMachine | None = None
        self._shown = 0.0  # by theirs, when we last looked
        self._own: float | None = None  # where we are when theirs is over; None: at the real time
        self._began = False
        self.is_looking = True
        self._look()
        self._began = True
        self._first = self._theirs  # may outlive us: a freezer of a class, or of an outer engine
        self._first_shown = self._shown
        self._first_moved = False
        if start is not None:
            self._zero += start - self._wall  # no time passes by that
            self._set(start)

    def time(self) -> float:
        """See `FakeClock`."""
        if self.is_looking:
            self._look()
        return self._wall

    def monotonic(self) -> float:
        """See `FakeClock`."""
        if self.is_looking:
            self._look()
        return self._wall - self._zero

    def look(self, on: bool) -> None:
        """Whether the code of the test runs, which may move a freezer; where it does not, nobody has to look."""
        self._look()
        self.is_looking = on

    def advance(self, seconds: float) -> None:
        """See `FakeClock`."""
        self._look()
        super().advance(seconds)

    def reach(self, wall: float) -> None:
        """See `FakeClock`."""
        self._look()
        super().reach(wall)

    def step_wall(self, seconds: float) -> None:
        """See `FakeClock`."""
        self._look()
        super().step_wall(seconds)

    def freeze(self) -> None:
        """Start a freezer before the first move, if that is cheap: what a test computes from now() is exact then."""
        if self._freeze and active() is None and installed() is TimeMachine:
            self._start(self._wall)

    def stop(self) -> None:
        """End the freezer that was started here; one that was there before shows again what it did."""
        ours, self._ours = self._ours, None
        self._freeze = False
        if ours is not None:
            ours.stop()
        if self._first is not None and self._first_moved:
            self._first.move(self._first_shown)

    @property
    def freezer(self) -> str:
        """The freezer in force: "freezegun", "time-machine" or ""."""
        found = active()
        return "" if found is None else found[0].name

    def _look(self) -> None:
        """Has somebody else moved the time?"""
        found = active()
        theirs = self._theirs
        if found is None or (self._ours is not None and found[1] is self._ours.key):
            if theirs is not None:
                self._theirs = None
                self._jump(shown_time() if self._own is None else self._own)
            return
        if theirs is None or theirs.key is not found[1]:
            if theirs is None and self._began:
                self._own = self._wall
            self._theirs = found[0](found[1])
            self._shown = self._theirs.time()
            self._jump(self._shown)
            return
        shown = theirs.time()
        if shown > self._shown:
            # A freezer shows microseconds. What it has been moved to may be a fraction of one later.
            self._shown, self._wall = shown, max(shown, self._wall)
        elif shown < self._shown:
            self._shown = shown
            self._jump(shown)

    def _jump(self, wall: float) -> None:
        """The wall clock is set; no time passes."""
        self._zero += wall - self._wall
        self._wall = wall

    def _set(self, wall: float) -> None:
        if self._theirs is not None:
            self._theirs.move(wall)
            self._shown = self._theirs.time()
            self._first_moved |= self._first is not None and self._theirs.key is self._first.key
        elif self._ours is not None:
            self._ours.move(wall)
        elif self._freeze:
            self._start(wall)
        super()._set(wall)

    def _start(self, wall: float) -> None:
        kind = installed()
        if kind is not None:
            self._ours = kind.start(wall)
        elif not FollowingClock.said:
            FollowingClock.said = True
            logger.warning(INSTALL)
