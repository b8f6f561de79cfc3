"""`autocron run`: an application that is nothing but its tasks."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pkgutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from ..engine import current
from ..errors import AutocronError
from ..interface import Interface
from ..registry import registry
from ..system.code import ApplicationCode
from ..system.init import become_init
from .database import Database
from .output import emit, json_option, table

LEVELS: Final = ("debug", "info", "warning", "error")
TOLD: Final = (signal.SIGTERM, signal.SIGINT)


@click.command()
@click.argument("modules", nargs=-1, required=True, metavar="MODULE...")
@click.option("--db", required=True, metavar="DB", help="The database; it is created if there is none.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="How many worker processes; stored.  [default: the stored number]",
)
@click.option(
    "--log", "level", type=click.Choice(LEVELS), default="info", show_default=True, help="What goes to stderr."
)
@json_option
@click.pass_obj
def run(
    interface: Interface, /, modules: Sequence[str], db: str, workers: int | None, level: str, as_json: bool
) -> None:
    """Run the tasks and cron entries of MODULEs without a web application, for systemd and containers.

    A MODULE is a name to be imported (myapp.tasks), from the current directory too, or the path of a script
    (app.py). Applications that start autocron on the same database use this monitor.

    SIGTERM and Ctrl-C end it gracefully: running jobs have the grace period of the settings, what has not begun
    stays stored. As process 1 of a container it also passes signals on and buries orphans.

    \b
    Example:
      autocron run myapp.tasks --db /var/lib/myapp/autocron.db --workers 4
    """
    if os.getpid() == 1:
        become_init()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s")
    logging.getLogger("autocron").setLevel(level.upper())
    _load(modules)
    engine = current()
    try:
        with _told() as wait:
            started = engine.start(db, workers)
            if not engine.active:
                raise click.ClickException(
                    f"autocron is switched off in {db}, so nothing would run: autocron settings {db} --enabled"
                )
            emit(_document(interface, db, modules, started), as_json, _render)
            _notify("READY=1")
            wait()
        _notify("STOPPING=1")
    finally:
        engine.stop()


def _load(modules: Sequence[str]) -> None:
    """Import them all, as `python -m` and `python` would."""
    sys.path.insert(0, os.getcwd())
    for each in modules:
        path = os.path.abspath(each)
        is_path = each.endswith((".py", ".pyz", ".zip")) or os.sep in each or os.path.isfile(path)
        if is_path and not os.path.exists(path):
            raise click.UsageError(f"MODULE {each}: there is no file {path}")
        try:
            if is_path:
                sys.path.insert(0, os.path.dirname(path) if pkgutil.get_importer(path) is None else path)
                sys.argv[:] = [path]
                ApplicationCode(time.time()).load_main(path)
            else:
                importlib.import_module(each)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{each}.".startswith(f"{error.name}."):
                _fail(each)
            raise click.UsageError(f"MODULE {each}: there is no module {error.name}, in {os.getcwd()} either") from None
        except (Exception, SystemExit):
            _fail(each)
    if not registry.tasks:
        raise click.UsageError(f"{', '.join(modules)}: no function in it is decorated with @autocron.delay or .cron")


def _fail(module: str) -> None:
    kind, error, frames = sys.exc_info()
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith(("autocron.", "importlib")):
        frames = frames.tb_next  # only those of the module itself
    traceback.print_exception(kind, error, frames)
    raise click.ClickException(f"{module} cannot be imported: see above") from None


@contextlib.contextmanager
def _told() -> Iterator[Any]:
    """A function that returns when somebody asks this process to end; who asks twice is obeyed at once."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def obey_the_next(number: int, frame: object) -> None:
        for each in TOLD:
            signal.signal(each, signal.SIG_DFL)

    for each in TOLD:
        signal.signal(each, obey_the_next)

    def wait() -> None:
        while os.read(reader, 1)[0] not in TOLD:
            pass  # a signal of the application's own

    try:
        yield wait
    finally:
        for each in TOLD:
            signal.signal(each, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)


def _notify(state: str) -> None:
    """Tell systemd, where the unit has Type=notify."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


def _document(interface: Interface, db: str, modules: Sequence[str], started: bool) -> dict[str, Any]:
    with Database(interface, db) as database:
        settings: dict[str, Any] = {}
        with contextlib.suppress(AutocronError):  # a monitor that is slow to answer is no reason to end
            settings = database.change({})
        return {
            "database": database.address,
            "modules": list(modules),
            "pid": os.getpid(),
            "monitor_pid": database.monitor_pid or None,
            "started_monitor": started,
            "workers": settings.get("workers"),
            "paused": settings.get("paused", False),
            "tasks": sorted(registry.tasks),
            "cron_entries": sorted(registry.entries),
        }


def _render(document: Mapping[str, Any]) -> Iterator[Any]:
    whose = "started" if document["started_monitor"] else "there before"
    yield table(
        [
            ("database", document["database"]),
            ("monitor", f"pid {document['monitor_pid'] or 'unknown'}, {whose}"),
            ("workers", document["workers"]),
            ("tasks", len(document["tasks"])),
            ("cron entries", len(document["cron_entries"])),
        ]
    )
    yield "running until SIGTERM or Ctrl-C" + ("; paused: see `autocron resume`" if document["paused"] else "")
