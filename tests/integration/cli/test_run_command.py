"""`autocron run`: a monitor without a web application."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import zipapp
from pathlib import Path
from typing import Any

import pytest
from command_line import PATIENCE_S, document, run
from processes import PROC, eventually
from test_command_line import assert_documented

from autocron.job import Job, Status
from autocron.payload import encode_call
from autocron.stores import open_store
from autocron.system import tree

TASKS = """
import os
import subprocess
import autocron

@autocron.delay
def hold(path, done):
    with open(path) as fifo:     # until somebody writes to it
        text = fifo.read()
    with open(done, "w") as file:
        file.write(text)

@autocron.delay
def leave_orphan(path):
    # A grandchild in a session of its own, whose parent is gone at once.
    script = f"echo $$ > {path}.new; mv {path}.new {path}; exec sleep 600"
    subprocess.Popen(["sh", "-c", f"setsid sh -c '{script}' &"]).wait()

@autocron.cron("@yearly")
def tidy(): ...
"""

AS_INIT = """
import sys
from autocron.system.init import become_init
from autocron.system.linux import adopt_orphans
adopt_orphans()
become_init()
from autocron.cli import main
main()
"""

# It is told to end in the moment in which its monitor is there.
EARLY = """
import os
import signal
import jobs
from autocron.engine import engine

def start(*arguments, start=engine.start):
    started = start(*arguments)
    os.kill(os.getpid(), signal.SIGTERM)
    return started

engine.start = start
"""


class Run:
    """A process of `autocron run`, in a directory with the module of tasks."""

    def __init__(
        self, directory: Path, *args: str, module: str = "jobs", prefix: tuple[str, ...] = (), **env: str
    ) -> None:
        (directory / "jobs.py").write_text(TASKS)
        command = prefix or (sys.executable, "-m", "autocron")
        self.database = directory / "app.db"
        self.process = subprocess.Popen(
            [*command, "run", module, "--db", str(self.database), "--json", *args],
            cwd=directory,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        lines = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        assert lines, self.process.stderr.read() if self.process.stderr else ""
        self.document: dict[str, Any] = json.loads("".join(lines))

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        _, self.errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode


def enqueue(database: Path, name: str, *args: str) -> None:
    """As another application would."""
    code = f"import autocron, jobs; autocron.start({str(database)!r}); jobs.{name}(*{args!r}); autocron.stop()"
    subprocess.run([sys.executable, "-c", code], cwd=database.parent, check=True, timeout=PATIENCE_S)


def is_gone(pid: int) -> bool:
    """Dead, at least: who adopts it here may be a test runner, which reaps nobody."""
    found = tree.process(pid)
    return found is None or found.state == "Z"


def test_it_runs_and_says_so(tmp_path: Path) -> None:
    """command line: what it has found, in a document with the documented keys; SIGTERM ends it well."""
    started = Run(tmp_path, "--workers", "2")
    assert_documented("run", started.document)
    assert started.document["tasks"] == ["jobs:hold", "jobs:leave_orphan", "jobs:tidy"]
    assert started.document["cron_entries"] == ["jobs:tidy#0"]
    assert (started.document["workers"], started.document["started_monitor"]) == (2, True)
    assert started.document["pid"] == started.process.pid
    assert started.end() == 0
    assert is_gone(started.document["monitor_pid"])
    assert os.listdir(tmp_path).count("app.db-autocron") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_job_has_its_grace(number: int, tmp_path: Path) -> None:
    """command line: it ends gracefully: what runs is finished, what has not begun stays stored."""
    fifo, done = tmp_path / "fifo", tmp_path / "done"
    os.mkfifo(fifo)
    started = Run(tmp_path, "--workers", "1")
    document("settings", started.database, "--grace", 60)
    for _ in range(2):
        enqueue(started.database, "hold", str(fifo), str(done))
    writer = os.open(fifo, os.O_WRONLY)  # returns when the first job reads: it has begun
    started.process.send_signal(number)
    eventually(lambda: document("info", started.database)["draining"])
    assert started.process.poll() is None
    os.write(writer, b"finished")
    os.close(writer)
    assert started.wait() == 0
    assert done.read_text() == "finished"
    assert document("info", started.database)["jobs"] == {"waiting": 1, "processing": 0, "ready": 1, "error": 0}


def test_who_asks_twice_is_obeyed_at_once(tmp_path: Path) -> None:
    """command line: a second signal does not wait for the grace period."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    started = Run(tmp_path)
    document("settings", started.database, "--grace", 60)
    enqueue(started.database, "hold", str(fifo), str(tmp_path / "done"))
    writer = os.open(fifo, os.O_WRONLY)
    started.process.send_signal(signal.SIGTERM)
    eventually(lambda: document("info", started.database)["draining"])
    started.process.send_signal(signal.SIGTERM)
    # Its monitor and the job still write to the same stderr, so only the process is waited for.
    assert started.process.wait(PATIENCE_S) == -signal.SIGTERM
    os.close(writer)
    started.wait()
    eventually(lambda: is_gone(started.document["monitor_pid"]))


def test_the_whole_control_group_is_signalled(tmp_path: Path) -> None:
    """command line: systemd sends SIGTERM to application, monitor and workers; it ends as well as by one."""
    started = Run(tmp_path, "--workers", "2")
    workers = [each["pid"] for each in document("info", started.database)["workers"]]
    for pid in [started.document["monitor_pid"], *workers]:
        os.kill(pid, signal.SIGTERM)
    assert started.end() == 0
    eventually(lambda: all(map(is_gone, [started.document["monitor_pid"], *workers])))


def test_systemd_is_told(tmp_path: Path) -> None:
    """command line: with Type=notify, that it is up, and that it ends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        started = Run(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert notified.recv(100) == b"READY=1"
        assert started.end() == 0
        assert notified.recv(100) == b"STOPPING=1"


def test_a_script(tmp_path: Path) -> None:
    """command line: a path is loaded as the main script, and its jobs are those of `python jobs.py`."""
    started = Run(tmp_path, module="jobs.py")
    assert started.document["cron_entries"] == [f"{tmp_path / 'jobs.py'}:tidy#0"]
    assert started.document["tasks"][0] == f"{tmp_path}/jobs.py:hold"
    assert started.end() == 0


def test_sigterm_while_it_starts(tmp_path: Path) -> None:
    """command line: a job may run from the first moment on, so its end is graceful from then on as well."""
    (tmp_path / "early.py").write_text(EARLY)
    started = Run(tmp_path, module="early")
    assert started.wait() == 0
    eventually(lambda: is_gone(started.document["monitor_pid"]))


def test_who_has_closed_stdout_reads_nothing(tmp_path: Path) -> None:
    """command line: it runs all the same."""
    (tmp_path / "jobs.py").write_text(TASKS)
    line = f"exec {sys.executable} -m autocron run jobs --db {tmp_path}/app.db >&-"
    process = subprocess.Popen(["sh", "-c", line], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    eventually(lambda: document("info", tmp_path / "app.db")["monitor"] if (tmp_path / "app.db").exists() else False)
    process.terminate()
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, "Traceback" in errors) == (0, False)


def test_a_module_that_starts_autocron_itself(tmp_path: Path) -> None:
    """command line: its monitor is the one that is used, and is not said to be somebody else's."""
    (tmp_path / "jobs.py").write_text(TASKS)
    (tmp_path / "server.py").write_text("import autocron, jobs; autocron.start('app.db')")
    (tmp_path / ".autocron").mkdir(mode=0o700)
    process = subprocess.Popen(
        [sys.executable, "-m", "autocron", "run", "server", "--db", "app.db"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    shown = "".join(iter(process.stdout.readline, "running until SIGTERM or Ctrl-C\n"))
    process.terminate()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert re.search(r"monitor +pid \d+, there before", shown)


def test_an_archive(tmp_path: Path) -> None:
    """command line: a path, of whatever name; what the archive holds is found, as with `python jobs`."""
    (tmp_path / "source").mkdir()
    late = "\n@autocron.delay\ndef late():\n    import inside\n    return inside.VALUE\n"
    (tmp_path / "source" / "__main__.py").write_text(TASKS + late)
    (tmp_path / "source" / "inside.py").write_text("VALUE = 1\n")
    zipapp.create_archive(tmp_path / "source", tmp_path / "archive", interpreter="/usr/bin/env python3")
    store = open_store(str(tmp_path / "app.db"))
    store.add([Job(b"1" * 16, f"{tmp_path}/archive:late", encode_call((), {}), 0.0)], token=0)
    started = Run(tmp_path, module="archive")
    assert f"{tmp_path}/archive:late" in started.document["tasks"]
    (done,) = eventually(lambda: [each for each in store.results(b"", 1) if each.status >= Status.READY])
    store.close()
    assert (done.result, done.error) == (b"j1", "")
    assert started.end() == 0


def test_first_process_of_a_container(tmp_path: Path) -> None:
    """command line: as process 1 it passes signals on, buries orphans, and exits as the application did."""
    path = tmp_path / "orphan"
    started = Run(tmp_path, prefix=(sys.executable, "-c", AS_INIT))
    assert started.document["pid"] != started.process.pid
    enqueue(started.database, "leave_orphan", str(path))
    eventually(path.exists)
    orphan = int(path.read_text())
    os.kill(started.document["monitor_pid"], signal.SIGKILL)  # which would have ended it
    eventually(lambda: (found := tree.process(orphan)) and found.parent == started.process.pid)
    os.kill(orphan, signal.SIGKILL)
    eventually(lambda: not (PROC / str(orphan)).exists())
    eventually(lambda: document("info", started.database)["monitor"])  # the application has started the next
    assert started.end() == 0
    assert is_gone(started.document["pid"])


def test_first_process_of_a_pid_namespace(tmp_path: Path) -> None:
    """command line: the same where it really is process 1."""
    unshare = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no pid namespaces here")
    started = Run(tmp_path, prefix=(*unshare, sys.executable, "-m", "autocron"))
    assert started.document["pid"] == 2  # 1 is the one that stays
    inner = next(each.pid for each in tree.processes() if each.parent == started.process.pid)
    os.kill(inner, signal.SIGTERM)
    assert started.wait() == 0


@pytest.mark.parametrize(
    ("args", "code", "part"),
    [
        (["nowhere_such", "--db", "DB"], 2, "there is no module nowhere_such"),
        (["none.py", "--db", "DB"], 2, "there is no file"),
        (["empty", "--db", "DB"], 2, "no function in it is decorated"),
        (["broken", "--db", "DB"], 1, "broken cannot be imported: see above"),
        (["leaving", "--db", "DB"], 1, "leaving cannot be imported: see above"),
        (["leaving.py", "--db", "DB"], 1, "SystemExit: 5"),
        (["needy", "--db", "DB"], 1, "No module named 'something_missing'"),
        (["jobs", "--db", "/nowhere/app.db"], 1, "create it first"),
        (["jobs"], 2, "Missing option '--db'"),
        (["jobs", "--db", "DB", "--workers", "0"], 2, "--workers"),
    ],
)
def test_what_cannot_be_run(args: list[str], code: int, part: str, tmp_path: Path) -> None:
    """command line: a sentence, the traceback where it is the module's, and an exit code."""
    (tmp_path / "jobs.py").write_text(TASKS)
    (tmp_path / "empty.py").touch()
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "leaving.py").write_text("raise SystemExit(5)")
    (tmp_path / "needy.py").write_text("import something_missing")
    line = [str(tmp_path / "app.db") if each == "DB" else each for each in args]
    done = subprocess.run(
        [sys.executable, "-m", "autocron", "run", *line],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert part in done.stderr
    assert "autocron/cli" not in done.stderr
    assert not (tmp_path / "app.db").exists()


def test_a_database_that_is_switched_off(tmp_path: Path) -> None:
    """command line: nothing would run, so it says how to switch it on, and ends."""
    (tmp_path / "jobs.py").write_text(TASKS)
    store = open_store(str(tmp_path / "app.db"))
    store.add([Job(b"1" * 16, "jobs:tidy", encode_call((), {}), 0.0)], token=0)
    store.close()
    assert run("settings", tmp_path / "app.db", "--disabled").exit_code == 0
    done = subprocess.run(
        [sys.executable, "-m", "autocron", "run", "jobs", "--db", str(tmp_path / "app.db")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert "--enabled" in done.stderr
