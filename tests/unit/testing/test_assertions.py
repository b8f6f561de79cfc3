"""autocron.testing.assertions: what they accept, and what they show when they fail."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any, NamedTuple
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


def test_arguments_that_only_a_decorator_below_takes_are_compared_too(fake_engine: FakeEngine) -> None:
    """contract 7: what can be called can be asserted."""

    def with_flag(function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: object, flag: bool = False, **kwargs: object) -> object:
            return function(*args, **kwargs)

        return call

    @autocron.delay
    @with_flag
    def send(to: str) -> None: ...

    send("ann")
    assert_enqueued(send, to="ann")
    assert_not_enqueued(send, "ann", flag=True)
    send("ann", flag=True)
    assert_enqueued(send, "ann", flag=True)


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


@autocron.delay
def send_mail(to: str, *copies: str, **headers: str) -> None: ...


def test_arguments_of_any_number_and_name_are_compared_one_by_one(fake_engine: FakeEngine) -> None:
    """testing 2.4: at least these arguments, also in *args and **kwargs."""
    send_mail("ann", "bob", "joe", lang="de", tone="formal")
    assert_enqueued(send_mail, "ann", lang="de")
    assert_enqueued(send_mail, "ann", "bob")
    assert_not_enqueued(send_mail, "ann", lang="en")
    with pytest.raises(AssertionError) as failed:
        assert_enqueued(send_mail, "ann", "joe", tone="rude", size="a4")
    assert str(failed.value).endswith(
        "copies[0]: expected 'joe', got 'bob'; tone: expected 'rude', got 'formal'; size: expected 'a4', not given"
    )


@autocron.delay
def reserve(count: int) -> int:
    return count


def test_an_option_that_is_a_parameter_too_is_refused(fake_engine: FakeEngine) -> None:
    """testing 2.4: count= must not be taken for something else in silence."""
    reserve(3)
    with pytest.raises(TypeError, match="count= is an option, and reserve has a parameter of this name; give the"):
        assert_enqueued(reserve, count=3)
    assert_enqueued(reserve, 3, count=1)
    assert_enqueued(reserve, mock.ANY, count=1)
    assert_not_enqueued(reserve, count=4)


class Touchy:
    """Does not like to be compared."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


def test_values_that_cannot_be_compared_are_named(fake_engine: FakeEngine) -> None:
    """testing 2.4: an array that is no truth value fails the assertion, and not more."""
    send_reminder(7)
    reserve(3)
    with pytest.raises(AssertionError, match=r"user_id: cannot be compared: ValueError: ambiguous"):
        assert_enqueued(send_reminder, user_id=Touchy())
    run_pending()
    with pytest.raises(AssertionError, match=r"no run returned .*: cannot be compared: ValueError: ambiguous"):
        assert_ran(reserve, result=Touchy())


def test_two_moments_that_read_alike_are_told_apart(fake_engine: FakeEngine) -> None:
    """testing 2.4: a failing assertion shows what was there instead."""
    autocron.delay(hours=51, minutes=4)(reserve)(1)
    with pytest.raises(AssertionError, match="due: expected in 2d 3h, is in 2d 3h, 1m earlier"):
        assert_enqueued(reserve, run_in="2d 3h 5m")
    with pytest.raises(AssertionError, match="due: expected in 2d 3h, is in 2d 3h, 1m 1s later"):
        assert_enqueued(reserve, run_in="2d 3h 2m 59s")


class Invoice(NamedTuple):
    """Has a task."""

    number: int

    @autocron.delay
    def send(self, to: str) -> None: ...


def test_a_bound_method_names_its_task_and_its_instance(fake_engine: FakeEngine) -> None:
    """testing 2.4: a task is named by what one calls."""
    Invoice(1).send("ann")
    assert_enqueued(Invoice(1).send, "ann")
    assert_enqueued(Invoice(1).send, to="ann", count=1)
    assert_not_enqueued(Invoice(2).send)
    assert run_pending(Invoice(2).send).times == 1  # the task
    assert_ran(Invoice(1).send)


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
