"""The application's engine while a fake one is in force."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .. import engine as engines
from .. import messages
from ..errors import AutocronError
from ..interface import Clock, Interface, Random, Store
from ..job import Job, Status, Stored
from ..registrar import ANSWER_S, Registrar
from ..stores.connection import MEMORY
from .jobs import name_of
from .loops import is_in_loop
from .spawner import InProcessSpawner

MOST_POLLS: Final = 10  # of one unfinished job, with nothing run between: no poll will ever be answered otherwise
MOST_POLLS_IN_LOOP: Final = 1000  # of an event loop, in which somebody else may still have it run


class TaskPending(AutocronError):
    """Somebody waits for a job that cannot run meanwhile."""


class GuardingEngine(engines.Engine):
    """`start` starts nothing in the real world. `registered` and `asked` are told what the application does."""

    guards = True
    starts = 0  # how often the application has called `start`

    def __init__(
        self,
        clock: Clock,
        spawner: InProcessSpawner,
        open_store: Callable[[str], Store],
        random: Random,
        *,
        registered: Callable[[Job], None],
        asked: Callable[[Stored], None],
    ) -> None:
        super().__init__(Interface(clock, spawner, open_store, random))
        self._spawner = spawner
        self._registered = registered
        self._asked = asked
        self._thread = threading.get_ident()
        self._polls: Counter[bytes] = Counter()  # by job

    def start(self, database_file: str | Path, workers: int | None = None) -> bool:
        """Whatever the file, the tasks run in this process; True."""
        GuardingEngine.starts += 1
        return self.begin(workers)

    def begin(self, workers: int | None = None) -> bool:
        """Link to the monitor of the small world."""
        super().start(MEMORY, workers)
        self.announce()  # by hand, as there is no thread whose first step would
        return self.active

    def _hand_over(self, registrar: Registrar, job: Job, blocking: bool) -> None:
        super()._hand_over(registrar, job, blocking)
        self._registered(job)

    def look_up(
        self, id: bytes, question: str = messages.RESULT, *, within_s: float = ANSWER_S
    ) -> tuple[Stored | None, bool]:
        """See `Engine.look_up`."""
        answer = super().look_up(id, question, within_s=within_s)
        stored = answer[0]
        if stored is None or stored.status in (Status.WAITING, Status.PROCESSING):
            self._count(id, stored)
        else:
            self._asked(stored)
        return answer

    def progress(self) -> None:
        """Something has been run or moved, so the next question may have another answer."""
        self._polls.clear()

    def _count(self, id: bytes, stored: Stored | None) -> None:
        if threading.get_ident() != self._thread:  # the test may have it run meanwhile
            return
        self._polls[id] += 1
        in_loop = is_in_loop()
        most = MOST_POLLS_IN_LOOP if in_loop else MOST_POLLS
        if self._polls[id] < most:
            return
        self.progress()
        if stored is None:
            raise TaskPending(
                f"the job {id.hex()} was asked for {most} times, and this engine does not know it: the time to live of "
                "its result is over, or it is of another test; ask the report or history() what became of it"
            )
        self._spawner.world.check_held()
        how = "await arun_pending() or afast_forward()" if in_loop else "call run_pending() or fast_forward()"
        raise TaskPending(
            f"{name_of(stored.task)} was asked for {most} times and has not run: nothing runs in the "
            f"background here; {how} before you wait for its result"
        )

    def lose(self) -> None:
        """This process has died."""
        registrar, self._registrar = self._registrar, None
        if registrar is not None:
            registrar.stop()
