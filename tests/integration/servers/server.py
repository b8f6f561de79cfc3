"""An example, copied to a directory of its own and run by a real server; and somebody who uses its page."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
from cells import Cell
from processes import PATIENCE_S, Process, World, eventually

from autocron import messages
from autocron.cli.database import Database
from autocron.system import real_interface
from autocron.system.tree import PROC, process

EXAMPLES = Path(__file__).parents[3] / "examples"
SLEEP = "time.sleep(1)"  # what the examples do for work
PAUSE_S = 0.05  # between two looks at a page: the server has a life beside us
RENAMED = re.compile(r"there is no task \S+:(tidy_up|clear_up)\b")  # the cron entries of the examples
WORKERS = 2  # as many as the examples want


class Site:
    """A copy of an example, that a test may edit."""

    def __init__(self, world: World, example: str = "", files: Mapping[str, str] | None = None) -> None:
        """An example, or these files."""
        self.world = world
        self.directory = world.directory / "site"
        if files is None:
            without = shutil.ignore_patterns("__pycache__", "*.sqlite3")
            shutil.copytree(EXAMPLES / example, self.directory, ignore=without)
        for path, text in (files or {}).items():
            file = self.directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        shutil.copy(Path(__file__).parent / "probe.py", self.directory)
        self.database = world.database = world.directory / ".autocron" / f"{example or 'site'}-example.db"
        self.database.parent.mkdir(mode=0o700, exist_ok=True)
        self.tasks = self.directory / ("reports/tasks.py" if example == "django" else "app.py")
        if example:
            self.edit(SLEEP, f'__import__("probe").work({"report.name" if example == "django" else "name"})')
        if example == "django":
            self.command("python manage.py migrate")

    def edit(self, old: str, new: str, *more: tuple[str, str]) -> None:
        """Change the file with the tasks, as an editor does: at once."""
        text = self.tasks.read_text()
        assert old in text
        for each in ((old, new), *more):
            text = text.replace(*each)
        written = self.tasks.with_suffix(".new")
        written.write_text(text)
        written.replace(self.tasks)

    def listen(self, port: int) -> None:
        """Have a program listen there that has a port of its own: tests run side by side."""
        text = re.sub(r"app\.run\(.*\)", f"app.run(debug=True, port={port})", self.tasks.read_text())
        assert str(port) in text
        self.tasks.write_text(text)

    def entries(self) -> list[str]:
        """The names of the cron entries that hold."""
        with Database(real_interface(), str(self.database)) as database:
            found: list[str] = database.ask(messages.OVERVIEW)["announced"]
        return [each.rpartition(":")[2] for each in found]

    def environment(self) -> dict[str, str]:
        """Where the commands are found, and what is hidden from them."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        hidden = [str(Path(__file__).parent / "without"), *filter(None, [os.environ.get("PYTHONPATH")])]
        return self.world.environment(PATH=path, PYTHONUNBUFFERED="1", PYTHONPATH=os.pathsep.join(hidden))

    def command(self, line: str) -> str:
        """Run a command to its end; what it prints."""
        done = subprocess.run(
            shlex.split(line),
            cwd=self.directory,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def serve(self, cell: Cell) -> Server:
        """Start a server, and return when it answers."""
        server = Server(self, cell)
        self.world.applications.append(server)  # type: ignore[arg-type] - it ends and is reaped as those are
        server.await_up()
        return server


class Server:
    """One server's processes."""

    def __init__(self, site: Site, cell: Cell) -> None:
        self.world = site.world
        self.errors = self.world.directory / f"server-{len(self.world.applications)}"
        self.port = free_port()
        if not cell.port:
            site.listen(self.port)
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                shlex.split(cell.line(self.port)),
                cwd=site.directory,
                env=site.environment(),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
        found = process(self.process.pid)
        assert found is not None
        self.identity = Process(found.pid, found.started, "")

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self.process.pid

    def stderr(self) -> str:
        """What all its processes have written."""
        return self.errors.read_text(errors="replace")

    def wait(self) -> int:
        """Its exit code once it has ended."""
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """Nothing is open here."""

    def await_up(self) -> None:
        """Return when it answers."""

        def answers() -> bool:
            assert self.process.poll() is None, self.stderr()
            try:
                return self.get().is_success
            except httpx.TransportError:
                return False

        eventually(answers, self.stderr, PAUSE_S)

    def get(self, path: str = "/") -> httpx.Response:
        """A page."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE_S, trust_env=False)

    def kill(self) -> None:
        """SIGKILL the process that was started."""
        self.identity.kill()
        self.wait()

    def await_silence(self) -> None:
        """Return when nobody listens any more.

        gunicorn's workers look for their master when a connection wakes them up, or after 15 s.
        """

        def is_silent() -> bool:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return False
            return True

        eventually(is_silent, self.stderr, PAUSE_S)

    def order(self, name: str) -> None:
        """Fill in the form, as a browser would."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE_S, trust_env=False) as client:
            page = client.get("/").raise_for_status().text
            action = re.search(r'<form[^>]* action="([^"]+)"', page)
            hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]+)"', page)
            answer = client.post(action.group(1) if action else "/", data={**dict(hidden), "name": name})
            assert answer.status_code in (302, 303), answer.text

    def await_text(self, text: str) -> None:
        """Return when the page shows this, without a failed job."""

        def is_shown() -> bool:
            page = self.get().text
            for failed in re.findall(r"failed:.*", page):
                # An entry may fire in the very moment in which the process that has it makes room for newer code.
                assert RENAMED.search(failed), f"{page}\n{self.stderr()}"
            return text in page

        eventually(is_shown, lambda: f"{text!r} is not on {self.get().text}\n{self.stderr()}", PAUSE_S)

    def processes(self) -> list[Process]:
        """The server's own, the one that was started first."""
        own = [each for each in self.world.family() if not each.role]
        return sorted(own, key=lambda each: each.pid != self.pid)

    def children(self) -> list[Process]:
        """All of the server but the process that was started."""
        return [each for each in self.processes() if each.pid != self.pid]

    def serving(self) -> list[Process]:
        """Its children that run the application: a reloader replaces them."""
        return [each for each in self.children() if b"resource_tracker" not in _command_of(each)]


def _command_of(target: Process) -> bytes:
    try:
        return (PROC / str(target.pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_whole(world: World) -> None:
    """Return when there are exactly one monitor and the wanted workers."""
    eventually(
        lambda: (len(world.monitors()), len(world.workers())) == (1, WORKERS),
        lambda: f"{world.family()}\n{world.stderr()}",
    )
