"""autocron.testing.spawner: the small world for an engine of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

import autocron
from autocron.interface import Interface
from autocron.registry import registry
from autocron.testing import FakeClock, FakeEngine, InProcessSpawner, MemoryStore, run_pending


class Library:
    """What the author of a library puts together."""

    def __init__(self) -> None:
        self.clock = FakeClock(1_800_000_000.0)
        self.store = MemoryStore()
        self.spawner = InProcessSpawner()
        self.points: list[str] = []
        self.interface = Interface(
            clock=self.clock,
            spawner=self.spawner,
            open_store=lambda address: self.store,
            random=Random(0),
            reach=self.points.append,
        )
        self.engine = autocron.Engine(interface=self.interface)


@pytest.fixture
def library() -> Iterator[Library]:
    before = dict(registry.tasks), dict(registry.entries), dict(registry.decorated)
    made = Library()
    assert made.engine.start("app.db", workers=2)
    yield made
    made.engine.stop()
    registry.tasks, registry.entries, registry.decorated = before
    registry.version += 1


def test_an_interface_of_ones_own_is_a_world(library: Library) -> None:
    """contract 1: anything else than None is an injected Interface; jobs run in this process, when the test says so."""

    @autocron.delay(minutes=1)
    def double(n: int) -> int:
        return 2 * n

    result = double(21)
    assert library.spawner.run_pending() == 0
    assert not result.is_ready()
    library.clock.advance(60)
    assert library.spawner.run_pending() == 1
    assert result.is_ready()
    assert result.result == 42
    (row,) = library.store.dump()["jobs"]
    assert row["task"].endswith("double")
    assert {"app.register.before", "monitor.settle.after", "worker.run.before"} <= set(library.points)


def test_cron_fires_by_the_clock_that_was_given(library: Library) -> None:
    """contract 7: the clock can be moved."""
    ran = []

    @autocron.cron("* * * * *", tz="UTC")
    def tick() -> None:
        ran.append(autocron.now())

    library.spawner.run_pending()
    for _ in range(3):
        library.clock.advance(60)
        library.spawner.run_pending()
    assert [each.timestamp() for each in ran] == [1_800_000_060.0 + 60 * number for number in range(3)]


def test_all_that_was_started_is_listed(library: Library) -> None:
    """testing 2.1: `spawned`."""
    library.spawner.run_pending()
    assert [child.role for child in library.spawner.spawned] == ["monitor", "worker", "worker"]
    library.spawner.kill(library.spawner.spawned[1])
    library.spawner.run_pending()
    assert [(child.role, child.is_alive) for child in library.spawner.spawned[1:]] == [
        ("worker", False),
        ("worker", True),
        ("worker", True),
    ]


def test_a_monitor_that_is_killed_is_replaced(library: Library) -> None:
    """contract 6: the application starts the next one, whose workers are new."""

    @autocron.delay
    def send() -> None: ...

    library.spawner.run_pending()
    library.spawner.kill("monitor")
    send()
    assert library.spawner.run_pending() == 1
    assert [child.role for child in library.spawner.spawned if child.is_alive] == ["monitor", "worker", "worker"]
    assert len(library.spawner.spawned) == 6


@pytest.mark.parametrize("how", ["role", "process", "channel"])
def test_a_worker_that_is_asked_to_stop_ends_in_good_order(library: Library, how: str) -> None:
    """contract 6: SIGTERM: it gives back what it has not begun, and is replaced."""

    @autocron.delay
    def send(n: int) -> int:
        return n

    library.spawner.run_pending()
    worker = library.spawner.spawned[1]
    send(1)
    library.spawner.stop({"role": "worker", "process": worker, "channel": worker.channel.peer}[how])
    assert library.spawner.run_pending() >= 1
    assert not worker.is_alive
    assert len([child for child in library.spawner.spawned if child.is_alive]) == 3
    assert [row["deaths"] for row in library.store.dump()["jobs"]] == [0]


def test_a_monitor_that_is_asked_to_stop_is_followed_by_another(library: Library) -> None:
    """contract 6: it drains; the application, which goes on, starts the next."""

    @autocron.delay
    def send() -> None: ...

    library.spawner.run_pending()
    library.spawner.stop("monitor")
    library.spawner.run_pending()
    result = send()
    library.spawner.run_pending()
    assert result.is_ready()
    assert not library.spawner.spawned[0].is_alive


def test_a_stop_ends_everybody(library: Library) -> None:
    """contract 1: stop() ends the workers and the monitor; a retirement is no job."""
    library.spawner.stop("worker")
    assert library.spawner.run_pending() == 0
    assert [child.is_alive for child in library.spawner.spawned] == [True, False, False, True, True]
    library.engine.stop()
    assert not any(child.is_alive for child in library.spawner.spawned)


def test_who_does_not_live_cannot_be_killed(library: Library) -> None:
    """testing 1: what cannot succeed raises at once, and says what there is."""
    with pytest.raises(autocron.AutocronError, match=r"'wroker': no such process lives; there are: monitor, worker"):
        library.spawner.kill("wroker")
    monitor = library.spawner.spawned[0]
    library.spawner.kill(monitor)
    with pytest.raises(autocron.AutocronError, match="no such process lives"):
        library.spawner.stop(monitor)


def test_a_trap_holds_here_too(library: Library) -> None:
    """testing 2.1: `trap(label)`."""

    @autocron.delay
    def send() -> None: ...

    result = send()
    with library.spawner.trap("worker.run.before") as trap:
        library.spawner.run_pending()
        assert [child.role for child in trap.held] == ["worker"]
        assert not result.is_ready()
    assert library.spawner.run_pending() == 1
    assert result.is_ready()


def test_a_spawner_is_of_one_world(library: Library) -> None:
    """testing 2.1: two clocks for the same processes would be no world."""
    with pytest.raises(autocron.AutocronError, match="has its Interface already"):
        autocron.Engine(Interface(library.clock, library.spawner, lambda address: library.store, Random(0)))


def test_the_fake_engine_is_made_of_the_same_parts(fake_engine: FakeEngine) -> None:
    """testing 2.5: no second implementation."""

    @autocron.delay
    def send() -> None: ...

    assert isinstance(fake_engine.spawner, InProcessSpawner)
    send()
    fake_engine.spawner.kill("worker")
    assert run_pending().ran(send).times == 1
