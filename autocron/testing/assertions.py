"""What a test claims about jobs. A claim that does not hold shows what was there instead."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

from ..registry import registry
from . import hints
from .durations import Duration, Moment, epoch_of, in_words, seconds_of
from .engine import FakeEngine, current
from .jobs import AnyTask, EnqueuedJob, address_of_task, bound, is_bound, name_of, short
from .report import FAILED, READY, Report

_ANYTHING: Final = object()
INCOMPARABLE: Final = "cannot be compared"
_EXACT_S: Final = 2e-6  # a datetime has microseconds, the store a float


def assert_enqueued(
    task: AnyTask,
    /,
    *args: Any,
    count: int | None = None,
    run_at: Moment | None = None,
    run_in: Duration | None = None,
    delta: Duration = 0,
    **kwargs: Any,
) -> EnqueuedJob:
    """A job of this task waits, with at least these arguments; returns the first one.

    Arguments are compared by the names of the parameters and with `==`, so `mock.ANY` and `pytest.approx` work.
    count: exactly so many. run_at, run_in: when it is due; delta: give or take. TypeError if such an option is also
    the name of a parameter: give that one by position.
    """
    __tracebackhide__ = True
    engine = current()
    options = {"count": count, "run_at": run_at, "run_in": run_in, "delta": delta or None}
    _check_ambiguous(task, len(args), [name for name, value in options.items() if value is not None])
    wanted = _Wanted(engine, task, args, kwargs, run_at, run_in, delta)
    jobs = engine.pending()
    matches = [job for job in jobs if not wanted.differences(job)]
    if matches and count in (None, len(matches)):
        return matches[0]
    if count == 0:
        raise ValueError("count=0: use assert_not_enqueued, which returns no job")
    said = wanted.said("assert_enqueued", {"count": count})
    number = f"{len(matches)} of them match" if count is not None else "no match"
    raise AssertionError(_listed(f"{said}: {number} among {_counted(jobs)}", jobs, wanted, engine))


def assert_not_enqueued(task: AnyTask, /, *args: Any, **kwargs: Any) -> None:
    """No job of this task waits, or none with these arguments."""
    __tracebackhide__ = True
    engine = current()
    wanted = _Wanted(engine, task, args, kwargs, None, None, 0)
    matches = [job for job in engine.pending() if not wanted.differences(job)]
    if matches:
        said = wanted.said("assert_not_enqueued", {})
        raise AssertionError(_listed(f"{said}: {_counted(matches)}", matches, wanted, engine))


def assert_ran(
    task: AnyTask,
    /,
    *,
    times: int | None = None,
    result: Any = _ANYTHING,
    raised: type[BaseException] | tuple[type[BaseException], ...] | None = None,
) -> Report:
    """The task has been run: at least once, or exactly so many `times`; returns its runs.

    result: one of them returned this (compared with `==`). raised: one of them ended in such an exception.
    """
    __tracebackhide__ = True
    runs = current().history().ran(task)
    problems = []
    if times is None and not runs:
        problems.append("it has not run")
    if times is not None and runs.times != times:
        problems.append(f"it ran {_times(runs.times)}, not {_times(times)}")
    if result is not _ANYTHING:
        unequal = [_difference(result, run.result) for run in runs if run.outcome == READY]
        if all(unequal):
            failed = next((each for each in unequal if each.startswith(INCOMPARABLE)), "")
            problems.append(f"no run returned {short(result)}{failed and f': {failed}'}")
    if raised is not None and not any(run.outcome == FAILED and isinstance(run.exc, raised) for run in runs):
        problems.append(f"no run raised {_names(raised)}")
    if problems:
        raise AssertionError(_ran(task, runs, problems))
    return runs


def assert_idle() -> None:
    """No job waits, neither one that is due nor one for later. Cron entries do not count."""
    __tracebackhide__ = True
    engine = current()
    jobs = engine.pending()
    if jobs:
        raise AssertionError(_listed(f"assert_idle(): {_counted(jobs)}", jobs, None, engine))


class _Wanted:
    """A job as the test describes it."""

    def __init__(
        self,
        engine: FakeEngine,
        task: AnyTask,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        run_at: Moment | None,
        run_in: Duration | None,
        delta: Duration,
    ) -> None:
        if run_at is not None and run_in is not None:
            raise ValueError("run_at and run_in say the same in two ways: give only one")
        self.address = address_of_task(task)
        if is_bound(task):
            args = (*task.args, *args)
        self.arguments = _flat(self.address, _bound(self.address, args, kwargs))
        self.now = engine.clock.time()
        self._written = [*map(short, args), *(f"{name}={short(value)}" for name, value in kwargs.items())]
        self._when = {name: value for name, value in (("run_at", run_at), ("run_in", run_in)) if value is not None}
        self.due: float | None = None
        if run_at is not None:
            self.due = epoch_of(run_at, "run_at")
        elif run_in is not None:
            self.due = self.now + seconds_of(run_in, "run_in")
        self._delta = seconds_of(delta, "delta") + _EXACT_S

    def differences(self, job: EnqueuedJob) -> list[str]:
        """In what a job differs from this one; empty if it is one."""
        if job.task != self.address:
            return ["another task"]
        found, differences = _flat(job.task, job.arguments), []
        for name, value in self.arguments.items():
            if name not in found:
                differences.append(f"{name}: expected {short(value)}, not given")
            elif difference := _difference(value, found[name]):
                differences.append(f"{name}: {difference}")
        due = job.due.timestamp()
        if self.due is not None and abs(due - self.due) > self._delta:
            expected, found_due = when(self.due, self.now), when(due, self.now)
            if expected == found_due:  # the two largest units are not all
                found_due += f", {in_words(abs(due - self.due))} {'later' if due > self.due else 'earlier'}"
            differences.append(f"due: expected {expected}, is {found_due}")
        return differences

    def said(self, assertion: str, more: Mapping[str, Any]) -> str:
        """The claim as it was written."""
        options = {**self._when, **{name: value for name, value in more.items() if value is not None}}
        parts = [name_of(self.address), *self._written, *(f"{name}={value!r}" for name, value in options.items())]
        return f"{assertion}({', '.join(parts)})"


def when(due: float, now: float) -> str:
    """When a job is due, seen from now."""
    if abs(due - now) <= _EXACT_S:
        return "now"
    return f"in {in_words(due - now)}" if due > now else f"{in_words(now - due)} ago"


def _check_ambiguous(task: AnyTask, positions: int, options: list[str]) -> None:
    """TypeError if an option may as well be meant as an argument of the task that is not given by position."""
    address = address_of_task(task)
    names = list(inspect.signature(registry.tasks[address]).parameters)
    for name in options:
        if name in names[positions + is_bound(task) :]:
            raise TypeError(
                f"assert_enqueued: {name}= is an option, and {name_of(address)} has a parameter of this name; "
                "give the parameter by position (mock.ANY for any value), or look at enqueued()"
            )


def _difference(expected: Any, found: Any) -> str:
    """In what a value differs from the expected one, whose `==` decides; "" if it does not."""
    try:
        is_equal = bool(expected == found)
    except Exception as error:  # of the application, or an array that is no truth value
        return f"{INCOMPARABLE}: {type(error).__name__}: {error}"
    return "" if is_equal else f"expected {short(expected)}, got {short(found)}"


def _flat(address: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, where those of `*args` and `**kwargs` are compared one by one too."""
    flat = dict(arguments)
    for name, parameter in inspect.signature(registry.tasks[address]).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD and isinstance(flat.get(name), dict):
            flat |= flat.pop(name)
        elif parameter.kind is parameter.VAR_POSITIONAL and isinstance(flat.get(name), tuple):
            flat |= {f"{name}[{number}]": value for number, value in enumerate(flat.pop(name))}
    return flat


def _bound(address: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(bound(registry.tasks[address], args, kwargs).arguments)
    except TypeError as error:
        raise TypeError(f"{name_of(address)}: {error}") from None


def _listed(title: str, jobs: list[EnqueuedJob], wanted: _Wanted | None, engine: FakeEngine) -> str:
    now = engine.clock.time()
    if wanted is not None:
        jobs = sorted(jobs, key=lambda job: job.task != wanted.address)  # the likeliest first
    calls = [str(job) for job in jobs]
    dues = [f"due {when(job.due.timestamp(), now)}" for job in jobs]
    call_width, due_width = (max(map(len, column), default=0) for column in (calls, dues))
    lines = [title]
    for job, call, due in zip(jobs, calls, dues, strict=True):
        differences = wanted.differences(job) if wanted is not None and job.task == wanted.address else []
        lines.append(f"  {call:{call_width}}  {due:{due_width}}  {'; '.join(differences)}".rstrip())
    if wanted is not None and "no match" in title:
        runs = engine.history().ran(wanted.address)
        if runs:
            lines.append(f"{name_of(wanted.address)} has run {_times(len(runs))} already, last: {runs[-1]}")
        lines += hints.uncommitted() + hints.held(engine.world)
    return "\n".join(lines)


def _ran(task: AnyTask, runs: Report, problems: list[str]) -> str:
    lines = [f"assert_ran({name_of(address_of_task(task))}): {'; '.join(problems)}"]
    if runs:
        lines += [f"  {run}" for run in runs]
    else:
        others = {run.task: 0 for run in current().history()}
        lines.append(f"  ran: {', '.join(map(name_of, others)) or 'nothing'}")
        waiting = current().enqueued(task)
        if waiting:
            now = current().clock.time()
            lines.append(
                f"  {_counted(waiting)}, the first due {when(waiting[0].due.timestamp(), now)}: run_pending()?"
            )
        lines += [f"  {hint}" for hint in hints.held(current().world)]
    return "\n".join(lines)


def _counted(jobs: list[EnqueuedJob]) -> str:
    return f"{len(jobs)} pending {'job' if len(jobs) == 1 else 'jobs'}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _names(kinds: type[BaseException] | tuple[type[BaseException], ...]) -> str:
    return " or ".join(each.__name__ for each in (kinds if isinstance(kinds, tuple) else (kinds,)))
