"""A process killed in the middle of whatever a store does: each call is there as a whole, or not at all."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from autocron.interface import Store
from autocron.job import Job, Status
from autocron.stores import open_store
from autocron.testing import ModelStore
from autocron.testing.sequences import OBSERVATIONS, Call, Tape

pytestmark = pytest.mark.timeout(300)  # each case is a process of its own

CHILD = str(Path(__file__).with_name("store_child.py"))
STEPS = 60
AT_THE_END = 1 << 30


def child(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, CHILD, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def seen(store: Store) -> list[Any]:
    """All that can be seen of a store."""
    return [each.on(store) for each in OBSERVATIONS]


def after(calls: Sequence[Call]) -> list[Any]:
    """What can be seen of the model after these calls."""
    model = ModelStore()
    for call in calls:
        call.on(model)
    return seen(model)


def check(path: Path, calls: Sequence[Call], acknowledged: int, how: str) -> None:
    """What was acknowledged is there; the call that was being made is there as a whole or not at all."""
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], how
    db.close()
    store = open_store(str(path), create=False)
    found = seen(store)
    store.close()
    before, behind = after(calls[:acknowledged]), after(calls[: acknowledged + 1])
    assert found in (before, behind), f"{how}, in {calls[acknowledged]}"


def cases(first: int) -> Iterator[tuple[int, random.Random]]:
    """Ten seeds, each with a source of chance."""
    return ((seed, random.Random(seed)) for seed in range(first, first + 10))


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_a_kill_within_a_call_leaves_it_whole_or_undone(tmp_path: Path, first: int) -> None:
    """testing 3.9: kill in the middle of each method, here at any instruction of SQLite's machine, and reopen."""
    killed = 0
    for seed, chance in cases(first):
        calls = Tape(seed).calls(STEPS)
        target, instructions = chance.randrange(STEPS), int(2 ** chance.uniform(0, 7))
        path = tmp_path / f"{seed}.db"
        process = child("sequence", path, seed, STEPS, target, instructions)
        said, _ = process.communicate()
        acknowledged = len(said.splitlines())
        if process.returncode:
            killed += 1
            assert (process.returncode, acknowledged) == (-9, target)
            check(path, calls, acknowledged, f"seed {seed}: killed at instruction {instructions} of call {target}")
    assert killed


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_a_kill_at_any_moment_leaves_each_call_whole_or_undone(tmp_path: Path, first: int) -> None:
    """testing 3.9: the same from outside, which also hits what SQLite does with the file."""
    for seed, chance in cases(first):
        calls = Tape(seed).calls(STEPS * 5)
        path = tmp_path / f"{seed}.db"
        process = child("sequence", path, seed, STEPS * 5, -1, AT_THE_END)
        assert process.stdout is not None
        assert process.stdin is not None
        heard = [process.stdout.readline() for _ in range(chance.randrange(1, STEPS * 4))]
        process.kill()
        heard += process.stdout.readlines()
        process.stdin.close()
        process.stdout.close()
        process.wait()
        acknowledged = len(heard)
        assert heard == [f"{number}\n" for number in range(acknowledged)]
        if acknowledged < len(calls):
            check(path, calls, acknowledged, f"seed {seed}: killed from outside after call {acknowledged - 1}")


def test_several_processes_claim_each_job_once(tmp_path: Path) -> None:
    """testing 3.9: four processes on one file; no job is lost, and none is claimed twice."""
    path = tmp_path / "app.db"
    store = open_store(str(path))
    store.add(
        [Job(number.to_bytes(16, "big"), "app:task", bytes(100), 1.0, number % 3) for number in range(1000)], token=0
    )
    processes = [child("claims", path, token) for token in (1, 2, 3, 4)]
    for each in processes:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    claimed = [line for each in processes for line in each.communicate()[0].splitlines()]
    assert [each.returncode for each in processes] == [0, 0, 0, 0]
    assert sorted(claimed) == [number.to_bytes(16, "big").hex() for number in range(1000)]
    assert store.counts() == {Status.READY: 1000}
    store.close()
    assert os.listdir(tmp_path) == ["app.db"]
