"""All chance of a run is one tape of labelled numbers.

Each label has a sequence of its own, so taking one number away leaves all others where they are: a crash that the
shrinker removes does not turn the schedule behind it into another one. A number that is not on the tape is 0, and 0
is always the plain choice: no fault, go on with the same actor, the smallest workload. An empty tape is a calm run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

FORMAT: Final = 1

Numbers = dict[str, dict[int, int]]  # label → which of its draws → the number, where it is not 0


class Entry(NamedTuple):
    """One number that is not the plain choice."""

    label: str
    nth: int
    value: int


class Tape:
    """Draws numbers from a source of chance and notes them, or gives back those of an earlier run."""

    def __init__(self, random: Random | None = None, numbers: Mapping[str, Mapping[int, int]] | None = None) -> None:
        self._random = random
        self._given = numbers or {}
        self._drawn: dict[str, int] = {}
        self.favoured: Mapping[str, tuple[int, float]] = {}  # label → a number that is drawn more often, and how often
        self.numbers: Numbers = {}

    @property
    def replays(self) -> bool:
        """Whether this tape gives back an earlier run."""
        return self._random is None

    def draw(self, label: str, most: int, rate: float = 1.0, among: Sequence[int] | None = None) -> int:
        """A number from 0 to `most` - 1; `rate`: how probable anything but 0 is; `among`: what else it can be."""
        index = self._drawn.get(label, 0)
        self._drawn[label] = index + 1
        random = self._random
        if random is None:
            value = self._given.get(label, NOTHING).get(index, 0) % most
        elif label in self.favoured and random.random() < self.favoured[label][1]:
            value = self.favoured[label][0] % most
        elif rate < 1.0 and random.random() >= rate:
            value = 0
        else:
            value = random.choice(among) if among else random.randrange(most)
        if value:
            self.numbers.setdefault(label, {})[index] = value
        return value

    def entries(self) -> list[Entry]:
        """What of this run is not the plain choice."""
        return [Entry(label, index, value) for label, row in self.numbers.items() for index, value in row.items()]

    def unread(self) -> list[str]:
        """Labels of the given tape that this run never came to: the code has changed since it was written."""
        return sorted(label for label in self._given if label not in self._drawn)


NOTHING: Final[dict[int, int]] = {}


def numbers_of(entries: Sequence[Entry]) -> Numbers:
    """The numbers of a tape with just these entries."""
    numbers: Numbers = {}
    for label, nth, value in entries:
        numbers.setdefault(label, {})[nth] = value
    return numbers


def save(path: Path, numbers: Numbers, about: Mapping[str, object]) -> None:
    """Write a tape to a file that `load` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {label: {str(index): value for index, value in row.items()} for label, row in numbers.items()}
    path.write_text(json.dumps({"format": FORMAT, **about, "tape": rows}, indent=1, sort_keys=True) + "\n")


def load(path: Path, test: str = "") -> tuple[Numbers, dict[str, object]]:
    """A tape and what is said about it. ValueError if the file is no tape, or that of another test."""
    try:
        found = json.loads(path.read_text())
        rows = found.pop("tape")
        numbers = {label: {int(index): value for index, value in row.items()} for label, row in rows.items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: this is not a tape of the simulator ({error})") from error
    if (other := found.get("test", "")) != test:
        ours = "autocron's own runs"
        raise ValueError(f"{path}: this is the tape of {other or ours}, not of {test or ours}")
    return numbers, found
