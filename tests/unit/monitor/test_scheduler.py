"""autocron.monitor.scheduler: due fire times become jobs, once each."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from small import MIDNIGHT, Link, Small, address_of

import autocron
from autocron import messages
from autocron.errors import StoreError, StoreFull
from autocron.job import Entry, EntryState, Status, Stored
from autocron.monitor.dispatcher import Dispatcher
from autocron.registry import registry

HOUR = 3600.0
DAY = 24 * HOUR

ran: list[float] = []
clock: list[Any] = []


@autocron.delay
def other() -> None: ...


def nightly() -> None:
    ran.append(clock[0].time())


def entry(crontab: str = "0 * * * *", *, task: str = "", ordinal: int = 0, tz: str = "UTC", **more: Any) -> Entry:
    task = task or address_of(nightly)
    return Entry(f"{task}#{ordinal}", task, crontab, tz, **more)


@pytest.fixture
def small() -> Iterator[Small]:
    """A small world at one minute past midnight, whose own process has no entry."""
    registry.add_task(address_of(nightly), nightly)
    made = Small(MIDNIGHT + 60)
    clock[:] = [made.clock]
    ran.clear()
    yield made.start(ttl_s=1000 * DAY)
    del registry.tasks[address_of(nightly)]


def announce(small: Small, *entries: Entry) -> Link:
    """An application process with these entries."""
    link = small.link()
    link.say(messages.ANNOUNCE, [tuple(each) for each in entries])
    return link


def meet(small: Small) -> None:
    """The firing of the first hour goes on when that of the second one comes."""
    for hour in (1, 2):
        small.clock.reach(MIDNIGHT + hour * HOUR)
        small.hear()


def fired(small: Small) -> list[Stored]:
    return [each for each in small.jobs() if each.entry]


def times() -> list[float]:
    """When it ran, in hours since midnight."""
    return [(each - MIDNIGHT) / HOUR for each in ran]


def test_each_fire_time_is_one_job(small: Small) -> None:
    """contract 2: a fire time is fired exactly once; nothing runs before it, and it runs at it."""
    announce(small, entry())
    small.pass_time(3.5 * HOUR)
    assert times() == [1, 2, 3]
    assert [each.due for each in fired(small)] == [MIDNIGHT + hour * HOUR for hour in (1, 2, 3)]


def test_many_processes_announce_an_entry_and_it_fires_once(small: Small) -> None:
    """contract 2: exactly once per application, whatever the number of its processes."""
    for _ in range(5):
        announce(small, entry())
    small.pass_time(HOUR)
    assert times() == [1]


def test_a_monitor_that_died_at_the_fire_time_is_followed_by_one_that_does_not_fire_again(small: Small) -> None:
    """design 1.3: one firing per fire time."""
    announce(small, entry())
    small.clock.reach(MIDNIGHT + HOUR)
    small.hear()
    assert len(fired(small)) == 1
    small.world.kill(small.process.pid)
    small.settle()
    announce(small, entry())
    small.settle()
    assert len(fired(small)) == 1
    assert times() == [1]


def test_the_newest_process_decides(small: Small) -> None:
    """design 6: the newest process decides (deploys, reloads); when it goes, the one before it does."""
    announce(small, entry("0 * * * *"))
    newer = announce(small, entry("30 * * * *"))
    small.pass_time(2 * HOUR)
    assert times() == [0.5, 1.5]
    newer.close()
    small.pass_time(HOUR)
    assert times() == [0.5, 1.5, 3]


def test_an_entry_that_nobody_announces_any_more_ends(small: Small) -> None:
    """design 6: an entry that nobody announces any more ends."""
    link = announce(small, entry(), entry("30 * * * *", ordinal=1))
    link.say(messages.ANNOUNCE, [tuple(entry("30 * * * *", ordinal=1))])
    small.pass_time(HOUR)
    link.close()
    small.pass_time(2 * HOUR)
    assert times() == [0.5]


def test_an_edited_crontab_starts_from_now(small: Small) -> None:
    """design 6: an edited crontab starts from now: no fire time of the past is made up."""
    announce(small, entry("0 * * * *")).close()
    small.pass_time(4 * HOUR)
    assert times() == []
    announce(small, entry("30 * * * *"))
    small.settle()
    assert times() == []
    small.pass_time(HOUR)
    assert times() == [4.5]


def test_a_missed_fire_time_is_run_once_and_late(small: Small) -> None:
    """design 6: a fire time missed while nothing ran is by default run once, late: the newest of them."""
    announce(small, entry()).close()
    small.clock.advance(5.5 * HOUR)
    announce(small, entry())
    small.settle()
    assert [each.due for each in fired(small)] == [MIDNIGHT + 5 * HOUR]
    small.pass_time(HOUR)
    assert len(ran) == 2


@pytest.mark.parametrize(
    ("catch_up_s", "late_s", "runs"),
    [(DAY, DAY - 60, 1), (DAY, 1.2 * DAY, 0), (2 * DAY, 1.2 * DAY, 1), (0.0, HOUR, 0), (HOUR, HOUR, 1)],
)
def test_the_policy_says_how_old_a_missed_fire_time_may_be(
    small: Small, catch_up_s: float, late_s: float, runs: int
) -> None:
    """design 6: … if it is younger than a day (`catch_up` policy)."""
    monthly = entry("0 12 * * 16", catch_up_s=catch_up_s)
    announce(small, monthly).close()
    small.clock.reach(MIDNIGHT + 12 * HOUR + late_s)
    announce(small, monthly)
    small.settle()
    assert len(ran) == runs


def test_a_fire_time_that_is_too_old_is_passed_over_and_the_next_one_fires(
    small: Small, caplog: pytest.LogCaptureFixture
) -> None:
    """design 6: … if it is younger than a day; a monitor that was there meanwhile, but paused, says so."""
    caplog.set_level(logging.INFO)
    announce(small, entry("0 1 * * 16"))
    small.ask(messages.SETTINGS, {"paused": True})
    small.clock.advance(3 * DAY)
    small.ask(messages.SETTINGS, {"paused": False})
    small.settle()
    assert ran == []
    assert "missed and is too old" in caplog.text
    small.pass_time(29 * DAY)
    assert len(ran) == 1


def test_catch_up_of_nothing_still_fires_on_time(small: Small) -> None:
    """design 6: `catch_up=0` makes up for nothing; a monitor that is late by some seconds has missed nothing."""
    announce(small, entry(catch_up_s=0.0))
    small.clock.reach(MIDNIGHT + HOUR + 59)
    small.settle()
    assert len(ran) == 1
    small.clock.reach(MIDNIGHT + 2 * HOUR + 61)
    small.settle()
    assert len(ran) == 1


def test_overlap_skip(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    """design 6: a firing that comes due while the previous run still goes is skipped by default, and the log tells."""
    announce(small, entry())
    small.clock.reach(MIDNIGHT + HOUR)
    small.hear()
    small.clock.reach(MIDNIGHT + 2 * HOUR)
    with caplog.at_level(logging.WARNING):
        small.hear()
    assert "skipped, because its previous firing still goes" in caplog.text
    small.settle()
    assert times() == [2]
    small.pass_time(HOUR)
    assert times() == [2, 3]


def test_overlap_allow(small: Small) -> None:
    """design 6: overlap "allow": both."""
    announce(small, entry(overlap="allow"))
    for hour in (1, 2, 3):
        small.clock.reach(MIDNIGHT + hour * HOUR)
        small.hear()
    assert len(fired(small)) == 3
    small.settle()
    assert times() == [3, 3, 3]


def test_overlap_queue(small: Small) -> None:
    """design 6: overlap "queue": it runs behind the previous one, as soon as that has ended."""
    announce(small, entry(overlap="queue"))
    meet(small)
    assert len(fired(small)) == 1
    small.settle()
    assert times() == [2, 2]
    small.pass_time(HOUR)
    assert times() == [2, 2, 3]


def test_a_queued_firing_goes_on_when_somebody_asks_at_the_moment_its_predecessor_ends(small: Small) -> None:
    """design 6: overlap "queue": whoever notices the end of the previous one, the next one runs."""
    announce(small, entry(overlap="queue"))
    meet(small)
    assert small.world.run_one()
    # Right behind its outcome comes a question, of a job that looks for results.
    small.workers[0].channel.send((messages.ASK, 1, messages.RESULTS, (b"", 10)))
    small.settle()
    assert times() == [2, 2]


def test_a_queued_firing_goes_on_when_its_predecessor_is_purged(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 6: overlap "queue": a job that waits and is removed by hand has ended too."""
    announce(small, entry(overlap="queue"))
    small.clock.reach(MIDNIGHT + HOUR)
    small.hear()
    monkeypatch.setattr(Dispatcher, "_fullness", lambda self: 1.0)  # as behind many others: it stays in the store
    small.ask(messages.SETTINGS, {"paused": True})
    small.hear()
    small.ask(messages.SETTINGS, {"paused": False})
    small.clock.reach(MIDNIGHT + 2 * HOUR)
    small.hear()
    (first,) = fired(small)
    assert small.ask(messages.PURGE, ([first.id], [Status.WAITING])) == 1
    small.settle()
    assert times() == [2]


def test_a_queued_firing_is_not_a_missed_one(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    """design 6: `catch_up` is for what was missed while nothing ran, not for what waits for its predecessor."""
    caplog.set_level(logging.INFO)
    announce(small, entry(overlap="queue", catch_up_s=0.0), entry("* * * * *", ordinal=1, overlap="skip"))
    small.clock.reach(MIDNIGHT + HOUR)
    small.hear()
    for minute in (0, 1, 50):
        small.clock.reach(MIDNIGHT + 2 * HOUR + minute * 60)
        small.hear()
    small.settle()
    assert [each.due for each in fired(small) if each.entry.endswith("#0")] == [MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR]
    assert "too old" not in caplog.text
    small.clock.reach(MIDNIGHT + 3 * HOUR + 61)  # and this one is
    small.settle()
    assert "too old" in caplog.text


def test_an_entry_that_is_edited_while_a_firing_waits_does_not_wait(small: Small) -> None:
    """design 6: an edited entry starts from now; the newest process decides about overlaps, too."""
    announce(small, entry(overlap="queue"))
    meet(small)
    announce(small, entry("30 * * * *", overlap="allow"))
    small.clock.reach(MIDNIGHT + 2.5 * HOUR)
    small.hear()
    assert [each.due for each in fired(small)] == [MIDNIGHT + HOUR, MIDNIGHT + 2.5 * HOUR]


def test_a_firing_of_an_edited_entry_is_missed_as_any_other(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    """design 6: what waited before does not make up for what nobody waits for now."""
    caplog.set_level(logging.INFO)
    announce(small, entry(overlap="queue", catch_up_s=0.0))
    meet(small)
    announce(small, entry("30 * * * *", overlap="queue", catch_up_s=0.0))
    small.settle()
    small.clock.reach(MIDNIGHT + 2.5 * HOUR + 61)
    small.settle()
    assert "too old" in caplog.text
    assert times() == [2]


def test_a_store_that_does_not_say_whether_a_purged_firing_has_ended_stops_nothing(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design 6: who purges is answered and stays linked, and the queued firing runs when its predecessor has ended."""
    announce(small, entry(overlap="queue"))
    meet(small)
    (first,) = fired(small)

    def refuse(id: bytes) -> bool:
        raise StoreError("app.db", "it is locked")

    link = small.link()
    with monkeypatch.context() as patched:
        patched.setattr(small.store, "unfinished", refuse)
        link.channel.send((messages.ASK, 1, messages.PURGE, ([first.id], [Status.WAITING])))
        small.process.turn()
    assert [body[:3] for body in link.heard(messages.REPLY)] == [(messages.REPLY, 1, 0)]
    assert not link.channel.peer.closed
    small.settle()
    small.pass_time(2.0)
    assert len(times()) == 2


def test_purging_what_has_just_begun_lets_no_other_begin(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    """design 6: only a firing that was removed has ended; one that has begun before that goes on."""
    announce(small, entry())
    small.clock.reach(MIDNIGHT + HOUR)
    small.hear()
    (first,) = fired(small)
    assert small.ask(messages.PURGE, ([first.id], [Status.WAITING])) == 0
    small.clock.reach(MIDNIGHT + 2 * HOUR)
    small.hear()
    assert "skipped, because its previous firing still goes" in caplog.text


def test_a_firing_that_is_run_again_by_hand_goes_as_the_first_time(
    small: Small, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design 6: what overlaps with a firing that was retried is skipped as well."""

    def failing() -> None:
        raise LookupError

    announce(small, entry())
    with monkeypatch.context() as patched:
        patched.setitem(registry.tasks, address_of(nightly), failing)
        small.pass_time(HOUR)
    (first,) = fired(small)
    assert first.status == Status.ERROR
    assert small.ask(messages.RETRY, [first.id]) == 1
    small.hear()
    small.clock.reach(MIDNIGHT + 2 * HOUR)
    small.hear()
    assert "skipped, because its previous firing still goes" in caplog.text


def test_a_skipped_hour_of_summer_time_is_made_up_right_after_the_gap(small: Small) -> None:
    """design 6: a skipped fixed time runs once right after the gap, a doubled one runs once."""
    announce(small, entry("30 2 * * *", tz="Europe/Berlin"))
    spring = 1_806_192_000.0  # 2027-03-28 00:00 UTC
    small.clock.reach(spring)
    small.settle()
    ran.clear()
    small.pass_time(2 * HOUR)
    assert [each - spring for each in ran] == [HOUR]  # 02:30 does not exist: 03:00 of the summer
    autumn = 1_824_940_800.0  # 2027-10-31 00:00 UTC
    small.clock.reach(autumn - DAY)
    small.settle()
    ran.clear()
    small.clock.reach(autumn - HOUR)
    small.settle()
    ran.clear()
    small.pass_time(6 * HOUR)
    assert [each - autumn for each in ran] == [HOUR / 2]  # 02:30 comes twice: the first


def test_a_clock_that_jumps_over_years_stops_nobody(small: Small) -> None:
    """design 6: missed fire times are one firing, found at once: a board without a clock battery boots in 1970."""
    early = Small(60.0)
    clock[:] = [early.clock]
    early.start(ttl_s=1000 * DAY)
    announce(early, entry("* * * * *", catch_up_s=float("inf")))
    early.clock.reach(MIDNIGHT + 30)
    asked = []
    schedule = early.monitor.scheduler._schedules[entry().key]
    original = type(schedule).next_fire

    class Counting:
        def next_fire(self, after: float) -> float:
            asked.append(after)
            return original(schedule, after)

    early.monitor.scheduler._schedules[entry().key] = Counting()  # type: ignore[assignment]
    early.settle()
    assert [each.due for each in fired(early)] == [MIDNIGHT]
    assert len(asked) < 2000


def test_entries_hold_from_now_on_when_the_clock_was_wrong(small: Small) -> None:
    """design 6: all of them, also one whose last fire time is to come within the next three hours."""
    announce(small, entry("0 */2 * * *"))
    small.clock.reach(MIDNIGHT + 13.5 * HOUR)
    small.settle()
    assert [each.due for each in fired(small)] == [MIDNIGHT + 12 * HOUR]
    small.set_clock(-4 * HOUR)
    small.pass_time(HOUR)
    assert [each.due for each in fired(small)] == [MIDNIGHT + 10 * HOUR, MIDNIGHT + 12 * HOUR]


def test_a_clock_that_is_set_back_by_some_hours_repeats_nothing(small: Small) -> None:
    """design 6: as vixie cron, a fire time that comes again because the clock was set back by up to 3 h is not run."""
    announce(small, entry())
    small.pass_time(2.5 * HOUR)
    small.set_clock(-2 * HOUR)
    small.pass_time(3 * HOUR)
    assert times() == [1, 2, 3]


def test_a_clock_that_is_set_back_further_starts_from_there(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    """design 6: as vixie cron, after a larger step the entries hold from now on, not in a year's time."""
    small.set_clock(365 * DAY)
    small.settle()
    announce(small, entry())
    small.pass_time(HOUR)
    assert len(ran) == 1
    small.set_clock(-365 * DAY)
    ran.clear()
    small.pass_time(2 * HOUR)
    assert len(ran) == 2


def test_a_last_fire_time_in_the_far_future_is_not_believed(small: Small) -> None:
    """design 6: the same, where the clock was set right while nothing ran."""
    small.store.set_entry(entry().key, "0 * * * * UTC", MIDNIGHT + 365 * DAY)
    small.monitor.scheduler._known[entry().key] = EntryState(entry().key, "0 * * * * UTC", MIDNIGHT + 365 * DAY, b"")
    announce(small, entry())
    small.pass_time(HOUR)
    assert times() == [1]


def test_an_entry_that_this_monitor_cannot_read_harms_no_other(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    """contract 6: one entry, of another version or in a zone that is unknown here, ends no monitor."""
    announce(small, entry(tz="Mars/Olympus"), entry("30 * * * *", ordinal=1))
    assert "Mars/Olympus" in caplog.text
    small.pass_time(HOUR)
    assert times() == [0.5]


def test_a_store_that_is_full_delays_a_firing(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 2: the system goes on when there is space again; the firing is late, and not lost."""
    announce(small, entry())
    fire = small.store.fire
    refusals = [StoreFull("app.db", "no space")] * 2

    def refuse(*args: Any, **kwargs: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return fire(*args, **kwargs)

    monkeypatch.setattr(small.store, "fire", refuse)
    small.pass_time(HOUR + 10)
    assert not refusals
    assert times() == [1 + 2 / HOUR]


def test_entries_need_no_time_when_none_is_due(small: Small) -> None:
    """design 1.6: with nothing due, nobody wakes up."""
    announce(small, entry("0 0 * 1 1"))
    assert small.monitor.scheduler.next_at == 1_830_297_600.0  # 2028-01-01
    for channel in list(small.monitor.scheduler._announced):
        small.monitor.scheduler.forget(channel, small.clock.time())
    assert small.monitor.scheduler.next_at is None
