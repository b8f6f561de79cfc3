"""THE HEART: one monitor per database and machine. Its list of files is the list of its duties.

    applications   who is linked, and what they ask
    dispatcher     jobs on their way: stored, claimed, given to workers, settled
    ready          those of them that wait for a worker, the urgent first
    scheduler      due fire times become jobs, once each
    pool           workers: spawned, replaced, resized, ended
    pruner         results whose time is over
    tidier         housekeeping of the store while it is idle
    border         what comes in is checked before anything relies on it

`Monitor.step` is one pass over what has happened. It is the only writer of the store, and never waits for a peer.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from .. import __version__, messages
from ..errors import StoreBusy, StoreError
from ..interface import (
    Body,
    Channel,
    Closed,
    Connected,
    Exited,
    Interface,
    Listener,
    Message,
    Source,
    Stop,
    Store,
    wall_at,
)
from ..labels import MONITOR_DRAIN, MONITOR_LISTEN, MONITOR_OPEN, MONITOR_RESCUE
from ..settings import Settings
from .applications import Applications
from .dispatcher import Dispatcher
from .pool import Pool
from .pruner import Pruner
from .scheduler import Scheduler
from .tidier import Tidier

logger = logging.getLogger("autocron.monitor")

T = TypeVar("T")

ATTEMPTS: Final = 40  # to open a database that is locked; the store waits a little in each
UNSETTLED_S: Final = 2.0  # at the end, for a store that takes nothing: outcomes not stored mean one more run


class Monitor:
    """Claims, dispatches and settles jobs, fires entries, and keeps the workers, while an application is linked."""

    pool: Pool
    applications: Applications
    dispatcher: Dispatcher
    scheduler: Scheduler
    pruner: Pruner
    tidier: Tidier

    def __init__(
        self,
        interface: Interface,
        address: str,
        first: Channel,
        *,
        on_level: Callable[[int], None] = lambda level: None,
    ) -> None:
        self.interface = interface
        self.address = address
        self._first = first
        self._on_level = on_level
        self._listener: Listener | None = None
        self._store: Store | None = None
        self._drained_at: float | None = None  # monotonic; not None while draining
        self.wall_at: float | None = None  # the next pass, if nothing happens before: by the wall clock
        self.monotonic_at: float | None = None  # and by the other one

    # -- the timetable ---------------------------------------------------------------------------------------

    def run(self) -> None:
        """From the first link to the end of the last."""
        if self.start():
            while self.step():
                pass

    def start(self) -> bool:
        """Become the monitor of this database; False if another process is, or if the database cannot be used."""
        interface = self.interface
        try:
            self._listener = interface.call(MONITOR_LISTEN, interface.spawner.listen, self.address)
            if self._listener is None:
                self._first.close()  # the application finds the other one
                return False
            store = self._store = _patiently(lambda: interface.call(MONITOR_OPEN, interface.open_store, self.address))
            settings = Settings.from_stored(store.settings())
            token = interface.random.getrandbits(62) | 1
            begun = interface.spawner.orphans()
            rescued = _patiently(lambda: interface.call(MONITOR_RESCUE, store.rescue, begun, token=token))
            self.pool = Pool(interface, self.address)
            self.applications = Applications(interface, store, self.pool, settings)
            self.dispatcher = Dispatcher(interface, store, self.pool, token)
            self.scheduler = Scheduler(interface, store, token)
            self.applications.about = self._about
            self.pruner = Pruner(interface, store)
            self.tidier = Tidier(interface, store)
        except StoreError as error:
            self._first.send((messages.REFUSED, error.path, error.reason))
            return False
        self.dispatcher.settings = settings
        for job in reversed(rescued):
            self.dispatcher.retry(job, "with its monitor")
        self.applications.connected(self._first)
        self._plan()
        return True

    def step(self) -> bool:
        """One pass over what has happened; False when everything has ended."""
        for event in self.interface.spawner.wait(self.sources(), self._until()):
            self._handle(event)
        now = self.interface.clock.time()
        dispatcher = self.dispatcher
        dispatcher.add(now)
        if not dispatcher.paused:
            dispatcher.ready.extend(self.scheduler.fire(now))
            dispatcher.claim(now)
        else:
            dispatcher.release_ready()
        dispatcher.dispatch()
        dispatcher.acknowledge()
        self._settle(now)
        self.pool.keep()
        self.pruner.prune(now)
        self.tidier.tidy()
        if dispatcher.is_displaced:
            self._drain("another file is in the place of its database")
        self._plan()
        return not self._is_finished()

    def _settle(self, now: float) -> None:
        if ended := self.dispatcher.settle(now):
            self.scheduler.ended(ended)
            self.pruner.settled(now, self.applications.settings.ttl_s)

    def close(self) -> None:
        """Let go of everything; who waits for the end of this monitor sees it now."""
        if self._store is not None:
            self._store.close()
        if self._listener is not None:
            self._listener.close()

    # -- what has happened -----------------------------------------------------------------------------------

    def sources(self) -> list[Source]:
        assert self._listener is not None
        return [self._listener, *self.applications.linked, *self.pool.members]

    def _plan(self) -> None:
        """When the next pass is to be, if nothing happens before."""
        monotonic = (
            self.dispatcher.next_at(),
            self.pool.next_at(),
            self.tidier.next_at,
            None if self.pool.members else self._drained_at,  # who still lives is waited for
        )
        wall = (
            self.dispatcher.next_claim(),
            None if self.dispatcher.paused else self.scheduler.next_at,
            self.pruner.next_at,
        )
        self.wall_at = min((each for each in wall if each is not None), default=None)
        self.monotonic_at = min((each for each in monotonic if each is not None), default=None)

    def _until(self) -> float | None:
        """Wall time of the next pass, if nothing happens before; None: nothing is to come."""
        if self.monotonic_at is None:
            return self.wall_at
        until = wall_at(self.interface.clock, self.monotonic_at)
        return until if self.wall_at is None else min(until, self.wall_at)

    def _handle(self, event: object) -> None:
        if isinstance(event, Message):
            try:
                self._hear(event.channel, event.body)
            except Exception as error:  # whatever one peer says costs that peer its link, and nobody else anything
                self._hang_up(event.channel, event.body, error)
        elif isinstance(event, Connected):
            self.applications.connected(event.channel)
        elif isinstance(event, Closed):
            self._end_link(event.channel)
        elif isinstance(event, Exited):
            self._bury(event)
        elif isinstance(event, Stop):
            self._drain("it was asked to stop")

    def _hear(self, channel: Channel, body: Body) -> None:
        if channel in self.pool.members:
            self._hear_worker(channel, body)
        elif channel in self.applications.linked:
            self._hear_application(channel, body)

    def _hang_up(self, channel: Channel, body: Body, error: Exception) -> None:
        logger.error(
            "process %d is cut off, because its message %.50r cannot be taken: %.200r",
            channel.pid,
            body[0],
            error,
            exc_info=logger.isEnabledFor(logging.DEBUG),
        )
        self._end_link(channel)

    def _end_link(self, channel: Channel) -> None:
        if self.applications.gone(channel):
            self._left(channel)
        else:
            self.pool.cut(channel)

    def _hear_application(self, channel: Channel, body: Body) -> None:
        kind = body[0]
        if kind == messages.REGISTER:
            self.dispatcher.register(channel, *body[1:])
        elif kind == messages.ASK:
            self._answer(channel, body)
        elif kind == messages.ANNOUNCE:
            reloader = self.applications.reloader_of(channel)
            self.scheduler.announce(channel, body[1], self.interface.clock.time(), reloader)
        elif kind == messages.HELLO:
            self._welcome(channel, body)
        elif kind == messages.LOOK:
            self.dispatcher.expect(self.interface.clock.time())
        elif kind == messages.BYE:
            self._say_good_bye(channel, body[1])

    def _hear_worker(self, channel: Channel, body: Body) -> None:
        member = self.pool.members[channel]
        kind = body[0]
        if kind == messages.DONE:
            self.dispatcher.done(member, body[1])
        elif kind == messages.OUTDATED:
            self.dispatcher.outdated(member, body[1])
        elif kind == messages.RELEASED:
            self.dispatcher.released(member, body[1])
        elif kind == messages.REGISTER:
            self.dispatcher.register(channel, *body[1:])
        elif kind == messages.ASK:
            self._answer(channel, body)
        elif kind == messages.READY:
            self.pool.is_up(member)
        elif kind == messages.RETIRED:
            self.pool.retire(member, self.applications.settings.grace_s)

    def _answer(self, channel: Channel, body: Body) -> None:
        _, request, question, argument = body
        if question in (messages.RESULT, messages.STATE, messages.RESULTS):
            # Who asks after a job sees at least what had happened when it asked.
            now = self.interface.clock.time()
            self.dispatcher.add(now)
            self._settle(now)
        self.applications.answer(channel, request, question, argument)
        if question == messages.PURGE:
            self.scheduler.purged(argument[0])  # a firing may be queued behind one that has waited
        elif question == messages.RETRY:
            self.scheduler.retried()
        if question in messages.WAKING:
            self.dispatcher.expect(self.interface.clock.time())
        self._apply(self.applications.settings)

    def _about(self) -> dict[str, Any]:
        """What the command line shows of this monitor."""
        return {
            "version": __version__,
            "protocol": messages.PROTOCOL,
            "python": sys.version.partition(" ")[0],
            "announced": self.scheduler.keys(),
            "settled": self.dispatcher.settled,
            "draining": self._drained_at is not None,
        }

    def _welcome(self, channel: Channel, body: Body) -> None:
        protocol = body[1]
        if protocol != messages.PROTOCOL:  # what else it says may mean something else
            self._refuse(channel, protocol)
            return
        _, _, spec, workers = body
        if not self.applications.hello(channel, spec, workers):
            return
        for former in self.applications.former(channel):
            self.applications.gone(former)
            self.scheduler.forget(former, self.interface.clock.time())
        self._on_level(spec.get("log_level", logging.WARNING))
        if not self.pool.spec:
            logger.info("started for %s", self.address)
        if self._drained_at is not None:
            self._drained_at = None
            self.pool.go_on()
            for each in self.applications.linked.values():
                if each.leaving:  # it waits for an end that does not come now
                    each.channel.send((messages.REPLY, each.leaving, None))
        self.pool.renew(spec)
        self._apply(self.applications.settings)
        # What was written past a monitor while nobody was linked waits in the store.
        self.dispatcher.expect(self.interface.clock.time())

    def _refuse(self, channel: Channel, protocol: object) -> None:
        logger.warning(
            "process %d speaks protocol %s, this monitor %d: restart the application as a whole",
            channel.pid,
            protocol,
            messages.PROTOCOL,
        )
        reason = (
            f"its monitor speaks protocol {messages.PROTOCOL} of autocron {__version__}, this process {protocol};"
            " end all processes of the application, then start it again"
        )
        channel.send((messages.REFUSED, self.address, reason))
        self._end_link(channel)

    def _apply(self, settings: Settings) -> None:
        self.dispatcher.settings = settings
        self.pool.allow_pickle(self.applications.pickle_allowed())
        if self._drained_at is None:
            self.dispatcher.pause(not settings.enabled or settings.paused)
            self.pool.target = settings.workers if settings.enabled and self.applications.are_there() else 0

    def _bury(self, event: Exited) -> None:
        buried = self.pool.bury(event)
        if buried is not None:
            member, how = buried
            self.dispatcher.lost(member, how, self.interface.spawner.begun(event.channel))

    # -- the end ---------------------------------------------------------------------------------------------

    def _left(self, channel: Channel) -> None:
        now = self.interface.clock.time()
        self.scheduler.forget(channel, now)
        self.dispatcher.expect(now)  # its last registrations may be written past us, and it had no time to say so
        if not self.applications.are_there():
            self._drain("the application has gone")
        elif (spec := self.applications.newest()) is not None and spec is not self.pool.spec:
            # A short command has come and gone: back to the code of who stays, and to how much it wants to hear.
            self.pool.renew(spec, again=True)
            self._on_level(spec.get("log_level", logging.WARNING))

    def _say_good_bye(self, channel: Channel, request: int) -> None:
        self.applications.linked[channel].leaving = request
        self.scheduler.forget(channel, self.interface.clock.time())
        if self.applications.are_there():
            channel.send((messages.REPLY, request, None))
        else:
            self._drain("the application has stopped it")

    def _drain(self, why: str) -> None:
        if self._drained_at is not None:
            return
        grace_s = self.applications.settings.grace_s
        logger.info("draining: %s", why)
        self.dispatcher.paused = True
        self._drained_at = self.interface.clock.monotonic() + grace_s + UNSETTLED_S
        self.interface.call(MONITOR_DRAIN, self.pool.end_all, grace_s)

    def _is_finished(self) -> bool:
        if self._drained_at is None or self.pool.members:
            return False
        self.dispatcher.release_ready()
        if (
            self.dispatcher.is_settled()
            or self.dispatcher.is_displaced
            or self.interface.clock.monotonic() >= self._drained_at
        ):
            logger.info("gone")
            return True
        return False


def _patiently(function: Callable[[], T]) -> T:
    """Another program may hold the database locked for a while."""
    for _ in range(ATTEMPTS - 1):
        with suppress(StoreBusy):
            return function()
    return function()
