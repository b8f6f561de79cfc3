"""Rows that another program, or another version, has written: each costs itself and one line of the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from small import MIDNIGHT, Small, address_of

import autocron
from autocron import messages
from autocron.job import Entry, Selection, Status
from autocron.payload import encode_call

ran: list[str] = []
ID = bytes(range(16))
TEXT = "CAST(x'ff41' AS TEXT)"  # not UTF-8


@autocron.delay
def note(word: str) -> None:
    ran.append(word)


@autocron.delay
def tick() -> None:
    ran.append("tick")


TASK = address_of(note.__wrapped__)
GOOD: dict[str, Any] = {
    "id": f"x'{ID.hex()}'",
    "status": "1",
    "task": f"'{TASK}'",
    "payload": f"x'{encode_call(('odd',), {}).hex()}'",
    "due": "0.0",
    "priority": "0",
    "queue": "''",
    "attempt": "1",
    "max_attempts": "1",
    "timeout_s": "0.0",
    "expires": "0.0",
    "entry": "''",
    "deaths": "0",
    "token": "0",
    "prune_at": "NULL",
}


def insert(small: Small, **columns: str) -> None:
    """Write a row as somebody would in a shell."""
    row = {**GOOD, **columns}
    small.store._db.execute(f"INSERT INTO jobs({', '.join(row)}) VALUES({', '.join(row.values())})")


@pytest.fixture
def small() -> Small:
    ran.clear()
    return Small()


def proof(small: Small, caplog: pytest.LogCaptureFixture) -> list[str]:
    """The others' jobs run, the monitor is the same and becomes quiet; what was logged as an error meanwhile."""
    caplog.set_level(logging.ERROR)
    small.start()
    monitor = small.monitor
    result = small.call(note.__wrapped__, "good")
    small.pass_time(120.0)
    assert result.is_ready()
    assert "good" in ran
    assert small.monitor is monitor
    assert small.ask(messages.OVERVIEW)
    assert small.ask(messages.JOBS, (tuple(Selection()), 100, True))
    assert small.engine.get_results()
    until = monitor._until()
    assert until is None or until > small.clock.time() + 600.0
    return [each.getMessage() for each in caplog.records]


def test_the_row_of_these_tests_is_a_good_one(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    insert(small)
    assert proof(small, caplog) == []
    assert sorted(ran) == ["good", "odd"]


@pytest.mark.parametrize("id", ["x'0011'", f"x'{bytes(17).hex()}'"])
def test_a_job_whose_id_is_not_16_bytes_ends_in_error(small: Small, id: str, caplog: pytest.LogCaptureFixture) -> None:
    insert(small, id=id)
    (line,) = proof(small, caplog)
    assert "16 bytes are needed" in line
    assert ran == ["good"]
    (failed,) = small.jobs(Status.ERROR)
    assert "16 bytes are needed" in failed.error


@pytest.mark.parametrize("id", ["'0123456789abcdef'", "5", "1.5", TEXT])
def test_a_job_whose_id_is_not_even_bytes_is_done_with(small: Small, id: str, caplog: pytest.LogCaptureFixture) -> None:
    insert(small, id=id)
    (line,) = proof(small, caplog)
    assert "1 jobs cannot be run, because their id is not binary" in line
    assert ran == ["good"]
    assert small.store.counts() == {Status.READY: 1, Status.ERROR: 1}


@pytest.mark.parametrize(
    "columns",
    [
        {"task": "x'00ff'"},
        {"payload": "'[[1,2],{}]'"},
        {"payload": "5"},
        {"due": "-9e999"},
        {"priority": "'high'"},
        {"priority": "1.5"},
        {"queue": "x'00'"},
        {"attempt": "'first'"},
        {"max_attempts": "x'01'"},
        {"timeout_s": "'never'"},
        {"expires": "9e999"},
        {"entry": "x'00'"},
        {"deaths": "'many'"},
    ],
    ids=str,
)
def test_a_job_with_a_field_of_another_type_ends_in_error(
    small: Small, columns: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    insert(small, **columns)
    (line,) = proof(small, caplog)
    ((name, _),) = columns.items()
    assert f"cannot be run: {name}=" in line
    assert ran == ["good"]
    (failed,) = small.jobs(Status.ERROR)
    assert failed.id == ID
    assert failed.error.startswith(f"it cannot be run: {name}=")


def test_a_task_that_is_no_text_is_not_found(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    insert(small, task=TEXT)
    (line,) = proof(small, caplog)
    assert "\N{REPLACEMENT CHARACTER}A" in line
    assert ran == ["good"]
    (failed,) = small.jobs(Status.ERROR)
    assert failed.id == ID


@pytest.mark.parametrize("due", ["'2027-01-01 10:00'", "x'00'", "9e999"])
def test_a_job_whose_due_time_is_none_is_never_due(small: Small, due: str, caplog: pytest.LogCaptureFixture) -> None:
    insert(small, due=due)
    lines = proof(small, caplog)
    assert len(lines) == (due != "9e999")
    assert all("jobs whose due time is no number" in each for each in lines)
    assert ran == ["good"]
    assert [each.id for each in small.jobs(Status.WAITING)] == [ID]
    assert small.ask(messages.HASTEN, [ID]) == 1  # somebody gives it one
    small.settle()
    assert ran == ["good", "odd"]


@pytest.mark.parametrize("prune_at", ["'tomorrow'", "x'00'", "NULL", "9e999"])
def test_a_result_whose_end_is_no_time_is_kept(small: Small, prune_at: str, caplog: pytest.LogCaptureFixture) -> None:
    insert(small, status="3", prune_at=prune_at)
    assert proof(small, caplog) == []
    small.pass_time(3600.0)
    assert [each.id for each in small.jobs()] == [ID]


@pytest.mark.parametrize("last_fire", ["'yesterday'", "x'00'", "9e999", "-9e999"])
def test_an_entry_whose_last_fire_time_is_none_fires(
    small: Small, last_fire: str, caplog: pytest.LogCaptureFixture
) -> None:
    address = address_of(tick.__wrapped__)
    entry = Entry(f"{address}#0", address, "*/5 * * * *")
    small.store._db.execute(
        f"INSERT INTO entries VALUES('{entry.key}', '{entry.crontab}', {last_fire}, x''), (x'00', {TEXT}, 'x', 'y')"
    )
    caplog.set_level(logging.ERROR)
    small.start()
    small.link(engine=5).say(messages.ANNOUNCE, [tuple(entry)])
    small.pass_time(3600.0)
    fired = [each for each in small.store.entries() if each.key == entry.key]
    assert [each.last_fire for each in fired] == [MIDNIGHT + 3600.0]
    assert len(ran) in (12, 13)  # what may have been missed before is one more
    assert caplog.records == []


@pytest.mark.parametrize("value", ["'\"two\"'", "'NaN'", "'1e999'", "x'ff'", "5", "'" + "[" * 100_000 + "'", TEXT])
def test_a_setting_that_cannot_be_read_is_passed_over(
    small: Small, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    small.store._db.execute(f"INSERT INTO settings VALUES('grace_s', {value}), (x'00ff', '1'), ({TEXT}, '2')")
    assert proof(small, caplog) == []
    assert ran == ["good"]
