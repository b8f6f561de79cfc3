"""Real application processes under observation, and the proof that nothing is left of them.

The test process is a subreaper: whatever loses its parent, also by a double fork or in a session of its own, becomes
our child, so that every process a test has brought about is a descendant of ours, can be counted, and is reaped. A
variable in the environment marks them too, for who would slip out of the family. Processes are known by pid and start
time, never by the pid alone, and watched by pidfd: their end is an event. Zombies are looked for separately.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from autocron.job import Job, Stored
from autocron.payload import encode_call
from autocron.settings import Settings
from autocron.stores import open_store
from autocron.system.tree import PROC, process, processes

PATIENCE_S = float(
    os.environ.get("AUTOCRON_TEST_PATIENCE_S", "60")
)  # the last line: a busy machine needs nothing near it
PAUSE_S = 0.005  # between two looks at what announces itself by no event
PR_SET_CHILD_SUBREAPER = 36
FILES = Path(__file__).parent / "application"


class Timeout(AssertionError):
    """What was waited for did not happen."""


class Process(NamedTuple):
    """One process; what it is, by the arguments it was started with."""

    pid: int
    started: int
    role: str  # "monitor", "worker", "starting" or "" (an application, or what a task has started)

    def is_alive(self) -> bool:
        """Whether it runs or is stopped; a zombie is dead."""
        found = process(self.pid)
        return found is not None and found.started == self.started and found.state != "Z"

    def send(self, number: int) -> None:
        """Send a signal to this very process; nothing if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(self.pid)
            try:
                if self.is_alive():
                    signal.pidfd_send_signal(fd, number)
            finally:
                os.close(fd)

    def kill(self) -> None:
        """SIGKILL it, and return when it is dead."""
        self.send(signal.SIGKILL)
        await_deaths([self])


def eventually(holds: Callable[[], object], what: object = "", pause_s: float = PAUSE_S) -> Any:
    """Look again until something holds; for what announces itself by no event."""
    until = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        if time.monotonic() > until:
            raise Timeout(what() if callable(what) else what or holds)
        time.sleep(pause_s)
    return found


def await_deaths(targets: Iterable[Process], within_s: float = PATIENCE_S) -> float:
    """Return when all of them are dead; the monotonic time of the last death."""
    until = time.monotonic() + within_s
    poll = select.poll()
    watched: dict[int, Process] = {}
    try:
        for each in targets:
            with contextlib.suppress(ProcessLookupError):
                fd = os.pidfd_open(each.pid)
                watched[fd] = each
                poll.register(fd, select.POLLIN)
        # Only now: a pid that was reused before its pidfd was opened would be watched for ever.
        waiting = {fd for fd, each in watched.items() if each.is_alive()}
        while waiting:
            remaining = until - time.monotonic()
            if remaining <= 0:
                raise Timeout(f"still alive: {[watched[fd] for fd in waiting]}")
            for fd, _ in poll.poll(remaining * 1000):
                poll.unregister(fd)
                waiting.discard(fd)
        return time.monotonic()
    finally:
        for fd in watched:
            os.close(fd)


class Application:
    """One application process: runs application/app.py, and does what it is told, line by line."""

    def __init__(self, world: World, command: list[str], *, environment: Mapping[str, str], **options: Any) -> None:
        ours, theirs = socket.socketpair()
        self.errors = world.directory / f"stderr-{len(world.applications)}"
        with theirs, self.errors.open("wb") as errors:
            options.setdefault("stdin", subprocess.DEVNULL)
            options.setdefault("stdout", subprocess.DEVNULL)
            options.setdefault("stderr", errors)
            options.setdefault("cwd", world.directory)
            self.process = subprocess.Popen(
                command,
                env={**environment, "AUTOCRON_TALK": str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
                **options,
            )
        self._socket = ours
        self._heard = b""
        found = process(self.process.pid)
        assert found is not None
        self.identity = Process(found.pid, found.started, "")

    @property
    def pid(self) -> int:
        """As this process sees it; inside a pid namespace it has another one."""
        return self.process.pid

    def tell(self, code: str) -> None:
        """Have it run this, without waiting for an answer."""
        with contextlib.suppress(BrokenPipeError):
            self._socket.sendall(repr(code).encode() + b"\n")

    def do(self, code: str) -> Any:
        """Have it run this; the value of an expression, or what was raised as `Raised`."""
        self.tell(code)
        return self.answer()

    def answer(self) -> Any:
        """The answer to what it was told last."""
        until = time.monotonic() + PATIENCE_S
        while b"\n" not in self._heard:
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            try:
                data = self._socket.recv(1 << 16)
            except (TimeoutError, ConnectionResetError) as error:
                raise Timeout(f"no answer ({error!r}); its stderr:\n{self.stderr()}") from None
            if not data:
                raise Timeout(f"the application has ended ({self.process.poll()}); its stderr:\n{self.stderr()}")
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        kind, value = ast.literal_eval(line.decode())
        if kind == "raised":
            raise Raised(*value)
        return value

    def stderr(self) -> str:
        """What it and its workers have written there."""
        return self.errors.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.identity.send(number)

    def end(self) -> int:
        """Let it end by itself; its exit code, negative for a signal."""
        self.close()
        return self.wait()

    def wait(self) -> int:
        """Its exit code once it has ended."""
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """Nobody tells it anything any more, so it comes to its end."""
        self._socket.close()


class Raised(Exception):
    """What was raised in the application: its type's name, its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")


class World:
    """One test's directory, database and processes."""

    def __init__(self, directory: Path) -> None:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.directory = directory
        self.database = directory / "app.db"
        self.marker = f"AUTOCRON_CHAOS={uuid.uuid4().hex}"
        self.applications: list[Application] = []
        self._strangers = {(each.pid, each.started) for each in processes()}
        self._gates: dict[str, int] = {}
        self._notes: list[str] = []
        self._unread = b""
        for each in FILES.iterdir():
            if each.suffix == ".py":
                shutil.copy(each, directory)
        os.mkfifo(directory / "diary")
        self._diary = os.open(directory / "diary", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    # -- applications ----------------------------------------------------------------------------------------

    def environment(self, **more: str) -> dict[str, str]:
        """What every process of this world has in its environment."""
        name, _, value = self.marker.partition("=")
        inherited = {key: each for key, each in os.environ.items() if not key.startswith(("COV_", "PYTEST_"))}
        own = {name: value, "HOME": str(self.directory), "AUTOCRON_TEST": str(self.directory)}
        return {**inherited, **own, **more}

    def application(
        self,
        *arguments: str,
        start: bool = True,
        workers: int | None = None,
        log: str = "WARNING",
        python: Iterable[str] = (sys.executable,),
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Application:
        """An application process, by default `python app.py`, which has called `start`."""
        command = [*python, *(arguments or ("app.py",))]
        application = Application(
            self, command, environment=self.environment(AUTOCRON_LOG=log, **(environment or {})), **options
        )
        self.applications.append(application)
        if start:
            application.do(f"autocron.start(DATABASE, workers={workers})")
        return application

    def configure(self, **settings: Any) -> None:
        """Store settings before any process starts."""
        store = open_store(str(self.database))
        store.save_settings({name: value for name, value in settings.items() if Settings().changed(**{name: value})})
        store.close()

    # -- what its processes do -------------------------------------------------------------------------------

    def family(self) -> list[Process]:
        """All living processes of this world, this one excepted."""
        found = {each.pid: each for each in processes() if (each.pid, each.started) not in self._strangers}
        ours = {os.getpid()}
        alive = []
        grown = True
        while grown:  # parents may have higher numbers than their children
            new = {each.pid for each in found.values() if each.parent in ours} - ours
            grown = bool(new)
            ours |= new
        for each in found.values():
            if each.pid != os.getpid() and each.state != "Z" and (each.pid in ours or self._is_marked(each.pid)):
                alive.append(Process(each.pid, each.started, self._role(each.pid, each.parent)))
        return alive

    def _role(self, pid: int, parent: int) -> str:
        role = _role(pid)
        # Between vfork and exec a worker still has the arguments of its monitor, which sleeps until it has its own.
        return "starting" if role == _role(parent) == "monitor" else role

    def _is_marked(self, pid: int) -> bool:
        try:
            return self.marker.encode() in (PROC / str(pid) / "environ").read_bytes()
        except OSError:
            return False

    def zombies(self, of: Iterable[int]) -> list[int]:
        """Dead children that these processes have not reaped."""
        parents = set(of)
        return [each.pid for each in processes() if each.state == "Z" and each.parent in parents]

    def monitors(self) -> list[Process]:
        """The living monitors; not who is just starting one, and has its arguments for that moment."""
        return [each for each in self.family() if each.role == "monitor" and _comm(each.pid) == "autocron-mon"]

    def workers(self) -> list[Process]:
        """The living workers, from the moment on in which they are programs of their own."""
        return [each for each in self.family() if each.role == "worker"]

    def monitor(self) -> Process:
        """The one monitor."""
        return _only(self.monitors)

    def worker(self) -> Process:
        """The one worker."""
        return _only(self.workers)

    def await_empty(self, *except_for: Process) -> float:
        """Return when no process of this world lives; the monotonic time of the last death."""
        last = time.monotonic()
        staying = {(each.pid, each.started) for each in except_for}
        while left := [each for each in self.family() if (each.pid, each.started) not in staying]:
            last = await_deaths(left)
        self.reap()
        return last

    def reap(self) -> None:
        """Bury what was adopted; the applications are left to `Application.wait`."""
        own = {each.pid for each in self.applications}
        for pid in self.zombies([os.getpid()]):
            found = process(pid)
            if pid not in own and found is not None and (pid, found.started) not in self._strangers:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    # -- what its tasks say ----------------------------------------------------------------------------------

    def hear(self, beginning: str) -> list[str]:
        """The words of the next note that begins so; notes of other kinds wait for who asks for them."""
        until = time.monotonic() + PATIENCE_S
        poll = select.poll()
        poll.register(self._diary, select.POLLIN)
        while True:
            for number, note in enumerate(self._notes):
                if note == beginning or note.startswith(beginning + " "):
                    return self._notes.pop(number).split(" ")
            remaining = until - time.monotonic()
            if remaining <= 0:
                raise Timeout(f"no note {beginning!r}, but {self._notes}; stderr:\n{self.stderr()}")
            if poll.poll(remaining * 1000):
                self._read_diary()

    def _read_diary(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._diary, 1 << 16):
                self._unread += data
        *whole, self._unread = self._unread.split(b"\n")
        self._notes += [each.decode() for each in whole]

    def notes(self) -> list[str]:
        """What was noted and not heard yet."""
        self._read_diary()
        return list(self._notes)

    def shut(self, gate: str) -> None:
        """Tasks wait at this gate until it is opened."""
        fd = os.open(self.directory / f"gate-{gate}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX)
        self._gates[gate] = fd

    def open(self, gate: str) -> None:
        """From now on nobody waits there."""
        os.close(self._gates.pop(gate))

    # -- the database ----------------------------------------------------------------------------------------

    def stored(self) -> list[Stored]:
        """All jobs, read from the file."""
        store = open_store(str(self.database))
        try:
            found: list[Stored] = []
            while page := store.results(found[-1].id if found else b"", 1000):
                found += page
            return found
        finally:
            store.close()

    def insert(self, task: str, *args: object, number: int = 1) -> str:
        """Store a job as an earlier life of the application would have left it; its id."""
        store = open_store(str(self.database))
        job = Job(number.to_bytes(16, "big"), task, encode_call(args, {}), time.time())
        store.add([job], token=0)
        store.close()
        return job.id.hex()

    def stderr(self) -> str:
        """What all applications have written there."""
        return "".join(each.stderr() for each in self.applications)

    def end(self) -> None:
        """Kill and reap everything, so that a failing test does not disturb the next."""
        while left := self.family():
            for each in left:
                each.send(signal.SIGKILL)
            await_deaths(left)
        for application in self.applications:
            application.wait()
            application.close()
        self.reap()
        for fd in (self._diary, *self._gates.values()):
            os.close(fd)


def _only(family: Callable[[], list[Process]]) -> Process:
    """The one there is, once there is one: who is just starting another looks like that itself for a moment."""
    found: list[Process] = []

    def is_alone() -> bool:
        found[:] = family()
        return len(found) == 1

    eventually(is_alone, lambda: f"not one, but {found}")
    return found[0]


def _comm(pid: int) -> str:
    """The name that a process has given itself."""
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def _role(pid: int) -> str:
    """What a process is, by its arguments: python … -c BOOT role fd address …"""
    try:
        arguments = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    if not any(arguments):
        return "starting"  # just now it becomes another program
    if b"-c" in arguments[:-2]:
        position = arguments.index(b"-c")
        if b"autocron.system.child" in arguments[position + 1]:
            return arguments[position + 2].decode()
    return ""
