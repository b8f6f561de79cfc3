"""What travels: a registered call of a task, what came of it, and the entry of a crontab.

    waiting ──claim──▶ processing ──settle──▶ ready | error          (then pruned: unavailable)
       ▲                   │
       └──release, rescue──┘

Records are tuples, so that a link can send them without a codec of their own.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Status(IntEnum):
    """The state of a job; it only moves forward, except that an interrupted job waits again."""

    WAITING = 1
    PROCESSING = 2
    READY = 3
    ERROR = 4
    UNAVAILABLE = 5  # its time to live is over, or it was never known


class Job(NamedTuple):
    """One registered call of a task: a row of the store."""

    id: bytes  # 16 bytes that sort by the moment of registration
    task: str  # address of the function: "package.module:qualified.name" or "/path/script.py:name"
    payload: bytes  # the arguments
    due: float  # UTC epoch seconds
    priority: int = 0  # smaller runs earlier
    queue: str = ""
    attempt: int = 1
    max_attempts: int = 1
    timeout_s: float = 0.0  # 0: none
    expires: float = 0.0  # UTC epoch seconds; 0: never
    entry: str = ""  # key of the cron entry that fired this job
    deaths: int = 0  # how many workers died while they ran it


class Outcome(NamedTuple):
    """What came of a run of a job."""

    id: bytes
    status: int  # READY or ERROR
    result: bytes = b""  # payload of the return value; in error, of what is to be known beside the message
    error: str = ""
    duration_s: float = 0.0


class Stored(NamedTuple):
    """A job as the store knows it, for those who ask."""

    id: bytes
    task: str
    payload: bytes
    due: float
    status: int
    result: bytes
    error: str
    expires: float  # UTC epoch seconds at which the result is pruned; 0 while it is not final
    deaths: int = 0
    entry: str = ""


class Selection(NamedTuple):
    """Which jobs somebody means, and in which order."""

    statuses: tuple[int, ...] = ()  # none: all
    task: str = "*"  # pattern of the address, with * and ?
    after: bytes = b""  # only ids between these two, both excluded
    before: bytes = b"\xff" * 17
    newest_first: bool = False

    def beyond(self, id: bytes) -> Selection:
        """What of it comes after this job."""
        return self._replace(before=id) if self.newest_first else self._replace(after=id)


class Entry(NamedTuple):
    """A cron entry as an application process announces it."""

    key: str  # address of the function and ordinal: "package.module:name#0"
    task: str
    crontab: str  # five fields in the dialect "autocron"
    tz: str = ""  # IANA name; "": the local zone
    catch_up_s: float = 86400.0  # a missed fire time younger than this is run once, late
    overlap: str = "skip"  # what happens while the previous firing still goes: skip, queue, allow


class EntryState(NamedTuple):
    """What the store remembers of an entry."""

    key: str
    spec: str
    last_fire: float
    last_job: bytes


class Firing(NamedTuple):
    """One fire time of an entry that becomes a job, or is passed over (`job` is None)."""

    key: str
    at: float
    job: Job | None
