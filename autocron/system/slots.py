"""Which worker has begun which job: a small mapped file that survives workers and monitor.

It says without a message per job what a dead process was doing. A header names the monitor, then comes a slot per
worker: the job begun, behind a flag that is set last and cleared first.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Final

HEADER: Final = struct.Struct("<qq48s")  # pid and start time of the monitor, id of this boot
SLOT: Final = 64
FLAG: Final = 16
EMPTY: Final = bytes(SLOT)


class Slots:
    """The monitor's view of the file."""

    def __init__(self, directory: Path) -> None:
        self.fd = os.open(directory / "slots", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._used: set[int] = set()

    def previous(self) -> tuple[int, int, str, list[bytes]]:
        """Pid, start time and boot of the monitor that wrote here before (0: none), and the jobs begun under it."""
        data = os.pread(self.fd, os.fstat(self.fd).st_size, 0)
        if len(data) < SLOT:
            return 0, 0, "", []
        pid, started, boot = HEADER.unpack_from(data)
        slots = (data[start : start + SLOT] for start in range(SLOT, len(data), SLOT))
        return (
            pid,
            started,
            boot.rstrip(b"\0").decode(errors="replace"),
            [slot[:16] for slot in slots if slot[FLAG : FLAG + 1] == b"\1"],
        )

    def reset(self, pid: int, started: int, boot: str) -> None:
        """Begin anew for this monitor."""
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, HEADER.pack(pid, started, boot.encode()).ljust(SLOT, b"\0"), 0)

    def take(self) -> int:
        """A free slot."""
        number = next(n for n in range(1, len(self._used) + 2) if n not in self._used)
        os.pwrite(self.fd, EMPTY, number * SLOT)
        self._used.add(number)
        return number

    def free(self, number: int) -> None:
        """The worker of this slot is gone, and what it had begun is known."""
        self._used.discard(number)
        os.pwrite(self.fd, EMPTY, number * SLOT)

    def begun(self, number: int) -> bytes | None:
        """The job that the worker of this slot has begun and not ended."""
        slot = os.pread(self.fd, SLOT, number * SLOT)
        return slot[:16] if slot[FLAG : FLAG + 1] == b"\1" else None


class Slot:
    """A worker's own slot."""

    def __init__(self, fd: int, number: int) -> None:
        # The monitor's own descriptor: the file of this name may be gone, or be another monitor's.
        try:
            self._map = mmap.mmap(fd, (number + 1) * SLOT)
        finally:
            os.close(fd)
        self._at = number * SLOT

    def begin(self, job: bytes | None) -> None:
        """Note the job that is begun; None: it has ended."""
        at = self._at
        self._map[at + FLAG] = 0
        if job is not None:
            self._map[at : at + 16] = job
            self._map[at + FLAG] = 1
