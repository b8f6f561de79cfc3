"""autocron.system.tree: what /proc tells about processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocron.system import tree
from autocron.system.tree import Process

LINE = "{pid} ({name}) {state} {parent} 5 {session} 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 {started} 1000 100 1844674"


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc of one's own."""
    monkeypatch.setattr(tree, "PROC", tmp_path)
    return tmp_path


def add(proc: Path, pid: int, name: str = "python", state: str = "S", parent: int = 1, session: int = 1) -> None:
    (proc / str(pid)).mkdir()
    line = LINE.format(pid=pid, name=name, state=state, parent=parent, session=session, started=1000 + pid)
    (proc / str(pid) / "stat").write_text(line)


@pytest.mark.parametrize("name", ["python", "my app", "a) S 1 2 3 (b", "((", "", "x\ny"])
def test_a_process_is_read_whatever_its_name(proc: Path, name: str) -> None:
    """design 7: an identity that does not mistake a reused pid: pid and start time; a name may contain anything."""
    add(proc, 42, name, "R", parent=7, session=40)
    assert tree.process(42) == Process(42, "R", 7, 40, 1042)


def test_one_that_is_gone_is_none(proc: Path) -> None:
    """design 7: between the listing and the look it may have ended."""
    assert tree.process(42) is None
    add(proc, 1)
    (proc / "2").mkdir()
    (proc / "self").mkdir()
    (proc / "meminfo").write_text("")
    assert [each.pid for each in tree.processes()] == [1]


def test_zombies_are_seen(proc: Path) -> None:
    """design 7: `kill(pid, 0)` is true for zombies; the state tells."""
    add(proc, 3, state="Z")
    assert [each.state for each in tree.processes()] == ["Z"]


def test_without_proc_there_is_nothing(proc: Path) -> None:
    """design 2: elsewhere than on Linux."""
    proc.rmdir()
    assert list(tree.processes()) == []
    assert tree.boot_id() == ""


def test_the_boot_is_told(proc: Path) -> None:
    """design 7: a pid and a start time are those of one boot."""
    (proc / "sys/kernel/random").mkdir(parents=True)
    (proc / "sys/kernel/random/boot_id").write_text("abc-def\n")
    assert tree.boot_id() == "abc-def"
