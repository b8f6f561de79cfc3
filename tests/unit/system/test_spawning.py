"""autocron.system.processes: what a worker that cannot be started leaves behind: nothing."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from autocron.system.processes import MonitorProcesses
from autocron.system.slots import Slots
from autocron.system.tree import PROC

SPEC: dict[str, Any] = {"executable": "/nowhere/python", "flags": [], "directory": "/"}


@pytest.fixture
def monitor(tmp_path: Path) -> MonitorProcesses:
    """One that has taken no signals of this process."""
    made = object.__new__(MonitorProcesses)
    made._slots = Slots(tmp_path)
    made._workers = {}
    return made


def descriptors() -> list[str]:
    return os.listdir(PROC / "self/fd")


def spawn(monitor: MonitorProcesses, spec: dict[str, Any], expected: type[Exception]) -> None:
    before = len(descriptors())
    with pytest.raises(expected):
        monitor.spawn("worker", "app.db", spec)
    assert monitor._slots is not None
    assert monitor._slots._used == set()
    assert len(descriptors()) == before


def test_without_descriptors_no_slot_is_taken(monitor: MonitorProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 6: it is tried again and again."""

    def exhausted(*args: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socketpair", exhausted)
    spawn(monitor, SPEC, OSError)


def test_a_slot_that_cannot_be_written_costs_no_descriptor(
    monitor: MonitorProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """contract 6: the disk is full."""

    def full(*args: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    spawn(monitor, SPEC, OSError)


@pytest.mark.parametrize(
    ("spec", "expected"), [(SPEC, OSError), ({**SPEC, "executable": None}, TypeError), ({"directory": "/"}, KeyError)]
)
def test_an_interpreter_that_cannot_be_started_costs_nothing(
    monitor: MonitorProcesses, spec: dict[str, Any], expected: type[Exception]
) -> None:
    """contract 6: it is not there any more, or was never told."""
    spawn(monitor, spec, expected)
