"""Jobs that are claimed and not dispatched: the urgent first, and equals in the order in which they came.

Nearly always all have one priority, so that there is one queue, and nothing to sort.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator

from ..job import Job


class Ready:
    """A queue for each priority that is there. `first`, `least` and `popleft` need a job."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._queues: dict[int, deque[Job]] = {}
        self._priorities: list[int] = []  # of the queues, ascending; none of them is empty
        self.bytes = 0  # of their payloads
        self.extend(jobs)

    def __len__(self) -> int:
        return sum(map(len, self._queues.values())) if self._queues else 0

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __iter__(self) -> Iterator[Job]:
        for priority in self._priorities:
            yield from self._queues[priority]

    @property
    def first(self) -> Job:
        """Whose turn it is."""
        return self._queues[self._priorities[0]][0]

    @property
    def least(self) -> int:
        """The priority of those who come last."""
        return self._priorities[-1]

    def popleft(self) -> Job:
        """Take the first."""
        priority = self._priorities[0]
        queue = self._queues[priority]
        job = queue.popleft()
        if not queue:
            del self._queues[priority], self._priorities[0]
        self.bytes -= len(job.payload)
        return job

    def append(self, job: Job) -> None:
        """Behind its equals."""
        self.extend((job,))

    def appendleft(self, job: Job) -> None:
        """Before its equals: it has waited already."""
        self._queue(job.priority).appendleft(job)
        self.bytes += len(job.payload)

    def extend(self, jobs: Iterable[Job]) -> None:
        """Each behind its equals."""
        for job in jobs:
            self._queue(job.priority).append(job)
            self.bytes += len(job.payload)

    def clear(self) -> None:
        """Forget all."""
        self._queues.clear()
        self._priorities.clear()
        self.bytes = 0

    def _queue(self, priority: int) -> deque[Job]:
        queue = self._queues.get(priority)
        if queue is None:
            queue = self._queues[priority] = deque()
            insort(self._priorities, priority)
        return queue
