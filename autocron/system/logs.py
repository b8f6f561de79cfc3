"""What the monitor and the workers log: messages on the stderr that they share with the application.

It may be a pipe that nobody reads, which is full at 64 KB. A monitor that waited there would outlive the application
and keep the database, and a worker would keep its outcome. So a message that would have to wait is left out, and the
next one that goes through says how many are missing. O_NONBLOCK is no way: it would be the application's too.
"""

from __future__ import annotations

import logging
import os
import select
from typing import Final

STDERR: Final = 2
PIECE: Final = select.PIPE_BUF  # what a pipe takes at once if it takes anything


def set_up_logging(level: int) -> None:
    """One line per event, to stderr."""
    logger = logging.getLogger("autocron")
    logger.setLevel(level)
    if logger.handlers:
        return
    handler = ImpatientHandler(STDERR)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s"))
    logger.addHandler(handler)
    logger.propagate = False


class ImpatientHandler(logging.Handler):
    """Writes to a descriptor what that takes without waiting."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._missing = 0
        self._is_torn = False  # the last line has no end

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message, and before it how many are missing."""
        try:
            if self._missing and self._write(self.format(_note(self._missing))):
                self._missing = 0
            if self._missing or not self._write(self.format(record)):
                self._missing += 1
        except Exception:
            self.handleError(record)

    def _write(self, text: str) -> bool:
        """Whether all of it was taken."""
        data = b"\n" * self._is_torn + text.encode(errors="backslashreplace") + b"\n"
        for start in range(0, len(data), PIECE):
            if not self._take(data[start : start + PIECE]):
                return False
            self._is_torn = start + PIECE < len(data)
        return True

    def _take(self, piece: bytes) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        try:
            return any(mask & select.POLLOUT for _, mask in poll.poll(0)) and os.write(self._fd, piece) == len(piece)
        except OSError:  # nobody can read it any more, or the application does not want to wait either
            return False


def _note(missing: int) -> logging.LogRecord:
    text = "%d messages are missing here, because nobody read what was written to stderr"
    return logging.LogRecord("autocron.system", logging.WARNING, __file__, 0, text, (missing,), None)
