"""autocron.testing.assertions: what they accept, and what they show when they fail."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest import mock

import pytest

import autocron
from autocron.testing import (
    FakeEngine,
    assert_enqueued,
    assert_idle,
    assert_not_enqueued,
    assert_ran,
    fast_forward,
    pending,
    run_pending,
)


@autocron.delay(days=2)
def send_reminder(user_id: int) -> str:
    return f"sent to {user_id}"


@autocron.delay
def send_invoice(order: int) -> None:
    if order < 0:
        raise ValueError(order)


def test_arguments_are_compared_by_the_names_of_parameters(fake_engine: FakeEngine) -> None:
    """contract 7: `delay(7)` matches user_id=7, and `==` decides."""
    send_reminder(7)
    job = assert_enqueued(send_reminder, user_id=7)
    assert job.arguments == {"user_id": 7}
    assert_enqueued(send_reminder, 7)
    assert_enqueued(send_reminder, user_id=mock.ANY)
    assert_enqueued(send_reminder, user_id=pytest.approx(7.0))
    assert_enqueued(send_reminder)
    assert_not_enqueued(send_reminder, user_id=8)


def test_the_due_time_needs_no_tolerance(fake_engine: FakeEngine) -> None:
    """contract 7: time stands still, so run_in and run_at are exact."""
    fake_engine.clock.move_to(datetime(2027, 1, 1, tzinfo=UTC))
    send_reminder(7)
    assert_enqueued(send_reminder, run_in="2d")
    assert_enqueued(send_reminder, run_at="2027-01-03T00:00Z")
    assert_enqueued(send_reminder, run_in="1d", delta="24h")


def test_a_failure_shows_every_job_and_in_what_it_differs(fake_engine: FakeEngine) -> None:
    """contract 7: a failing assertion shows what was there instead."""
    send_reminder(8)
    send_invoice(order=1)
    with pytest.raises(AssertionError) as failed:
        assert_enqueued(send_reminder, user_id=7)
    assert str(failed.value).splitlines() == [
        "assert_enqueued(send_reminder, user_id=7): no match among 2 pending jobs",
        "  send_reminder(user_id=8)  due in 2d  user_id: expected 7, got 8",
        "  send_invoice(order=1)     due now",
    ]
    with pytest.raises(AssertionError, match=r"due: expected in 1d, is in 2d"):
        assert_enqueued(send_reminder, run_in="1d")
    with pytest.raises(AssertionError, match=r"1 of them match among 2 pending jobs"):
        assert_enqueued(send_reminder, count=2)


def test_a_job_that_has_run_already_is_not_called_missing(fake_engine: FakeEngine) -> None:
    """contract 7: the message says that the job was there and has run."""
    send_invoice(order=1)
    run_pending()
    with pytest.raises(AssertionError, match="send_invoice has run once already"):
        assert_enqueued(send_invoice)


class Unloadable:
    """Is stored, and cannot be read."""

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}

    def __setstate__(self, state: dict[str, int]) -> None:
        raise KeyError("a")


@autocron.delay
def send_object(order: object, copies: int = 1) -> None: ...


def test_a_job_that_cannot_be_read_does_not_hide_the_others(fake_engine: FakeEngine) -> None:
    """contract 7: a failing assertion shows what was there instead, also arguments that cannot be decoded."""
    send_object(Unloadable())
    send_reminder(7)
    assert [str(job) for job in pending()] == [
        "send_object(<cannot be read: KeyError: 'a'>)",
        "send_reminder(user_id=7)",
    ]
    assert_enqueued(send_reminder, user_id=7)
    assert_enqueued(send_object)
    with pytest.raises(AssertionError, match="copies: expected 2, got <cannot be read: KeyError: 'a'>"):
        assert_enqueued(send_object, copies=2)
    with pytest.raises(autocron.PayloadError, match="cannot be read") as failed:
        run_pending()
    assert "send_object(<cannot be read: KeyError: 'a'>) id=" in failed.value.__notes__[0]
    assert_ran(send_object, raised=autocron.PayloadError)


def test_an_argument_that_the_task_does_not_have_is_an_error(fake_engine: FakeEngine) -> None:
    """contract 7: a misspelt argument must not pass, nor be reported as a missing job."""
    with pytest.raises(TypeError, match="send_reminder: got an unexpected keyword argument 'user'"):
        assert_not_enqueued(send_reminder, user=7)


def test_what_is_no_task_is_named(fake_engine: FakeEngine) -> None:
    """contract 7: an error names the thing, and the way out."""

    def plain() -> None: ...

    with pytest.raises(ValueError, match="is not a task: decorate it"):
        assert_enqueued(plain)
    with pytest.raises(ValueError, match="'send_remindr' is not a known task; similar are send_reminder"):
        assert_enqueued("send_remindr")


def test_runs_are_asserted_by_number_result_and_exception(fake_engine: FakeEngine) -> None:
    """contract 7: assert_ran."""
    send_reminder(7)
    send_invoice(order=-1)
    with pytest.raises(AssertionError, match=r"it has not run\n  ran: nothing\n  1 pending job, the first due in 2d"):
        assert_ran(send_reminder)
    fast_forward("2d", raises=False)
    assert_ran(send_reminder, times=1, result="sent to 7")
    assert_ran(send_invoice, raised=ValueError)
    with pytest.raises(AssertionError, match=r"it ran once, not 2 times; no run returned 5"):
        assert_ran(send_reminder, times=2, result=5)


def test_idle_means_that_no_job_waits(fake_engine: FakeEngine) -> None:
    """contract 7: assert_idle."""
    assert_idle()
    send_reminder(7)
    with pytest.raises(AssertionError, match=r"1 pending job\n  send_reminder\(user_id=7\)  due in 2d"):
        assert_idle()


def test_outside_a_fake_engine_the_way_out_is_named() -> None:
    """contract 7: an assertion that can look at nothing must not pass."""
    with pytest.raises(autocron.AutocronError, match="use the pytest fixture `fake_engine`"):
        assert_not_enqueued(send_reminder)
