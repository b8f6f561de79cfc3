"""autocron.system.logs: nobody waits for whoever reads stderr, or does not."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from autocron.system.logs import PIECE, ImpatientHandler


class Stderr:
    """A pipe as stderr, and the handler that writes to it."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.handler = ImpatientHandler(self.writer)

    def log(self, text: str) -> None:
        self.handler.handle(logging.LogRecord("autocron", logging.INFO, "", 0, text, (), None))

    def fill(self) -> None:
        """Write until it takes no more, as somebody else may."""
        os.set_blocking(self.writer, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writer, b"x" * PIECE)
        os.set_blocking(self.writer, True)

    def read(self, limit: int = 1 << 20) -> list[str]:
        """What is in it, without what fills it."""
        with suppress(BlockingIOError):
            return os.read(self.reader, limit).decode().replace("x" * PIECE, "").splitlines()
        return []


@pytest.fixture
def stderr() -> Iterator[Stderr]:
    made = Stderr()
    yield made
    for fd in (made.reader, made.writer):
        with suppress(OSError):
            os.close(fd)


def test_what_is_read_is_complete(stderr: Stderr) -> None:
    """Contract 6: one line per event; of any length, as a traceback may be, and whatever is in it."""
    stderr.log("short")
    stderr.log("long\n" + "y" * 3 * PIECE)
    stderr.log("half a \udcff character")
    assert stderr.read() == ["short", "long", "y" * 3 * PIECE, "half a \\udcff character"]


def test_who_logs_does_not_wait_and_says_later_what_is_missing(stderr: Stderr) -> None:
    """Design 2: nobody blocks on a slow peer: not on a pipe that is full either."""
    stderr.fill()
    for number in range(3):
        stderr.log(f"left out {number}")
    stderr.read()
    stderr.log("after")
    stderr.log("and on")
    missing = "3 messages are missing here, because nobody read what was written to stderr"
    assert stderr.read() == [missing, "after", "and on"]


def test_a_message_that_goes_in_only_partly(stderr: Stderr) -> None:
    """Design 2: a pipe that takes something need not take a whole traceback; the next message has its own line."""
    stderr.fill()
    stderr.read(2 * PIECE)
    stderr.log("y" * 3 * PIECE)
    stderr.log("left out")
    assert stderr.read() == ["y" * 2 * PIECE]
    stderr.log("after")
    missing = "2 messages are missing here, because nobody read what was written to stderr"
    assert stderr.read() == ["", missing, "after"]


def test_the_pipe_stays_as_the_application_has_set_it(stderr: Stderr) -> None:
    """Contract 6: the file description is shared; and if the application does not wait there, we do not either."""
    stderr.log("one")
    assert os.get_blocking(stderr.writer)
    os.set_blocking(stderr.writer, False)
    stderr.log("two")
    assert not os.get_blocking(stderr.writer)
    assert stderr.read() == ["one", "two"]


@pytest.mark.parametrize("end", ["reader", "writer"])
def test_who_logs_where_nobody_reads_any_more_is_not_hurt(
    stderr: Stderr, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Contract 6: applications close what they do not need; a log that cannot be written is no error."""
    os.close(getattr(stderr, end))
    stderr.log("lost")
    assert capsys.readouterr().err == ""
