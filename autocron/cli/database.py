"""A database as the command line sees it: asked through its monitor if one runs, else opened here.

Both ways give the same answers, because the same code answers: `Applications`, in the monitor or in this process.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from .. import messages
from ..errors import AutocronError, StoreError
from ..interface import Body, Channel, Closed, Interface, Message, Store
from ..job import Selection, Stored
from ..monitor.applications import Applications
from ..monitor.pool import Pool
from ..settings import Settings

ANSWER_S: Final = 10.0
MADE_BY: Final = "; autocron.start() of an application makes it"
PAGE: Final = 5000  # at most; the monitor answers in messages of a sane size


class Database:
    """Questions and answers; see messages.py for the questions. A context manager."""

    def __init__(self, interface: Interface, file: str) -> None:
        """StoreError if there is no such database: none is created."""
        self.interface = interface
        self.address = _existing(interface, file)
        self._link: Channel | None = None
        self._store: Store | None = None
        self._applications: Applications | None = None
        self._numbers = itertools.count(1)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the link and the store."""
        if self._link is not None:
            self._link.close()
        if self._store is not None:
            self._store.close()

    def ask(self, question: str, argument: object = None) -> Any:
        """The answer to a question. StoreError if the database cannot be used, AutocronError if none comes."""
        until = self.interface.clock.monotonic() + ANSWER_S
        while self.find_monitor():
            assert self._link is not None
            number = next(self._numbers)
            self._link.send((messages.ASK, number, question, argument))
            body = self._hear(self._link, number, until)
            if body is not None:
                return _answer_in(body)
            # That monitor has ended. Another one may be there, or none.
            self._link.close()
            self._link = None
        ear = _Ear()
        self._open().answer(ear, 0, question, argument)
        answer = _answer_in(ear.body)
        if question in messages.WAKING and self.find_monitor():
            # It has started meanwhile, and may have looked before there was something.
            assert self._link is not None
            self._link.send((messages.LOOK,))
        return answer

    def jobs(self, selection: Selection, *, with_payloads: bool = False) -> Iterator[Stored]:
        """The jobs of a selection, asked for in pages."""
        rest: tuple[Any, ...] | None = tuple(selection)
        while rest is not None:
            page, rest = self.ask(messages.JOBS, (rest, PAGE, with_payloads))
            yield from map(Stored._make, page)

    def change(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change settings; all of them, changed."""
        values: dict[str, Any] = self.ask(messages.SETTINGS, changes)
        if changes and self.find_monitor():
            # It may have started while they were written past it; saying them twice does no harm.
            values = self.ask(messages.SETTINGS, changes)
        return values

    def overview(self) -> dict[str, Any]:
        """What there is, and who works on it."""
        overview: dict[str, Any] = self.ask(messages.OVERVIEW)
        return overview

    @property
    def monitor_pid(self) -> int:
        """Process id of the monitor; 0 if none runs, or in another pid namespace."""
        return self._link.pid if self.find_monitor() and self._link is not None else 0

    def find_monitor(self) -> bool:
        """Whether a monitor runs, which is then the one to ask."""
        if self._link is None:
            try:
                self._link = self.interface.spawner.connect(self.address)
            except TimeoutError as error:
                raise AutocronError(f"{error} See `autocron doctor`") from None
            if self._link is not None:
                # A guest neither counts as an application nor changes what workers see of it.
                spec = {"guest": True, **self.interface.spawner.describe()}
                self._link.send((messages.HELLO, messages.PROTOCOL, spec, None))
        return self._link is not None

    def _hear(self, link: Channel, number: int, until: float) -> Body | None:
        """The answer with this number; None if the monitor ends before."""
        clock = self.interface.clock
        while (now := clock.monotonic()) < until:
            for event in self.interface.spawner.wait([link], clock.time() + until - now):
                if isinstance(event, Message):
                    if event.body[0] == messages.REFUSED:
                        raise StoreError(*event.body[1:])
                    if event.body[0] in (messages.REPLY, messages.FAILED) and event.body[1] == number:
                        return event.body
                elif isinstance(event, Closed):
                    return None
        raise AutocronError(
            f"the monitor of {self.address} does not answer; is it stopped? See `autocron doctor`."
            " What it was asked to do it may still do when it goes on"
        )

    def _open(self) -> Applications:
        if self._applications is None:
            self._store = self.interface.open_store(self.address)
            settings = Settings.from_stored(self._store.settings())
            pool = Pool(self.interface, self.address)  # empty: nobody works
            self._applications = Applications(self.interface, self._store, pool, settings)
        return self._applications


class _Ear:
    """The channel of somebody who asks in this very process."""

    pid = 0
    kin = False
    body: Body = ()

    def send(self, body: Body) -> None:
        self.body = body

    def backlog(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is open."""


def _answer_in(body: Body) -> Any:
    if body[0] == messages.FAILED:
        raise StoreError(*body[2:])
    return body[2]


def _existing(interface: Interface, file: str) -> str:
    """The address of a database that is there."""
    try:
        address = interface.spawner.locate(file)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except FileNotFoundError:
        path = Path("~/.autocron", Path(file).expanduser())
        raise StoreError(str(path), f"the directory {path.parent} does not exist{_here(file)}") from None
    if interface.spawner.in_process:
        return address
    path = Path(address)
    try:
        found = path.stat()
    except FileNotFoundError:
        raise StoreError(address, f"it does not exist{_here(file) or MADE_BY}") from None
    except PermissionError:
        raise StoreError(
            address, "this user may not look into its directory; run as the owner of the database"
        ) from None
    if os.geteuid() not in (0, found.st_uid):
        raise StoreError(address, f"it belongs to another user; run as that one (sudo -u '#{found.st_uid}' autocron …)")
    if stat.S_ISREG(found.st_mode) and not found.st_size:
        raise StoreError(address, "the file is empty; autocron.start() makes a database of it")
    return address


def _here(file: str) -> str:
    """For who means a file in the current directory."""
    here = Path(file).absolute()
    if Path(file).is_absolute() or file.startswith("~") or not here.exists():
        return ""
    return f"; a relative name lies in ~/.autocron/, for the file in the current directory give {here}"
