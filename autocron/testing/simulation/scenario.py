"""Our own runs: applications come and go and register jobs while faults strike; then all is well, and must get well."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

from ... import messages
from ...engine import Engine
from ...errors import AutocronError, StoreError
from ...job import Entry, Status
from ...result import Result
from ...settings import Settings
from .disk import Disk, Row
from .faults import Faults
from .invariants import Witness
from .machine import Machine, Process, Violation
from .program import LONG_S, MISSING, TICK, Program
from .roles import Roles
from .view import ADDRESS

LENGTHS_S: Final = (3.0, 15.0, 60.0, 200.0)
DELAYS_S: Final = (0.0, 0.0, 0.0, 0.7, 8.0, 65.0)
PAUSES_S: Final = (0.0, 0.001, 0.02, 0.4, 2.0, 9.0)
SAFETY_EVENTS: Final = 6_000
RECOVERY_S: Final = 400.0  # the longest backoffs of registrar and pool, one after the other, and some work
QUIET_S: Final = 300.0
HORIZON_S: Final = 8000.0  # nothing is due later, even if the clock was set back twice
PRUNED_S: Final = 75.0  # the pause after a refusal included
GONE_S: Final = 40.0


class Scenario:
    """What the operator of the simulated machine does, from the first start to the last end."""

    def __init__(self, machine: Machine, disk: Disk, faults: Faults, witness: Witness, program: Program) -> None:
        self.machine = machine
        self.tape = machine.tape
        self.disk = disk
        self.faults = faults
        self.witness = witness
        self.model = witness.model
        self.program = program
        self.roles = Roles(machine, disk, faults, program)
        self.leaving = False
        self.busy: set[int] = set()  # applications whose script still goes
        self.guests: set[int] = set()  # processes that only register
        self.accepted: dict[bytes, Process] = {}
        self._numbers = itertools.count(1)
        program.register = self.register
        self.model.expected = self._wrong_with
        self.model.max_deaths = self._max_deaths
        self.model.unloadable = {MISSING}

    def _max_deaths(self) -> int:
        return int(self.disk.store.settings().get("max_deaths", Settings().max_deaths))

    def _wrong_with(self, row: Row) -> str:
        return self.program.wrong_with(
            row,
            self.model.deaths[row.id],
            self._max_deaths(),
            lambda id: id in self.model.rows or id in self.model.pruned,
        )

    # -- the operator ----------------------------------------------------------------------------------------

    def operate(self) -> None:
        """The whole story."""
        self._configure()
        self._safety()
        self.faults.stop()
        self._liveness()
        self._farewell()

    def _configure(self) -> None:
        draw, witness = self.tape.draw, self.witness
        if draw("settings", 3) == 1:
            values: dict[str, Any] = {
                "max_deaths": (3, 1, 2)[draw("max deaths", 3)],
                "grace_s": (5.0, 0.5, 30.0)[draw("grace", 3)],
                "ttl_s": (1800.0, 4.0)[draw("ttl", 2)],
                "durability": ("full", "normal")[draw("durability", 2)],
                "blocking": draw("blocking", 2) == 1,
            }
            self.disk.store.save_settings(values)
            self.disk.wrote(self.machine.running.process, "save_settings")
            self.disk.sync()
            witness.grace_s = values["grace_s"]
            witness.full_durability = values["durability"] == "full"
        if draw("stale", 3) == 1:
            self.program.stale_rate = 0.2
            self.program.on_stale = lambda: self.model.sometimes.update(["a worker with stale code gives way"])
        if draw("cron", 3) == 1:
            overlap = ("allow", "skip", "queue")[draw("overlap", 3)]
            self.program.cron = [
                Entry(f"{TICK}#0", TICK, "* * * * *", "UTC", (86400.0, 0.0)[draw("catch up", 2)], overlap)
            ]

    def _safety(self) -> None:
        machine, draw = self.machine, self.tape.draw
        wanted = 1 + draw("applications", 3)
        for _ in range(wanted):
            self._start_application(after_s=0.3 * draw("start of an application", 4))
        end = machine.clock.monotonic() + LENGTHS_S[draw("length", len(LENGTHS_S))]
        while machine.clock.monotonic() < end and machine.events < SAFETY_EVENTS:
            machine.sleep(1.0)
            self._check_orphans()
            if len(machine.living("app")) < wanted and draw("restart", 2):
                self._start_application()

    def _start_application(self, after_s: float = 0.0) -> None:
        self.busy.add(self.roles.application(self._script, after_s).pid)

    # -- an application --------------------------------------------------------------------------------------

    def _script(self, process: Process, engine: Engine) -> None:
        if self.faults.active and self.tape.draw("only registers", 6) == 1:
            self._visit(process, engine)
            return
        workers = (None, 1, 2, 3)[self.tape.draw("workers", 4)]
        self.witness.most_workers = max(self.witness.most_workers, workers or 1)
        self._start(engine, workers)
        for _ in range(self.tape.draw("steps of an application", 16)):
            self._do(engine)
        self.busy.discard(process.pid)
        if self.tape.draw("leaves early", 4) != 1 or not self.faults.active:
            self._stay(engine)
        self._leave(process, engine)

    def _visit(self, process: Process, engine: Engine) -> None:
        """A command beside the application: it only registers."""
        self.guests.add(process.pid)
        self.model.sometimes["a process only registers"] += 1
        engine.join(ADDRESS)
        for _ in range(self.tape.draw("steps of a guest", 4)):
            self._register_something(engine)
            self._ask(engine)
        self.busy.discard(process.pid)
        self._leave(process, engine)

    def _stay(self, engine: Engine) -> None:
        """Until all leave. What was paused by hand is resumed by hand, when nothing fails any more."""
        while not self.leaving:
            self.machine.block(lambda: self.leaving or (self.witness.paused and not self.faults.active))
            if not self.leaving and not self._order(engine, messages.SETTINGS, {"paused": False}):
                self.machine.sleep(1.0)

    def _start(self, engine: Engine, workers: int | None) -> None:
        while True:
            try:
                engine.start(ADDRESS, workers)
            except (AutocronError, OSError):
                self.model.sometimes["a start fails and says why"] += 1
                self.machine.sleep(1.0)
            else:
                return

    def _do(self, engine: Engine) -> None:
        what = self.tape.draw("step", 20)
        if what <= 9:
            self._register_something(engine)
        elif what <= 11:
            self.machine.sleep(PAUSES_S[self.tape.draw("pause of an application", len(PAUSES_S))])
        elif what == 12:
            self._ask(engine)
        elif what == 13:
            workers = 1 + self.tape.draw("other workers", 3)
            self.witness.most_workers = max(self.witness.most_workers, workers)
            self._start(engine, workers)
        elif what == 14:
            engine.stop()
            self._forget_unsafe(self.machine.running.process)
            self._start(engine, None)
        elif what == 15:
            self._try(engine.get_results)
        elif what == 16:
            engine.leave()
            self._forget_unsafe(self.machine.running.process)
            self._start(engine, None)
        else:
            self._interfere(engine)

    def _register_something(self, engine: Engine) -> None:
        name = self.program.names[self.tape.draw("task", len(self.program.names))]
        self.register(engine, name, next(self._numbers), DELAYS_S[self.tape.draw("due", len(DELAYS_S))])

    def _interfere(self, engine: Engine) -> None:
        """What a person does on the command line."""
        what = self.tape.draw("by hand", 5)
        if what == 4:
            self._order(engine, messages.SETTINGS, {"paused": True})
            self.machine.sleep(PAUSES_S[self.tape.draw("pause by hand", len(PAUSES_S))])
            self._order(engine, messages.SETTINGS, {"paused": False})
            return
        if what == 3:
            if self.program.cron:
                self._order(engine, messages.FIRE, self.program.cron[0].key)
            return
        known = sorted(self.model.acknowledged - self.model.pruned)
        if not known:
            return
        first = self.tape.draw("job by hand", len(known))
        ids = known[first : first + 3]
        if what == 0:
            self.model.forgiven.update(ids)
            self._order(engine, messages.RETRY, ids)
        elif what == 1:
            self._order(engine, messages.HASTEN, ids)
        else:
            self.model.unwanted.update(ids)
            self._order(engine, messages.PURGE, (ids, list(map(int, Status))))

    def _order(self, engine: Engine, question: str, argument: object) -> bool:
        """Ask for something to be done; whether it was."""
        assert engine._registrar is not None
        try:
            engine._registrar.ask(question, argument)
        except AutocronError:
            self.model.sometimes["an order is not carried out, and says why"] += 1
            return False
        return True

    def _try(self, call: Callable[[], Any]) -> Any:
        began_in_peace = not self.faults.active
        try:
            return call()
        except AutocronError:
            self.model.sometimes["a question is not answered, and says why"] += 1
            if began_in_peace:
                raise
            return None

    def register(self, engine: Engine, name: str, number: int, after_s: float) -> Result[Any] | None:
        """A call of a task."""
        process = self.machine.running.process
        function = self.program.tasks.get(name, self.program.quick)
        try:
            result = engine.register(function, name, (number,), {}, after_s=after_s)
        except StoreError:
            self.model.sometimes["a registration is refused"] += 1
            return None
        id = bytes.fromhex(result.uuid)
        self.machine.note(self.machine.running.name, f"has registered job {id.hex()[8:18]} ({name.rpartition(':')[2]})")
        if process.kind == "app":
            self.accepted[id] = process
            is_safe = engine._settings.blocking or process.pid in self.guests
            if is_safe and id not in self.model.acknowledged:
                raise Violation("blocking mode returns when the job is safe", f"{self.model.name(id)} is not")
        return result

    def _forget_unsafe(self, process: Process) -> None:
        """An end in good order flushes; what a refusing disk does not take in time is lost, and the log says so."""
        if self.faults.refused:
            unsafe = [id for id, each in self.accepted.items() if each is process and id not in self.model.acknowledged]
            for id in unsafe:
                self.model.sometimes["an end loses what the disk does not take"] += 1
                del self.accepted[id]

    def _ask(self, engine: Engine) -> None:
        """Ask after a job of this process."""
        own = [id for id, process in self.accepted.items() if process is self.machine.running.process]
        if not own:
            return
        id = own[self.tape.draw("job asked for", len(own))]
        cuts = self.faults.power_cut
        row, was_pruned = self.model.rows.get(id), id in self.model.pruned
        found = self._try(lambda: engine.look_up(id))
        if found is None or self.faults.power_cut != cuts:
            return
        stored = found[0]
        if stored is None:
            row = self.model.rows.get(id)
            is_over = row is not None and 0 < row.prune_at <= self.witness.latest_wall
            if id not in self.model.pruned and not is_over:
                raise Violation("accepted work is not lost", f"{self.model.name(id)} is unknown to the monitor")
        elif id in self.model.forgiven | self.model.unwanted:
            return  # somebody may have had it run again meanwhile, or removed while it was on its way
        elif was_pruned:
            raise Violation("a result only moves forward", f"{self.model.name(id)} was removed, and is there again")
        elif row is not None and row.status in (Status.READY, Status.ERROR) and stored.status != row.status:
            raise Violation("a result only moves forward", f"{self.model.name(id)} was answered {stored.status}")

    def _leave(self, process: Process, engine: Engine) -> None:
        how = self.tape.draw("farewell", 4)
        if how == 2:
            self.machine.kill(process)
            self.machine.check()
        if how == 0:
            engine.stop()
        elif how == 3:
            engine.leave()
        if how != 1:
            self._forget_unsafe(process)

    # -- all must get well -----------------------------------------------------------------------------------

    def _liveness(self) -> None:
        machine = self.machine
        if not self._applications():
            self._start_application()
        begin, wall = machine.clock.monotonic(), machine.clock.time()
        limit = begin
        while left := self._what_is_left():
            longest = LONG_S * sum(1 for row in self.model.rows.values() if row.task.endswith(("long", "stubborn")))
            last = max((row.due for row in self.model.rows.values() if row.due > machine.clock.time()), default=0.0)
            limit = max(limit, begin + RECOVERY_S + longest + max(0.0, last - wall))  # results may be removed meanwhile
            if machine.clock.monotonic() > limit:
                raise Violation("accepted work gets done", "; ".join(left))
            machine.sleep(2.0)
            self._check_orphans()
            if not self._applications():
                self._start_application()
        if self.program.cron:
            self._expect_firings()
        else:
            self._expect_quiet()

    def _sure(self) -> list[bytes]:
        """Jobs that cannot have been lost in the memory of a process."""
        return [
            id
            for id, process in self.accepted.items()
            if not self.faults.power_cut and (process.alive or (process.ended_well and not self.faults.refused))
        ]

    def _what_is_left(self) -> list[str]:
        left = self.model.unsettled(self._sure(), self.machine.clock.time() + HORIZON_S)
        if self.busy & {each.pid for each in self.machine.living("app")}:
            left.append("an application still goes on")
        left += [f"{each.name} has no link yet" for each in self._applications() if not self._is_linked(each)]
        if self.witness.paused:
            left.append("it is still paused")
        wanted = int(self.disk.store.settings().get("workers", 1))
        there = [each for each in self.machine.living("worker") if each.role is not None]
        if len(there) != wanted:
            left.append(f"{len(there)} workers are there instead of {wanted}")
        return left

    def _applications(self) -> list[Process]:
        return [each for each in self.machine.living("app") if each.pid not in self.guests]

    def _is_linked(self, process: Process) -> bool:
        registrar = process.role._registrar
        return registrar is not None and registrar.link is not None and not registrar.link.peer.closed

    def _expect_firings(self) -> None:
        clock = self.machine.clock
        # What has been fired is not fired again when the clock is set back behind it, and several fire times of a
        # monitor that was stopped are one firing.
        begin = max([clock.time(), self.witness.latest_wall, *(each.last_fire for each in self.disk.store.entries())])
        self.machine.sleep(200.0 + begin - clock.time())
        self._check_left()
        entry = self.program.cron[0]
        first = int(begin // 60 + 1) * 60
        for at in range(first, int(clock.time()), 60):
            if (entry.key, float(at)) not in self.model.firings:
                raise Violation("one firing per fire time", f"{entry.key} was not fired at {at}, when all was well")

    def _check_left(self) -> None:
        for _ in range(30):
            left = self._what_is_left()
            if not left:
                return
            self.machine.sleep(1.0)
        raise Violation("accepted work gets done", "; ".join(left))

    def _expect_quiet(self) -> None:
        if any(kind == "clock back" for _, kind in self.faults.hits):
            return  # somebody may wait for a moment that was now before, and is in the future now
        if self.disk.store.next_prune() is not None and self.disk.store.settings().get("ttl_s", 1800.0) < QUIET_S:
            self.machine.sleep(PRUNED_S)
            if any(row.status in (3, 4) for row in self.model.rows.values()):
                raise Violation("results are removed when their time is over", f"{len(self.model.rows)} are left")
        # What has just been resumed says so, what the disk refused is tried again, and the store is tidied.
        self.machine.sleep(PRUNED_S)
        following = self.disk.store.next_prune()
        if following is not None and following < self.machine.clock.time() + QUIET_S:
            return
        events, writes = self.machine.events, self.disk.writes
        self.machine.sleep(QUIET_S)
        if self.machine.events - events > 1 or self.disk.writes != writes:
            woke = sorted({who for at, who, _ in self.machine.trace if at > self.machine.clock.monotonic() - QUIET_S})
            raise Violation("an idle system is quiet", f"{', '.join(woke)} woke up with nothing to do")

    def _check_orphans(self) -> None:
        if found := self.witness.outliving():
            if any(each.paused_until > self.machine.clock.monotonic() for each in self.machine.living()):
                return
            raise Violation("nothing outlives the application", "; ".join(found))

    def _farewell(self) -> None:
        machine = self.machine
        self.leaving = True
        limit = machine.clock.monotonic() + GONE_S + self.witness.grace_s
        while others := [each.name for each in machine.living() if each.kind != "operator"]:
            if machine.clock.monotonic() > limit:
                raise Violation("nothing outlives the application", f"{', '.join(others)} still live")
            machine.sleep(1.0)
            self._check_orphans()
        for row in self.disk.rows().values():
            if row.status == Status.PROCESSING:
                raise Violation("a clean end leaves no claim", f"{self.model.name(row.id)} is still claimed")
