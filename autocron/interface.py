"""THE SEAM: all that the roles know of the world.

`Engine`, `Registrar`, `Monitor` and `Worker` are plain blocking Python. They read no clock, open no file and start
no process; they call an `Interface`. The real world (`system/`, `stores/`) and the small one (`testing/`) each build
one. An event at the seam is the only way to wait: there is no sleep.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import inf, nextafter
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar

from .job import EntryState, Firing, Job, Outcome, Selection, Stored
from .labels import Label

if TYPE_CHECKING:
    from pathlib import Path

P = ParamSpec("P")
T = TypeVar("T")

Body = tuple[Any, ...]  # a message: its kind, then what messages.py says


class Clock(Protocol):
    """Two readings of time. Waiting is an event, not a duration, so there is no sleep."""

    def time(self) -> float:
        """Wall clock, UTC epoch seconds: for due times and cron. May jump."""

    def monotonic(self) -> float:
        """Seconds that only grow: for timeouts, backoff and grace. Never stored."""


def wall_at(clock: Clock, monotonic: float) -> float:
    """The wall time of a monotonic one; rounded up, so that who wakes up then is not a moment too early."""
    offset = clock.time() - clock.monotonic()
    wall = monotonic + offset
    return wall if wall - offset >= monotonic else nextafter(wall, inf)


class Source(Protocol):
    """Anything `Spawner.wait` can wait for: a channel, a listener, a bell."""


class Channel(Source, Protocol):
    """A two-way stream of messages to one other process."""

    @property
    def pid(self) -> int:
        """Process id of the peer; 0 where that cannot be known."""

    @property
    def kin(self) -> bool:
        """Whether the peer belongs to the monitor's own tree: something that a task has started."""

    def send(self, body: Body) -> None:
        """Queue a message; never blocks, never raises: a dead peer is told by `Closed`."""

    def backlog(self) -> int:
        """Bytes the peer has not taken yet."""

    def close(self) -> None:
        """Let go of this end; idempotent."""


class Listener(Source, Protocol):
    """The address of the one monitor, held together with its lock."""

    def close(self) -> None:
        """Stop listening and free the lock."""


class Bell(Source, Protocol):
    """Wakes a `wait` from another thread."""

    def ring(self) -> None:
        """Make the current or the next `wait` on this bell return; cheap when repeated."""

    def close(self) -> None:
        """Nobody waits for it any more; idempotent."""


class Message(NamedTuple):
    """The peer said something."""

    channel: Channel
    body: Body


class Connected(NamedTuple):
    """A process has opened a link."""

    channel: Channel


class Closed(NamedTuple):
    """The peer is gone; everything it said has been delivered before."""

    channel: Channel


class Exited(NamedTuple):
    """A child has ended, with the signal that killed it (0: none) and its exit code (None: unknown)."""

    channel: Channel
    signal: int
    code: int | None


class Stop(NamedTuple):
    """Somebody asked this process to end in good order (SIGTERM)."""


Event = Message | Connected | Closed | Exited | Stop


class Background(Protocol):
    """Whoever calls a role's `step` beside the caller: a thread, or nobody else (then `wait_for` does)."""

    def wait_for(self, condition: Callable[[], bool], until: float | None = None) -> bool:
        """Let the role work until the condition holds (True) or monotonic `until` has passed (False)."""

    def spares_caller(self) -> bool:
        """Whether to leave it even what this caller could send at once, and a little sooner."""

    def must_block(self) -> bool:
        """Whether nobody may be left to hand over later what is not stored when its caller goes on."""

    def is_dead(self) -> bool:
        """Whether it was stopped wherever it was, as Python does at its end, maybe with locks in its hand."""

    def stop(self) -> None:
        """End the stepping, without waiting for it."""


class Spawner(Protocol):
    """Processes, their channels, and the one blocking call."""

    @property
    def in_process(self) -> bool:
        """Whether tasks run in this very process, so that nested functions can be found."""

    def inhabit(self, interface: Interface) -> None:
        """Told by an application which world this is: processes that live in this very one are given the same."""

    def locate(self, database_file: str | Path) -> str:
        """The address of a database: its real path. FileNotFoundError for a missing directory."""

    def spawn(self, role: str, address: str, spec: Mapping[str, Any]) -> Channel:
        """Start a process of this role ("monitor", "worker") and return the channel to it. OSError if it cannot."""

    def listen(self, address: str) -> Listener | None:
        """Become the one monitor of this database; None: another process is it."""

    def connect(self, address: str) -> Channel | None:
        """A link to the monitor of this database; None: there is none. TimeoutError: it takes no more of them."""

    def starting(self, address: str) -> AbstractContextManager[object]:
        """Held while a monitor is started, so that n processes do not start n interpreters."""

    def wait(self, sources: Sequence[Source], until: float | None) -> list[Event]:
        """Block until something happens at one of the sources or the wall clock reaches `until`.

        An empty list means: the time has come, a bell was rung, or the clock was set. Look again.
        """

    def kill(self, channel: Channel) -> None:
        """End this child and all it has started, at once."""

    def begin(self, job: bytes | None) -> None:
        """Note which job this worker has begun (None: none); the note survives this process."""

    def begun(self, channel: Channel) -> bytes | None:
        """The job that worker had begun and not ended."""

    def orphans(self) -> list[bytes]:
        """Make sure that the workers of a previous monitor are gone; the jobs they had begun."""

    def bell(self) -> Bell:
        """A new bell."""

    def background(self, step: Callable[[], bool], bell: Bell) -> Background | None:
        """Have `step`, which waits for this bell, called again and again until it returns False.

        None: this process can have no thread.
        """

    def mutex(self) -> AbstractContextManager[object]:
        """A lock for the threads of this process."""

    def describe(self) -> Mapping[str, Any]:
        """What a worker must know to load this process' code: interpreter, sys.path, directory, main script."""

    def on_fork(
        self, in_child: Callable[[], None], *, guard: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        """Call back in each forked child; what `guard` returns is held while this process forks."""

    def notice_fork(self) -> None:
        """Call back now if this is a forked child that nobody has told so: a server that forks in C does not."""

    def on_exit(self, callback: Callable[[], None]) -> None:
        """Call back before this process ends in good order."""


class Store(Protocol):
    """Jobs, results, cron entries and settings. Each method is one transaction; when it returns, it is committed.

    StoreFull when there is no space, StoreError for anything else that is wrong with the database.
    """

    pickle_allowed: bool
    written: int  # counts the transactions that changed it; 0 for ever in one that needs no tidying

    def add(self, jobs: Sequence[Job], *, token: int) -> Sequence[Job]:
        """Store new jobs as claimed by this token (0: as waiting); those that are new.

        A job that is there already stays as it is.
        """

    def sync(self) -> None:
        """What was committed before this call survives a power cut."""

    def claim(self, now: float, limit: int, token: int, *, enough_bytes: int = sys.maxsize) -> list[Job]:
        """Take due jobs exclusively, in the order priority, due, id: so many, or until their payloads are so large."""

    def settle(self, outcomes: Sequence[Outcome], *, token: int, now: float, ttl_s: float) -> None:
        """Record outcomes of jobs that this token still holds; a stale one has no effect."""

    def release(self, ids: Sequence[bytes], *, token: int) -> None:
        """Give jobs back that this token holds: they wait again."""

    def died(self, id: bytes, *, token: int) -> int:
        """Charge a job that this token holds with the death of its worker; returns how many there were."""

    def rescue(self, begun: Sequence[bytes], *, token: int) -> list[Job]:
        """Jobs that other tokens had claimed wait again; those begun are charged with a death and returned."""

    def next_due(self) -> float | None:
        """When the first waiting job is due, UTC epoch seconds; None: none waits."""

    def entries(self) -> list[EntryState]:
        """What is known of all cron entries."""

    def set_entry(self, key: str, spec: str, last_fire: float) -> None:
        """Remember an entry from now on, or its edited crontab."""

    def fire(self, firings: Sequence[Firing], *, token: int) -> list[Job]:
        """Turn fire times into jobs claimed by this token, each once; the jobs that are new."""

    def unfinished(self, id: bytes) -> bool:
        """Whether this job still waits or runs."""

    def result(self, id: bytes) -> Stored | None:
        """One job, in whatever state it is."""

    def results(self, after: bytes, limit: int) -> list[Stored]:
        """Jobs in the order of registration, beginning behind `after`; none: there are no more.

        Where they are large, these are fewer than `limit`: together they make a message of sane size.
        """

    def select(
        self, selection: Selection, limit: int, *, with_payloads: bool = True
    ) -> tuple[list[Stored], Selection | None]:
        """Some of the selected jobs, and what of the selection is not looked at yet (None: nothing).

        There may be none among those looked at, and more behind them: one call takes a bounded time, and gives fewer
        than `limit` where they are large. Without payloads, results are left out as well.
        """

    def retry(self, ids: Sequence[bytes], *, now: float) -> int:
        """Jobs that ended in error wait again as if they had never run, due now; how many did."""

    def hasten(self, ids: Sequence[bytes], *, now: float) -> int:
        """Waiting jobs that are due later are due now; how many were."""

    def purge(self, ids: Sequence[bytes], statuses: Sequence[int]) -> int:
        """Remove those of the jobs that have one of these statuses and are not being processed; how many."""

    def counts(self) -> dict[int, int]:
        """How many jobs there are, by status."""

    def next_prune(self) -> float | None:
        """When the first result's time to live is over; None: there is no result."""

    def prune(self, now: float, limit: int) -> int:
        """Remove results whose time is over, the oldest first; how many."""

    def settings(self) -> dict[str, Any]:
        """The stored settings, by name."""

    def save_settings(self, values: Mapping[str, Any]) -> None:
        """Store settings."""

    def tidy(self) -> bool:
        """When nothing else is to do: a slice of housekeeping; whether there is more of it."""

    def close(self) -> None:
        """Let go of the database; idempotent."""


class Random(Protocol):
    """The one source of identifiers and jitter."""

    def getrandbits(self, k: int, /) -> int: ...

    def random(self) -> float: ...


def nowhere(point: str) -> None:
    """Nobody stands at the labels."""


class Interface:
    """A world: everything that the roles are given. `reach` is called with "<label>.before" and "<label>.after"."""

    __slots__ = ("clock", "open_store", "random", "reach", "spawner")

    def __init__(
        self,
        clock: Clock,
        spawner: Spawner,
        open_store: Callable[[str], Store],
        random: Random,
        reach: Callable[[str], None] = nowhere,
    ) -> None:
        self.clock = clock
        self.spawner = spawner
        self.open_store = open_store
        self.random = random
        self.reach = reach

    def call(self, label: Label, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call into the world at a labelled point."""
        if self.reach is nowhere:
            return function(*args, **kwargs)
        self.reach(label + ".before")
        result = function(*args, **kwargs)
        self.reach(label + ".after")
        return result
