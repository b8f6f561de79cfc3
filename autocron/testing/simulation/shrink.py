"""Makes a failing tape short: takes numbers away, in chunks and one by one, then makes those that are left smaller.

A number taken away is the plain choice, so every shorter tape is a calmer run. A tape counts only if it breaks the same
promise; how it does so may change on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from .tape import Entry, Numbers, numbers_of

Fails = Callable[[Numbers], bool]

MOST_TRIES: Final = 120


def shrink(entries: Sequence[Entry], fails: Fails, most_tries: int = MOST_TRIES) -> list[Entry]:
    """A shorter list of entries that fails as well, within so many tries."""
    tries = 0

    def still_fails(candidate: list[Entry]) -> bool:
        nonlocal tries
        tries += 1
        return tries <= most_tries and fails(numbers_of(candidate))

    found = _without_labels(list(entries), still_fails)
    while tries < most_tries:
        before = found
        found = _without_chunks(found, still_fails)
        found = _with_smaller_values(found, still_fails)
        if found == before:
            break
    return found


def _without_labels(entries: list[Entry], still_fails: Callable[[list[Entry]], bool]) -> list[Entry]:
    """Whole kinds of decisions first: most of a schedule does not matter."""
    counts: dict[str, int] = {}
    for each in entries:
        counts[each.label] = counts.get(each.label, 0) + 1
    for label in sorted(counts, key=lambda each: (-counts[each], each)):
        shorter = [each for each in entries if each.label != label]
        if still_fails(shorter):
            entries = shorter
    return entries


def _without_chunks(entries: list[Entry], still_fails: Callable[[list[Entry]], bool]) -> list[Entry]:
    size = max(1, len(entries) // 2)
    while size:
        start = 0
        while start < len(entries):
            shorter = entries[:start] + entries[start + size :]
            if still_fails(shorter):
                entries = shorter
            else:
                start += size
        size //= 2
    return entries


def _with_smaller_values(entries: list[Entry], still_fails: Callable[[list[Entry]], bool]) -> list[Entry]:
    for number, each in enumerate(entries):
        for value in sorted({1, each.value // 2, each.value - 1} - {0}):
            if value < each.value:
                smaller = [*entries[:number], each._replace(value=value), *entries[number + 1 :]]
                if still_fails(smaller):
                    entries = smaller
                    break
    return entries
