"""autocron.system.tree: what /proc tells about processes."""

from __future__ import annotations

import errno
import os
import shutil
import signal
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
    """A process that has begun at 1000 + pid."""
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
    """design 7: a pid and a start time are those of one boot; of a container too, where pids begin at 1 again."""
    (proc / "sys/kernel/random").mkdir(parents=True)
    (proc / "sys/kernel/random/boot_id").write_text("abc-def\n")
    assert tree.boot_id() == "abc-def/0"  # init is not shown to everybody
    add(proc, 1)
    assert tree.boot_id() == "abc-def/1001"


def test_who_descends_from_a_process_is_found_in_whatever_session(proc: Path) -> None:
    """design 2: what a task has started belongs to the monitor's tree, in a session of its own too."""
    add(proc, 10)
    add(proc, 20, parent=10, session=10)
    add(proc, 30, parent=20, session=30)
    add(proc, 40, parent=1)
    assert tree.descends(30, 10)
    assert tree.descends(20, 10)
    assert not tree.descends(40, 10)
    assert not tree.descends(10, 30)
    assert not tree.descends(99, 10)
    assert not tree.descends(0, 10)


def test_a_parent_that_ends_in_the_middle_of_the_look_hides_no_descendant(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design 7: the reaper of orphans is the next subreaper above, here the monitor."""
    add(proc, 10)
    add(proc, 30, parent=20, session=30)
    look = tree.process

    def dying(pid: int) -> Process | None:
        if pid == 20:  # it has ended after its child was looked at
            shutil.rmtree(proc / "30")
            add(proc, 30, parent=10, session=30)
        return look(pid)

    monkeypatch.setattr(tree, "process", dying)
    assert tree.descends(30, 10)


def test_what_may_not_be_killed_is_not_waited_for(
    proc: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """design 1.4: nothing outlives the application; but what has become another user's must not keep the lock."""
    own = os.getpid()
    killed, reaped = [], []

    def kill(pid: int, number: int) -> None:
        assert number == signal.SIGKILL
        if pid == 20:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        killed.append(pid)

    def waitpid(pid: int, options: int) -> tuple[int, int]:
        assert pid in killed, "it would be waited for until it ends by itself"
        reaped.append(pid)
        shutil.rmtree(proc / str(pid))
        if pid == 30:  # what it leaves behind comes to us
            shutil.rmtree(proc / "31")
            add(proc, 31, parent=own, session=30)
        return pid, 9

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(os, "waitpid", waitpid)
    add(proc, own, session=own)
    for pid, parent, state in ((10, own, "S"), (20, own, "S"), (30, own, "Z"), (31, 30, "S"), (40, 1, "S")):
        add(proc, pid, state=state, parent=parent, session=pid)
    add(proc, 21, state="Z", parent=20, session=own)  # only its parent can bury it
    tree.end_descendants()
    assert sorted(reaped) == [10, 30, 31]
    assert caplog.text.count("process 20, which a task has left, belongs to another user") == 1


def test_burying_ends_with_what_may_become_our_child(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Design 7: as PID 1 we reap whom a dead monitor leaves to us; another's zombie is not looked for at each event."""
    own = os.getpid()
    add(proc, 50, state="Z", parent=1, session=50)  # the monitor, whose parent does not reap
    add(proc, 51, state="Z", parent=own, session=50)
    add(proc, 52, state="S", parent=own, session=50)  # about to be killed
    add(proc, 60, state="S", parent=own, session=60)
    reaped = []
    monkeypatch.setattr(os, "waitpid", lambda pid, options: (reaped.append(pid), (pid, 0))[1])
    assert tree.bury(50)
    assert reaped == [51]
    (proc / "51" / "stat").unlink()
    (proc / "52" / "stat").unlink()
    assert not tree.bury(50)
    assert tree.bury(60)
