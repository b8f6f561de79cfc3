"""The application's engine while a fake one is in force."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from .. import engine as engines
from .. import messages
from ..errors import AutocronError
from ..interface import Clock, Interface, Random, Store
from ..job import Job, Status, Stored
from ..registrar import ANSWER_S, Registrar
from ..result import Result
from ..stores.connection import MEMORY
from .jobs import name_of
from .loops import is_in_loop
from .spawner import InProcessSpawner

MOST_POLLS: Final = 10  # of one unfinished job, with nothing run between: no poll will ever be answered otherwise
MOST_POLLS_BESIDE: Final = 1000  # in a thread or an event loop in which somebody else may still have it run
PATIENCE_S: Final = 5.0  # in a thread: really, as the test beside it goes on by itself
UNFINISHED: Final = (Status.WAITING, Status.PROCESSING)


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
        self._polls: Counter[bytes] = Counter()  # by job; b"": of all results
        self._polling_since = 0.0

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
        if stored is None or stored.status in UNFINISHED:
            most = MOST_POLLS_BESIDE if is_in_loop() or self._is_another_thread() else MOST_POLLS
            if self._is_too_often(id, most):
                raise TaskPending(_unknown(id, most) if stored is None else _unfinished(name_of(stored.task), most))
        else:
            self._asked(stored)
        return answer

    def get_results(self) -> list[Result[Any]]:
        """See `Engine.get_results`."""
        results = super().get_results()
        waiting = next((each for each in results if each.status in UNFINISHED), None)
        # Who asks for all of them may be looking for something else.
        if waiting is not None and self._is_too_often(b"", MOST_POLLS_BESIDE):
            raise TaskPending(_unfinished(waiting.function_name, MOST_POLLS_BESIDE))
        return results

    def progress(self) -> None:
        """Something has been run or moved, so the next question may have another answer."""
        self._polls.clear()

    def _is_too_often(self, id: bytes, most: int) -> bool:
        """Whether this is the last of so many polls. Held if a trap is to blame."""
        now = time.clock_gettime(time.CLOCK_MONOTONIC)  # which no freezer stops
        if not self._polls:
            self._polling_since = now
        self._polls[id] += 1
        if self._polls[id] < most or (self._is_another_thread() and now < self._polling_since + PATIENCE_S):
            return False
        self.progress()
        self._spawner.world.check_held()
        return True

    def _is_another_thread(self) -> bool:
        return threading.get_ident() != self._thread

    def lose(self) -> None:
        """This process has died."""
        registrar, self._registrar = self._registrar, None
        if registrar is not None:
            registrar.stop()


def _unknown(id: bytes, most: int) -> str:
    return (
        f"the job {id.hex()} was asked for {most} times, and this engine does not know it: the time to live of "
        "its result is over, or it is of another test; ask the report or history() what became of it"
    )


def _unfinished(name: str, most: int) -> str:
    how = "await arun_pending() or afast_forward()" if is_in_loop() else "call run_pending() or fast_forward()"
    return (
        f"{name} was asked for {most} times and has not run: nothing runs in the "
        f"background here; {how} before you wait for its result"
    )
