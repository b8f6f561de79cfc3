"""What `autocron doctor` looks at. A new check is a function in one of these files, and its name in `CHECKS`.

files     the directory, the database, its log
monitor   lock, link, versions, workers
work      settings, jobs, imports, the clock
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ...errors import StoreError
from ...interface import Interface
from ..database import Database

OK: Final = "ok"
NOTE: Final = "note"  # not as it might be
PROBLEM: Final = "problem"  # something does not work


@dataclass(frozen=True)
class Finding:
    """What a check has found, and what to do about it."""

    check: str
    state: str
    found: str
    remedy: str = ""


@dataclass
class Case:
    """The database that is looked at, and what is known of it so far."""

    interface: Interface
    path: Path
    given: str  # the database as it was written on the command line
    database: Database | None = None  # None: it cannot be asked
    overview: dict[str, Any] = field(default_factory=dict)  # empty if it cannot be asked
    has_monitor: bool = False
    is_blind: bool = False  # this user may not look at what tells whether a monitor runs
    holder: int = 0  # process id of the monitor; 0 if none is to be seen
    trouble: StoreError | None = None  # why there can be no answers
    is_stopped: bool = False  # the monitor is, by a signal

    @property
    def is_usable(self) -> bool:
        """Whether there are answers."""
        return bool(self.overview)
