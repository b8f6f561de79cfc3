"""Channels over stream sockets: frames of a length and a marshalled tuple.

`marshal` builds only plain values, so bytes from a peer cannot run code here, and it is the fastest codec there is.
Format 2 is the same in all versions of Python 3.

An application's signal handler may raise behind any call. What a socket has taken or given must be noted by then, or
the rest of the stream is garbage. So both are one call: of `any`, under which no line of Python runs.
"""

from __future__ import annotations

import contextlib
import logging
import marshal
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any, Final

from ..interface import Body, Closed, Event, Message

logger = logging.getLogger("autocron.system")

FORMAT: Final = 2
HEADER: Final = struct.Struct("!I")
CHUNK: Final = 1 << 16
LARGEST_FRAME: Final = 1 << 30


def identity(fd: int) -> tuple[int, int] | None:
    """What a descriptor stands for; None if it is closed. Applications close and reuse numbers that are ours."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class SocketChannel:
    """See `autocron.interface.Channel`."""

    def __init__(
        self, sock: socket.socket, pid: int, *, pidfd: int = -1, kin: bool = False, patient: bool = False
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._fd = sock.fileno()
        self._identity = identity(self._fd)
        self._patient = patient  # a worker's threads wait until the monitor takes what they send; it never waits
        self._sending = threading.RLock()  # a signal handler may come in the middle, and register a job
        self._is_flushing = False
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self.pidfd = pidfd  # ends the link where a C-level fork keeps a copy of the socket
        self.pid = pid
        self.kin = kin
        self.closed = False
        self.is_mute = False  # something was to be sent into a descriptor that is not ours any more
        self._is_garbled = False  # the peer is not one of us: nothing more that it says can be trusted
        self._ended = False  # and its owner has been told

    def fileno(self) -> int:
        return -1 if self._ended else self._fd

    def interest(self) -> int:
        return select.POLLIN | (select.POLLOUT if self._outgoing else 0)

    def is_ours(self) -> bool:
        """Whether the descriptor is still the socket we opened."""
        return not self.closed and identity(self._fd) == self._identity

    def send(self, body: Body) -> None:
        if not self.is_ours():
            self.is_mute = True
            return
        data = marshal.dumps(body, FORMAT)
        with self._sending:
            self._outgoing += HEADER.pack(len(data)) + data
            if self._is_flushing:
                return  # by this very thread, further down the stack: this goes with the rest
            self._flush()
            while self._patient and self._outgoing and self.is_ours():
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                poll.poll()
                self._flush()

    def backlog(self) -> int:
        # What was sent into a descriptor that is not ours any more is never taken, and somebody must hear of it.
        return len(self._outgoing) or int(not self.is_ours())

    def flush(self) -> None:
        """Send what the peer takes of what is left."""
        with self._sending:
            self._flush()

    def _flush(self) -> None:
        self._is_flushing = True
        try:
            while self._outgoing:
                # In one call, del self._outgoing[:send(self._outgoing)]: see above.
                any(map(self._outgoing.__delitem__, map(slice, map(self._socket.send, (self._outgoing,)))))
        except BlockingIOError:
            return
        except OSError:  # the peer is gone: `wait` tells
            self._outgoing.clear()
        finally:
            self._is_flushing = False

    def receive(self, mask: int, *, rest: bool = False) -> Iterator[Event]:
        """The messages that have come; `rest`: read on until nothing more is there."""
        if self._ended:
            return
        if mask & select.POLLOUT:
            self.flush()
        ended = bool(mask & select.POLLNVAL) or not self.is_ours()
        while not ended and mask & (select.POLLIN | select.POLLHUP | select.POLLERR):
            before = len(self._incoming)
            try:
                any(map(self._incoming.extend, map(self._socket.recv, (CHUNK,))))
            except BlockingIOError:
                break
            except OSError:
                ended = True
                break
            heard = len(self._incoming) - before
            if not heard:
                ended = True
                break
            if not rest and not mask & select.POLLHUP and heard < CHUNK:
                break
            if not rest and len(self._incoming) > 16 * CHUNK and self._whole_frame():
                break  # others want to be heard too
        for body in self._frames():
            yield Message(self, body)
        if ended or self._is_garbled:
            self._ended = True
            yield Closed(self)

    def disowned(self) -> Iterator[Event]:
        """The descriptor is not ours any more: the link has ended."""
        return self.receive(select.POLLNVAL)

    def _whole_frame(self) -> bool:
        (length,) = HEADER.unpack_from(self._incoming)
        return len(self._incoming) - HEADER.size >= int(length)

    def _frames(self) -> Iterator[Body]:
        buffer, position = self._incoming, 0
        bodies: list[Any] = []
        try:
            while len(buffer) - position >= HEADER.size:
                (length,) = HEADER.unpack_from(buffer, position)
                if length > LARGEST_FRAME:
                    raise ValueError(length)
                end = position + HEADER.size + length
                if end > len(buffer):
                    break
                body = marshal.loads(memoryview(buffer)[position + HEADER.size : end])
                if type(body) is not tuple or not body:
                    raise TypeError(body)
                bodies.append(body)
                position = end
        except (ValueError, EOFError, TypeError):
            logger.error("process %d has sent what is no message; its link is ended", self.pid)
            self._is_garbled = True
        del buffer[:position]
        return iter(bodies)

    def close(self) -> None:
        if self.closed:
            return
        ours = self.is_ours()
        self.closed = True
        if ours:
            self._socket.close()
        else:
            self._socket.detach()  # the number belongs to somebody else now
        if self.pidfd >= 0:
            with contextlib.suppress(OSError):
                os.close(self.pidfd)
            self.pidfd = -1
