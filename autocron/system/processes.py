"""Processes of the real world, as each role sees them. See `autocron.interface.Spawner`."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.machinery import FileFinder
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast
from weakref import WeakSet

from ..interface import Background, Bell, Channel, Closed, Event, Exited, Interface, Listener, Message, Source, Stop
from ..naming import main_module
from . import address as addresses
from . import links, tree
from .bell import PipeBell, attending
from .channels import SocketChannel
from .clock import SystemClock
from .frameworks import django_settings, reloader
from .threads import BackgroundThread, can_have_threads, loaded
from .waiting import Ownable, Pollable, renew, wait
from .zones import zone_directories

logger = logging.getLogger("autocron.system")

PACKAGE_PARENT: Final = str(Path(__file__).resolve().parents[2])
# The directory of the package is on the path only while it is found: other packages there must not hide a module.
# Nor must files in the application's directory, which `-c` puts first though `python app.py` does not.
BOOT: Final = (
    "import sys; sys.path[:1] = filter(None, sys.path[:1]);"
    " sys.path.insert(0, {parent!r}); import autocron; del sys.path[0]; sys.path.append({parent!r});"
    " from autocron.system.child import main; main(*sys.argv[1:])"
)
# The monitor is no child of the application, which may wait for all of its own; it says who it is instead.
DETACH: Final = (
    "import os, sys; os.fork() and os._exit(0); os.setsid(); os.write(int(sys.argv[2]), b'%8x' % os.getpid()); "
)
ALIVE_S: Final = 15.0  # for that
ENDING_S: Final = 1.0  # from the end of its link to its own
LOOK_S: Final = 1.0  # between two looks whether a monitor is where it can be found, if it does anything at all
STARTING_S: Final = 5.0  # then we start a monitor beside a starter that seems to be stopped; the lock decides


def _executable() -> str:
    """The interpreter; a server that embeds Python (uWSGI) names itself as the executable."""
    if os.path.basename(sys.executable or "").lower().startswith(("python", "pypy")):
        return sys.executable
    return os.path.join(sys.exec_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")


def _absolute(entry: str, directory: str) -> str:
    """An entry of `sys.path`; a relative one belongs to the directory in which Python has first looked there."""
    if not entry:  # of `python -c`: where the process is, as `python -m` says it
        return directory
    finder = sys.path_importer_cache.get(entry)
    return os.path.join(directory, finder.path if isinstance(finder, FileFinder) else entry)


class Processes:
    """An application process' view: it starts a monitor, and speaks to it."""

    in_process = False

    def __init__(self) -> None:
        self._dead: set[int] = set()  # monitors that are gone, of whose sessions something may be left to bury
        self._pid = os.getpid()
        self._on_fork: list[Callable[[], None]] = []
        self._guards: list[Callable[[], AbstractContextManager[object]]] = []
        self._held: dict[int, contextlib.ExitStack] = {}  # by the thread that forks
        self._opening: dict[int, tuple[Callable[[], object], ...]] = {}  # by thread: closes what it is just using
        self._channels: WeakSet[SocketChannel] = WeakSet()
        self._noticing = threading.Lock()

    def inhabit(self, interface: Interface) -> None:
        """Each process makes itself a world of its own."""

    def locate(self, database_file: str | Path) -> str:
        return addresses.locate(database_file)

    def spawn(self, role: str, address: str, spec: Mapping[str, Any]) -> Channel:
        """Start a monitor in a session of its own: Ctrl-C in the terminal reaches the application only."""
        ours, theirs = _socketpair()
        with theirs, self._not_for_copies(ours.close, theirs.close):
            starter = self._start(
                [_executable(), "-I", "-S", "-c", DETACH + BOOT.format(parent=PACKAGE_PARENT)],
                role,
                theirs.fileno(),
                address,
                "create" if spec.get("create") else "",
                os.pathsep.join(zone_directories()),
                start_new_session=True,
                cwd="/",
            )
            theirs.close()
            ours.settimeout(ALIVE_S)
            pid = int(ours.recv(8, socket.MSG_WAITALL) or b"0", 16)
            with contextlib.suppress(OSError):
                os.waitpid(starter, 0)
            self._channels.add(channel := SocketChannel(ours, pid))
        return channel

    def _start(
        self, command: list[str], role: str, fd: int, address: str, *more: str, also: Sequence[int] = (), **options: Any
    ) -> int:
        import subprocess  # noqa: PLC0415 - a worker starts nothing

        # A closed stderr would become the next file that the child opens, and the log would go into that. Here it may
        # have become one of our own, which like all that Python opens is not inherited.
        outputs: dict[str, Any] = {
            name: None if _is_inherited(number) else subprocess.DEVNULL
            for name, number in (("stdout", 1), ("stderr", 2))
        }
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [*command, role, str(fd), address, *more],
            stdin=subprocess.DEVNULL,
            pass_fds=(fd, *also),
            **outputs,
            **options,
        )
        process.returncode = 0  # we reap it ourselves, by pid
        return process.pid

    def listen(self, address: str) -> Listener | None:
        raise RuntimeError("only a monitor listens")

    def connect(self, address: str) -> Channel | None:
        channel = links.connect(address)
        if channel is not None:
            self._channels.add(channel)
            self._dead.discard(channel.pid)  # it was only our link that had gone
        return channel

    @contextlib.contextmanager
    def starting(self, address: str) -> Iterator[None]:
        fd = addresses.acquire(address, "starting", within_s=STARTING_S)
        if fd is None:
            yield
            return
        close = partial(os.close, fd)
        try:
            with self._not_for_copies(close):
                yield
        finally:
            close()

    def wait(self, sources: Sequence[Source], until: float | None) -> list[Event]:
        with attending(sources) as rung:
            events = renew(cast("Sequence[Ownable]", sources))
            if events is None:
                events = wait(cast("Sequence[Pollable]", sources), 0.0 if rung else until)
        for event in events:
            if isinstance(event, Closed):
                self._mourn(cast("SocketChannel", event.channel))
        if events and self._dead:
            self._dead = {each for each in list(self._dead) if tree.bury(session=each)}
        return events

    def _mourn(self, channel: SocketChannel) -> None:
        """A monitor is gone. As PID 1 of a container, which inherits it, we are the one who has to reap."""
        found = tree.process(channel.pid) if channel.pid else None
        if found is not None and found.session == channel.pid and channel.is_ours():
            # Our link closes a moment before the process has ended, so this blocks for that moment only.
            tree.await_death(found, ENDING_S)
            if found.parent == os.getpid():
                with contextlib.suppress(OSError):
                    os.waitpid(channel.pid, os.WNOHANG)
        if channel.pid:
            self._dead.add(channel.pid)

    def kill(self, channel: Channel) -> None:
        with contextlib.suppress(OSError):
            os.kill(channel.pid, signal.SIGKILL)

    def begin(self, job: bytes | None) -> None:
        raise RuntimeError("only a worker begins jobs")

    def begun(self, channel: Channel) -> bytes | None:
        raise RuntimeError("only a monitor has workers")

    def orphans(self) -> list[bytes]:
        raise RuntimeError("only a monitor has workers")

    def bell(self) -> Bell:
        return PipeBell()

    def background(self, step: Callable[[], bool], bell: Bell) -> Background | None:
        if not can_have_threads():
            return None
        try:
            return BackgroundThread(step, bell)
        except RuntimeError:  # a host without threads, or one that is already ending
            return None

    def mutex(self) -> AbstractContextManager[object]:
        return threading.RLock()

    def describe(self) -> Mapping[str, Any]:
        import subprocess  # noqa: PLC0415 - as above

        try:
            directory = os.getcwd()
        except OSError:  # it has been removed
            directory = "/"
        return {
            "executable": _executable(),
            "flags": subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
            # Exactly str: applications put their own kinds of it there, and other things, which Python passes over.
            # Each once: who looks in the same places in the same order sees the same code.
            "path": [*dict.fromkeys(_absolute(str(each), directory) for each in sys.path if isinstance(each, str))],
            "directory": directory,
            "environment": dict(os.environ),
            "main": main_module(),
            "argv": [str(each) for each in getattr(sys, "argv", [])],
            "pid": os.getpid(),
            "reloader": reloader(),
            "django": django_settings(),
        }

    def on_fork(
        self, in_child: Callable[[], None], *, guard: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        if not self._on_fork:
            os.register_at_fork(before=self._hold, after_in_parent=self._let_go, after_in_child=self._in_child)
        self._on_fork.append(in_child)
        self._guards.append(guard)

    def notice_fork(self) -> None:
        if os.getpid() != self._pid:
            with self._noticing:  # the others have to wait until it is done
                if os.getpid() != self._pid:
                    self._in_child()

    def _hold(self) -> None:
        self._held[threading.get_ident()] = held = contextlib.ExitStack()
        for guard in self._guards:
            held.enter_context(guard())

    def _let_go(self) -> None:
        self._held.pop(threading.get_ident()).close()

    @contextlib.contextmanager
    def _not_for_copies(self, *closing: Callable[[], object]) -> Iterator[None]:
        """If another thread forks meanwhile, the child closes these: it must not keep open what is not its own."""
        thread = threading.get_ident()
        before = self._opening.get(thread, ())
        self._opening[thread] = (*before, *closing)
        try:
            yield
        finally:
            if before:
                self._opening[thread] = before
            else:
                self._opening.pop(thread, None)

    def _in_child(self) -> None:
        self._opening.pop(threading.get_ident(), None)  # the child is what this thread starts: gevent forks in Python
        for close in [*chain.from_iterable(self._opening.values()), *(each.close for each in list(self._channels))]:
            with contextlib.suppress(OSError):
                close()
        self._opening.clear()
        self._held.clear()
        self._dead.clear()
        for callback in self._on_fork:
            callback()
        self._pid = os.getpid()

    def on_exit(self, callback: Callable[[], None]) -> None:
        atexit.register(callback)
        # Forked multiprocessing children end without atexit before 3.13, but not without this.
        register = getattr(threading, "_register_atexit", None)
        if register is not None:
            with contextlib.suppress(RuntimeError):  # the interpreter is ending already
                register(partial(_call_in_child, callback))


def _call_in_child(callback: Callable[[], None]) -> None:
    """Elsewhere the main thread has only returned, and other threads may go on for days."""
    process = loaded("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        callback()


def _is_inherited(fd: int) -> bool:
    """Whether a child gets this descriptor."""
    try:
        return os.get_inheritable(fd)
    except OSError:  # it is closed
        return False


def _environment(spec: Mapping[str, Any]) -> Mapping[str, str]:
    """What the application has in its own, which may be newer than the monitor's."""
    environment = {**spec.get("environment", os.environ)}
    environment.pop("PYTHONINSPECT", None)  # a worker would want to be looked into when it has ended
    return environment


def _socketpair() -> tuple[socket.socket, socket.socket]:
    """Ours, and one for a child, which is none of the numbers of its standard streams."""
    ours, theirs = socket.socketpair()
    if theirs.fileno() > 2:
        return ours, theirs
    import fcntl  # noqa: PLC0415 - address.py says what to do where there is none

    with theirs:
        return ours, socket.socket(fileno=fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, 3))


class _Children:
    """SIGCHLD and SIGTERM as a source, in a process that is ours alone."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._pid = os.getpid()
        self.has_dead = False  # a child has ended since this was last set to False
        self.attend()
        signal.signal(signal.SIGTERM, _nothing)

    def attend(self) -> None:
        """Have signals told to us; a task may have had them told to somebody else, or have closed our descriptor."""
        try:  # before each job
            signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        except (ValueError, OSError):
            return

    def fileno(self) -> int:
        return self._reader if os.getpid() == self._pid else -1  # what comes to a child that a task forks is not for it

    def interest(self) -> int:
        return select.POLLIN

    def receive(self, mask: int) -> Iterator[Event]:
        signals = b""
        with contextlib.suppress(BlockingIOError):  # another thread has read it
            signals = os.read(self._reader, 4096)
        self.has_dead = self.has_dead or signal.SIGCHLD in signals
        if signal.SIGTERM in signals:
            yield Stop()


def _nothing(number: int, frame: object) -> None:
    """A handler must exist for the signal to reach the wake-up descriptor."""


class MonitorProcesses(Processes):
    """The monitor's view: it owns the link's address, and its workers."""

    def __init__(self) -> None:
        super().__init__()
        from .linux import Timer, adopt_orphans  # noqa: PLC0415 - an application needs no ctypes
        from .slots import Slots  # noqa: PLC0415

        adopt_orphans()
        signal.signal(signal.SIGCHLD, _nothing)
        self._signals = _Children()
        self._timer = Timer()
        self._open_slots = Slots
        self._slots: Slots | None = None
        self._listener: links.SocketListener | None = None
        self._look_at = 0.0  # monotonic; whether the listener can still be found
        self._gives_way = False  # for good, whoever is still linked or links again: nobody else finds it
        self._workers: dict[int, tuple[SocketChannel, int]] = {}
        self._begun: dict[SocketChannel, bytes | None] = {}

    def listen(self, address: str) -> Listener | None:
        listener = links.SocketListener.open(address)
        if listener is not None:
            self._listener = listener
            self._slots = self._open_slots(listener.directory)
        return listener

    def orphans(self) -> list[bytes]:
        assert self._slots is not None
        pid, started, boot, begun = self._slots.previous()
        if pid and boot == tree.boot_id():
            tree.end_session(pid, started)
        own = tree.process(os.getpid())
        self._slots.reset(os.getpid(), own.started if own else 0, tree.boot_id())
        return begun

    def spawn(self, role: str, address: str, spec: Mapping[str, Any]) -> Channel:
        """Start a worker as the leader of a process group, so that it goes with all it has started."""
        from .descriptors import give_back  # noqa: PLC0415

        assert self._slots is not None
        directory = spec["directory"] if os.path.isdir(spec["directory"]) else "/"
        command = [spec["executable"], *spec["flags"], "-c", BOOT.format(parent=PACKAGE_PARENT)]
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            slot = self._slots.take()
            undo.callback(self._slots.free, slot)
            pid = self._start(
                command,
                role,
                theirs.fileno(),
                address,
                *map(str, (slot, self._slots.fd, os.getpid())),
                also=(self._slots.fd,),
                process_group=0,
                cwd=directory,
                env=_environment(spec),
            )
            undo.pop_all()
        give_back(pid)
        channel = SocketChannel(ours, pid)
        self._workers[pid] = channel, slot
        return channel

    def wait(self, sources: Sequence[Source], until: float | None) -> list[Event]:
        everything = [cast("Pollable", self._signals), *cast("Sequence[Pollable]", sources)]
        events = wait(everything, until, self._timer)
        if self._signals.has_dead:
            self._signals.has_dead = False
            events += self._ended()
        if self._is_displaced():
            events.append(Stop())
        return events

    def _is_displaced(self) -> bool:
        """Whether the private directory has been removed under us, by whoever tidies up; looks now and then."""
        listener, now = self._listener, SystemClock.monotonic()
        if listener is not None and now >= self._look_at and not self._gives_way:
            self._look_at = now + LOOK_S
            if listener.is_owner():
                listener.stay_reachable()
            else:
                logger.error("%s is removed: another monitor takes over", listener.directory)
                self._gives_way = True
        return self._gives_way

    def _ended(self) -> Iterator[Event]:
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            pid = found.si_pid
            if pid not in self._workers:
                os.waitpid(pid, 0)  # what a task had started and left behind
                continue
            channel, slot = self._workers.pop(pid)
            # While its leader is not reaped, the group's number cannot be anybody else's.
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            # A finished outcome may still be in the channel.
            yield from (e for e in channel.receive(select.POLLIN, rest=True) if isinstance(e, Message))
            _, status = os.waitpid(pid, 0)
            assert self._slots is not None
            self._begun[channel] = self._slots.begun(slot)
            self._slots.free(slot)
            channel.close()
            signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            yield Exited(channel, signalled, os.WEXITSTATUS(status) if os.WIFEXITED(status) else None)

    def kill(self, channel: Channel) -> None:
        if channel.pid in self._workers:  # not reaped yet, so the number is still its own
            with contextlib.suppress(OSError):
                os.killpg(channel.pid, signal.SIGKILL)

    def begun(self, channel: Channel) -> bytes | None:
        return self._begun.pop(cast("SocketChannel", channel), None)

    def end(self) -> None:
        """Leave no process behind."""
        tree.end_descendants()


class WorkerProcesses(Processes):
    """A worker's view: its channel, and the slot where it notes what it has begun."""

    def __init__(self, slots: int, slot: int) -> None:
        super().__init__()
        from .slots import Slot  # noqa: PLC0415 - an application needs no mmap

        self._slot = Slot(slots, slot)
        self._signals = _Children()
        self.begin = self._slot.begin  # type: ignore[method-assign]
        self.attend = self._signals.attend

    def wait(self, sources: Sequence[Source], until: float | None) -> list[Event]:
        with attending(sources) as rung:
            everything = [cast("Pollable", self._signals), *cast("Sequence[Pollable]", sources)]
            return wait(everything, 0.0 if rung else until)
