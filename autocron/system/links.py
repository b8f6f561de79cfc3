"""The link between applications and the monitor: a socket in the private directory, owned with its lock."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..interface import Connected, Event
from . import tree
from .address import acquire, directory_of, remove_directory, socket_path
from .channels import SocketChannel
from .clock import SystemClock

logger = logging.getLogger("autocron.system")

REST_S: Final = 1.0  # before it is looked again whether descriptors are left
NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
CONNECT_WITHIN: Final = struct.pack("@ll", 1, 0)  # seconds and microseconds


def _peer(sock: socket.socket) -> tuple[int, int]:
    """Process and user id at the other end; 0 for a process in another pid namespace."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0, os.geteuid()
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", data)
    return pid, uid


def channel_to(sock: socket.socket) -> SocketChannel | None:
    """A channel whose end the kernel tells, whatever the peer's descriptors do; None for another user's process."""
    pid, uid = _peer(sock)
    if uid not in (os.geteuid(), 0):
        sock.close()
        return None
    pidfd = -1
    kin = pid > 0 and tree.descends(pid, os.getpid())
    if pid > 0 and pid != os.getpid() and hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(pid)
    return SocketChannel(sock, pid, pidfd=pidfd, kin=kin)


class SocketListener:
    """See `autocron.interface.Listener`."""

    def __init__(self, address: str, lock_fd: int) -> None:
        self._address = address
        self._lock_fd = lock_fd
        self.directory: Path = directory_of(address)
        self._socket = self._bound()
        from .descriptors import are_left, raise_limit  # noqa: PLC0415 - only a monitor listens
        from .linux import Timer  # noqa: PLC0415

        raise_limit()
        self._is_room_left = are_left
        self._rest = Timer()
        self._is_full = False  # nobody is linked until the rest is over
        self._is_told = False

    @classmethod
    def open(cls, address: str) -> SocketListener | None:
        """Take the lock and listen; None if another monitor holds the lock."""
        fd = acquire(address, "lock")
        return None if fd is None else cls(address, fd)

    def fileno(self) -> int:
        # Who waits for a link stays readable: to look again at once would be to look for ever.
        return self._rest.fileno() if self._is_full else self._socket.fileno()

    def interest(self) -> int:
        return select.POLLIN

    def receive(self, mask: int) -> Iterator[Event]:
        if self._is_full:  # we have rested; who waits for a link still does
            self._rest.clear()
            self._is_full = False
            return
        if not self._is_room_left():
            self._take_a_rest("the last descriptors are for other things")
        while not self._is_full and self._is_room_left():
            try:
                sock, _ = self._socket.accept()
            except BlockingIOError:
                self._is_told = False  # everybody is linked
                return
            except OSError as error:
                if error.errno in NO_ROOM:
                    self._take_a_rest(str(error))
                return
            channel = channel_to(sock)
            if channel is not None:
                yield Connected(channel)

    def _take_a_rest(self, reason: str) -> None:
        self._is_full = self._rest.set(SystemClock.time() + REST_S)
        if not self._is_told:
            self._is_told = True
            logger.error("%s: no further process can be linked (%s); trying again", self._address, reason)

    def _bound(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            (self.directory / "link").unlink(missing_ok=True)
            with socket_path(self.directory) as path:
                made.bind(path)
            made.listen(128)
        except BaseException:
            made.close()
            raise
        return made

    def is_owner(self) -> bool:
        """Whether the lock that we hold is still the one that others would have to take."""
        try:
            found = os.stat(self.directory / "lock")
        except FileNotFoundError:
            return False
        except OSError:  # it cannot be said
            return True
        return os.path.samestat(found, os.fstat(self._lock_fd))

    def stay_reachable(self) -> None:
        """The socket has a name, also if somebody has removed it; while the lock is ours, nobody else takes it."""
        if not (self.directory / "link").exists():
            with contextlib.suppress(OSError):  # it is tried again
                former, self._socket = self._socket, self._bound()
                former.close()

    def close(self) -> None:
        if self._lock_fd < 0:
            return
        self._rest.close()
        self._socket.close()
        if self.is_owner():
            remove_directory(self._address)
        os.close(self._lock_fd)
        self._lock_fd = -1


def connect(address: str) -> SocketChannel | None:
    """See `autocron.interface.Spawner.connect`."""
    directory = directory_of(address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A stopped monitor takes no links, and the kernel keeps only so many for it: connecting would then wait for ever.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, CONNECT_WITHIN)
    try:
        with socket_path(directory) as path:
            sock.connect(path)
    except BlockingIOError:
        sock.close()
        raise TimeoutError(f"the monitor of {address} takes no more links; is it stopped?") from None
    except OSError:
        sock.close()
        return None
    return SocketChannel(sock, _peer(sock)[0])


def peer_channel(sock: socket.socket) -> SocketChannel:
    """The channel to the application that has started this monitor."""
    channel = channel_to(sock)
    if channel is None:
        raise PermissionError("the socket handed to this monitor belongs to another user")
    return channel
