"""What the simulator has found in the registrar by chance, shown at its seam alone."""

from __future__ import annotations

import random
from contextlib import nullcontext
from typing import Any

from autocron.interface import Closed, Interface
from autocron.job import Job
from autocron.registrar import Registrar
from autocron.testing.clock import FakeClock


class Seam:
    """Just what a registrar calls; each wait returns the next of the given answers."""

    def __init__(self) -> None:
        self.clock = FakeClock(1_800_000_000.0)
        self.answers: list[list[Any]] = []
        self.waited_s: list[float | None] = []

    def bell(self) -> Any:
        return self

    def ring(self) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...
    def send(self, body: Any) -> None: ...
    def backlog(self) -> int:
        return 0

    def spares_caller(self) -> bool:
        return True

    def must_block(self) -> bool:
        return False

    def mutex(self) -> Any:
        return nullcontext()

    def background(self, step: Any, bell: Any) -> Any:
        return self

    def wait(self, sources: Any, until: float | None) -> list[Any]:
        self.waited_s.append(None if until is None else until - self.clock.time())
        return self.answers.pop(0) if self.answers else []


def test_a_stream_of_registrations_that_loses_its_monitor_does_not_spin() -> None:
    """design 1, quiet: without a link nobody looks at it every millisecond."""
    seam: Any = Seam()
    interface = Interface(seam.clock, seam, lambda address: seam, random.Random(0))
    registrar = Registrar(interface, "/app.db", link=seam, relink=lambda: None)
    for number in range(3):
        registrar.add(Job(bytes([number]) * 16, "app:task", b"", 0.0))
        seam.answers = [[Closed(seam)]] if number == 2 else [[]]
        registrar.step()
    assert seam.waited_s[-1] is not None
    assert seam.waited_s[-1] < 0.1, "it was a stream"
    for _ in range(3):
        registrar.step()
    assert registrar.link is None
    assert min(seam.waited_s[-2:]) >= 0.5
