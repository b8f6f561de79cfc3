"""autocron.worker and autocron.run: a worker receives jobs, runs one after the other, answers; nothing ends it."""

from __future__ import annotations

import importlib
import logging
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small import job_of

import autocron
from autocron import messages, run
from autocron.errors import AutocronError, PayloadError
from autocron.interface import Body, Closed, Message, Stop
from autocron.job import Job, Outcome, Status
from autocron.payload import decode
from autocron.run import Interrupted
from autocron.testing.clock import FakeClock
from autocron.testing.memory import MemoryStore
from autocron.testing.world import Process, View, World
from autocron.worker import Worker


class Code:
    """The tasks of an application, as a worker finds them."""

    def __init__(self) -> None:
        self.tasks: dict[str, Callable[..., Any]] = {}
        self.stale = False

    def resolve(self, address: str) -> Callable[..., Any]:
        if address not in self.tasks:
            raise AutocronError(f"there is no task {address}")
        return self.tasks[address]

    def is_stale(self) -> bool:
        return self.stale


class Bench:
    """A worker whose monitor is the test."""

    def __init__(self, *, pickle_allowed: bool = False) -> None:
        self.clock = FakeClock(1000.0)
        world = World(self.clock, lambda address: MemoryStore(), random.Random(1))
        ours, theirs = world.pair(1)
        self.monitor = theirs
        self.process = Process(7, ours)
        self.code = Code()
        self.interrupted = 0
        self.worker = Worker(
            world.interface_of(View(world, self.process)),
            ours,
            self.code,
            pickle_allowed=pickle_allowed,
            interrupt=self._interrupt,
        )

    def _interrupt(self) -> None:
        self.interrupted += 1

    def task(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self.code.tasks["app:task"] = function
        return function

    def tell(self, *body: Any) -> None:
        self.monitor.send(body)
        self.worker.hear()

    def give(self, *jobs: Job) -> None:
        self.tell(messages.RUN, [tuple(each) for each in jobs])

    def said(self) -> list[Body]:
        bodies = list(self.monitor.inbox)
        self.monitor.inbox.clear()
        return bodies

    def outcome(self, function: Callable[..., Any], *args: Any) -> Outcome:
        """What comes of running this."""
        self.task(function)
        self.give(job_of("app:task", *args))
        assert self.worker.step()
        ((kind, row),) = self.said()
        assert kind == messages.DONE
        return Outcome._make(row)


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- whatever ends the function ------------------------------------------------------------------------------


def test_a_return_value_is_the_result(bench: Bench) -> None:
    """contract 4: ready, with what the function returned."""
    outcome = bench.outcome(lambda a, b: {"sum": a + b}, 1, 2)
    assert (outcome.status, outcome.error, decode(outcome.result)) == (Status.READY, "", {"sum": 3})


def test_a_function_that_returns_nothing_stores_nothing(bench: Bench) -> None:
    """contract 4: the result is None."""
    assert bench.outcome(lambda: None)[1:4] == (Status.READY, b"", "")


def test_what_arguments_import_is_loaded_as_the_application_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 3: calls at the top of a module were made when the application imported it; a worker ignores them."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "argued.py").write_text(
        "import dataclasses\nfrom autocron.registry import registry\nloading = registry.loading\n"
        "@dataclasses.dataclass\nclass Given:\n    number: int\n"
    )
    job = job_of("app:task", importlib.import_module("argued").Given(7))
    monkeypatch.delitem(sys.modules, "argued")
    bench = Bench(pickle_allowed=True)
    bench.task(lambda given: given.number)
    bench.give(job)
    bench.worker.step()
    ((_, row),) = bench.said()
    assert decode(Outcome._make(row).result) == 7
    assert sys.modules["argued"].loading == "app"
    monkeypatch.delitem(sys.modules, "argued")


def test_an_error_may_have_a_report(bench: Bench) -> None:
    """contract 4: in error, with its message; what a library wants to know beside it is stored as a result is."""
    outcome = bench.outcome(lambda: run.Ended({"worker": 7}, "LookupError: gone", LookupError("gone")))
    assert (outcome.status, outcome.error) == (Status.ERROR, "LookupError: gone")
    assert decode(outcome.result) == {"worker": 7}


def test_a_task_can_know_its_attempt(bench: Bench) -> None:
    """contract 6: a task interrupted by the death of its worker is run again, and that is another attempt."""
    bench.task(run.attempt.get)
    bench.give(job_of("app:task"), job_of("app:task", number=2, deaths=2))
    assert bench.worker.step()
    assert bench.worker.step()
    assert [decode(Outcome._make(row).result) for _, row in bench.said()] == [1, 3]


class Nameless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("boom"), "ValueError: boom"),
        (AssertionError(), "AssertionError"),
        (SystemExit(3), "SystemExit: 3"),
        (SystemExit(), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (MemoryError(), "MemoryError"),
        (RecursionError("deep"), "RecursionError: deep"),
        (ExceptionGroup("two", [ValueError(1), KeyError(2)]), "ExceptionGroup: two"),
        (Nameless(), "Nameless: <exception str() failed>"),
        (OSError(2, "No such file", "\udcff"), "FileNotFoundError: [Errno 2] No such file: '\\udcff'"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_any_exception_is_the_outcome_and_the_queue_goes_on(bench: Bench, error: BaseException, words: str) -> None:
    """contract 3: whatever ends the function ends in the Result: any exception, SystemExit. The queue goes on."""

    def fails() -> None:
        raise error

    outcome = bench.outcome(fails)
    assert outcome.status == Status.ERROR
    assert words in outcome.error
    assert bench.outcome(lambda: 1).status == Status.READY


def test_a_return_value_that_cannot_be_stored_is_an_error_that_says_so(bench: Bench) -> None:
    """contract 3: a return value that cannot be serialised ends in the Result."""
    outcome = bench.outcome(lambda: (each for each in "ab"))
    assert outcome.status == Status.ERROR
    assert "return value: a generator cannot be stored; use a list of what it yields" in outcome.error


def test_a_function_that_is_gone_is_an_error_that_names_it(bench: Bench) -> None:
    """contract 3: a function that can no longer be found ends in the Result."""
    bench.give(job_of("app:gone"))
    bench.worker.step()
    ((_, row),) = bench.said()
    assert Outcome._make(row).error == "there is no task app:gone"


def test_a_module_that_cannot_be_imported_is_an_error_that_says_why(bench: Bench) -> None:
    """contract 3: a module that can no longer be found ends in the Result."""

    def resolve(address: str) -> Callable[..., Any]:
        raise ModuleNotFoundError("No module named 'app'")

    bench.code.resolve = resolve  # type: ignore[method-assign]
    bench.give(job_of())
    bench.worker.step()
    ((_, row),) = bench.said()
    assert Outcome._make(row).error == (
        "the task app:task cannot be loaded: ModuleNotFoundError: No module named 'app'"
    )


@pytest.mark.parametrize("error", [SystemExit(1), OSError(98, "Address already in use")], ids=repr)
def test_a_script_that_runs_as_a_program_in_a_worker_is_told_what_to_do(bench: Bench, error: BaseException) -> None:
    """style 10: `app.run()` without a guard is what most scripts of this kind end with."""

    def resolve(address: str) -> Callable[..., Any]:
        raise error

    bench.code.resolve = resolve  # type: ignore[method-assign]
    bench.give(job_of("/srv/app.py:task"), job_of("app:task"))
    bench.worker.step()
    bench.worker.step()
    script, module = (Outcome._make(row).error for _, row in bench.said())
    assert "cannot be loaded: " in script
    assert script.endswith('what only the application is to run belongs under `if __name__ == "__main__":`')
    assert "__main__" not in module


def test_arguments_that_cannot_be_read_are_an_error(bench: Bench) -> None:
    """contract 3: whatever ends the function ends in the Result; design 5: pickles only where they are allowed."""
    bench.task(lambda: 1)
    bench.give(job_of()._replace(payload=b"p\x80\x05N."))
    bench.worker.step()
    ((_, row),) = bench.said()
    assert Outcome._make(row).error == "the payload is pickled, and pickle is not allowed here"


def test_a_coroutine_function_is_run_to_its_end(bench: Bench) -> None:
    """contract 3: a worker process calls the function."""

    async def answer() -> int:
        return 42

    assert decode(bench.outcome(answer).result) == 42


def test_an_endless_message_is_cut(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 3: the queue goes on: no error is so long that it could not be stored."""
    monkeypatch.setattr(run, "LONGEST_MESSAGE", 20)

    def fails() -> None:
        raise ValueError("x" * 1000)

    assert bench.outcome(fails).error == "ValueError: xxxxxxxx… (1,012 characters)"


def test_a_result_of_any_size_that_cannot_be_stored_is_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 3: the queue goes on: a result that the database cannot hold would stop all that come behind it."""
    monkeypatch.setattr("autocron.payload._MOST_BYTES", 1000)
    outcome = bench.outcome(lambda: "x" * 1000)
    assert outcome.status == Status.ERROR
    assert "return value: 1,003 bytes are too many, 1,000 can be stored; use a file, and its path" in outcome.error


def test_arguments_that_the_database_cannot_hold_are_refused_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 3: what cannot work is refused at the call, never lost later."""
    from autocron.payload import encode_call

    monkeypatch.setattr("autocron.payload._MOST_BYTES", 1000)
    for arguments in ((b"x" * 1000,), ("x" * 1000,)):
        for allow_pickle in (False, True):
            with pytest.raises(PayloadError, match=r"arguments: .* bytes are too many"):
                encode_call(arguments, {}, allow_pickle=allow_pickle)


def test_a_failure_is_one_line_and_its_traceback_without_our_frames(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """contract 6: job failed (traceback), from the worker."""

    def fails() -> None:
        raise ValueError("boom")

    with caplog.at_level(logging.ERROR, "autocron.worker"):
        bench.outcome(fails)
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith(f"job {1:032x} of app:task failed: ValueError: boom\nTraceback")
    assert "in fails" in message
    assert "autocron/run.py" not in message


def test_what_only_autocron_has_to_say_is_one_line(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """style 10: the sentence is enough where no frame of the application has a part in it."""
    with caplog.at_level(logging.ERROR, "autocron.worker"):
        bench.outcome(lambda: (each for each in "ab"))
    (record,) = caplog.records
    assert record.getMessage().endswith("return value: a generator cannot be stored; use a list of what it yields")


def test_a_failing_coroutine_is_told_without_the_event_loop(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """contract 6: the traceback begins in the application."""

    async def fails() -> None:
        raise ValueError("boom")

    with caplog.at_level(logging.ERROR, "autocron.worker"):
        bench.outcome(fails)
    assert "in fails" in caplog.text
    assert "asyncio" not in caplog.text


# -- one after the other -------------------------------------------------------------------------------------


def test_jobs_run_in_the_order_in_which_they_come_and_each_is_answered(bench: Bench) -> None:
    """design 2: a worker runs one job after the other; run times are told."""
    ran = []

    def task(number: int) -> int:
        ran.append(number)
        bench.clock.advance(0.25)
        return number

    bench.task(task)
    bench.give(*(job_of("app:task", number, number=number) for number in (3, 1, 2)))
    while bench.worker.has_work():
        bench.worker.step()
    assert ran == [3, 1, 2]
    assert [Outcome._make(row).duration_s for _, row in bench.said()] == [0.25] * 3


def test_which_job_has_begun_is_noted_while_it_runs(bench: Bench) -> None:
    """design 2: which job has begun is known without a message per job, and survives the worker."""
    seen = []
    bench.outcome(lambda: seen.append(bench.process.begun))
    assert seen == [job_of().id]
    assert bench.process.begun is None


def test_what_has_not_begun_is_given_back_also_in_the_middle_of_a_job(bench: Bench) -> None:
    """design 2: what a busy worker has not begun is taken back."""
    bench.task(lambda: bench.tell(messages.TAKE_BACK))
    bench.give(*(job_of(number=number) for number in (1, 2, 3)))
    bench.worker.step()
    assert bench.said() == [
        (messages.RELEASED, [job_of(number=2).id, job_of(number=3).id]),
        (messages.DONE, tuple(Outcome(job_of(number=1).id, Status.READY))),
    ]
    assert not bench.worker.has_work()


def test_with_nothing_to_give_back_nothing_is_said(bench: Bench) -> None:
    """design 1.6: quiet."""
    bench.tell(messages.TAKE_BACK)
    assert bench.said() == []


# -- the end -------------------------------------------------------------------------------------------------


def test_asked_to_end_it_finishes_what_it_runs_and_gives_back_the_rest(bench: Bench) -> None:
    """contract 6: running tasks get a grace period, everything ends."""
    bench.task(lambda: bench.tell(messages.END))
    bench.give(job_of(number=1), job_of(number=2))
    assert bench.worker.step()
    assert not bench.worker.step()
    assert [body[0] for body in bench.said()] == [messages.DONE, messages.RELEASED, messages.RETIRED]


@pytest.mark.parametrize("how", ["closed", "stop"])
def test_without_its_monitor_or_at_sigterm_it_begins_nothing_more(bench: Bench, how: str) -> None:
    """design 2: workers die with the monitor; a TERM from elsewhere ends a worker after its job."""
    ran = []
    bench.task(lambda: ran.append(1))
    bench.give(job_of())
    bench.worker.take(Closed(bench.worker.channel) if how == "closed" else Stop())
    assert bench.worker.gone is (how == "closed")
    assert not bench.worker.step()
    assert not ran


def test_an_interrupted_job_is_given_back_and_nobody_is_to_blame(bench: Bench) -> None:
    """contract 6: a task interrupted at the end of the grace period is run again."""

    def long() -> None:
        bench.tell(messages.INTERRUPT)
        assert bench.interrupted == 1
        raise Interrupted  # as the signal's handler does

    bench.task(long)
    bench.give(job_of())
    assert bench.worker.step()
    assert bench.said() == [(messages.RELEASED, [job_of().id])]
    assert bench.process.begun is None
    assert not bench.worker.step()


def test_a_task_may_clean_up_when_it_is_interrupted(bench: Bench) -> None:
    """contract 6: grace: `finally` blocks run; who catches everything and returns has ended well."""

    def stubborn() -> str:
        try:
            raise Interrupted
        except BaseException:
            return "done after all"

    assert decode(bench.outcome(stubborn).result) == "done after all"


def test_nothing_is_interrupted_but_the_running_of_a_job(bench: Bench) -> None:
    """design 1.2: an interruption in the middle of an answer would tear it apart; the job is not charged with it."""
    seen = []
    send = bench.worker.channel.send

    def noting(body: Body) -> None:
        seen.append((body[0], bench.worker.running))
        send(body)

    bench.worker.channel.send = noting  # type: ignore[method-assign]
    begin = bench.worker.interface.spawner.begin

    def noting_begin(job: bytes | None) -> None:
        seen.append(("begin", bench.worker.running))
        begin(job)

    bench.worker.interface.spawner.begin = noting_begin  # type: ignore[method-assign]
    running = []
    bench.outcome(lambda: running.append(bench.worker.running is not None))
    assert running == [True]
    assert seen == [("begin", None), (messages.DONE, None), ("begin", None)]


# -- fresh code ----------------------------------------------------------------------------------------------


def test_a_worker_whose_files_have_changed_retires_before_its_next_job(bench: Bench) -> None:
    """design 2, fresh code: on a new link workers whose imported files changed retire before their next job."""
    bench.give(job_of())
    bench.code.stale = True
    bench.tell(messages.REFRESH)
    assert not bench.worker.step()
    assert bench.said() == [(messages.RELEASED, [job_of().id]), (messages.RETIRED,)]


def test_a_worker_whose_files_are_the_same_stays(bench: Bench) -> None:
    """design 2, fresh code."""
    bench.task(lambda: None)
    bench.give(job_of())
    bench.tell(messages.REFRESH)
    assert bench.worker.step()
    assert [body[0] for body in bench.said()] == [messages.DONE]


def test_a_function_not_found_in_an_old_worker_goes_to_a_fresh_one_first(bench: Bench) -> None:
    """design 2, fresh code: "function not found" in a worker older than its files goes to a fresh worker first."""
    bench.code.stale = True
    bench.give(job_of("app:new"), job_of("app:other", number=2))
    assert not bench.worker.step()
    assert bench.said() == [
        (messages.OUTDATED, job_of().id),
        (messages.RELEASED, [job_of().id, job_of(number=2).id]),
        (messages.RETIRED,),
    ]


def test_a_worker_that_is_new_enough_says_how_a_job_fails_whatever_its_files(bench: Bench) -> None:
    """design 1.2: files that seem to change in every worker (dated in the future) stop nobody."""
    bench.code.stale = True
    bench.tell(messages.RUN, [tuple(job_of("app:gone"))], [job_of().id])
    assert bench.worker.step()
    ((kind, outcome),) = bench.said()
    assert (kind, Outcome._make(outcome).error) == (messages.DONE, "there is no task app:gone")
    bench.give(job_of("app:gone"))  # somebody has mended the file, and has it run again
    assert not bench.worker.step()
    assert bench.said()[0] == (messages.OUTDATED, job_of().id)


# -- what else it hears --------------------------------------------------------------------------------------


def test_answers_to_the_questions_of_tasks_are_passed_on(bench: Bench) -> None:
    """contract 4: a Result can be asked inside a task."""
    heard: list[Body] = []
    bench.worker.reply = heard.append
    bench.worker.take(Message(bench.worker.channel, (messages.REPLY, 1, None)))
    assert heard == [(messages.REPLY, 1, None)]


def test_without_work_a_step_does_nothing(bench: Bench) -> None:
    """design 1.6: quiet."""
    assert not bench.worker.has_work()
    assert bench.worker.step()
    assert bench.said() == []


def test_a_task_is_called_with_what_it_was_registered_with(bench: Bench) -> None:
    """contract 3: a worker process calls the function with the arguments of the call."""

    def task(*args: Any, **kwargs: Any) -> Any:
        return [args, kwargs]

    bench.task(task)
    bench.give(Job(b"1" * 16, "app:task", autocron.payload.encode_call((1, [2]), {"c": {3}}), 0.0))
    bench.worker.step()
    ((_, row),) = bench.said()
    assert decode(Outcome._make(row).result) == [(1, [2]), {"c": {3}}]


@pytest.mark.parametrize("error", [KeyError("DB_URL"), IndexError(), KeyError("")])
def test_what_a_module_raises_is_told_as_what_it_is(bench: Bench, error: Exception) -> None:
    """contract 4: `has_error`: the error message is not empty, and says what there was."""

    def resolve(address: str) -> None:
        raise error

    bench.code.resolve = resolve  # type: ignore[method-assign, assignment]
    outcome = bench.outcome(lambda: None)
    assert outcome.error.startswith(f"the task app:task cannot be loaded: {type(error).__name__}")


class Leaving:
    """A value that ends the program when it is looked at."""

    def __reduce__(self) -> Any:
        raise SystemExit(3)


def test_a_value_that_ends_the_program_when_it_is_stored_ends_its_job() -> None:
    """contract 3: whatever ends the function ends in the Result: a return value that cannot be serialised."""
    outcome = Bench(pickle_allowed=True).outcome(Leaving)
    assert (outcome.status, outcome.error) == (Status.ERROR, "SystemExit: 3")
