"""Traps: hold a process of the small world at a labelled point, and look at what the others see meanwhile.

A held process takes no turn until it is released, as if it were stopped by SIGSTOP in the middle of a step. All others
go on. So "what if the monitor dies right here" is a block of a test, and not a matter of luck.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self

from ..errors import AutocronError
from ..interface import Interface, P, T
from ..labels import LABELS, MONITOR_LISTEN, MONITOR_OPEN, MONITOR_RESCUE, POINTS, Label

if TYPE_CHECKING:
    from .processes import Process
    from .world import World

# While a monitor starts, the application waits for it: nobody would be left to release it.
_AWAITED: Final = frozenset({MONITOR_LISTEN, MONITOR_OPEN, MONITOR_RESCUE})
HOLDABLE: Final = frozenset(
    point
    for label in LABELS - _AWAITED
    if not label.startswith("app.")
    for point in POINTS
    if point.startswith(f"{label}.")
)


class Held(AutocronError):
    """Somebody waits for a process that a trap holds."""


class Trap:
    """Holds each process that comes to a point, as long as the block lasts: `with fake_engine.trap(point) as trap:`.

    AutocronError for an unknown point. If nobody has come there at the end of the block, that is an AssertionError.
    """

    def __init__(self, world: World, point: str) -> None:
        if point not in HOLDABLE:
            raise AutocronError(_refusal(point))
        self.point = point
        self.role = point.partition(".")[0]
        self._world = world
        self._held: list[Process] = []
        self._came = False

    def __enter__(self) -> Self:
        with self._world.lock:
            self._world.traps.append(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._world.traps.remove(self)
        self._held.clear()
        if error is None and not self._came:
            raise AssertionError(
                f"trap({self.point!r}): nobody has come there; run_pending() or fast_forward() inside of the block"
            )

    @property
    def held(self) -> tuple[Process, ...]:
        """The processes that it holds: each has a `role` and a `pid`."""
        return tuple(self._held)

    def release(self) -> None:
        """Let those it holds go on when it is their turn: in the next `run_pending()`. Who comes then is held again.

        AutocronError if it holds nobody: then there is nothing that a test could have waited for.
        """
        if not self._held:
            raise AutocronError(
                f"trap({self.point!r}) holds nobody: nothing has come there since; "
                "register a job and call run_pending() or fast_forward() first"
            )
        self._held.clear()

    def catch(self, process: Process) -> None:
        """A process is at the point; returns when it may go on."""
        if process.strand is None or not process.is_alive:
            return
        self._came = True
        self._held.append(process)
        process.trap = self
        process.strand.stop(self)
        process.trap = None

    def lose(self, process: Process) -> None:
        """A process has ended here."""
        if process in self._held:
            self._held.remove(process)


class Trapped(Interface):
    """An interface at whose points traps can be set at any time; `traps`: those that are set."""

    __slots__ = ("process", "traps")

    def __init__(self, *world: Any, process: Process | None, traps: list[Trap]) -> None:
        super().__init__(*world)
        self.process = process
        self.traps = traps

    def call(self, label: Label, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Interface.call`."""
        if not self.traps:
            return Interface.call(self, label, function, *args, **kwargs)
        self._pass(f"{label}.before")
        result = Interface.call(self, label, function, *args, **kwargs)
        self._pass(f"{label}.after")
        return result

    def _pass(self, point: str) -> None:
        for trap in [*self.traps]:
            if trap.point == point and trap in self.traps and self.process is not None:
                trap.catch(self.process)


def _refusal(point: str) -> str:
    known = f"known are {', '.join(sorted(HOLDABLE))}"
    if point not in POINTS:
        return f"trap({point!r}): there is no such point; {known}"
    return (
        f"trap({point!r}): the application itself is there or waits for it, and in one thread nobody would be left "
        f"to release it; {known}"
    )
