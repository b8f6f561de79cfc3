"""The simulator for users: their own tasks, on the real engine, with workers and monitors killed at every point."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from ...engine import Engine
from ...errors import AutocronError
from ...job import Entry
from ...registry import registry
from ..freezing import FollowingClock, active, installed
from .aims import CRASH, KILL, PAUSE
from .campaign import a_switcher, shrunk, write
from .disk import Disk
from .faults import Faults, Swarm
from .invariants import Witness, holds
from .lines import with_points
from .machine import START, Machine, Process, Violation
from .report import failure_in_words
from .roles import Roles
from .run import Verdict, run
from .tape import load
from .view import ADDRESS

SEEDS: Final = 200
SHAKE_S: Final = 5.0  # faults strike for so long, if the workload is not through before
RECOVERY_S: Final = 600.0
HORIZON_S: Final = 30 * 86400.0  # delayed jobs are waited for so long
SMALLEST_STEP_S: Final = 0.25
NOT_AGAIN: Final = (
    "it did not happen again when the seed was run once more: chance, time or threads outside of the simulation "
    "have a part in it; give them a fixed beginning in autocron_sim.setup(function)"
)
OPTIONS: Final = ("seeds", "workers", "first")  # of the marker

Condition = Callable[[], object]


class Simulation:
    """Says what is run and what must hold; `run` then tries many seeds.

    >>> def test_transfers(autocron_sim):                     # doctest: +SKIP
    ...     autocron_sim.setup(bank.open_accounts)
    ...     autocron_sim.workload(enqueue_transfers)
    ...     autocron_sim.eventually(lambda: bank.balance("ann") == 70)
    """

    def __init__(
        self,
        seeds: int = SEEDS,
        workers: int = 1,
        first: int = 0,
        replay: Path | None = None,
        test: str = "",
        freeze: bool = True,
    ) -> None:
        if seeds < 1:
            raise ValueError(f"seeds={seeds!r}: at least one run is needed, or nothing is shown")
        self._seeds = range(first, first + seeds)
        self._workers = workers
        self._replay = replay
        self._test = test  # whose simulation this is, as pytest names it
        self._freeze = freeze  # whether a freezer may be started, so that `datetime.now()` agrees
        self._move: Callable[[float], None] = lambda wall: None  # that freezer
        self._setups: list[Callable[[], object]] = []
        self._workloads: list[Callable[[], object]] = []
        self._always: list[tuple[Condition, str]] = []
        self._eventually: list[tuple[Condition, str]] = []

    # -- what a test says ------------------------------------------------------------------------------------

    def setup(self, function: Callable[[], object]) -> None:
        """Called before each run: brings the world outside (files, tables, dictionaries) back to its beginning."""
        self._setups.append(function)

    def workload(self, function: Callable[[], object]) -> None:
        """Called in a simulated application after its `autocron.start`: calls tasks. The application is not killed."""
        self._workloads.append(function)

    def always(self, condition: Condition, what: str = "") -> None:
        """Must be true after every event, in the middle of a task too. An AssertionError in it counts as false."""
        self._always.append((condition, what or _described(condition)))

    def eventually(self, condition: Condition, what: str = "") -> None:
        """Must be true when all jobs have ended and nothing fails any more."""
        self._eventually.append((condition, what or _described(condition)))

    # -- what is done with it --------------------------------------------------------------------------------

    def run(self) -> None:
        """Simulate all seeds, or the tape to be played again. AssertionError, in words, for the first that fails."""
        __tracebackhide__ = True
        if not self._workloads:
            raise TypeError("there is nothing to simulate: give autocron_sim.workload(function) a function")
        with self._frozen(), a_switcher() as switcher:
            if self._replay is not None:
                numbers, about = load(self._replay, self._test)
                verdict = run(int(str(about["seed"])), numbers, switcher=switcher, tale=self)
                if verdict.failure is not None:
                    raise AssertionError(f"{self._replay}, played again:\n{failure_in_words(verdict)}")
                return
            for seed in self._seeds:
                verdict = run(seed, switcher=switcher, tale=self)
                if verdict.failure is not None:
                    raise AssertionError(self._report(verdict, shrunk(seed, switcher, tale=self)))

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        found = active()  # of the kind that the test has started: they cover one another
        kind = found[0] if found is not None else installed()
        if kind is None or not self._freeze:
            FollowingClock.said |= self._freeze  # the plugin tells what to install
            yield
            return
        freezer = kind.start(START)
        self._move = freezer.move
        try:
            yield
        finally:
            freezer.stop()

    def _report(self, first: Verdict, small: Verdict) -> str:
        if small.failure is None:
            return f"{failure_in_words(first)}\n{NOT_AGAIN}"
        words = failure_in_words(small, sum(map(len, first.numbers.values())))
        which = f" {shlex.quote(self._test)}" if self._test else ""
        return f"{words}\nplay it again: pytest{which} --autocron-replay {write(small, test=self._test)}"

    # -- see run.Tale ----------------------------------------------------------------------------------------

    def swarm(self, seed: int) -> Swarm:
        """Few deaths, so that no job is given up as poisonous."""
        random = Random(f"swarm {seed}")
        return Swarm(
            kinds=random.choice(((CRASH,), (CRASH, KILL), (CRASH, PAUSE))),
            rate=10 ** random.uniform(-2.3, -0.7),
            most=random.choice((1, 1, 2)),
            switch_rate=random.choice((0.05, 0.3, 1.0)),
            partial_rate=random.choice((0.0, 0.2)),
            victims=("worker",) if random.random() < 0.7 else ("worker", "monitor"),
        )

    def story(self, machine: Machine, disk: Disk, faults: Faults, witness: Witness) -> UserStory:
        witness.always = self._always
        witness.most_workers = self._workers
        machine.clock.moved = self._move
        machine.clock.advance(0.0)  # the freezer is still where the run before has ended
        return UserStory(self, machine, disk, faults, witness)


class UserStory:
    """One run: start, workload, faults for a while, then everything must come to its end."""

    def __init__(self, told: Simulation, machine: Machine, disk: Disk, faults: Faults, witness: Witness) -> None:
        self.told = told
        self.machine = machine
        self.faults = faults
        self.model = witness.model
        self.roles = Roles(machine, disk, faults, UserCode(machine))
        self.application: Process
        self.is_through = False

    def operate(self) -> None:
        for each in self.told._setups:
            each()
        self.application = self.roles.application(self._script)
        end = self.machine.clock.monotonic() + SHAKE_S
        while self.machine.clock.monotonic() < end and not (self.is_through and not self._left()):
            self.machine.sleep(SMALLEST_STEP_S)
        self.faults.stop()
        self._await_all()
        for condition, what in self.told._eventually:
            if not holds(condition):
                raise Violation("eventually", what)

    def _script(self, process: Process, engine: Engine) -> None:
        while True:
            try:
                engine.start(ADDRESS, self.told._workers)
                break
            except (AutocronError, OSError):
                self.machine.sleep(1.0)
        for each in self.told._workloads:
            each()
        self.is_through = True
        self.machine.block(lambda: False)

    def _left(self) -> list[str]:
        registrar = self.application.role._registrar
        on_the_way = [] if registrar is not None and registrar.is_idle() else ["registrations are on their way"]
        return on_the_way + self.model.unsettled((), self.machine.clock.time())

    def _await_all(self) -> None:
        clock = self.machine.clock
        limit = clock.monotonic() + RECOVERY_S
        while not self.is_through or self._left():
            if clock.monotonic() > limit:
                raise Violation("accepted work gets done", "; ".join(self._left()) or "the workload does not end")
            self.machine.sleep(1.0)
        last = max((row.due for row in self.model.rows.values() if row.due < clock.time() + HORIZON_S), default=0.0)
        if last > clock.time():  # delayed jobs are waited for
            self.machine.sleep(last - clock.time() + 1.0)
            self._await_all()


class UserCode:
    """See `roles.Code`: what is decorated in this process, each line of it a point."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def resolve(self, address: str) -> Callable[..., Any]:
        if address not in registry.tasks:
            raise AutocronError(f"there is no task {address}: no function of this name is decorated in this process")
        return with_points(self._machine, registry.tasks[address])

    def is_stale(self) -> bool:
        return False

    def entries(self) -> tuple[int, list[Entry]]:
        return registry.version, list(registry.entries.values())


def _described(condition: Condition) -> str:
    name = getattr(condition, "__name__", repr(condition))
    if name != "<lambda>":
        return str(name)
    import inspect  # noqa: PLC0415 - only for the report

    try:
        return " ".join(inspect.getsource(condition).split())
    except OSError:
        return "a lambda"


def of_markers(
    markers: Iterable[Any], seeds: int | None, replay: str | None, test: str = "", *, freeze: bool = True
) -> Simulation:
    """The simulation that markers and options ask for. TypeError for unknown arguments."""
    options: dict[str, Any] = {}
    for marker in markers:
        unknown = [*map(repr, marker.args), *(f"{name}=" for name in marker.kwargs if name not in OPTIONS)]
        if unknown:
            wrong = f"@pytest.mark.autocron_sim({', '.join(unknown)})"
            raise TypeError(f"{wrong}: only {', '.join(OPTIONS)} are known, as keywords")
        options |= marker.kwargs
    if seeds is not None:
        options["seeds"] = seeds
    return Simulation(**options, replay=None if replay is None else Path(replay), test=test, freeze=freeze)
