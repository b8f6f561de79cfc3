"""What was run: a `Report` of `Run`s."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, overload

from ..job import Job
from .jobs import AnyTask, address_of_task, arguments_of, call_of, shown

READY, FAILED, CRASHED = "ready", "failed", "crashed"


class Run(NamedTuple):
    """One run of one job."""

    job: Job
    began: float  # UTC epoch seconds
    outcome: str  # "ready", "failed", "crashed": the worker died, and the job runs again
    result: Any = None
    exc: BaseException | None = None

    @property
    def task(self) -> str:
        """The address of the task."""
        return self.job.task

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments."""
        return arguments_of(self.job)[0]

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The keyword arguments."""
        return arguments_of(self.job)[1]

    @property
    def due(self) -> datetime:
        """When it was due, UTC."""
        return datetime.fromtimestamp(self.job.due, UTC)

    @property
    def started(self) -> datetime:
        """When it was run, UTC."""
        return datetime.fromtimestamp(self.began, UTC)

    @property
    def attempt(self) -> int:
        """The number of this run of the job, from 1."""
        return self.job.attempt + self.job.deaths

    def __str__(self) -> str:
        about = f": {shown(self.exc)}" if self.exc is not None else ""
        return f"{call_of(self.task, *arguments_of(self.job))}  {self.started:%Y-%m-%d %H:%M:%S} {self.outcome}{about}"


class Report(Sequence[Run]):
    """The runs of a stretch of time, in their order. True if anything ran.

    >>> report = Report()
    >>> bool(report), report.times
    (False, 0)
    """

    def __init__(self, runs: Sequence[Run] = (), *, seen: Callable[[Sequence[Run]], None] = lambda runs: None) -> None:
        self._runs = runs
        self._seen = seen  # told at which runs somebody looks: their failures are not silent then

    def __len__(self) -> int:
        return len(self._runs)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> Report: ...
    def __getitem__(self, index: int | slice) -> Run | Report:
        found = self._runs[index]
        self._seen([found] if isinstance(found, Run) else found)
        return found if isinstance(found, Run) else Report(found)

    def __iter__(self) -> Iterator[Run]:
        self._seen(self._runs)
        return iter(self._runs)

    @property
    def times(self) -> int:
        """How many runs there were."""
        return len(self._runs)

    @property
    def ok(self) -> bool:
        """Whether no run failed."""
        return not self.failed

    @property
    def failed(self) -> Report:
        """The runs that ended in an error."""
        return self._of(lambda run: run.outcome == FAILED)

    @property
    def crashed(self) -> Report:
        """The runs in which the worker died."""
        return self._of(lambda run: run.outcome == CRASHED)

    @property
    def results(self) -> list[Any]:
        """What the runs returned that ended well."""
        return [run.result for run in self._of(lambda run: run.outcome == READY)]

    def ran(self, task: AnyTask) -> Report:
        """The runs of one task. ValueError if it is no task."""
        address = address_of_task(task)
        return self._of(lambda run: run.job.task == address)

    def _of(self, condition: Callable[[Run], bool]) -> Report:
        found = [run for run in self._runs if condition(run)]
        self._seen(found)
        return Report(found)

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "nothing ran"

    def __repr__(self) -> str:
        return f"<Report of {len(self)} runs>"
