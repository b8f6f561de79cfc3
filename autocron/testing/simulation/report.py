"""What is told about runs: a failure in words, and the account of many seeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .campaign import Account
from .run import Verdict
from .tape import Numbers

LINES: Final = 40  # of the trace, at most
WANTED: Final = 20  # how often each cell of the matrix should be hit


def failure_in_words(verdict: Verdict, original: int = 0) -> str:
    """What broke, in which run, and what happened before; `original`: how long its tape was before shrinking."""
    assert verdict.failure is not None
    length = sum(map(len, verdict.numbers.values()))
    lines = [
        f"seed {verdict.seed}: {verdict.failure.promise}",
        f"  {verdict.failure.seen}",
        f"a calm run except for {length} decisions{f' (shrunk from {original})' if original else ''}:",
        *(f"  {line}" for line in verdict.story or ["no fault at all: the order of events suffices"]),
        f"workload and schedule: {workload_of(verdict.numbers)}",
        "the last events:",
    ]
    lines += [f"  {at - 1000:11.5f} s  {who:22} {what}" for at, who, what in verdict.trace[-LINES:]]
    if verdict.unread:
        lines.append(f"the code has changed since this tape was written; it never came to: {', '.join(verdict.unread)}")
    return "\n".join(lines)


def workload_of(numbers: Numbers) -> str:
    """The decisions of a tape that are no faults."""
    parts = [
        f"{label} {', '.join(f'#{nth}={value}' for nth, value in sorted(row.items()))}"
        for label, row in sorted(numbers.items())
        if not label.endswith((".before", ".after")) and not label.startswith("disk ")
    ]
    return "; ".join(parts) or "the smallest"


def account_in_words(account: Account, seconds: float) -> str:
    """The figures of a campaign."""
    return "\n".join(_lines_of(account, seconds))


def _lines_of(account: Account, seconds: float) -> Iterator[str]:
    yield f"{account.runs:,} runs, {account.events:,} events, {account.virtual_s / 3600:,.0f} simulated hours"
    yield f"in {seconds:,.0f} s: {account.runs / seconds:,.0f} runs/s, {account.events / seconds:,.0f} events/s"
    cells = account.cells()
    empty = [f"{point} × {kind}" for (point, kind), count in cells.items() if not count]
    often = sum(count >= WANTED for count in cells.values())
    yield (
        f"matrix of points and faults: {len(cells)} cells, {len(empty)} empty, {often} hit {WANTED} times or more,"
        f" the rarest {min(cells.values())} times"
    )
    if empty:
        yield f"  empty: {'; '.join(empty)}"
    for what in sorted(account.sometimes):
        yield f"  {account.sometimes[what]:9,} × {what}"
    for what in account.missing():
        yield f"          0 × {what}"
    late = account.new_states[-max(1, len(account.new_states) // 10) :]
    yield f"{len(account.states)} different situations; {sum(late)} of them first seen in the last tenth of the runs"
    yield f"{len(account.failures)} failures" if account.failures else "no failure"
    for seed, promise, seen in account.failures[:20]:
        yield f"  seed {seed}: {promise}: {seen.splitlines()[0][:150]}"
