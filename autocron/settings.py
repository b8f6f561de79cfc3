"""Every setting: default, unit, bounds. Stored in the database; validated as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from .errors import AutocronError


class SettingsError(AutocronError, ValueError):
    """Settings that cannot be taken; the message lists every problem."""


class Settings(NamedTuple):
    """What a database says about how its jobs are run.

    >>> Settings().changed(workers=4).workers
    4
    """

    workers: int = 1
    enabled: bool = True
    paused: bool = False
    blocking: bool = False
    ttl_s: float = 1800.0
    grace_s: float = 5.0
    max_deaths: int = 3
    durability: str = "full"
    pickle: str = "auto"

    def changed(self, **changes: object) -> Settings:
        """These settings with some values replaced; SettingsError lists whatever cannot be taken."""
        problems = [
            f"{name!r} is not a setting; known are: {', '.join(self._fields)}" for name in changes if name not in BOUNDS
        ]
        taken: dict[str, Any] = {}
        for name, value in changes.items():
            if name in BOUNDS:
                try:
                    taken[name] = _checked(name, value)
                except ValueError as error:
                    problems.append(str(error))
        if problems:
            raise SettingsError("; ".join(problems))
        return self._replace(**taken)

    def allows_pickle(self, private: bool) -> bool:
        """Whether payloads may be pickled; `private`: only its owner can write the database file."""
        return self.pickle == "on" or (self.pickle == "auto" and private)

    def as_dict(self) -> dict[str, Any]:
        """The values by name, as they travel and are stored."""
        return self._asdict()

    @classmethod
    def from_stored(cls, values: Mapping[str, object]) -> Settings:
        """Settings from stored values; names and values of other versions are passed over."""
        settings = cls()
        for name, value in values.items():
            with suppress(SettingsError):
                settings = settings.changed(**{name: value})
        return settings


class Bounds(NamedTuple):
    """What a setting is about, and what it may be."""

    about: str
    low: float = 0
    choices: tuple[str, ...] = ()


BOUNDS: Final = {
    "workers": Bounds("number of worker processes", low=1),
    "enabled": Bounds("off: nothing is started, tasks run in the caller"),
    "paused": Bounds("jobs are registered and wait, no entry fires; what runs goes on"),
    "blocking": Bounds("a registering call returns when its job is safely stored"),
    "ttl_s": Bounds("seconds a result is kept after the job has ended"),
    "grace_s": Bounds("seconds a running job has left when the application ends"),
    "max_deaths": Bounds("a job is given up after so many workers died while running it", low=1),
    "durability": Bounds(
        "full: acknowledged registrations survive a power cut; normal: the death of any process",
        choices=("full", "normal"),
    ),
    "pickle": Bounds(
        "whether arguments and results beyond plain data may be pickled; auto: if only the owner can write the file",
        choices=("auto", "on", "off"),
    ),
}


def _checked(name: str, value: object) -> object:
    default, bounds = Settings._field_defaults[name], BOUNDS[name]
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name}={value!r}: only True or False is allowed")
        return value
    if isinstance(default, str):
        if value not in bounds.choices:
            raise ValueError(f"{name}={value!r}: only {', '.join(bounds.choices)} is allowed")
        return value
    if isinstance(value, bool) or not isinstance(value, int if isinstance(default, int) else int | float):
        kind = "a whole number" if isinstance(default, int) else "a number of seconds"
        raise ValueError(f"{name}={value!r}: only {kind} is allowed")
    if not bounds.low <= value < float("inf"):
        raise ValueError(f"{name}={value!r}: at least {bounds.low}, and an end, is needed")
    return value
