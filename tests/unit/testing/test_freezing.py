"""autocron.testing.freezing: one time for autocron, `datetime.now()` and the test, whoever moves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from freezegun import freeze_time

import autocron
from autocron.testing import (
    FakeClock,
    FakeEngine,
    assert_enqueued,
    fake_engine,
    fast_forward,
    freezing,
    run_pending,
    travel_to,
)
from autocron.testing.freezing import FollowingClock

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
Freeze = Callable[[datetime], Any]


@contextmanager
def by_freezegun(moment: datetime) -> Iterator[Any]:
    with freeze_time(moment, real_asyncio=True) as frozen:
        yield frozen


@contextmanager
def by_time_machine(moment: datetime) -> Iterator[Any]:
    with time_machine.travel(moment, tick=False) as traveller:
        yield traveller


@pytest.fixture(params=[by_freezegun, by_time_machine])
def freeze(request: pytest.FixtureRequest) -> Freeze:
    """Both freezers."""
    return request.param  # type: ignore[no-any-return]


def test_a_freezer_of_the_test_is_followed(freeze: Freeze) -> None:
    """contract 7: freeze_time and autocron agree about the time, whoever was there first."""
    with freeze(NEW_YEAR), fake_engine():
        assert autocron.now() == datetime.now(UTC) == NEW_YEAR
    with fake_engine(), freeze(NEW_YEAR):
        assert autocron.now() == datetime.now(UTC) == NEW_YEAR


def test_a_clock_of_its_own_begins_now(freeze: Freeze) -> None:
    """testing 2.1: FakeClock(start=None)."""
    with freeze(NEW_YEAR):
        clock = FakeClock()
    assert (clock.time(), clock.monotonic()) == (NEW_YEAR.timestamp(), 0.0)


def test_moving_the_freezer_moves_autocron(freeze: Freeze) -> None:
    """contract 7: the freezer's move_to, forward and backward."""

    @autocron.delay(hours=1)
    def later() -> None: ...

    with freeze(NEW_YEAR) as frozen, fake_engine():
        later()
        assert not run_pending()
        frozen.move_to(NEW_YEAR + timedelta(hours=1))
        assert run_pending().ran(later).times == 1
        frozen.move_to(NEW_YEAR - timedelta(days=1))
        assert autocron.now() == NEW_YEAR - timedelta(days=1)
        assert not run_pending()


def test_a_tick_of_the_freezer_moves_autocron() -> None:
    """contract 7: freezegun's tick and time-machine's shift."""
    with freeze_time(NEW_YEAR) as frozen, fake_engine():
        frozen.tick(90)
        assert autocron.now() == NEW_YEAR + timedelta(seconds=90)
    with time_machine.travel(NEW_YEAR, tick=False) as traveller, fake_engine():
        traveller.shift(90)
        assert autocron.now() == NEW_YEAR + timedelta(seconds=90)


def test_moving_autocron_moves_the_freezer(freeze: Freeze) -> None:
    """contract 7: datetime.now() in the task equals now(), which is exactly the due time."""
    seen = []

    @autocron.delay(hours=1)
    def later() -> None:
        seen.append((datetime.now(UTC), autocron.now()))

    with freeze(NEW_YEAR), fake_engine():
        later()
        fast_forward("2h")
        assert seen == [(NEW_YEAR + timedelta(hours=1),) * 2]
        assert datetime.now(UTC) == NEW_YEAR + timedelta(hours=2)
        travel_to(NEW_YEAR)
        assert datetime.now(UTC) == NEW_YEAR


def test_a_due_time_between_two_microseconds_is_reached(freeze: Freeze) -> None:
    """contract 7: nothing hangs where the freezer is coarser than the clock."""

    @autocron.delay(hours=0.1 / 3.0 / 7.0)
    def soon() -> None: ...

    with freeze(NEW_YEAR), fake_engine():
        for _ in range(5):
            soon()
            assert fast_forward("1m").ran(soon).times == 1


def test_there_is_one_time_before_the_first_move(fake_engine: FakeEngine) -> None:
    """contract 7: tests are deterministic: what the application computes from datetime.now() is due when it says."""

    @autocron.delay
    def remind() -> None: ...

    assert fake_engine.clock.freezer == "time-machine"
    assert datetime.now(UTC) == autocron.now()
    autocron.delay(schedule=datetime.now() + timedelta(days=3))(remind)()
    assert_enqueued(remind, run_in="3d")
    assert fast_forward("3d").ran(remind).times == 1
    assert datetime.now(UTC) == autocron.now()


@pytest.fixture
def only_freezegun(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if time-machine were not installed."""
    monkeypatch.setattr(freezing, "installed", lambda: freezing.Freezegun)


@pytest.mark.usefixtures("only_freezegun")
def test_freezegun_alone_is_started_by_the_first_move() -> None:
    """contract 7: it is too slow for tests that do not move the time."""
    with fake_engine() as engine:
        assert engine.clock.freezer == ""
        fast_forward("1d")
        assert engine.clock.freezer == "freezegun"
        assert datetime.now(UTC) == autocron.now()


@pytest.mark.usefixtures("only_freezegun")
@pytest.mark.parametrize(("start", "hour"), [("2027-01-10T12:30Z", 13), ("2027-07-10T12:30Z", 14)])
def test_freezegun_keeps_the_local_zone(start: str, hour: int) -> None:
    """contract 7: naive datetimes are local time, summer and winter, and aware ones are what they are."""
    berlin = ZoneInfo("Europe/Berlin")
    with fake_engine(start=start, tz="Europe/Berlin") as engine:
        assert engine.clock.freezer == "freezegun"
        assert datetime.now().hour == datetime.today().hour == hour
        assert datetime.now(UTC) == datetime.now(berlin) == datetime.now().astimezone() == autocron.now()
        assert datetime.now().timestamp() == engine.clock.time()
        assert datetime.fromtimestamp(engine.clock.time()) == datetime.now()
        travel_to("2027-07-01T09:00", run=False)
        assert autocron.now() == datetime(2027, 7, 1, 7, tzinfo=UTC)
        travel_to("2027-12-01T00:30", run=False)
        assert autocron.now() == datetime(2027, 11, 30, 23, 30, tzinfo=UTC)
        assert date.today() == date(2027, 12, 1)


@pytest.mark.usefixtures("only_freezegun")
def test_freezegun_does_not_stop_trio() -> None:
    """testing 2.1: asyncio, trio, anyio alike: a task that sleeps wakes up, and sees the time of the test."""
    import trio

    @autocron.delay
    async def note() -> float:
        await trio.sleep(0)
        return time.time()

    async def test(engine: FakeEngine) -> None:
        await engine.afast_forward("1h")
        with trio.fail_after(30):
            await trio.sleep(0.001)
        note()
        assert (await engine.arun_pending()).results == [time.time()] == [engine.clock.time()]

    with fake_engine() as engine:
        trio.run(test, engine)


def test_all_clocks_show_the_same_microsecond(fake_engine: FakeEngine) -> None:
    """contract 7: `freezegun.freeze_time` and autocron agree about the time, whatever the float."""
    for _ in range(50):
        fast_forward(0.1237)
        assert datetime.now(UTC) == autocron.now()


@pytest.mark.parametrize("start", [1795646826.123, 1795646826.1, 1798761600.000001, 1798761600.7777777])
def test_the_freezer_shows_the_same_microsecond(start: float) -> None:
    """contract 7: datetime.now() equals now(), whatever fraction of a second it is."""
    with fake_engine() as engine:
        engine.clock.reach(start)
        assert datetime.now(UTC) == autocron.now()
    with time_machine.travel(start, tick=False), fake_engine():
        assert datetime.now(UTC) == autocron.now()
    with freeze_time(datetime.fromtimestamp(start, UTC)), fake_engine():
        assert datetime.now(UTC) == autocron.now()


@pytest.mark.autocron(freeze=False)
def test_a_freezer_is_not_started_against_the_will_of_the_test(fake_engine: FakeEngine) -> None:
    """contract 7: freeze=False turns it off."""
    before = autocron.now()
    fast_forward("1d")
    assert autocron.now() == before + timedelta(days=1)
    assert datetime.now(UTC) < before + timedelta(hours=12)


def test_after_the_freezer_the_clock_is_back(fake_engine: FakeEngine, freeze: Freeze) -> None:
    """contract 7: when a freezer of the test ends, the clock is where it was."""
    before = autocron.now()
    with freeze(NEW_YEAR):
        fast_forward("1d")
        assert autocron.now() == NEW_YEAR + timedelta(days=1)
    assert autocron.now() == before


def test_the_freezer_ends_with_the_engine() -> None:
    """contract 7: nothing of a test is left behind."""
    with fake_engine(start="2027-01-01T00:00Z"):
        assert datetime.now(UTC) == NEW_YEAR
    assert datetime.now(UTC) < NEW_YEAR or datetime.now(UTC) > NEW_YEAR + timedelta(days=1)


def test_a_freezer_that_outlives_the_engine_is_put_back(freeze: Freeze) -> None:
    """testing 2.5: isolation per test, also where a class or a module is frozen."""
    with freeze(NEW_YEAR) as frozen:
        for _ in range(2):
            with fake_engine():
                fast_forward("10d")
            assert datetime.now(UTC) == NEW_YEAR
        with fake_engine(start=NEW_YEAR + timedelta(days=365)), freeze(NEW_YEAR):
            fast_forward("1d")
        assert datetime.now(UTC) == NEW_YEAR
        with fake_engine():
            frozen.move_to(NEW_YEAR + timedelta(days=1))  # by its owner, who may mean it to stay there
        assert datetime.now(UTC) == NEW_YEAR + timedelta(days=1)


def test_an_outer_engine_is_put_back() -> None:
    """testing 2.5: engines are a stack; the outer one finds its time again."""
    with fake_engine(start=NEW_YEAR) as outer:
        with fake_engine(start=NEW_YEAR + timedelta(days=365)):
            fast_forward("1d")
        assert datetime.now(UTC) == outer.now() == NEW_YEAR


def test_setting_the_clock_back_is_no_passing_of_time(freeze: Freeze) -> None:
    """contract 7: monotonic only moves forward."""
    with freeze(NEW_YEAR) as frozen:
        clock = FollowingClock()
        frozen.move_to(NEW_YEAR + timedelta(hours=1))
        assert clock.monotonic() == 3600
        frozen.move_to(NEW_YEAR)
        assert clock.time() == NEW_YEAR.timestamp()
        assert clock.monotonic() == 3600


@freeze_time("2027-01-01")
def test_the_decorator_of_freezegun_is_enough(fake_engine: FakeEngine) -> None:
    """contract 7: the freezer may start after the fixture."""
    assert autocron.now() == NEW_YEAR
    fast_forward("1d")
    assert datetime.now(UTC) == NEW_YEAR + timedelta(days=1)


@pytest.mark.parametrize("tick", [True, False])
def test_a_freezer_that_ticks_is_followed(tick: bool) -> None:
    """contract 7: freezegun's tick=True, and time that goes on in time-machine."""
    with freeze_time(NEW_YEAR, tick=tick), fake_engine():
        fast_forward("1h")
        assert timedelta(hours=1) <= autocron.now() - NEW_YEAR < timedelta(hours=2)
    with time_machine.travel(NEW_YEAR, tick=tick), fake_engine():
        fast_forward("1h")
        assert timedelta(hours=1) <= autocron.now() - NEW_YEAR < timedelta(hours=2)


def test_a_start_before_the_freezer_sets_it_back(freeze: Freeze) -> None:
    """contract 7: start= decides; monotonic begins there, so that nothing waits for the time before."""

    @autocron.delay
    def send() -> None: ...

    with freeze(NEW_YEAR + timedelta(days=365)), fake_engine(start=NEW_YEAR) as engine:
        assert datetime.now(UTC) == autocron.now() == NEW_YEAR
        assert engine.clock.monotonic() >= 0
        send()
        assert run_pending().ran(send).times == 1


def test_the_zone_of_the_freezer_is_kept() -> None:
    """contract 7: time-machine's zone is that of the process, also after autocron has moved the time."""
    berlin = ZoneInfo("Europe/Berlin")
    with time_machine.travel(datetime(2027, 1, 1, tzinfo=berlin), tick=False), fake_engine():
        fast_forward("1d")
        assert datetime.now() == datetime(2027, 1, 2)
    with fake_engine(start="2027-01-01T00:00Z", tz="Europe/Berlin"):
        fast_forward("1d")
        assert datetime.now() == datetime(2027, 1, 2, 1)


def test_a_freezer_that_ticks_at_each_look_does_not_tick_for_us() -> None:
    """contract 7: freezegun's auto_tick_seconds counts the looks of the application only."""
    with freeze_time(NEW_YEAR, auto_tick_seconds=10), fake_engine():
        first = autocron.now()  # a log record of the start may have had its tick
        for _ in range(5):
            assert autocron.now() == first
