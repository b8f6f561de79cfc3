"""The program that our own runs simulate: tasks of every temper, whose results are known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from ... import payload
from ...engine import Engine
from ...errors import AutocronError
from ...job import Entry, Status
from ...result import Result
from ...run import Interrupted
from .disk import Row
from .machine import Machine

LONG_S: Final = 20.0  # longer than any grace period
TICK: Final = "simulated:tick"
MISSING: Final = "simulated:missing"  # there is no such task
STUBBORN: Final = "simulated:stubborn"


class Program:
    """See `roles.Code`."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.cron: list[Entry] = []
        self.register: Callable[[Engine, str, int, float], Result[Any] | None]
        self.nested: dict[bytes, set[bytes]] = {}  # job → what its latest run has registered
        self.stale_rate = 0.0
        self.on_stale: Callable[[], None] = lambda: None
        self.tasks: dict[str, Callable[..., Any]] = {
            f"simulated:{each.__name__.strip('_')}": each
            for each in (
                self.quick,
                self.slow,
                self.long,
                self.stubborn,
                self.fails,
                self.leaves,
                self.odd,
                self.nests,
                self.kills,
                self.kills_once,
                self.tick,
            )
        }
        plain = [each for each in self.tasks if each not in (TICK, STUBBORN)]
        self.names = [*plain, MISSING, STUBBORN]  # tapes know them by their place

    def resolve(self, address: str) -> Callable[..., Any]:
        if address not in self.tasks:
            raise AutocronError(f"there is no task {address}")
        return self.tasks[address]

    def is_stale(self) -> bool:
        if self.machine.tape.draw("stale code", 2, self.stale_rate):
            self.on_stale()
            return True
        return False

    def entries(self) -> tuple[int, list[Entry]]:
        return 1, self.cron

    # -- the tasks -------------------------------------------------------------------------------------------

    def quick(self, number: int) -> int:
        return 2 * number

    def slow(self, number: int) -> int:
        self.machine.sleep(0.004 * (number % 7) + 0.3 * (number % 3))
        return 2 * number

    def long(self, number: int) -> int:
        self.machine.sleep(LONG_S)
        return 2 * number

    def stubborn(self, number: int) -> int:
        """Goes on although it is interrupted, so that its worker has to be killed."""
        until = self.machine.clock.monotonic() + LONG_S
        while (left := until - self.machine.clock.monotonic()) > 0:
            with suppress(Interrupted):
                self.machine.sleep(left)
        return 2 * number

    def fails(self, number: int) -> int:
        raise ValueError(number)

    def leaves(self, number: int) -> int:
        raise SystemExit(number)

    def odd(self, number: int) -> object:
        return lambda: number  # cannot be stored

    def nests(self, number: int) -> int:
        """Register two more jobs."""
        process = self.machine.running.process
        self.machine.point("task.middle")
        found = [self.register(process.engines[-1], self.names[0], number + step, 0.0) for step in (100, 200)]
        if process.kind == "worker":
            self.nested[process.role.running.id] = {bytes.fromhex(each.uuid) for each in found if each is not None}
        return 2 * number

    def kills(self, number: int) -> int:
        """A poisonous job."""
        if self.machine.running.process.kind == "worker":
            self.machine.kill(self.machine.running.process)
            self.machine.check()
        return 2 * number

    def kills_once(self, number: int) -> int:
        process = self.machine.running.process
        if process.kind == "worker" and process.role.running.deaths == 0:
            self.machine.kill(process)
            self.machine.check()
        return 2 * number

    def tick(self) -> None:
        self.machine.point("task.middle")

    # -- what they come to -----------------------------------------------------------------------------------

    def wrong_with(self, row: Row, has_died: int, max_deaths: int, is_stored: Callable[[bytes], bool]) -> str:
        """What is wrong with a final row; "" if nothing."""
        name = row.task.rpartition(":")[2]
        if "the worker died" in row.error:
            return "" if has_died >= max_deaths else f"was given up after {has_died} deaths of workers"
        failing = {"fails": "ValueError", "leaves": "SystemExit", "odd": "return value", "missing": "no task"}
        if name in failing:
            right = row.status == Status.ERROR and failing[name] in row.error
            return "" if right else f"has the error {row.error!r}"
        if name == "kills":
            return "has a result, although it kills every worker"
        if row.status != Status.READY:
            return f"is in error: {row.error}"
        args, _ = payload.decode_call(row.payload, allow_pickle=False)
        expected = None if row.task == TICK else 2 * args[0]
        found = payload.decode(row.result, allow_pickle=False) if row.result else None
        if found != expected:
            return f"has the result {found!r} instead of {expected!r}"
        if lost := [id.hex()[8:18] for id in sorted(self.nested.get(row.id, ())) if not is_stored(id)]:
            return f"is done, and what it had registered is lost: {', '.join(lost)}"
        return ""
