"""`autocron doctor` beside real files and processes: each thing that can be wrong, and how it is to be mended."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Application, document, info_when, is_idle, run
from processes import eventually

from autocron import messages
from autocron.cli.checks import files, monitor
from autocron.job import Job, Outcome, Status
from autocron.payload import encode_call
from autocron.stores import open_store
from autocron.system import tree

Start = Callable[..., Application]


def pragma(database: Path, change: str) -> None:
    """Change the header of a database."""
    db = sqlite3.connect(database, isolation_level=None)
    db.execute(f"PRAGMA {change}")
    db.close()


def examine(database: Path | str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the worst finding of each check."""
    result = run("doctor", database, "--json")
    found = json.loads(result.stdout)
    order = ["ok", "note", "problem"]
    by_check: dict[str, dict[str, Any]] = {}
    for each in sorted(found["findings"], key=lambda each: order.index(each["state"])):
        by_check[each["check"]] = each
    assert found["problems"] == sum(each["state"] == "problem" for each in found["findings"])
    assert result.exit_code == (1 if found["problems"] else 0)
    assert all(each["remedy"] for each in found["findings"] if each["state"] != "ok")
    return result.exit_code, by_check


def test_nothing_is_wrong(database: Path, start: Start) -> None:
    """command line: a system that is well has no finding but ok."""
    start()
    info_when(database, lambda found: bool(found["cron_entries"]) and is_idle(found))
    code, found = examine(database)
    assert (code, {each["state"] for each in found.values()}) == (0, {"ok"}), found
    assert set(found) >= {"directory", "file", "log", "lock", "link", "applications", "workers", "imports", "clock"}
    assert "no problems, no notes" in run("doctor", database).stdout


def test_nothing_runs(database: Path) -> None:
    """command line: that no monitor runs is no problem, but worth a note."""
    code, found = examine(database)
    assert (code, found["link"]["state"], found["file"]["state"]) == (0, "note", "ok")
    assert os.listdir(database.parent) == ["app.db"]


def test_a_stopped_monitor(database: Path, start: Start) -> None:
    """command line: a monitor that is stopped by a signal is told with its pid, and is not waited for."""
    start()
    pid = info_when(database, is_idle)["monitor_pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: (found := tree.process(pid)) and found.state == "T")
        code, found = examine(database)
        assert (code, found["lock"]["remedy"]) == (1, f"kill -CONT {pid}")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert examine(database)[0] == 0


def test_a_stopped_worker(database: Path, start: Start) -> None:
    """command line: the same of a worker."""
    start()
    (worker,) = info_when(database, is_idle)["workers"]
    os.kill(worker["pid"], signal.SIGSTOP)
    try:
        eventually(lambda: (found := tree.process(worker["pid"])) and found.state == "T")
        code, found = examine(database)
        assert (code, found["workers"]["remedy"]) == (1, f"kill -CONT {worker['pid']}")
    finally:
        os.kill(worker["pid"], signal.SIGCONT)


def test_a_worker_that_does_not_come_to_an_end_with_loading(
    database: Path, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """command line: a module that serves, instead of being imported, holds its worker; that is not called running."""
    monkeypatch.setattr(monitor, "STARTING_S", 0.0)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (tmp_path / "serves.py").write_text(f"open({str(gate)!r}).read()")
    store = open_store(str(database))
    store.add([Job(b"a" * 16, "serves:task", encode_call((), {}), 0.0)], token=0)
    store.close()
    start()
    finding = eventually(
        lambda: (found := examine(database)[1]["workers"]) and "still loading" in found["found"] and found
    )
    assert finding["state"] == "problem"
    assert "serves:task" in finding["found"]
    assert "under `if __name__" in finding["remedy"]
    gate.write_text("")
    eventually(lambda: examine(database)[1]["workers"]["state"] == "ok")


def test_a_monitor_of_another_version(database: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """command line: it refuses, and says why at once, whatever is asked."""
    start()
    monkeypatch.setattr(messages, "PROTOCOL", messages.PROTOCOL + 1)
    code, found = examine(database)
    assert (code, found["file"]["state"]) == (1, "problem")
    assert "its monitor speaks protocol" in found["file"]["found"]
    assert "use the command of its environment" in found["file"]["remedy"]
    assert "link" not in found
    result = run("info", database)
    assert result.exit_code == 1
    assert "its monitor speaks protocol" in result.output


def test_a_monitor_that_cannot_be_reached(database: Path, start: Start) -> None:
    """command line: its socket was removed, its lock is held."""
    start()
    info_when(database, is_idle)
    link = Path(f"{database}-autocron") / "link"
    link.unlink()
    code, found = examine(database)
    assert (code, found["link"]["state"], found["lock"]["state"]) == (1, "problem", "ok")
    assert "cannot be spoken to" in found["link"]["found"]


def test_something_else_listens(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """command line: a monitor that accepts and never answers is a problem, after some patience."""
    monkeypatch.setattr("autocron.cli.database.ANSWER_S", 0.05)
    directory = Path(f"{database}-autocron")
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(directory / "link"))
        silent.listen()
        code, found = examine(database)
    assert (code, found["link"]["state"]) == (1, "problem")
    assert "does not answer" in found["link"]["found"]


def test_a_monitor_that_waits_for_its_disk(
    database: Path, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """command line: it does so with each job it stores; only if it does not answer is that a problem."""
    look = tree.process
    monkeypatch.setattr(tree, "process", lambda pid: (found := look(pid)) and found._replace(state="D"))
    start()
    info_when(database, is_idle)
    assert examine(database)[1]["lock"]["state"] == "ok"
    monkeypatch.setattr("autocron.cli.database.ANSWER_S", 0.05)
    other = tmp_path / "other.db"
    open_store(str(other)).close()
    directory = Path(f"{other}-autocron")
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as silent, (directory / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        silent.bind(str(directory / "link"))
        silent.listen()
        code, found = examine(other)
    assert (code, found["link"]["state"]) == (1, "problem")
    assert "waits for its disk" in found["link"]["remedy"]


@pytest.mark.parametrize(
    ("make", "reason", "remedy"),
    [
        (lambda path: path.write_text("text, " * 100), "not a SQLite database", "a file of its own"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged", "restore a backup"),
        (lambda path: path.unlink(), "does not exist", "autocron.start()"),
        (lambda path: path.write_bytes(b""), "the file is empty", "autocron.start()"),
        (lambda path: (path.unlink(), path.mkdir()), "it is a directory", "name of a file"),
        (lambda path: pragma(path, "user_version = 999"), "newer", "pip install"),
        (lambda path: pragma(path, "application_id = 1"), "another program", "own"),
    ],
    ids=["text", "cut", "none", "empty", "directory", "newer", "foreign"],
)
def test_files_that_cannot_be_used(make: Callable[[Path], object], reason: str, remedy: str, database: Path) -> None:
    """command line: what is wrong with the file, what to do, and the file is left as it is."""
    make(database)
    before = database.read_bytes() if database.is_file() else None
    code, found = examine(database)
    assert (code, found["file"]["state"]) == (1, "problem")
    assert reason in found["file"]["found"]
    assert remedy in found["file"]["remedy"]
    assert (database.read_bytes() if database.is_file() else None) == before
    assert database.exists() == (reason != "does not exist")


def test_a_damaged_page(database: Path) -> None:
    """command line: every page is looked at, so that damage is found before somebody stumbles over it."""
    store = open_store(str(database))
    store.add([Job(number.to_bytes(16, "big"), "app:task", b"x" * 500, 2e9) for number in range(200)], token=0)
    store.close()
    content = bytearray(database.read_bytes())
    content[-4096 * 3 : -4096 * 2] = b"\xff" * 4096
    database.write_bytes(content)
    code, found = examine(database)
    assert (code, found["file"]["state"]) == (1, "problem")
    assert "recover" in found["file"]["remedy"]


def test_who_may_read_and_write(database: Path) -> None:
    """command line: permissions that give away payloads, or forbid what is needed."""
    database.chmod(0o644)
    assert "others can read" in examine(database)[1]["file"]["found"]
    database.chmod(0o666)
    assert "not pickled" in examine(database)[1]["file"]["found"]
    database.chmod(0o400)
    assert "chmod u+w" in examine(database)[1]["file"]["remedy"]
    database.chmod(0o600)
    directory = Path(f"{database}-autocron")
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    code, found = examine(database)
    assert (code, found["private directory"]["remedy"]) == (1, f"chmod 700 {directory}")
    directory.rmdir()
    directory.write_text("in the way")
    assert "in the way" in examine(database)[1]["private directory"]["found"]


def test_a_database_of_another_user(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """command line: one user's applications share a database; it is said whose it is."""
    monkeypatch.setattr("autocron.cli.checks.files.os.geteuid", lambda: 65534)
    Path(f"{database}-autocron").mkdir(mode=0o700)
    code, found = examine(database)
    assert (code, found["file"]["state"], found["private directory"]["state"]) == (1, "problem", "problem")
    assert "run as " in found["file"]["remedy"]


def test_a_disk_that_is_nearly_full_or_remote(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """command line: what SQLite cannot live on."""
    monkeypatch.setattr(files, "LITTLE_SPACE", 1 << 62)
    assert examine(database)[1]["directory"]["remedy"] == "make space"
    monkeypatch.setattr(files, "file_system", lambda path: "nfs4")
    code, found = examine(database)
    assert (code, found["directory"]["state"]) == (1, "problem") or "network" in run("doctor", database).stdout
    assert "network file system (nfs4)" in run("doctor", database).stdout


def test_a_log_that_grows(database: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """command line: whoever has the database open is named."""
    start()
    info_when(database, is_idle)
    monkeypatch.setattr(files, "LONG_LOG", 0)
    found = examine(database)[1]["log"]
    assert found["state"] == "note"
    assert f"{document('info', database)['monitor_pid']} (autocron-mon)" in found["found"]


def test_switched_off_and_paused(database: Path) -> None:
    """command line: what somebody has switched off, and how to switch it on."""
    document("settings", database, "--disabled")
    assert "--enabled" in examine(database)[1]["settings"]["remedy"]
    document("settings", database, "--enabled", "--paused")
    assert examine(database)[1]["settings"]["remedy"] == f"autocron resume {database}"


def test_jobs_that_are_late_or_failed(database: Path) -> None:
    """command line: what waits too long, and what ended in error."""
    store = open_store(str(database))
    store.add([Job(b"1" * 16, "json:dumps", b"j[[],{}]", 1.0)], token=0)
    assert "has been due for" in examine(database)[1]["jobs"]["found"]
    store.add([Job(b"2" * 16, "json:dumps", b"j[[],{}]", 1.0)], token=7)
    store.settle([Outcome(b"2" * 16, Status.ERROR, b"", "no")], token=7, now=2e9, ttl_s=60)
    store.close()
    assert any("1 ended in error" in each["found"] for each in examine_all(database))


def test_applications_of_two_directories(database: Path, start: Start, tmp_path: Path) -> None:
    """command line: two projects on one database run each other's jobs, and do not find them."""
    start()
    (tmp_path / "other").mkdir()
    start(cwd=tmp_path / "other")
    found = examine(database)[1]["applications"]
    assert found["state"] == "note"
    assert f"in different directories: {Path.cwd()}, {tmp_path}/other; workers" in found["found"]
    assert "a database of its own" in found["remedy"]


def examine_all(database: Path) -> list[dict[str, Any]]:
    return list(json.loads(run("doctor", database, "--json").stdout)["findings"])


def test_tasks_that_are_gone(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """command line: a module, a function or a script that workers would not find; nothing is imported."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("raise SystemExit('imported')\n")
    (tmp_path / "shop" / "tasks.py").write_text("raise SystemExit('imported')\ndef here(): ...\n")
    (tmp_path / "shop" / "broken.py").write_text("def\n")
    monkeypatch.chdir(tmp_path)
    tasks = ["shop.tasks:here", "shop.tasks:gone", "shop.none:x", "nowhere:x", "shop.broken:x", f"{tmp_path}/no.py:x"]
    store = open_store(str(database))
    jobs = [Job(bytes([number]) * 16, task, b"j[[],{}]", 2e9) for number, task in enumerate(tasks)]
    store.add(jobs, token=0)
    store.close()
    found = examine(database)[1]["imports"]["found"]
    assert "shop.tasks:here" not in found
    for task, reason in zip(
        tasks[1:], ["there is no gone in", "no module shop.none", "no module nowhere", "syntax error", "not there"],
        strict=True,
    ):  # fmt: skip
        assert f"{task}: " in found
        assert reason in found.partition(f"{task}: ")[2].partition(";")[0]


def test_tasks_of_other_modules(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tasks: a function of another module becomes a task of this one; what is merely called does not."""
    (tmp_path / "tidying.py").write_text(
        "import autocron, mail\nfrom mail import send\nautocron.cron('@daily')(mail.clean)\n"
        "later = autocron.delay(send)\nautocron.delay(mail.Box.close)\nmail.gone()\n"
    )
    monkeypatch.chdir(tmp_path)
    names = ["clean", "mail.clean", "send", "later", "Box.close", "mail.Box.close", "gone", "mail.gone"]
    store = open_store(str(database))
    store.add([Job(bytes([n]) * 16, f"tidying:{name}", b"j[[],{}]", 2e9) for n, name in enumerate(names)], token=0)
    store.close()
    found = examine(database)[1]["imports"]["found"]
    assert re.findall(r"there is no (\S+) in", found) == ["gone", "mail.gone"]


def test_a_clock_that_was_set_back(database: Path) -> None:
    """command line: what was stored after now."""
    store = open_store(str(database))
    store.add([Job((2**43).to_bytes(6, "big") + b"x" * 10, "json:dumps", b"j[[],{}]", 2e9)], token=0)
    store.close()
    assert "the clock was set back" in examine(database)[1]["clock"]["found"]


def test_a_time_zone_that_is_not_known(database: Path) -> None:
    """command line: an entry whose zone this machine lacks cannot fire."""
    store = open_store(str(database))
    store.set_entry("app:task#0", "0 9 * * * Mars/Olympus", 0.0)
    store.close()
    code, found = examine(database)
    assert (code, found["clock"]["remedy"]) == (1, "pip install tzdata")


def test_a_directory_that_is_not_there() -> None:
    """command line: the directory is a finding too."""
    code, found = examine("/nowhere/app.db")
    assert (code, found["directory"]["remedy"]) == (1, "mkdir -p /nowhere")


def test_a_directory_of_the_current_one(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """command line: a relative name lies in ~/.autocron/, whatever is in the current directory."""
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("here/app.db").touch()
    code, found = examine("here/app.db")
    assert (code, found["directory"]["remedy"]) == (1, f"mkdir -p {database.parent}/here")
    assert f"there is {tmp_path}/here/app.db" in found["file"]["found"]
