"""autocron.monitor.pool: as many workers as are wanted, replaced when they die, ended in time."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from typing import Any

import pytest
from small import job_of

from autocron import messages
from autocron.interface import Body, Channel, Exited
from autocron.monitor.pool import BACKOFF_S, INTERRUPT_AT, LONGEST_BACKOFF_S, Member, Pool
from autocron.testing.clock import FakeClock
from autocron.testing.memory import MemoryStore
from autocron.testing.world import MemoryChannel, Process, View, World

SPEC = {"executable": "python", "flags": [], "path": ["/app"], "directory": "/app"}


class Nursery(View):
    """Workers that are only their channels; a spawn may fail."""

    def __init__(self, world: World) -> None:
        super().__init__(world, Process(1, MemoryChannel(0)))
        self.fails = False
        self.spawned: list[MemoryChannel] = []
        self.killed: list[int] = []

    def spawn(self, role: str, address: str, spec: Mapping[str, Any]) -> Channel:
        if self.fails:
            raise OSError(11, "Resource temporarily unavailable")
        ours, _ = self.world.pair(100 + len(self.spawned))
        self.spawned.append(ours)
        return ours

    def kill(self, channel: Channel) -> None:
        self.killed.append(channel.pid)


class Bench:
    def __init__(self, target: int = 0) -> None:
        self.clock = FakeClock(0.0)
        world = World(self.clock, lambda address: MemoryStore(), random.Random(1))
        self.nursery = Nursery(world)
        self.pool = Pool(world.interface_of(self.nursery), "app.db")
        self.pool.renew(SPEC)
        self.resize(target)

    def resize(self, target: int) -> None:
        self.pool.target = target
        self.pool.keep()
        for member in self.staying():
            self.pool.is_up(member)
            self.told(member)

    def staying(self) -> list[Member]:
        return [each for each in self.pool.members.values() if not each.ending]

    def told(self, member: Member) -> list[Body]:
        end = member.channel.peer  # type: ignore[attr-defined]
        bodies = list(end.inbox)
        end.inbox.clear()
        return bodies

    def die(self, member: Member, signal: int = 9, code: int | None = None) -> tuple[Member, str] | None:
        return self.pool.bury(Exited(member.channel, signal, code))

    def until(self, monotonic: float) -> None:
        self.clock.advance(max(0.0, monotonic - self.clock.monotonic()))
        self.pool.keep()


def test_there_are_as_many_as_wanted_and_each_is_told_how_to_begin() -> None:
    """contract 6: the monitor starts and supervises the workers: exactly n."""
    bench = Bench()
    bench.pool.pickle_allowed = True
    bench.pool.target = 3
    bench.pool.keep()
    bench.pool.keep()
    assert len(bench.nursery.spawned) == 3
    for member in bench.staying():
        assert bench.told(member) == [(messages.PREPARE, SPEC, True)]
    assert list(bench.pool.serving()) == []
    bench.pool.is_up(bench.staying()[0])
    assert list(bench.pool.serving()) == bench.staying()[:1]
    assert bench.pool.next_at() is None


def test_a_dead_worker_is_replaced_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """contract 6: replaces a dead one; the log has a line for it."""
    bench = Bench(2)
    victim = bench.staying()[0]
    assert bench.die(victim) == (victim, "signal 9")
    bench.pool.keep()
    assert len(bench.staying()) == 2
    assert "worker 100 died (signal 9) and is replaced" in caplog.text


@pytest.mark.parametrize(
    ("signal", "code", "how"), [(0, 1, "exit code 1"), (11, None, "signal 11"), (0, None, "unknown exit code")]
)
def test_how_a_worker_died_is_told(signal: int, code: int | None, how: str) -> None:
    """design 1.2: "the worker died (signal 9)"; the exit status may be unknown."""
    bench = Bench(1)
    found = bench.die(bench.staying()[0], signal, code)
    assert found is not None
    assert found[1] == how


def test_a_worker_that_ends_by_itself_is_replaced_too() -> None:
    """contract 6: a task that calls os._exit(0) ends its worker; the pool stays complete."""
    bench = Bench(1)
    bench.die(bench.staying()[0], 0, 0)
    bench.pool.keep()
    assert len(bench.staying()) == 1


def test_workers_that_cannot_begin_are_tried_more_and_more_seldom_and_never_in_step() -> None:
    """design 2: dying workers are restarted with backoff, with jitter."""
    bench = Bench()
    bench.pool.target = 1
    pauses = []
    for _ in range(14):
        bench.until(bench.pool.next_at() or 0.0)
        (member,) = bench.staying()
        bench.die(member, 0, 1)
        at = bench.pool.next_at()
        assert at is not None
        pauses.append(at - bench.clock.monotonic())
    assert pauses[0] <= 0  # one death at the start may be bad luck
    for number, pause in enumerate(pauses[1:], 1):
        longest = min(BACKOFF_S * 2**number, LONGEST_BACKOFF_S)
        assert longest / 2 <= pause <= longest
    assert len({round(pause, 6) for pause in pauses[-4:]}) == 4


def test_a_worker_that_is_up_ends_the_backoff() -> None:
    """design 2: backoff is for workers that cannot begin."""
    bench = Bench()
    bench.pool.target = 1
    for _ in range(5):
        bench.until(bench.pool.next_at() or 0.0)
        bench.die(bench.staying()[0], 0, 1)
    bench.until(bench.pool.next_at() or 0.0)
    (member,) = bench.staying()
    bench.pool.is_up(member)
    bench.die(member)
    bench.pool.keep()
    assert len(bench.staying()) == 1


def test_a_machine_that_can_start_no_process_is_asked_again_later(caplog: pytest.LogCaptureFixture) -> None:
    """design 2, self-healing: no process left on the machine is no end of the monitor."""
    bench = Bench()
    bench.nursery.fails = True
    bench.pool.target = 1
    for _ in range(3):
        bench.until(bench.pool.next_at() or 0.0)
    assert "cannot start a worker: [Errno 11] Resource temporarily unavailable; next try in" in caplog.text
    bench.nursery.fails = False
    bench.until(bench.pool.next_at() or 0.0)
    assert len(bench.staying()) == 1


def test_a_smaller_pool_lets_workers_finish_first() -> None:
    """contract 1: a later start(workers=n) resizes the running pool: what runs is finished, what waits given back."""
    bench = Bench(3)
    bench.resize(1)
    assert len(bench.staying()) == 1
    for member in bench.pool.members.values():
        if member.ending:
            assert bench.told(member) == [(messages.TAKE_BACK,), (messages.END,)]
    assert bench.nursery.killed == []
    bench.resize(2)
    assert len(bench.staying()) == 2


def test_an_application_of_another_place_gets_workers_of_its_own() -> None:
    """design 2, fresh code: on a new link with another path or interpreter, workers are replaced."""
    bench = Bench(2)
    bench.pool.renew({**SPEC, "path": ["/app2"]})
    assert bench.staying() == []
    bench.pool.keep()
    assert [each.spec["path"] for each in bench.staying()] == [["/app2"], ["/app2"]]


def test_an_application_of_the_same_place_makes_workers_look_at_their_files() -> None:
    """design 2, fresh code: on a new link workers whose imported files changed retire before their next job."""
    bench = Bench(1)
    bench.pool.renew({**SPEC, "argv": ["other"], "pid": 3})
    (member,) = bench.staying()
    assert bench.told(member) == [(messages.REFRESH,)]


def test_a_worker_that_retires_is_replaced_and_has_the_grace_period_to_end() -> None:
    """design 2: threads that its tasks have left must not keep it for ever."""
    bench = Bench(1)
    (old,) = bench.staying()
    bench.pool.retire(old, 5.0)
    bench.pool.keep()
    (new,) = bench.staying()
    assert new is not old
    bench.until(4.9)
    assert bench.nursery.killed == []
    assert bench.pool.next_at() == 5.0
    bench.until(5.0)
    assert bench.nursery.killed == [old.channel.pid]
    assert old.killed


def test_a_worker_that_retires_in_time_is_not_killed(caplog: pytest.LogCaptureFixture) -> None:
    """contract 6: ended in good order: no warning."""
    bench = Bench(1)
    (old,) = bench.staying()
    bench.pool.retire(old, 5.0)
    bench.die(old, 0, 0)
    bench.until(10.0)
    assert bench.nursery.killed == []
    assert caplog.records == []


def test_draining_asks_then_interrupts_then_kills(caplog: pytest.LogCaptureFixture) -> None:
    """contract 6: running tasks get a grace period, everything ends: interrupted at 80 % of it, killed at its end."""
    bench = Bench(2)
    bench.pool.end_all(10.0)
    bench.pool.keep()
    members = list(bench.pool.members.values())
    assert all(bench.told(each) == [(messages.TAKE_BACK,), (messages.END,)] for each in members)
    assert bench.pool.next_at() == 10.0 * INTERRUPT_AT == 8.0
    bench.until(7.9)
    assert all(bench.told(each) == [] for each in members)
    bench.until(8.0)
    assert all(bench.told(each) == [(messages.INTERRUPT,)] for each in members)
    bench.die(members[0], 0, 0)
    bench.until(9.9)
    assert bench.nursery.killed == []
    bench.until(10.0)
    assert bench.nursery.killed == [members[1].channel.pid]
    assert "worker 101 did not end within the grace period and is killed" in caplog.text
    bench.die(members[1])
    assert bench.pool.next_at() is None
    assert not bench.pool.members


def test_no_grace_is_no_time() -> None:
    """contract 6: grace_s=0: at once."""
    bench = Bench(1)
    bench.pool.end_all(0.0)
    bench.pool.keep()
    assert bench.nursery.killed == [100]


def test_who_was_killed_by_us_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """contract 6: the log tells of deaths, not of ends that were wanted."""
    caplog.set_level(logging.INFO)
    bench = Bench(1)
    (member,) = bench.staying()
    bench.pool.kill(member)
    bench.die(member)
    assert "worker 100 ended" in caplog.text
    assert "died" not in caplog.text


def test_an_end_that_is_called_off_kills_nobody() -> None:
    """contract 1: a process that starts while the last one has just gone goes on with this monitor."""
    bench = Bench(1)
    bench.pool.end_all(1.0)
    bench.pool.go_on()
    bench.pool.target = 1
    bench.until(100.0)
    assert bench.nursery.killed == []
    assert len(bench.staying()) == 1  # the new one


def test_a_worker_that_has_closed_its_channel_is_of_no_use_any_more() -> None:
    """design 2: nothing can be said to it; a task that closes all descriptors has done that."""
    bench = Bench(2)
    cut, ending = bench.staying()
    bench.pool.cut(cut.channel)
    assert bench.nursery.killed == [cut.channel.pid]
    bench.pool.end(ending)
    bench.pool.cut(ending.channel)
    bench.pool.cut(MemoryChannel(5))
    assert bench.nursery.killed == [cut.channel.pid]


def test_the_end_of_a_stranger_is_nothing_to_the_pool() -> None:
    """design 2: the monitor reaps what tasks left behind, too."""
    assert Bench(1).pool.bury(Exited(MemoryChannel(5), 9, None)) is None


def test_a_member_knows_what_it_has_in_its_hands() -> None:
    """design 2: prefetch is bounded in seconds and in bytes."""
    member = Member(MemoryChannel(5), {})
    for number in (1, 2):
        member.take(job_of("app:task", "x" * 10, number=number), 0.1)
    size = len(job_of("app:task", "x" * 10).payload)
    assert (round(member.load_s, 6), member.load_bytes, len(member.inflight)) == (0.2, 2 * size, 2)
    assert member.drop(job_of(number=9).id) is None
    assert member.drop(job_of(number=1).id) is not None
    assert member.drop(job_of(number=2).id) is not None
    assert (member.load_s, member.load_bytes) == (0.0, 0)  # no rounding is left
