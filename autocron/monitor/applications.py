"""The applications at the other ends of the links: who is there, what they ask."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .. import messages
from ..errors import AutocronError, StoreError
from ..interface import Channel, Interface, Store
from ..job import Job, Selection
from ..payload import NO_ARGUMENTS
from ..settings import Settings, SettingsError
from .pool import Pool, shown

logger = logging.getLogger("autocron.monitor.applications")

COUNTING: Final = 0.05  # of the time at most goes into counting jobs, however often somebody asks


@dataclass(slots=True, eq=False)
class Application:
    """One linked process."""

    channel: Channel
    spec: Mapping[str, Any] = field(default_factory=dict)
    counts: bool = False  # keeps the monitor alive; what a task has started and the command line do not
    leaving: int = 0  # the request of its good-bye


class Applications:
    """Links and questions."""

    def __init__(self, interface: Interface, store: Store, pool: Pool, settings: Settings) -> None:
        self.interface = interface
        self.store = store
        self.pool = pool
        self.settings = settings
        self.linked: dict[Channel, Application] = {}
        self.about: Callable[[], Mapping[str, Any]] = dict  # what the monitor itself has to tell
        self._counts: dict[int, int] = {}
        self._count_at = 0.0  # monotonic

    def connected(self, channel: Channel) -> None:
        """A process has opened a link."""
        self.linked[channel] = Application(channel)

    def hello(self, channel: Channel, spec: Mapping[str, Any], workers: int | None) -> bool:
        """A process introduces itself; True if it counts as an application."""
        application = self.linked[channel]
        application.spec = spec
        application.counts = not spec.get("guest") and not channel.kin
        if workers is not None and workers != self.settings.workers:
            self._resize(workers)
        channel.send((messages.WELCOME, self.settings.as_dict(), self.pickle_allowed()))
        return application.counts

    def _resize(self, workers: int) -> None:
        try:
            self.change({"workers": workers})
        except (StoreError, SettingsError) as error:
            logger.error("the number of workers cannot be stored, and stays %d: %s", self.settings.workers, error)

    def pickle_allowed(self) -> bool:
        """Whether payloads may be pickled."""
        return self.settings.allows_pickle(self.store.pickle_allowed)

    def change(self, changes: Mapping[str, Any]) -> None:
        """Store changed settings and tell everybody. SettingsError for those that cannot be taken."""
        changed = self.settings.changed(**changes)
        self.store.save_settings(changes)
        self.settings = changed
        for each in self.linked.values():
            each.channel.send((messages.CHANGED, changed.as_dict(), self.pickle_allowed()))

    def former(self, channel: Channel) -> list[Channel]:
        """Links whose end nobody told: the peer has lost them, yet a sleeping thread of it keeps them open."""
        engine = self.linked[channel].spec.get("engine")
        return [
            each.channel
            for each in self.linked.values()
            if engine and each.spec.get("engine") == engine and each.channel is not channel
        ]

    def gone(self, channel: Channel) -> bool:
        """A link has ended; True if it was there."""
        channel.close()
        return self.linked.pop(channel, None) is not None

    def reloader_of(self, channel: Channel) -> Channel | None:
        """The link of the process that only starts this one anew when code changes; None if there is none."""
        pid = self.linked[channel].spec.get("reloader")
        return next((each.channel for each in self.linked.values() if pid and each.spec.get("pid") == pid), None)

    def are_there(self) -> bool:
        """Whether any application process still needs this monitor."""
        return any(each.counts and not each.leaving for each in self.linked.values())

    def answer(self, channel: Channel, request: int, question: str, argument: Any) -> None:
        """Answer a peer's question."""
        try:
            answer = self._answer(question, argument)
        except StoreError as error:
            channel.send((messages.FAILED, request, error.path, error.reason))
        except AutocronError as error:
            channel.send((messages.FAILED, request, self.pool.address, str(error)))
        except Exception as error:  # an argument that the question cannot have: who has asked must not ask for ever
            logger.error("process %d asks %r with an argument that cannot be: %.200r", channel.pid, question, error)
            reason = f"its monitor cannot answer {question!r}: {error!r:.200}"
            channel.send((messages.FAILED, request, self.pool.address, reason))
        else:
            channel.send((messages.REPLY, request, answer))

    def _answer(self, question: str, argument: Any) -> Any:
        if question in (messages.RESULT, messages.STATE):
            found = self.store.result(argument)
            if found is None or 0 < found.expires <= self.interface.clock.time():
                return None  # its time is over, though it may not yet be removed
            return tuple(found if question == messages.RESULT else found._replace(payload=b""))
        if question == messages.RESULTS:
            after, limit = argument
            return [tuple(each) for each in self.store.results(after, limit)]
        if question == messages.SETTINGS:
            if argument:
                self.change(argument)
            return self.settings.as_dict()
        if question == messages.OVERVIEW:
            return self._overview()
        if question == messages.JOBS:
            return self._jobs(*argument)
        if question == messages.RETRY:
            return self.store.retry(argument, now=self.interface.clock.time())
        if question == messages.HASTEN:
            return self.store.hasten(argument, now=self.interface.clock.time())
        if question == messages.PURGE:
            return self.store.purge(*argument)
        if question == messages.FIRE:
            return self._fire(argument)
        raise AutocronError(f"{question!r} is a question this monitor does not know")

    def _jobs(self, selection: tuple[Any, ...], limit: int, with_payloads: bool) -> tuple[list[Any], Any]:
        found, rest = self.store.select(Selection._make(selection), limit, with_payloads=with_payloads)
        return [tuple(each) for each in found], None if rest is None else tuple(rest)

    def _fire(self, key: str) -> bytes:
        """A job of an entry, beside its fire times."""
        known = [each.key for each in self.store.entries()]
        if key not in known:
            raise AutocronError(f"there is no entry {key!r}; known are: {', '.join(known) or 'none'}")
        now = self.interface.clock.time()
        id = int(now * 1000).to_bytes(6, "big") + self.interface.random.getrandbits(80).to_bytes(10, "big")
        self.store.add([Job(id, key.rpartition("#")[0], NO_ARGUMENTS, now, entry=key)], token=0)
        return id

    def newest(self) -> Mapping[str, Any] | None:
        """The spec of the application process that linked last; None if there is none."""
        return next((each.spec for each in reversed(self.linked.values()) if each.counts), None)

    def _overview(self) -> dict[str, Any]:
        now = self.interface.clock.monotonic()
        return {
            "settings": self.settings.as_dict(),
            "counts": self._count(),
            "workers": [
                {
                    "pid": each.channel.pid,
                    "running": len(each.inflight),
                    "task": next((job.task for job, _ in each.inflight.values()), ""),  # the oldest is what runs
                    "ready": each.ready,
                    "ending": each.ending,
                    "since_s": now - each.heard,  # since it has ended the previous job or was given one
                }
                for each in self.pool.members.values()
            ],
            "entries": [tuple(each) for each in self.store.entries()],  # also those that nobody announces now
            "applications": [shown(each.spec) for each in self.linked.values() if each.counts and not each.leaving],
            **self.about(),
        }

    def _count(self) -> dict[int, int]:
        """How many jobs there are, by status; a moment old where counting them takes long."""
        clock = self.interface.clock
        if (started := clock.monotonic()) >= self._count_at:
            self._counts = self.store.counts()
            ended = clock.monotonic()
            self._count_at = ended + (ended - started) / COUNTING
        return self._counts
