"""autocron.system.slots: which worker has begun which job, in a file that survives them all."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from autocron.system.slots import FLAG, SLOT, Slot, Slots

JOB, OTHER = bytes(range(16)), bytes(range(16, 32))


def monitor(directory: Path, pid: int = 7) -> Slots:
    slots = Slots(directory)
    slots.reset(pid, 99, "boot")
    return slots


def worker_of(slots: Slots, number: int) -> Slot:
    return Slot(os.dup(slots.fd), number)


def test_what_a_worker_has_begun_is_known(tmp_path: Path) -> None:
    """design 2: which job has begun is known without a message per job."""
    slots = monitor(tmp_path)
    number = slots.take()
    worker = worker_of(slots, number)
    assert slots.begun(number) is None
    worker.begin(JOB)
    assert slots.begun(number) == JOB
    worker.begin(OTHER)
    assert slots.begun(number) == OTHER
    worker.begin(None)
    assert slots.begun(number) is None


def test_each_worker_has_its_own_slot_and_freed_ones_are_used_again(tmp_path: Path) -> None:
    """design 2: a slot per worker: the file does not grow with each one that dies."""
    slots = monitor(tmp_path)
    assert [slots.take() for _ in range(3)] == [1, 2, 3]
    worker_of(slots, 2).begin(JOB)
    slots.free(2)
    assert slots.take() == 2
    assert slots.begun(2) is None  # nothing of its predecessor
    assert slots.take() == 4
    assert (tmp_path / "slots").stat().st_size == 5 * SLOT


def test_a_successor_learns_who_was_before_and_what_had_begun(tmp_path: Path) -> None:
    """design 2: it survives the monitor; a successor makes sure of its workers before it runs again what they began."""
    slots = monitor(tmp_path)
    for job in (JOB, None, OTHER):
        worker_of(slots, slots.take()).begin(job)
    successor = Slots(tmp_path)
    assert successor.previous()[:2] == (7, 99)
    assert successor.previous()[2] == "boot"
    assert successor.previous()[3] == [JOB, OTHER]
    successor.reset(8, 100, "boot")
    assert Slots(tmp_path).previous()[0] == 8
    assert Slots(tmp_path).previous()[3] == []


def test_the_first_monitor_has_no_predecessor(tmp_path: Path) -> None:
    """contract 6: after any crash the next start simply works: a file that was cut short says nothing."""
    assert Slots(tmp_path).previous() == (0, 0, "", [])
    (tmp_path / "slots").write_bytes(b"x" * (SLOT - 1))
    assert Slots(tmp_path).previous() == (0, 0, "", [])


def test_a_job_half_noted_has_not_begun(tmp_path: Path) -> None:
    """design 2: behind a flag that is set last and cleared first: a worker killed while it writes blames no job."""
    slots = monitor(tmp_path)
    number = slots.take()
    with (tmp_path / "slots").open("r+b") as file:
        file.seek(number * SLOT)
        file.write(struct.pack("16sB", JOB, 0))
    assert FLAG == 16
    assert slots.begun(number) is None
    assert Slots(tmp_path).previous()[3] == []


def test_the_file_is_only_ours(tmp_path: Path) -> None:
    """design 2: modes 0600."""
    monitor(tmp_path)
    assert (tmp_path / "slots").stat().st_mode & 0o777 == 0o600
