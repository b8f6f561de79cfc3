"""The local zone of the process, for the length of a test."""

from __future__ import annotations

import os
import time

from ..schedule import Schedule, local_offsets

Before = tuple[str | None] | None  # what TZ was; None: it was not touched


def enter(tz: str | None) -> Before:
    """Make this the local zone. ValueError for an unknown one."""
    if tz is None:
        return None
    Schedule("* * * * *", tz=tz)
    before = os.environ.get("TZ")
    _set(tz)
    return (before,)


def leave(before: Before) -> None:
    """Have the local zone that was."""
    if before is not None:
        _set(before[0])


def _set(tz: str | None) -> None:
    os.environ.pop("TZ", None)
    if tz is not None:
        os.environ["TZ"] = tz
    time.tzset()
    local_offsets.forget()
