"""What is logged: by whom, where, and one line each."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
from collections.abc import Iterator

from processes import World, eventually

from autocron.system.tree import PROC

LINE = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) (autocron\.[a-z.]+)\[(\d+)\]: (.*)$"
)


def lines(world: World) -> list[tuple[str, str, int, str]]:
    """Level, logger, process and text of each line that our processes wrote to the application's stderr."""
    found = (LINE.match(line) for line in world.stderr().splitlines())
    return [(m[1], m[2], int(m[3]), m[4]) for m in found if m]


def texts(world: World) -> list[str]:
    """The texts alone."""
    return [text for _, _, _, text in lines(world)]


def test_the_life_of_a_monitor(world: World) -> None:
    """Contract 6: started, worker started, died and replaced, draining, gone: one line each, to stderr."""
    application = world.application(log="INFO")
    monitor, worker = world.monitor(), world.worker()
    assert application.do("until_ready(add(1, 2))") == 3
    worker.kill()
    assert application.do("until_ready(add(1, 2))") == 3
    successor = world.worker()
    application.signal(signal.SIGKILL)
    application.wait()
    world.await_empty()
    # A worker's channel closes a moment before its death is known, so its successor may be named first.
    assert sorted(lines(world)) == sorted(
        [
            ("INFO", "autocron.monitor", monitor.pid, f"started for {world.database}"),
            ("INFO", "autocron.monitor.pool", monitor.pid, f"worker {worker.pid} started"),
            ("WARNING", "autocron.monitor.pool", monitor.pid, f"worker {worker.pid} died (signal 9) and is replaced"),
            ("INFO", "autocron.monitor.pool", monitor.pid, f"worker {successor.pid} started"),
            ("INFO", "autocron.monitor", monitor.pid, "draining: the application has gone"),
            ("INFO", "autocron.monitor.pool", monitor.pid, f"worker {successor.pid} ended"),
            ("INFO", "autocron.monitor", monitor.pid, "gone"),
        ]
    )
    assert len(world.stderr().splitlines()) == 7


def test_a_failing_job_leaves_its_traceback(world: World) -> None:
    """Contract 6: a job that fails is logged once by its worker, with the traceback of the user's code alone."""
    application = world.application()
    application.do("until_ready(fail('this went wrong'))")
    text = eventually(lambda: "ValueError: this went wrong" in world.stderr() and world.stderr())
    (line,) = lines(world)
    assert line[:3] == ("ERROR", "autocron.worker", world.worker().pid)
    assert re.match(r"job [0-9a-f]{32} of tasks:fail failed: ValueError: this went wrong", line[3])
    traceback = text[text.index("Traceback") :]
    assert 'tasks.py", line' in traceback
    assert "/autocron/" not in traceback


def test_a_quiet_application_hears_nothing(world: World) -> None:
    """Contract 6: the level is the application's: at WARNING a healthy life writes nothing at all."""
    application = world.application()
    assert application.do("until_ready(add(1, 2))") == 3
    assert application.end() == 0
    world.await_empty()
    assert world.stderr() == ""


def test_an_exit_code_is_told(world: World) -> None:
    """Contract 6: how a worker died is said: its signal or its exit code."""
    application = world.application()
    application.do("until_ready(exit_worker(3))")
    assert texts(world)[0].endswith("died (exit code 3) and is replaced")
    assert application.do("exit_worker(3).__class__.__name__") == "Result"
    eventually(lambda: "is given up after 3 deaths: the worker died (exit code 3)" in world.stderr())


def test_what_a_stubborn_job_costs(world: World) -> None:
    """Contract 6: a worker that does not end within the grace period is killed, and that is said."""
    world.configure(grace_s=0.3)
    application = world.application()
    application.do("stubborn('job')")
    world.hear("begun job")
    worker = world.worker()
    assert application.end() == 0
    world.await_empty()
    assert texts(world) == [f"worker {worker.pid} did not end within the grace period and is killed"]


def test_a_task_logs_as_it_likes(world: World) -> None:
    """Contract 6: what tasks print or log goes where the application's goes, and the root logger is theirs."""
    application = world.application()
    application.do("until_ready(shout('from the task'))")
    assert "printed from the task\n" in world.stderr()
    assert "WARNING:root:logged from the task\n" in world.stderr()


def test_an_application_that_silences_the_loggers_there_are(world: World) -> None:
    """Contract 6: `dictConfig` does so by default, and in each worker anew; jobs still fail aloud."""
    application = world.application()
    application.do("until_ready(silence())")
    application.do("until_ready(fail('this went wrong'))")
    eventually(lambda: [text for text in texts(world) if text.endswith("ValueError: this went wrong")])


def test_what_a_job_prints_is_there_when_it_is_ready(world: World) -> None:
    """Contract 6: also where stdout is a file or a pipe, and Python would keep it until the worker ends."""
    with (world.directory / "stdout").open("wb") as stdout:
        application = world.application(environment={"PYTHONUNBUFFERED": ""}, stdout=stdout)
    application.do("until_ready(shout('aloud'))")
    assert (world.directory / "stdout").read_text() == "said aloud\n"


@contextlib.contextmanager
def unread_stderr() -> Iterator[tuple[int, int]]:
    """A pipe that is full: whoever is to read it does something else."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * select.PIPE_BUF)
    os.set_blocking(writer, True)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def test_nobody_reads_stderr(world: World) -> None:
    """Contract 6: neither the outcome of a job nor the end of the tree waits for who reads the log."""
    with unread_stderr() as (reader, stderr):
        application = world.application(stderr=stderr)
        assert application.do("until_ready(fail('y' * 10_000))").startswith("ValueError: y")
        world.worker().kill()
        assert application.do("until_ready(add(1, 2))") == 3
        os.read(reader, 1 << 20)
        assert application.do("until_ready(fail('this went wrong'))") == "ValueError: this went wrong"
        log = os.read(reader, 1 << 20).decode()
        world.worker().kill()
        application.signal(signal.SIGKILL)
        application.wait()
        world.await_empty()
    assert "ValueError: this went wrong" in log


def test_a_job_that_prints_where_nobody_reads(world: World) -> None:
    """Contract 6: it waits, as any program does; when the application has gone, it goes too."""
    world.configure(grace_s=0.3)
    with unread_stderr() as (_, stderr):
        application = world.application(stderr=stderr)
        application.do("shout('in vain')")
        worker = world.worker()
        eventually(lambda: "pipe_write" in (PROC / str(worker.pid) / "wchan").read_text())
        application.signal(signal.SIGKILL)
        application.wait()
        world.await_empty()
    assert [each.status for each in world.stored()] == [1]
