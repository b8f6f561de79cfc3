"""The way to the monitor of a database: find it or start it, and introduce this process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Final

from . import messages
from .errors import MonitorError, StoreError
from .interface import Body, Channel, Closed, Interface, Message
from .labels import APP_CONNECT, APP_SPAWN

logger = logging.getLogger("autocron.engine")

START_S: Final = 15.0  # a monitor that is just ending may hold the database for its grace period
RELINK_S: Final = 2.0
SPAWNS: Final = 3
REQUEST: Final = 1  # the only one over a link that is given up again


class Linker:
    """Makes the links of a process."""

    def __init__(
        self,
        interface: Interface,
        *,
        identity: Callable[[], int],
        on_settings: Callable[[dict[str, Any], bool], None],
    ) -> None:
        self.interface = interface
        self._identity = identity  # of who has one link at a time
        self._on_settings = on_settings  # told them, and whether payloads may be pickled
        self._directory = ""  # where this process was when it started
        self._path: list[str] = []  # of modules, as the monitor was told

    def link(
        self, address: str, workers: int | None = None, within_s: float = RELINK_S, *, create: bool = False
    ) -> tuple[Channel | None, bool]:
        """A welcomed link, and whether a monitor had to be started for it; None if nobody answers in time.

        `create`: the monitor makes the database if it is missing. StoreError if the database cannot be used,
        MonitorError if monitors end as soon as they are started, OSError if none can be.
        """
        interface = self.interface
        until = interface.clock.monotonic() + within_s
        spawns = 0
        while interface.clock.monotonic() < until:
            try:
                link = self._connect(address)
            except TimeoutError:
                continue
            if link is not None:
                if self._is_welcomed(link, workers, until):
                    return link, False
                continue
            with interface.spawner.starting(address):
                try:
                    link = self._connect(address)
                except TimeoutError:
                    continue
                spawned = link is None
                if link is None:
                    if spawns == SPAWNS:
                        raise MonitorError(f"the monitor of {address} ends at once; see its messages on stderr")
                    spawns += 1
                    spec = {"log_level": _log_level(), "create": create}
                    link = interface.call(APP_SPAWN, interface.spawner.spawn, "monitor", address, spec)
                    # However slow this machine is: who gives up here would only start the next one.
                    until = max(until, interface.clock.monotonic() + START_S)
                if self._is_welcomed(link, workers, until):
                    return link, spawned
        return None, False

    def link_as_guest(self, address: str) -> Channel | None:
        """A link that starts no monitor and keeps none; None if there is none to be had."""
        try:
            link = self._connect(address)
        except TimeoutError:
            return None
        until = self.interface.clock.monotonic() + RELINK_S
        return link if link is not None and self._is_welcomed(link, None, until, guest=True) else None

    def part(self, link: Channel) -> None:
        """Give up a link that is not needed; a monitor that was started for it alone has ended then."""
        interface = self.interface
        link.send((messages.BYE, REQUEST))
        until = interface.clock.time() + RELINK_S
        while events := interface.spawner.wait([link], until):
            if any(not isinstance(each, Message) or each.body[0] == messages.REPLY for each in events):
                break
        link.close()

    def _connect(self, address: str) -> Channel | None:
        return self.interface.call(APP_CONNECT, self.interface.spawner.connect, address)

    def _is_welcomed(self, link: Channel, workers: int | None, until: float, *, guest: bool = False) -> bool:
        """Introduce this process. False if the monitor is ending; StoreError if it cannot use the database."""
        interface = self.interface
        link.send(self.introduction(workers, guest=guest))
        refusal: StoreError | None = None
        is_welcomed = False
        while not is_welcomed and (now := interface.clock.monotonic()) < until:
            for event in interface.spawner.wait([link], interface.clock.time() + until - now):
                if isinstance(event, Closed):  # it may have died right behind its welcome, and says so only once
                    until, is_welcomed = now, False
                elif isinstance(event, Message) and event.body[0] == messages.WELCOME:
                    self._on_settings(*event.body[1:])
                    is_welcomed = True
                elif isinstance(event, Message) and event.body[0] == messages.CHANGED:
                    self._on_settings(*event.body[1:])
                elif isinstance(event, Message) and event.body[0] == messages.REFUSED:
                    refusal = StoreError(*event.body[1:])  # it ends now, and is to be seen ending
        if not is_welcomed:
            link.close()
        if refusal is not None:
            raise refusal
        return is_welcomed

    def introduction(self, workers: int | None = None, *, guest: bool = False) -> Body:
        """What the monitor is told of this process."""
        spec = dict(self.interface.spawner.describe())
        self._path = list(sys.path)
        # Where it was started: a daemon that goes to "/" does not take its workers along.
        self._directory = spec["directory"] = self._directory or spec.get("directory", "")
        spec.update(log_level=_log_level(), guest=guest, engine=self._identity())
        return messages.HELLO, messages.PROTOCOL, spec, workers

    def introduce_again(self) -> Body | None:
        """What the monitor is told if workers would not find what this process can import by now."""
        return None if sys.path == self._path else self.introduction()


def _log_level() -> int:
    return int(logging.getLogger("autocron").getEffectiveLevel())  # applications have enumerations of their own
