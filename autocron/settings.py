"""Every setting: default, unit, bounds. Stored in the database; validated as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any

from .errors import AutocronError


class SettingsError(AutocronError, ValueError):
    """Settings that cannot be taken; the message lists every problem."""


def _setting(default: Any, about: str, *, low: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"about": about, "low": low, "choices": choices})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a database says about how its jobs are run.

    >>> Settings().changed(workers=4).workers
    4
    """

    workers: int = _setting(1, "number of worker processes", low=1)
    enabled: bool = _setting(True, "off: nothing is started, tasks run in the caller")
    paused: bool = _setting(False, "jobs are registered and wait, no entry fires; what runs goes on")
    blocking: bool = _setting(False, "a registering call returns when its job is safely stored")
    ttl_s: float = _setting(1800.0, "seconds a result is kept after the job has ended", low=0)
    grace_s: float = _setting(5.0, "seconds a running job has left when the application ends", low=0)
    max_deaths: int = _setting(3, "a job is given up after so many workers died while running it", low=1)
    durability: str = _setting(
        "full",
        "full: acknowledged registrations survive a power cut; normal: the death of any process",
        choices=("full", "normal"),
    )
    pickle: str = _setting(
        "auto",
        "whether arguments and results beyond plain data may be pickled; auto: if only the owner can write the file",
        choices=("auto", "on", "off"),
    )

    def changed(self, **changes: object) -> Settings:
        """These settings with some values replaced; SettingsError lists whatever cannot be taken."""
        known = {each.name: each for each in fields(self)}
        problems = [
            f"{name!r} is not a setting; known are: {', '.join(known)}" for name in changes if name not in known
        ]
        taken: dict[str, Any] = {}
        for name, value in changes.items():
            if name in known:
                try:
                    taken[name] = _checked(name, value, known[name].default, known[name].metadata)
                except ValueError as error:
                    problems.append(str(error))
        if problems:
            raise SettingsError("; ".join(problems))
        return replace(self, **taken)

    def allows_pickle(self, private: bool) -> bool:
        """Whether payloads may be pickled; `private`: only its owner can write the database file."""
        return self.pickle == "on" or (self.pickle == "auto" and private)

    def as_dict(self) -> dict[str, Any]:
        """The values by name, as they travel and are stored."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_stored(cls, values: Mapping[str, object]) -> Settings:
        """Settings from stored values; names and values of other versions are passed over."""
        settings = cls()
        for name, value in values.items():
            with suppress(SettingsError):
                settings = settings.changed(**{name: value})
        return settings


def _checked(name: str, value: object, default: object, metadata: Mapping[str, Any]) -> object:
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name}={value!r}: only True or False is allowed")
        return value
    if isinstance(default, str):
        if value not in metadata["choices"]:
            raise ValueError(f"{name}={value!r}: only {', '.join(metadata['choices'])} is allowed")
        return value
    if isinstance(value, bool) or not isinstance(value, int if isinstance(default, int) else int | float):
        kind = "a whole number" if isinstance(default, int) else "a number of seconds"
        raise ValueError(f"{name}={value!r}: only {kind} is allowed")
    low = metadata["low"]
    if not low <= value < float("inf"):
        raise ValueError(f"{name}={value!r}: at least {low}, and an end, is needed")
    return value
