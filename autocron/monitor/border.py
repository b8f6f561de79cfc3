"""What comes in, from a peer or from a row, is what its record says, or it goes no further.

A job that the store cannot hold would have its whole group refused, again and again; one that a worker cannot take
would end worker after worker, and nobody would be to blame.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite
from typing import Any, Final

from ..job import Entry, Job, Outcome

ID_BYTES: Final = 16
LARGEST: Final = (1 << 63) - 1  # that SQLite holds
LEAST: Final = -1 << 63
JOB: Final = (bytes, str, bytes, float, int, str, int, int, float, float, str, int)
OUTCOME: Final = (bytes, int, bytes, str, float)
ENTRY: Final = (str, str, str, str, float, str)


def job(row: tuple[Any, ...]) -> Job:
    """The job that a peer hands over. ValueError or TypeError for one that could not be stored and run."""
    if problem := problem_of(row):
        raise ValueError(problem)
    return Job._make(row)


def outcome(row: Iterable[Any]) -> Outcome:
    """The outcome that a worker tells. ValueError or TypeError for one that could not be stored."""
    made = Outcome._make(row)
    _, status, _, _, duration = made
    if tuple(map(type, made)) == OUTCOME and LEAST <= status <= LARGEST and isfinite(duration):  # as below
        return made
    if problem := _problem(made._asdict(), OUTCOME):
        raise ValueError(problem)
    return made


def entry(row: Iterable[Any]) -> Entry:
    """The entry that an application announces. ValueError or TypeError for one that could not fire."""
    made = Entry._make(row)
    if problem := _problem(made._asdict(), ENTRY):
        raise ValueError(problem)
    return made


def problem_of(job: tuple[Any, ...]) -> str:
    """Why this is no job that could be stored and run; "" if it is one."""
    id, _, _, due, priority, _, attempt, attempts, timeout_s, expires, _, deaths = job
    if (  # each job comes by here, so the usual answer is found in one look
        tuple(map(type, job)) == JOB
        and len(id) == ID_BYTES
        and isfinite(due + timeout_s + expires)
        and 0 <= priority | attempt | attempts | deaths <= LARGEST
    ):
        return ""
    if type(id) is bytes and len(id) != ID_BYTES:
        return f"id={id!r:.100}: {ID_BYTES} bytes are needed"
    return _problem(Job._make(job)._asdict(), JOB)


def _problem(fields: dict[str, Any], kinds: tuple[type[Any], ...]) -> str:
    kind: type[Any]
    for (name, value), kind in zip(fields.items(), kinds, strict=True):
        if not isinstance(value, kind):
            return f"{name}={value!r:.100}: {kind.__name__} is needed"
        if kind is int and not LEAST <= value <= LARGEST:
            return f"{name}={value!r:.100}: a whole number of 64 bits is needed"
        if kind is float and not isfinite(value) and (name, value) != ("catch_up_s", inf):
            return f"{name}={value!r}: a finite number is needed"
    return ""
