"""autocron.system.channels: frames over a socket, whole and in order, whatever the socket takes at a time."""

from __future__ import annotations

import dis
import marshal
import os
import select
import socket
import sys
import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from autocron.interface import Body, Closed, Message
from autocron.system.channels import CHUNK, HEADER, LARGEST_FRAME, SocketChannel


class Ends:
    """The two ends of a channel, in one thread."""

    def __init__(self) -> None:
        self.raw, theirs = socket.socketpair()
        self.ours = SocketChannel(socket.socket(fileno=self.raw.detach()), 1)
        self.theirs = SocketChannel(theirs, 2)

    def hear(self) -> list[Any]:
        """All that has come to the other end, as `wait` would see it."""
        heard: list[Any] = []
        poll = select.poll()
        poll.register(self.theirs.fileno(), self.theirs.interest())
        while ready := poll.poll(0):
            for _, mask in ready:
                for event in self.theirs.receive(mask):
                    if isinstance(event, Closed):
                        return [*heard, Closed]
                    assert isinstance(event, Message)
                    heard.append(event.body)
            self.ours.flush()
        return heard


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.ours.close()
    made.theirs.close()


def test_what_is_said_is_heard_in_order_and_as_it_was(ends: Ends) -> None:
    """design 2: messages are tuples of plain values."""
    bodies: list[Body] = [
        ("register", 1, False, [(b"id", "app:task", b"\0\xff", 1.5, 0, "", None)]),
        ("text", "ä\udcff", (), {"a": [1 << 80]}),
        ("end",),
    ]
    for body in bodies:
        ends.ours.send(body)
    assert ends.hear() == bodies


@pytest.mark.parametrize("size", [0, 1, CHUNK - 12, CHUNK, 3 * CHUNK, 5_000_000])
def test_messages_of_any_size_come_whole(ends: Ends, size: int) -> None:
    """design 7: 5 MB on a channel."""
    ends.ours.send(("data", b"x" * size))
    ends.ours.send(("end",))
    assert ends.hear() == [("data", b"x" * size), ("end",)]


def test_a_frame_that_comes_byte_by_byte_is_heard_once(ends: Ends) -> None:
    """design 2: a stream has no borders."""
    ends.ours.send(("a", 1))
    ends.ours.send(("b", 2))
    data = os.read(ends.theirs.fileno(), 100)
    heard = []
    for byte in data:
        os.write(ends.ours.fileno(), bytes([byte]))
        heard += [event.body for event in ends.theirs.receive(select.POLLIN) if isinstance(event, Message)]
    assert heard == [("a", 1), ("b", 2)]


def test_a_peer_that_does_not_listen_blocks_nobody(ends: Ends) -> None:
    """design 2: nobody blocks on a slow peer: what it does not take waits, and is sent when there is room."""
    for number in range(100):
        ends.ours.send((number, b"x" * CHUNK))
    assert ends.ours.backlog() > 0
    assert ends.ours.interest() & select.POLLOUT
    assert [body[0] for body in ends.hear()] == list(range(100))
    assert ends.ours.backlog() == 0
    assert not ends.ours.interest() & select.POLLOUT


def test_the_last_words_are_heard_before_the_end(ends: Ends) -> None:
    """design 2: on a channel error it is read to the end first: a finished outcome may still be in it."""
    for number in range(3):
        ends.ours.send(("done", number, b"x" * CHUNK))
    ends.ours.close()
    assert [body if body is Closed else body[1] for body in ends.hear()] == [0, 1, 2, Closed]
    assert list(ends.theirs.receive(select.POLLHUP)) == []  # told once


def test_who_speaks_to_a_dead_peer_is_not_hurt(ends: Ends) -> None:
    """design 3: send never raises: a dead peer is told by Closed."""
    ends.theirs.close()
    ends.ours.send(("hello",))
    ends.ours.send(("hello",))
    assert ends.ours.backlog() == 0
    ends.ours.close()
    ends.ours.close()
    ends.ours.send(("hello",))


@pytest.mark.parametrize(
    "data",
    [
        HEADER.pack(5) + b"HTTP/",
        HEADER.pack(LARGEST_FRAME + 1),
        b"GET / HTTP/1.1\r\n\r\n",
        HEADER.pack(0),
        *(HEADER.pack(len(data)) + data for data in (marshal.dumps(each) for each in (5, None, (), "hello", [1]))),
    ],
)
def test_what_is_not_one_of_us_is_not_trusted(ends: Ends, data: bytes) -> None:
    """design 2: a stranger on the socket ends its own link, and nothing else."""
    ends.ours.send(("before",))
    os.write(ends.ours.fileno(), data)
    ends.ours.send(("behind",))
    # Its owner is told, who lets go of it: a number that is closed before would soon be somebody else's.
    assert ends.hear() == [("before",), Closed]
    assert not ends.theirs.closed
    assert ends.theirs.fileno() == -1  # nothing more is waited for


def test_a_descriptor_that_was_reused_by_the_application_is_left_alone(ends: Ends, tmp_path: Any) -> None:
    """design 7: a daemonising application closes our descriptors and reuses their numbers: not ours to close."""
    fd = ends.ours.fileno()
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.dup2(file, fd)
    assert not ends.ours.is_ours()
    ends.ours.send(("secret",))
    assert os.fstat(file).st_size == 0
    assert [type(event) for event in ends.ours.receive(select.POLLIN)] == [Closed]
    ends.ours.close()
    assert os.fstat(fd).st_ino == os.fstat(file).st_ino
    os.close(fd)
    os.close(file)


class Interrupting:
    """A socket during whose `send` a signal handler comes, as Python runs it: in the same thread."""

    def __init__(self, channel: SocketChannel, handler: Any) -> None:
        self.socket = channel._socket
        self.handler = handler

    def send(self, data: Any) -> int:
        sent = self.socket.send(bytes(data))
        handler, self.handler = self.handler, lambda: None
        handler()
        return sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self.socket, name)


@pytest.mark.parametrize("patient", [False, True])
def test_a_signal_handler_may_speak_in_the_middle_of_a_message(ends: Ends, patient: bool) -> None:
    """contract 6: applications handle signals themselves: a task called there neither hangs nor tears a message."""
    ends.ours._patient = patient
    ends.ours._socket = Interrupting(ends.ours, lambda: ends.ours.send(("from the handler",)))  # type: ignore[assignment]
    ends.ours.send(("from the application", 1))
    assert ends.hear() == [("from the application", 1), ("from the handler",)]


class Alarm:
    """A signal handler that raises: behind one of the calls that a function makes, which is where Python looks."""

    def __init__(self, function: Any, number: int) -> None:
        self.code = function.__code__
        self.names = {each.offset: each.opname for each in dis.get_instructions(function)}
        self.left = number  # of calls before it comes
        self.previous = ""

    def trace(self, frame: Any, event: str, argument: object) -> Any:
        if frame.f_code is not self.code:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            previous, self.previous = self.previous, self.names.get(frame.f_lasti, "")
            # A call that fails goes straight to who handles that.
            if previous.startswith("CALL") and self.previous != "PUSH_EXC_INFO":
                self.left -= 1
                if self.left == -1:
                    raise KeyboardInterrupt
        return self.trace

    def during(self, function: Any, *arguments: Any) -> bool:
        """Whether it has come."""
        tracer = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # Python 3.12 asks for opcodes only if a frame wanted them before
        sys.settrace(self.trace)
        try:
            function(*arguments)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(tracer)
        assert sys.exc_info() == (None, None, None)
        return False


def test_a_signal_handler_that_breaks_off_a_message(ends: Ends) -> None:
    """contract 6: applications raise in signal handlers: what was sent in part is sent on, not again."""
    for number in count():
        comes = Alarm(SocketChannel._flush, number).during(ends.ours.send, ("long", b"x" * 500_000))
        ends.ours.send(("after",))
        assert ends.hear() == [("long", b"x" * 500_000), ("after",)]
        if not comes:
            break
    assert number > 2


def test_a_signal_handler_that_breaks_off_a_hearing(ends: Ends) -> None:
    """contract 6: as above: no part of a message is missing, or all of it."""
    for number in count():
        ends.ours.send(("long", b"x" * 100_000))
        comes = Alarm(SocketChannel.receive, number).during(list, ends.theirs.receive(select.POLLIN))
        ends.ours.send(("after",))
        assert ends.hear() in ([("long", b"x" * 100_000), ("after",)], [("after",)])
        if not comes:
            break
    assert number > 5


def test_many_threads_may_speak_at_once(ends: Ends) -> None:
    """design 2: the worker's two threads share the channel: no message is torn."""

    def speak(name: int) -> None:
        for number in range(50):
            ends.ours.send((name, number, b"x" * 1000))

    threads = [threading.Thread(target=speak, args=(name,)) for name in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    heard = ends.hear()
    assert len(heard) == 200
    for name in range(4):
        assert [body[1] for body in heard if body[0] == name] == list(range(50))
