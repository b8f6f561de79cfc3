"""What a seed is steered to: cells of the matrix of points and faults, or a situation; and the road there.

Chance alone passes most points thousands of times and some of them never. So every seed has aims, in turn: two cells
(this fault at this point), or something that ought to come about sometimes. A road says which other decisions lead to
a rare one. Aims concern only how a tape comes about; a tape that is played again has its faults where it has them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import cache
from random import Random
from typing import Final, NamedTuple

from ...labels import LABELS
from .disk import WRITES

CRASH, PAUSE, BACK, FORWARD, KILL, TERMINATE, KILL_ALL, POWER = range(1, 9)
KINDS: Final = {
    CRASH: "crash",
    PAUSE: "pause",
    BACK: "clock back",
    FORWARD: "clock forward",
    KILL: "kill another",
    TERMINATE: "terminate another",
    KILL_ALL: "kill all",
    POWER: "power cut",
}
BUSY, FULL, BROKEN, UNSURE = 1, 2, 3, 4
REFUSALS: Final = {BUSY: "busy", FULL: "full", BROKEN: "broken", UNSURE: "unsure"}
UNBORN: Final = 4  # of a new process: it cannot be started

POINTS: Final = tuple(f"{label}.{side}" for label in sorted(LABELS) for side in ("before", "after"))
STORE_LABELS: Final = (
    "app.fallback",
    "monitor.add",
    "monitor.claim",
    "monitor.fire",
    "monitor.open",
    "monitor.prune",
    "monitor.release",
    "monitor.rescue",
    "monitor.settle",
    "monitor.sync",
    "monitor.tidy",
)

# Decision of the tape → which of its numbers is drawn more often, and how often. What they mean is in scenario.py.
Road = Mapping[str, tuple[int, float]]


class Cell(NamedTuple):
    """A fault at a point, and which number on the tape it is."""

    point: str
    fault: str
    decision: str
    number: int


def possible(label: str) -> tuple[int, ...]:
    """How the disk can refuse this call.

    What only reads needs no space, what only syncs waits for no lock. Unsure, stored although it reports an error, is
    what looks at its file once more behind the commit.
    """
    if label == "monitor.sync":
        return (FULL, BROKEN)
    if label in ("monitor.add", "app.fallback"):
        return (BUSY, FULL, BROKEN, UNSURE)
    return (BUSY, FULL, BROKEN) if label.rpartition(".")[2] in WRITES else (BUSY, BROKEN)


CELLS: Final = (
    *(Cell(point, fault, point, number) for point in POINTS for number, fault in KINDS.items()),
    *(Cell(label, REFUSALS[each], f"disk {label}", each) for label in STORE_LABELS for each in possible(label)),
    *(Cell(f"spawn {role}", "fails", f"spawn of a {role}", UNBORN) for role in ("monitor", "worker")),
)

# What else has to happen for a run to come to a point: a workload, and for rare points more than that.
PLAIN: Final[Road] = {"steps of an application": (15, 0.7), "length": (1, 0.7)}
ROADS: Final[Mapping[str, Road]] = {
    "monitor.claim": {"due": (3, 0.5)},
    "monitor.fire": {"cron": (1, 1.0), "length": (3, 0.9)},
    "monitor.prune": {"settings": (1, 1.0), "ttl": (1, 1.0), "length": (2, 0.9)},
    "monitor.tidy": {"length": (2, 0.9)},
    "monitor.sync": {"settings": (0, 1.0)},
    "monitor.dispatch": {"task": (0, 0.5)},
    "worker.run": {"task": (0, 0.5)},
    "worker.answer": {"task": (0, 0.7)},
    "monitor.settle": {"task": (0, 0.7)},
    "monitor.drain": {"leaves early": (1, 0.8), "step": (14, 0.2)},
    "monitor.release": {  # the last application goes while jobs wait behind a long one
        "applications": (0, 0.8),
        "workers": (1, 0.8),
        "steps of an application": (6, 0.8),
        "step": (0, 0.6),
        "task": (2, 0.5),
        "leaves early": (1, 0.9),
        "length": (2, 0.8),
    },
    "app.fallback": {  # an application ends while the monitor is stopped
        "monitor.add.before": (PAUSE, 0.4),
        "length of a pause": (4, 0.8),
        "steps of an application": (4, 0.8),
        "step": (0, 0.6),
        "leaves early": (1, 1.0),
        "farewell": (1, 0.8),
        "length": (2, 0.8),
    },
}

# What must not only be possible but happen; most of it does by itself, some on a road.
SITUATIONS: Final[Mapping[str, Road]] = {
    "a full disk is told to who registers": {},
    "a job is interrupted at the end of the grace period": {},
    "a job is removed by hand": {},
    "a job that ended in error is run again by hand": {},
    "a monitor takes back what its predecessor had claimed": {},
    "a poisonous job is given up": {},
    "a power cut takes back what was not synced": {},
    "a question is not answered, and says why": {},
    "a registration is refused": {},
    "a result is removed when its time is over": {},
    "a start fails and says why": {},
    "a worker does not end within its grace period and is killed": {"task": (10, 0.5), "step": (14, 0.3)},
    "a worker gives jobs back": {},
    "a worker outlives its monitor for a moment": {
        "no signal at the death of the parent": (1, 1.0),
        "worker.answer.before": (KILL, 0.2),
        "victim": (1, 0.7),  # the monitor: it comes right behind the first application
        "workers": (1, 0.8),
        "task": (0, 0.8),
        "due": (0, 0.8),
        "step": (0, 0.5),
        "monitor.add.before": (PAUSE, 0.2),  # so that there are several jobs for a worker
        "length of a pause": (2, 0.9),
    },
    "a process only registers": {},
    "a process that only registers tells a monitor that has just started": {
        "only registers": (1, 0.5),
        "steps of a guest": (1, 0.8),
        "app.fallback.before": (PAUSE, 0.5),
        "length of a pause": (3, 0.9),
        "applications": (2, 0.8),
        "start of an application": (1, 0.5),
        "steps of an application": (0, 0.8),
        "length": (0, 0.7),
    },
    "a worker with stale code gives way": {},
    "all is paused by hand": {},
    "an application writes past a monitor that is stopped": ROADS["app.fallback"],
    "an end loses what the disk does not take": {
        "disk monitor.add": (FULL, 0.3),
        "disk app.fallback": (FULL, 0.8),
        "length of a refusal": (3, 0.8),
        "step": (14, 0.3),
    },
    "an interrupted job is run again": {},
    "an order is not carried out, and says why": {},
    "registrations are sent again over a new link": {},
    "without a monitor, the application writes itself": {
        "spawn of a monitor": (UNBORN, 0.6),
        "monitor.wait": (CRASH, 0.15),
        "length": (2, 0.8),
    },
}
ROADS_TO_SITUATIONS: Final = tuple(road for road in SITUATIONS.values() if road)

TURN: Final = 4  # of so many seeds one is steered to a situation
TOGETHER: Final = 2  # cells of one seed


class Aims(NamedTuple):
    """What a seed is steered to."""

    cells: tuple[Cell, ...]
    road: Road


def aims_of(seed: int) -> Aims:
    """In turn, so that every cell and every situation has its seeds."""
    if seed % TURN == TURN - 1:
        return Aims((), {**PLAIN, **ROADS_TO_SITUATIONS[seed // TURN % len(ROADS_TO_SITUATIONS)]})
    first = (seed - seed // TURN) * TOGETHER
    cells = tuple(_cell(first + each) for each in range(TOGETHER))
    road = {**PLAIN}
    for cell in cells:
        road |= ROADS.get(cell.point.removesuffix(".before").removesuffix(".after"), {})
    return Aims(cells, road)


def aimed_at(point: str, fault: str, first: int) -> Iterator[int]:
    """The seeds, from this one on, that are steered to this cell."""
    for seed in itertools.count(first):
        if any((each.point, each.fault) == (point, fault) for each in aims_of(seed).cells):
            yield seed


def _cell(number: int) -> Cell:
    """All cells one after the other, then all of them again; each time with other neighbours."""
    turn, place = divmod(number, len(CELLS))
    return _shuffled(turn)[place]


@cache
def _shuffled(turn: int) -> list[Cell]:
    return Random(f"cells {turn}").sample(CELLS, len(CELLS))
