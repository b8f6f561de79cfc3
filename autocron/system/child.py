"""Where a monitor and a worker process begin and end."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal.getsignal` adds takes longer than the rest of a begin
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from .. import messages
from ..interface import Closed, Event, Message, Stop
from ..run import Interrupted
from .channels import SocketChannel
from .linux import die_with_parent, name_process
from .logs import set_up_logging

if TYPE_CHECKING:
    from ..worker import Worker


def main(role: str, fd: str, address: str, *more: str) -> None:
    """Run a role of this process; never returns."""
    # The application may have ignored or blocked signals, and both are inherited.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    sock = socket.socket(fileno=int(fd))
    sock.set_inheritable(False)
    if role == "monitor":
        run_monitor(sock, address, *more)
    else:
        run_worker(sock, address, *map(int, more))


def run_monitor(sock: socket.socket, address: str, create: str = "", zones: str = "") -> None:
    """The monitor process."""
    from ..monitor import Monitor  # noqa: PLC0415
    from . import real_interface  # noqa: PLC0415 - a worker does not need what a monitor needs
    from .links import peer_channel  # noqa: PLC0415
    from .processes import MonitorProcesses  # noqa: PLC0415
    from .zones import use_zone_directories  # noqa: PLC0415

    name_process("autocron-mon")
    use_zone_directories(zones.split(os.pathsep))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Woken by an application that registers something, it does not take that one's processor.
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    spawner = MonitorProcesses()
    monitor = Monitor(
        real_interface(spawner, create=bool(create)), address, peer_channel(sock), on_level=set_up_logging
    )
    try:
        monitor.run()
    except BaseException:
        logging.getLogger("autocron.monitor").exception("the monitor of %s met an error it cannot survive", address)
    finally:
        spawner.end()
        monitor.close()
        _exit()


def run_worker(sock: socket.socket, address: str, slot: int, slots: int, monitor: int) -> None:
    """A worker process."""
    started = time.time()
    die_with_parent(signal.SIGKILL)
    if os.getppid() != monitor:
        os._exit(1)  # it ended before it could take us along
    from ..engine import engine  # noqa: PLC0415
    from ..registrar import Registrar  # noqa: PLC0415
    from ..worker import Worker  # noqa: PLC0415
    from . import real_interface  # noqa: PLC0415
    from .code import WORKER, ApplicationCode  # noqa: PLC0415
    from .processes import WorkerProcesses  # noqa: PLC0415
    from .threads import BackgroundThread  # noqa: PLC0415

    name_process(WORKER)
    spawner = WorkerProcesses(slots, slot)
    interface = real_interface(spawner)
    channel = SocketChannel(sock, monitor, patient=True)
    spec, pickle_allowed, already = _await_spec(spawner, channel)
    set_up_logging(spec["log_level"])
    code = ApplicationCode(started, name_process)
    code.prepare(spec)
    interrupter = _Interrupter()
    worker = Worker(
        interface, channel, code, pickle_allowed=pickle_allowed, interrupt=interrupter.interrupt, observe=_observe
    )
    interrupter.is_running = lambda: worker.running is not None

    note = spawner.begin

    def begin(job: bytes | None) -> None:
        if job is not None:
            spawner.attend()
            interrupter.listen()
        elif channel.is_mute:
            logging.getLogger("autocron.worker").error("a task has closed the channel of its worker, which ends")
            os._exit(1)  # with the job begun: it is to blame
        note(job)

    def in_child() -> None:
        worker.gone = worker.forked = True
        spawner.begin = lambda job: None  # type: ignore[method-assign]

    spawner.begin = begin  # type: ignore[method-assign]

    spawner.on_fork(in_child)
    for event in already:
        worker.take(event)
    background = BackgroundThread(partial(_hear, worker), worker.bell, hidden=True)
    registrar = Registrar(interface, address, link=channel, background=background)
    worker.reply = registrar.receive
    engine.bind(interface, address, registrar, pickle_allowed)
    channel.send((messages.READY,))
    worker.loop(background)
    # Leave as any program does: what tasks have set up may want to flush or to close.
    sys.exit(0)


def _hear(worker: Worker) -> bool:
    """One pass over what the monitor says. A process that can hear no more is of no use to anybody."""
    try:
        is_there = worker.hear()
    except Exception:
        logging.getLogger("autocron.worker").exception("this worker cannot hear its monitor any more, and ends")
        worker.take(Stop())
        return False
    if not is_there:
        os._exit(1)  # the monitor is gone, and with it whoever waits for us
    return True


def _observe(job: object, ended: object) -> None:
    """A job has ended: what it has printed is to be seen, and what we say of it to be heard."""
    for each in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or nobody reads it: the next one who prints learns it
            each.flush()
    # Who configures logging silences, by default, all loggers that are there already; in a worker ours always are.
    for logger in _our_loggers(len(logging.root.manager.loggerDict)):
        logger.disabled = False


@lru_cache(maxsize=1)
def _our_loggers(among: int) -> list[logging.Logger]:
    """Found anew when there are more of all kinds: a large application has hundreds."""
    loggers = list(logging.root.manager.loggerDict.items())
    return [each for name, each in loggers if name.startswith("autocron.") and isinstance(each, logging.Logger)]


def _await_spec(spawner: Any, channel: SocketChannel) -> tuple[Mapping[str, Any], bool, list[Event]]:
    """The first message, and what came right behind it: the monitor may want this worker to end already."""
    while True:
        events = spawner.wait([channel], None)
        for number, event in enumerate(events):
            if isinstance(event, Closed):
                os._exit(1)
            if isinstance(event, Message) and event.body[0] == messages.PREPARE:
                return event.body[1], event.body[2], events[number + 1 :]


class _Interrupter:
    """Raises `Interrupted` in the main thread, where jobs run, at the end of the grace period."""

    def __init__(self) -> None:
        self._interrupting = False
        self.is_running: Callable[[], bool] = lambda: False
        self._masks: dict[int, set[int]] = {}  # by the thread that forks
        self._main = threading.get_ident()  # as the system knows it: gevent gives the main thread another number
        self.listen()
        os.register_at_fork(
            before=self._hold_back, after_in_parent=self._let_through, after_in_child=self._leave_to_child
        )

    def listen(self) -> None:
        """Have the signal, of which a task before may have disposed otherwise; asyncio's loops do when they close."""
        if _signal.getsignal(signal.SIGTERM) != self._handle:
            signal.signal(signal.SIGTERM, self._handle)

    def interrupt(self) -> None:
        self._interrupting = True
        signal.pthread_kill(self._main, signal.SIGTERM)

    def _handle(self, number: int, frame: object) -> None:
        # A TERM from elsewhere (systemd sends it to everybody) ends this worker after its job, not within it.
        if self._interrupting and self.is_running():
            self._interrupting = False
            raise Interrupted

    # A child that a task forks ends by SIGTERM as any process does, from the first moment on.

    def _hold_back(self) -> None:
        self._masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def _let_through(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.pop(threading.get_ident()))

    def _leave_to_child(self) -> None:
        signal.set_wakeup_fd(-1)  # it leads to its parent
        if signal.getsignal(signal.SIGTERM) == self._handle:  # and not one that the task has set
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._let_through()


def _exit() -> None:
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)
