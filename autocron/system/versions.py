"""Which versions of its files the code in this process was loaded from.

A change is any other file than the one that was loaded: times alone do not tell, because deployments keep the times of
files, and a symbolic link may lead to another release.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

Version = tuple[int, int, int, int] | None  # None: there is no such file


class Versions:
    """The files of all modules, as they were when they were first seen."""

    def __init__(self, started: float) -> None:
        self._started = started  # UTC epoch seconds; what is younger than that may have changed before we saw it
        self._noted: dict[str, Version] = {}
        self._is_uncertain = False  # a file was so young
        self._modules = 0

    def note(self) -> None:
        """Modules have been loaded."""
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            for file in _files():
                if file not in self._noted:
                    self._noted[file] = version = _version(file)
                    # One from the future says nothing about when it was written.
                    if version is not None and self._started * 1e9 < version[3] <= time.time_ns():
                        self._is_uncertain = True

    def have_changed(self) -> bool:
        """Whether any of these files is another one now."""
        self.note()
        return self._is_uncertain or any(_version(file) != noted for file, noted in self._noted.items())


def _files() -> Iterator[str]:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            yield getattr(getattr(module, "__loader__", None), "archive", file)  # modules of a zip file have no files


def _version(file: str) -> Version:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
