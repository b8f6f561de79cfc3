"""Random sequences of calls, made on a store and on the model; the first difference is shrunk and told in words.

The universe is small on purpose: few jobs, tokens and moments meet often, so that the awkward cases (a stale token, a
job stored twice, two jobs due at once) come up in every sequence.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ..interface import Store
from ..job import Firing, Job, Outcome, Selection, Status, Stored
from .model import ModelStore

JOBS: Final = 8
TOKENS: Final = (1, 2, 1 << 62)
MOMENTS: Final = (0.0, 1.0, 2.5, 3.0, 1e9 + 0.123456)
TASKS: Final = ("app:mail", "app:tidy", "/srv/\udcff.py:run", "漢字:f")
KEYS: Final = ("app:tidy#0", "/srv/\udcff.py:run#1")
TEXTS: Final = ("", "ValueError: no", "a\0b", "\udcff", "\U0001f600" * 300)
PAYLOADS: Final = (b"", b"j[[],{}]", bytes(range(256)) * 40)
PATTERNS: Final = ("*", "app:*", "*:run", "app:????")
VALUES: Final = (1, 2.5, "full", True, None)
SHRINKING: Final = 300  # attempts


class Call(NamedTuple):
    """One call of a method of a store."""

    method: str
    args: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()

    def on(self, store: Store) -> Any:
        """Make it; the answer in a form that can be compared."""
        if self.method == "select":
            return list(pages(store, *self.args))
        answer = getattr(store, self.method)(*self.args, **dict(self.keywords))
        if self.method == "entries":
            return sorted(answer)
        return answer

    def __str__(self) -> str:
        arguments = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.keywords)]
        return f"{self.method}({', '.join(arguments)})"


OBSERVATIONS: Final = (
    *(Call(name) for name in ("next_due", "next_prune", "counts", "entries", "settings")),
    Call("results", (b"", 2 * JOBS)),
)


def pages(store: Store, selection: Selection, limit: int) -> Iterator[Stored]:
    """All jobs of a selection."""
    rest: Selection | None = selection
    while rest is not None:
        page, rest = store.select(rest, limit)
        assert len(page) <= limit, f"select gave {len(page)} jobs, at most {limit} were wanted"
        yield from page


class Tape:
    """Draws calls."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def calls(self, steps: int) -> list[Call]:
        """A sequence of this length."""
        makers = [getattr(self, name) for name in dir(self) if name.startswith("_call_")]
        weights = [4 if each.__name__ in ("_call_add", "_call_claim", "_call_settle") else 1 for each in makers]
        return [make() for make in self._random.choices(makers, weights, k=steps)]

    def _one(self, of: Sequence[Any]) -> Any:
        return self._random.choice(of)

    def _some(self, make: Callable[[], Any], most: int = 4) -> list[Any]:
        return [make() for _ in range(self._random.randrange(most + 1))]

    def _id(self) -> bytes:
        return self._random.randrange(JOBS).to_bytes(16, "big")

    def _job(self) -> Job:
        one = self._one
        numbers = one((-1, 0, 0, 5)), one(("", "slow")), one((1, 2)), one((1, 3)), one((0.0, 30.0)), one((0.0, 99.0))
        return Job(self._id(), one(TASKS), one(PAYLOADS), one(MOMENTS), *numbers, one(("", *KEYS)), one((0, 0, 2)))

    def _outcome(self) -> Outcome:
        return Outcome(
            self._id(), self._one((Status.READY.value, Status.ERROR.value)), self._one(PAYLOADS), self._one(TEXTS)
        )

    def _firing(self) -> Firing:
        return Firing(self._one(KEYS), self._one(MOMENTS), self._one((None, self._job())))

    def _selection(self) -> Selection:
        statuses = tuple(self._some(lambda: self._random.randrange(1, 5), 2))
        return Selection(statuses, self._one(PATTERNS), self._id(), self._id(), self._one((True, False)))

    def _by(self) -> tuple[tuple[str, Any], ...]:
        return (("token", self._one(TOKENS)),)

    def _now(self) -> tuple[tuple[str, Any], ...]:
        return (("now", self._one(MOMENTS)),)

    def _call_add(self) -> Call:
        return Call("add", (self._some(self._job),), (("token", self._one((0, *TOKENS))),))

    def _call_claim(self) -> Call:
        enough = (("enough_bytes", self._one((1, 20, 10_000, 1 << 40))),)
        return Call("claim", (self._one(MOMENTS), self._one((0, 1, 2, 100)), self._one(TOKENS)), enough)

    def _call_settle(self) -> Call:
        ttl = (("ttl_s", self._one((0.0, 1.5, 1800.0))),)
        return Call("settle", (self._some(self._outcome),), (*self._by(), *self._now(), *ttl))

    def _call_release(self) -> Call:
        return Call("release", (self._some(self._id),), self._by())

    def _call_died(self) -> Call:
        return Call("died", (self._id(),), self._by())

    def _call_rescue(self) -> Call:
        return Call("rescue", (self._some(self._id) * self._one((1, 2)),), self._by())

    def _call_set_entry(self) -> Call:
        return Call("set_entry", (self._one(KEYS), self._one(("* * * * *", "0 3 * * * UTC")), self._one(MOMENTS)))

    def _call_fire(self) -> Call:
        return Call("fire", (self._some(self._firing),), self._by())

    def _call_unfinished(self) -> Call:
        return Call("unfinished", (self._id(),))

    def _call_result(self) -> Call:
        return Call("result", (self._id(),))

    def _call_results(self) -> Call:
        return Call("results", (self._one((b"", self._id())), self._one((0, 1, 3, 100))))

    def _call_prune(self) -> Call:
        return Call("prune", (self._one((2.5, 5000.0, 2e9)), self._one((0, 1, 1, 100))))

    def _call_select(self) -> Call:
        return Call("select", (self._selection(), self._one((1, 3, 100))))

    def _call_retry(self) -> Call:
        return Call("retry", (self._some(self._id),), self._now())

    def _call_hasten(self) -> Call:
        return Call("hasten", (self._some(self._id),), self._now())

    def _call_purge(self) -> Call:
        return Call("purge", (self._some(self._id), self._some(lambda: self._random.randrange(1, 5), 3)))

    def _call_save_settings(self) -> Call:
        return Call("save_settings", ({self._one(("workers", "ttl_s")): self._one(VALUES) for _ in range(2)},))

    def _call_sync(self) -> Call:
        return Call("sync")


def difference(calls: Sequence[Call], store: Store) -> str | None:
    """What the store does otherwise than the model; None if it does the same. Closes the store."""
    model = ModelStore()
    told = []
    try:
        for call in calls:
            told.append(f"  {call}")
            for each in (call, *OBSERVATIONS):
                wanted = each.on(model)
                try:
                    found = each.on(store)
                except Exception as error:
                    found = error
                if found != wanted:
                    told += [f"then {each}", f"  should give {wanted!r}", f"  and gives   {found!r}"]
                    return "\n".join(told)
    finally:
        store.close()
    return None


def shrunk(calls: Sequence[Call], new_store: Callable[[], Store]) -> str:
    """The shortest story found of how a failing sequence fails."""
    best = list(calls)
    story = difference(best, new_store()) or "the difference does not come again: the store is not deterministic"
    attempts = SHRINKING
    size = len(best) // 2
    while size:
        at = 0
        while at < len(best) and attempts:
            shorter = best[:at] + best[at + size :]
            attempts -= 1
            if (told := difference(shorter, new_store())) is not None:
                best, story = shorter, told
            else:
                at += size
        size //= 2
    return story
