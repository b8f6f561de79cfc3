"""@cron and @delay: check early, then register.

A worker that loads a module of the application checks nothing: the application has done so when it loaded that. It
takes the tasks only, and spares the imports: it may be the one that takes the place of a dead one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from .engine import current, refuse_unreachable
from .errors import TaskError
from .job import Entry
from .naming import address_of, load
from .registry import layers_of, registry
from .result import Result

if TYPE_CHECKING:
    from .schedule import Schedule
    from .signature import Signature

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

OVERLAPS = ("skip", "queue", "allow")
LATEST = datetime(9999, 12, 30, tzinfo=UTC).timestamp()  # can be shown in every zone
LONGEST = timedelta(weeks=52 * 1000)  # of a delay: later, there are no more dates


class Task(Generic[P, R]):
    """A function whose calls are run by a worker process."""

    def __init__(self, function: Callable[P, Any], address: str, after: timedelta, schedule: datetime | None) -> None:
        self.__wrapped__ = function
        functools.update_wrapper(self, function)
        self._function = function
        self._after_s = after.total_seconds()
        self._schedule = schedule
        self._signature = None if registry.loading else _signature(function)
        self.address = address
        registry.add_task(self.address, function)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Result[R]:
        """Register a call and return its Result at once.

        TypeError for arguments that do not fit, PayloadError for arguments that cannot be stored, StoreError
        where nothing can be stored at the moment.
        """
        signature = self._signature
        if signature is None:
            signature = self._signature = _signature(self._function)
        signature.check(self.address, args, kwargs)
        due = None if self._schedule is None else epoch(self._schedule)
        return current().register(
            self._function, self.address, args, kwargs, after_s=self._after_s, due=due, names=signature.names
        )

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<task {self.address}>"

    def __reduce__(self) -> str:
        return self._function.__qualname__  # as a function: by name


@overload
def delay(function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def delay(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def delay(
    *,
    weeks: float = 0,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    schedule: datetime | None = None,
) -> _Delay: ...
def delay(
    function: Any = None,
    /,
    *,
    weeks: float = 0,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    schedule: datetime | None = None,
) -> Any:
    """Have calls of the decorated function run later by a worker process; each call returns a `Result` at once.

    Due as soon as possible, after the given delay, or at `schedule` (a datetime; naive means local time, a past
    one means now; the other arguments are ignored then).

    TypeError for what cannot be a task, ValueError for a negative delay.

    >>> @delay
    ... def send_mail(to: str) -> str:
    ...     return f"sent to {to}"
    """
    if schedule is not None and not isinstance(schedule, datetime):
        raise TypeError(f"schedule={schedule!r}: a datetime is needed")
    for name, value in (("weeks", weeks), ("days", days), ("hours", hours), ("minutes", minutes)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name}={value!r}: a number is needed")
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name}={value!r}: a delay cannot be negative or endless")
    try:
        after = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)
    except OverflowError:
        after = LONGEST
    decorate = _Delay(min(after, LONGEST), schedule)
    return decorate if function is None else decorate(function)


class _Delay:
    """`delay(...)` with its arguments, waiting for the function."""

    def __init__(self, after: timedelta, schedule: datetime | None) -> None:
        self._after = after
        self._schedule = schedule

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        task: Task[..., Any] = Task(*_checked(function, "delay"), self._after, self._schedule)
        return staticmethod(task) if isinstance(function, staticmethod) else task


@overload
def cron(crontab: F, /) -> F: ...
@overload
def cron(
    crontab: str | None = None,
    minutes: Iterable[int] | None = None,
    hours: Iterable[int] | None = None,
    days: Iterable[int] | None = None,
    months: Iterable[int] | None = None,
    days_of_week: Iterable[int] | None = None,
    *,
    dow: Iterable[int] | None = None,
    dialect: str | None = None,
    tz: str | tzinfo | None = None,
    catch_up: float | timedelta = 86400.0,
    overlap: str = "skip",
) -> Callable[[F], F]: ...
def cron(
    crontab: Any = None,
    minutes: Iterable[int] | None = None,
    hours: Iterable[int] | None = None,
    days: Iterable[int] | None = None,
    months: Iterable[int] | None = None,
    days_of_week: Iterable[int] | None = None,
    *,
    dow: Iterable[int] | None = None,
    dialect: str | None = None,
    tz: str | tzinfo | None = None,
    catch_up: float | timedelta = 86400.0,
    overlap: str = "skip",
) -> Any:
    """Have a function without arguments called periodically; it is returned unchanged.

    `crontab` has the five fields `minutes hours days-of-week months days-of-month`, Monday is 0; `dialect="unix"`
    reads the order of Unix cron. If it is given the lists are ignored; with neither, every minute.

    tz: zone of the fire times, default the local one. catch_up: a fire time missed while nothing ran is run once,
    late, if it is not older than this (seconds or timedelta; 0: never, but up to a minute late is on time). overlap:
    what happens while the previous firing still goes: "skip" this one, "queue" it behind, or "allow" both.

    ValueError for what can never fire, TypeError for a function that needs arguments.

    >>> @cron("30 9 0,2 * *")       # Monday and Wednesday at 9:30
    ... def report() -> None: ...
    """
    if crontab is not None and not isinstance(crontab, str):
        lists = minutes, hours, days, months, days_of_week
        return cron(None, *lists, dow=dow, dialect=dialect, tz=tz, catch_up=catch_up, overlap=overlap)(crontab)
    if overlap not in OVERLAPS:
        raise ValueError(f"overlap={overlap!r}: only {', '.join(OVERLAPS)} is allowed")
    catch_up_s = catch_up.total_seconds() if isinstance(catch_up, timedelta) else catch_up
    if isinstance(catch_up_s, bool) or not isinstance(catch_up_s, int | float) or not catch_up_s >= 0:
        raise ValueError(f"catch_up={catch_up!r}: a number of seconds from 0 on, or a timedelta, is needed")
    # Exactly these types can be told to the monitor, and an enum of the application or a number of numpy is neither.
    catch_up_s = float("inf") if catch_up_s > LATEST else float(catch_up_s)
    overlap = OVERLAPS[OVERLAPS.index(overlap)]
    schedule = (
        None
        if registry.loading
        else _schedule(
            crontab,
            minutes,
            hours,
            days,
            months,
            days_of_week,
            dow=dow,
            dialect=registry.dialect if dialect is None else dialect,
            tz=tz,
        )
    )

    def decorate(function: F) -> F:
        plain, address = _checked(function, "cron")
        if schedule is None:
            registry.add_task(address, plain)
            return function
        if needed := _signature(plain).required:
            raise TypeError(f"@cron {plain.__qualname__}: called without arguments, but it needs {', '.join(needed)}")
        if not current().in_process:
            refuse_unreachable(address, f"@cron {plain.__qualname__}")
        registry.add_task(address, plain)
        registry.add_entry(
            plain, Entry("", address, schedule.crontab_string(), schedule.tz_name(), catch_up_s, overlap)
        )
        current().announce()
        return function

    return decorate


def use_dialect(dialect: str) -> None:
    """Set how this application writes its crontabs: "autocron" or "unix". Holds for decorators applied afterwards.

    ValueError for any other name.
    """
    _schedule("* * * * *", dialect=dialect)
    registry.dialect = dialect


def _checked(function: Any, decorator: str) -> tuple[Callable[..., Any], str]:
    """The function itself, and its address."""
    if isinstance(function, staticmethod):
        function = function.__func__
    if isinstance(function, Task):  # decorated before: the same task, called in another way
        return function.__wrapped__, function.address
    if isinstance(function, classmethod | property):
        kind = type(function).__name__
        raise TaskError(f"@{decorator}: a {kind} cannot be a task; decorate the function below it, @{kind} on top")
    if not callable(function):
        raise TypeError(f"@{decorator}: {function!r} is not a function; the arguments of {decorator} are keywords")
    if isinstance(function, type) or not hasattr(function, "__qualname__") or not hasattr(function, "__module__"):
        raise TaskError(f"@{decorator}: {function!r} has no name that a worker could find; decorate a function")
    if any(isinstance(each, Task) for each in layers_of(function)):
        raise TaskError(
            f"@{decorator} {function.__qualname__}: its call would only register another one, because @delay is below "
            "another decorator; put @delay above that"
        )
    if not registry.loading and _is_generator(function):
        raise TaskError(
            f"@{decorator} {function.__qualname__}: a worker would call it and run nothing, because it is a generator; "
            "return a list, or call another task for each item"
        )
    address = address_of(function)
    registry.claim(address, function, load())
    return function, address


def epoch(moment: datetime) -> float:
    """UTC epoch seconds; of a moment at the ends of the calendar, which has none in every zone, nearly so."""
    try:
        return min((moment.astimezone(UTC) if moment.tzinfo else moment).timestamp(), LATEST)
    except (OverflowError, ValueError):
        return LATEST if moment.year > 1 else 0.0


def _signature(function: Callable[..., Any]) -> Signature:
    from .signature import Signature  # noqa: PLC0415 - see above

    return Signature(function)


def _is_generator(function: Callable[..., Any]) -> bool:
    from .signature import is_generator  # noqa: PLC0415 - see above

    return is_generator(function)


def _schedule(*args: Any, **kwargs: Any) -> Schedule:
    from .schedule import Schedule  # noqa: PLC0415 - see above

    return Schedule(*args, **kwargs)
