"""What a person asks a monitor for, in the small world: pause, retry, hasten, purge, fire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import autocron
from autocron import messages
from autocron.errors import AutocronError, StoreFull
from autocron.job import Selection, Status
from autocron.registry import registry

ran: list[str] = []
took: list[Callable[[], None]] = []


@autocron.delay
def note(text: str) -> str:
    ran.append(text)
    for each in took:
        each()
    if text == "fail":
        raise RuntimeError(text)
    return text


def hourly() -> None:
    ran.append("hourly")


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Nothing has run."""
    ran.clear()
    took.clear()


@pytest.fixture
def entry() -> Iterator[str]:
    """An hourly entry of this process; its key."""
    autocron.cron("0 * * * *", tz="UTC")(hourly)
    key = f"{__name__}:hourly#0"
    yield key
    registry.forget(f"{__name__}:hourly")


def test_a_paused_database_takes_jobs_and_runs_none(small: Any) -> None:
    """command line: pausing keeps what is registered, and survives the monitor."""
    small.ask(messages.SETTINGS, {"paused": True})
    results = [note("one"), note("two")]
    small.settle()
    assert ran == []
    assert [each.is_ready() for each in results] == [False, False]
    small.engine.stop()
    small.settle()
    small.start()
    assert ran == []
    assert small.ask(messages.OVERVIEW)["counts"] == {Status.WAITING: 2}
    small.ask(messages.SETTINGS, {"paused": False})
    assert ran == ["one", "two"]
    assert [each[4] for each in small.jobs()] == [Status.READY] * 2


def test_pausing_takes_back_what_has_not_begun(small: Any) -> None:
    """command line: what a worker has not begun waits in the store, and is run once after the pause."""
    for number in range(20):
        note(str(number))
    small.world.pump()  # with a worker, or claimed for it; nothing has begun
    assert small.engine._registrar is not None
    small.engine._registrar.ask(messages.SETTINGS, {"paused": True})
    small.settle()
    begun = len(ran)
    assert begun <= 1
    assert small.ask(messages.OVERVIEW)["counts"].get(Status.PROCESSING, 0) == 0
    small.ask(messages.SETTINGS, {"paused": False})
    assert sorted(ran, key=int) == [str(number) for number in range(20)]


def test_a_store_that_is_full_when_it_is_paused_loses_nothing(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 2.1: what could not be given back is given back later."""
    store = small.stores[-1]
    release = store.release
    refusals = [StoreFull("app.db", "no space")]

    def refuse(*args: Any, **kwargs: Any) -> None:
        if refusals:
            raise refusals.pop()
        release(*args, **kwargs)

    monkeypatch.setattr(store, "release", refuse)
    for number in range(20):
        note(str(number))
    small.world.pump()
    assert small.engine._registrar is not None
    small.engine._registrar.ask(messages.SETTINGS, {"paused": True})
    small.settle()
    assert not refusals
    small.clock.advance(2.0)
    small.settle()
    assert small.ask(messages.OVERVIEW)["counts"].get(Status.PROCESSING, 0) == 0
    small.ask(messages.SETTINGS, {"paused": False})
    assert sorted(ran, key=int) == [str(number) for number in range(20)]


def test_what_waited_for_a_store_in_trouble_goes_on_by_itself(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 2.1: once outcomes can be stored again, the jobs behind them run without anybody's asking."""
    store = small.stores[-1]
    settle = store.settle
    refusals = [StoreFull("app.db", "no space")]

    def refuse(*args: Any, **kwargs: Any) -> None:
        if refusals:
            raise refusals.pop()
        settle(*args, **kwargs)

    monkeypatch.setattr(store, "settle", refuse)
    took.append(lambda: small.clock.advance(0.01))  # so long that jobs go to the worker one by one
    for number in range(5):
        note(str(number))
    small.settle()
    assert (ran, refusals) == (["0", "1"], [])
    small.clock.advance(2.0)
    small.settle()
    assert ran == ["0", "1", "2", "3", "4"]


def test_entries_do_not_fire_while_paused_and_make_up_for_it_once(small: Any, entry: str) -> None:
    """contract 2, catch-up: fire times in a pause are missed ones; the newest is run once, late, at its end."""
    small.engine.announce()
    small.settle()
    assert small.ask(messages.OVERVIEW)["announced"] == [entry]
    small.ask(messages.SETTINGS, {"paused": True})
    small.clock.advance(3.5 * 3600)
    small.settle()
    assert ran == []
    small.ask(messages.SETTINGS, {"paused": False})
    assert ran == ["hourly"]
    small.clock.advance(3600)
    small.settle()
    assert ran == ["hourly"] * 2


def test_a_failed_job_is_retried_at_once(small: Any) -> None:
    """command line: it runs again under its own id, so whoever holds its Result sees the new outcome."""
    result = note("fail")
    small.settle()
    (failed,) = small.jobs(Status.ERROR)
    assert small.ask(messages.RETRY, [failed[0]]) == 1
    assert ran == ["fail"] * 2
    assert result.is_ready()
    assert small.ask(messages.RETRY, [b"?" * 16]) == 0


def test_a_job_that_is_due_later_runs_now(small: Any) -> None:
    """command line: `run-now` of a waiting job."""
    small.engine.register(note.__wrapped__, f"{__name__}:note", ("late",), {}, after_s=3600.0)
    small.settle()
    (waiting,) = small.jobs(Status.WAITING)
    assert ran == []
    assert small.ask(messages.HASTEN, [waiting[0]]) == 1
    assert ran == ["late"]


def test_an_entry_is_fired_beside_its_fire_times(small: Any, entry: str) -> None:
    """command line: `run-now` of an entry makes one job of it, and its next fire time stays."""
    small.engine.announce()
    small.settle()
    id = small.ask(messages.FIRE, entry)
    assert ran == ["hourly"]
    (job,) = small.jobs()
    assert (job[0], job[-1]) == (id, entry)
    small.clock.reach(small.midnight + 3600)
    small.settle()
    assert ran == ["hourly"] * 2
    with pytest.raises(AutocronError, match=f"no entry 'weekly'; known are: {entry}"):
        small.ask(messages.FIRE, "weekly")


def test_jobs_are_told_without_their_payloads_unless_asked_for(small: Any) -> None:
    """command line: a look at many jobs does not carry all they hold."""
    note("text")
    small.settle()
    ((job,), rest) = small.ask(messages.JOBS, (tuple(Selection()), 100, False))
    assert (job[2], job[5], rest) == (b"", b"", None)
    ((job,), rest) = small.ask(messages.JOBS, (tuple(Selection()), 1, True))
    assert (job[2], job[5]) == (b'j[["text"],{}]', b'j"text"')
    assert Selection._make(rest) == Selection().beyond(job[0])


def test_pages_have_a_sane_size(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 2: a message is bounded in bytes, and what does not fit follows."""
    monkeypatch.setattr("autocron.stores.sqlite.PAGE_BYTES", 100)
    for number in range(5):
        note(str(number) * 50)
    small.settle()
    rest: Any = tuple(Selection(newest_first=True))
    pages = []
    while rest is not None:
        page, rest = small.ask(messages.JOBS, (rest, 100, True))
        pages.append([each[2][4:5] for each in page])
    assert pages == [[b"4"], [b"3"], [b"2"], [b"1"], [b"0"], []]


def test_counting_takes_a_bounded_part_of_the_time(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """design 2: nobody who asks often holds up the monitor."""
    store = small.stores[-1]
    counted = []

    def slow() -> dict[int, int]:
        counted.append(None)
        small.clock.advance(1.0)
        return {Status.READY: len(counted)}

    monkeypatch.setattr(store, "counts", slow)
    for _ in range(10):
        assert small.ask(messages.OVERVIEW)["counts"] == {Status.READY: 1}
    small.clock.advance(30.0)
    assert small.ask(messages.OVERVIEW)["counts"] == {Status.READY: 2}


def test_jobs_are_removed(small: Any) -> None:
    """command line: `purge`; a Result of a job that is gone is unavailable."""
    result = note("one")
    small.settle()
    (job,) = small.jobs()
    assert small.ask(messages.PURGE, ([job[0]], [Status.READY])) == 1
    assert small.jobs() == []
    assert not result.is_ready()
    assert result.status == Status.UNAVAILABLE
