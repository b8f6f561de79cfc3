"""Registrations on their way: from the call that makes them until they are safe.

A job is *pending* until it is sent, then *unacknowledged* until the monitor says that its group is safe, and *returned*
if that cannot be hoped for any more: the store refused it, or the link broke. Callers add and look without a lock; who
moves jobs holds the registrar's, but for what the monitor says. Where a job goes it is before it leaves where it was:
it is never nowhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from .job import Job

GROUP_JOBS: Final = 500
GROUP_BYTES: Final = 1 << 18


class Outbox:
    """What a process has registered and not yet heard of."""

    def __init__(self) -> None:
        self.pending: deque[Job] = deque()
        self.returned: deque[Job] = deque()  # to be sent again: the monitor may have stored them before
        self.unacknowledged: dict[int, list[Job]] = {}  # by the number of the group
        self.watched: set[bytes] = set()  # jobs whose callers wait until they are safe

    def is_empty(self) -> bool:
        """Whether everything is safe."""
        return not (self.pending or self.returned or self.unacknowledged)

    def in_flight(self) -> int:
        """How many are unacknowledged."""
        return sum(map(len, self.unacknowledged.values())) if self.unacknowledged else 0

    def is_in_flight(self, id: bytes) -> bool:
        """Whether the monitor may just be storing this job."""
        return any(job.id == id for group in list(self.unacknowledged.values()) for job in group)

    def all(self) -> tuple[list[Job], int]:
        """Everything, and how many of the last ones are pending; the others may be stored already."""
        pending = list(self.pending)
        sent = [job for group in list(self.unacknowledged.values()) for job in group]
        return [*sent, *self.returned, *pending], len(pending)

    def group(self, jobs: deque[Job], number: int, *, until_acknowledged: bool) -> list[Job]:
        """Take what is sent together next; kept under this number if it is to be acknowledged."""
        group: list[Job] = []
        if until_acknowledged:
            self.unacknowledged[number] = group
        size = 0
        while jobs and len(group) < GROUP_JOBS and size < GROUP_BYTES:
            group.append(jobs[0])
            size += len(jobs.popleft().payload)
        return group

    def settle(self, number: int) -> None:
        """This group is safe."""
        self._unwatch(self.unacknowledged.pop(number, ()))

    def take_back(self, number: int) -> None:
        """This group was refused, and is to be sent again, in the order of registration."""
        self.returned.extendleft(reversed(self.unacknowledged.get(number, [])))
        self.unacknowledged.pop(number, None)

    def take_all_back(self) -> None:
        """The link has broken."""
        for group in self.unacknowledged.values():
            self.returned.extend(group)
        self.unacknowledged.clear()

    def settle_all(self, jobs: Iterable[Job], pending: int) -> None:
        """What `all` has returned is safe."""
        self.unacknowledged.clear()
        self.returned.clear()
        for _ in range(pending):
            self.pending.popleft()
        self._unwatch(jobs)

    def withdraw(self, job: Job) -> None:
        """Its caller is told that it was refused, so it must not run later."""
        for jobs in (self.returned, self.pending):
            if job in jobs:
                jobs.remove(job)

    def _unwatch(self, group: Iterable[Job]) -> None:
        if self.watched:
            self.watched.difference_update(job.id for job in group)
