"""autocron.result: the caller's handle on a job."""

from __future__ import annotations

import inspect
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from small import Small

import autocron
from autocron import messages, payload
from autocron.job import Status, Stored
from autocron.result import NEWS_S, Result


@autocron.delay
def divide(a: int, b: int) -> float:
    return a / b


troubles: list[str] = []


@autocron.delay
def flaky() -> str:
    if troubles:
        raise LookupError(troubles.pop())
    return "fine"


@pytest.fixture
def small() -> Small:
    return Small().start()


def test_it_is_made_as_the_contract_says() -> None:
    """contract 4: the parameters with their order and defaults; all of these are attributes."""
    wanted = {
        "connection": None,
        "func": None,
        "args": (),
        "kwargs": None,
        "function_result": None,
        "error_message": "",
        "uuid": "",
        "status": 1,
        "ttl": None,
        "function_name": "",
        "function_module": "",
        "function_arguments": None,
        "rowid": None,
    }
    parameters = inspect.signature(Result).parameters
    assert {name: each.default for name, each in parameters.items()} == wanted
    assert list(parameters) == list(wanted)
    made: Result[Any] = Result()
    assert all(hasattr(made, name) for name in wanted)
    assert (made.args, made.kwargs, made.status, made.error_message) == ((), {}, 1, "")


def test_it_is_importable_from_both_places() -> None:
    """contract 4: importable as autocron.Result, autocron.sqlite_interface.Result."""
    from autocron import sqlite_interface

    assert autocron.Result is sqlite_interface.Result is Result


def test_a_job_is_waiting_then_ready(small: Small) -> None:
    """contract 4: status: 1 waiting, 3 ready; is_ready: the task has been processed."""
    result = divide(6, 3)
    assert (result.status, result.is_ready(), result.has_error) == (1, False, False)
    small.settle()
    assert result.is_ready()
    assert (result.status, result.result, result.function_result, result.error_message) == (3, 2.0, 2.0, "")
    assert not result.has_error


def test_a_job_that_a_worker_has_is_processing(small: Small) -> None:
    """contract 4: status 2 processing."""
    result = divide(6, 3)
    small.hear()
    assert not result.is_ready()
    assert result.status == 2


def test_an_error_is_ready_too(small: Small) -> None:
    """contract 4: has_error: the error message is not empty; status 4 error."""
    result = divide(1, 0)
    small.settle()
    assert result.is_ready()
    assert (result.status, result.has_error, result.result) == (4, True, None)
    assert result.error_message == "ZeroDivisionError: division by zero"


def test_after_its_time_to_live_a_result_is_unavailable() -> None:
    """contract 4: kept for the stored time to live and then removed; status 5: its time to live is over."""
    small = Small().start(ttl_s=60.0)
    kept, gone = divide(6, 3), divide(6, 2)
    small.settle()
    assert kept.is_ready()
    assert kept.ttl == datetime.fromtimestamp(small.clock.time() + 60.0, UTC)
    small.pass_time(59.0)
    assert len(small.jobs()) == 2
    small.pass_time(1.0)
    assert not gone.is_ready()
    assert gone.status == 5
    assert kept.is_ready()  # what it has seen it keeps
    assert kept.result == 2.0


def test_the_time_to_live_is_1800_s_by_default(small: Small) -> None:
    """contract 4: default 1800 s; removed together with others, a twentieth of it later."""
    divide(6, 3)
    small.settle()
    small.pass_time(1799.0)
    assert len(small.jobs()) == 1
    small.pass_time(1.0 + 90.0)
    assert small.jobs() == []


def test_one_that_was_never_known_is_unavailable(small: Small) -> None:
    """contract 4: status 5: never known."""
    result: Result[Any] = Result(uuid="00" * 16)
    assert not result.is_ready()
    assert result.status == 5


def test_it_can_be_pickled_and_asked_elsewhere(small: Small) -> None:
    """contract 4: a Result can be pickled and asked in another process of the application."""
    result = divide(6, 3)
    copy: Result[float] = pickle.loads(pickle.dumps(result))
    assert (copy.uuid, copy.args, copy.function_name, copy.func) == (result.uuid, (6, 3), "divide", None)
    small.settle()
    assert copy.is_ready()
    assert copy.result == 2.0
    assert pickle.loads(pickle.dumps(copy)).result == 2.0


def test_a_result_of_a_task_that_cannot_be_pickled_can() -> None:
    """contract 4: the task itself is left behind: it is found by its name."""

    @autocron.delay
    def nested() -> int:
        return 1

    assert pickle.loads(pickle.dumps(nested())).result == 1


def test_it_tells_what_was_called(small: Small) -> None:
    """contract 4: function_name, function_module, function_arguments."""
    result = divide(6, b=3)
    assert (result.function_name, result.function_module) == ("divide", __name__)
    assert result.function_arguments == ((6,), {"b": 3})
    assert result.func is divide.__wrapped__


def test_results_come_oldest_first_with_all_that_is_known(small: Small) -> None:
    """contract 5: all stored results, oldest first."""
    divide(6, 3)
    small.clock.advance(1.0)
    divide(1, 0)
    small.settle()
    small.clock.advance(1.0)
    small.call(divide.__wrapped__, 9, 3, after_s=3600.0)
    first, second, third = autocron.get_results()
    assert (first.result, first.args, first.status, first.function_name) == (2.0, (6, 3), 3, "divide")
    assert (second.has_error, second.status) == (True, 4)
    assert (third.status, third.ttl) == (1, None)
    assert first.func is divide.__wrapped__


def test_a_stored_result_that_cannot_be_read_here_is_an_error() -> None:
    """contract 4: whoever reads it: a pickle where pickles are not allowed."""
    data = payload.encode(object, allow_pickle=True)
    stored = Stored(b"1" * 16, "app:task", b"j[[],{}]", 0.0, Status.READY.value, data, "", 1.0)
    result: Result[Any] = Result.from_stored(stored, False)
    assert (result.status, result.result) == (4, None)
    assert "the stored result cannot be read: the payload is pickled" in result.error_message


def test_arguments_that_cannot_be_read_here_hide_no_result() -> None:
    """contract 5: all stored results."""
    stored = Stored(b"1" * 16, "/srv/app.py:task", b"p...", 0.0, Status.READY.value, b"j7", "", 1.0)
    result: Result[Any] = Result.from_stored(stored, False)
    assert (result.result, result.args, result.function_module, result.function_name) == (7, (), "__main__", "task")


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (Result(function_name="f", function_module="app"), "<Result app.f waiting>"),
        (Result(function_name="f", function_module="app", status=3, function_result=[1]), "<Result app.f ready: [1]>"),
        (
            Result(function_name="f", function_module="app", status=4, error_message="ValueError: no"),
            "<Result app.f error: ValueError: no>",
        ),
    ],
)
def test_it_can_be_read(result: Result[Any], shown: str) -> None:
    """style 10: what it is, and what came of it."""
    assert repr(result) == shown


def test_a_job_that_is_run_again_by_hand_has_another_end(small: Small) -> None:
    """contract 4: it keeps its id, so whoever holds a Result of it sees the new outcome."""
    troubles.append("not yet")
    result = flaky()
    small.settle()
    assert (result.is_ready(), result.error_message) == (True, "LookupError: not yet")
    assert small.ask(messages.RETRY, [bytes.fromhex(result.uuid)]) == 1
    small.hear()
    assert (result.is_ready(), result.has_error, result.ttl) == (False, False, None)
    small.settle()
    assert (result.is_ready(), result.result) == (True, "fine")


def test_an_error_that_is_known_stays_known(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 4: what has ended has ended, whatever becomes of the store and of who could be asked."""
    result = divide(1, 0)
    small.settle()
    assert result.is_ready()
    assert small.ask(messages.PURGE, ([bytes.fromhex(result.uuid)], [Status.ERROR])) == 1
    assert (result.is_ready(), result.status) == (True, Status.ERROR)
    asked: list[float] = []

    def nobody_answers(question: str, argument: object, *, within_s: float) -> None:
        asked.append(within_s)
        raise autocron.AutocronError("the monitor is stopped")

    monkeypatch.setattr(small.registrar, "ask", nobody_answers)
    assert result.is_ready()
    assert asked == [NEWS_S]
    small.engine.stop()
    assert (result.is_ready(), result.error_message) == (True, "ZeroDivisionError: division by zero")
