"""Due fire times become jobs, once each.

Which entries hold is what the linked application processes announce; where two announce the same entry, the newest
process decides (deploys, reloads). An entry that nobody announces any more does not fire. Its last fire time stays in
the store, so that a time missed while nothing ran is noticed by whoever runs next.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ..errors import StoreError
from ..interface import Channel, Interface, Store
from ..job import Entry, EntryState, Firing, Job
from ..labels import MONITOR_FIRE
from ..payload import NO_ARGUMENTS
from ..schedule import Schedule
from . import border

logger = logging.getLogger("autocron.monitor.scheduler")

ON_TIME_S: Final = 60.0  # a fire time not older than this is not a missed one
RETRY_S: Final = 1.0
SET_BACK_S: Final = 3 * 3600.0  # a clock set back by less repeats no fire time; by more, it was wrong before
LOOK_BACK_S: Final = (120.0, 3600.0, 86400.0, 31 * 86400.0, 366 * 86400.0, 9 * 366 * 86400.0)


class Scheduler:
    """Fires the entries of the linked applications."""

    def __init__(self, interface: Interface, store: Store, token: int) -> None:
        self.interface = interface
        self.store = store
        self.token = token
        self.next_at: float | None = None  # wall time
        self._known = {each.key: each for each in store.entries()}
        self._unstored: dict[str, EntryState] = {}
        self._announced: dict[Channel, list[Entry]] = {}
        self._speaks_for: dict[Channel, Channel] = {}  # a reloaded process for its reloader, whose code is older
        self._entries: dict[str, Entry] = {}
        self._schedules: dict[str, Schedule] = {}
        self._next: dict[str, float] = {}
        self._last_job: dict[str, bytes] = {each.key: each.last_job for each in self._known.values()}
        self._going = set(self._last_job.values())  # those whose end was not seen here; the store knows
        self._queued: dict[bytes, str] = {}  # firings that wait for the end of this job
        self._waiting: set[str] = set()  # entries of these firings: they are not missed, however late it gets
        self._seen = 0.0  # the latest wall time so far

    def announce(self, channel: Channel, rows: Iterable[Any], now: float, speaks_for: Channel | None = None) -> None:
        """These are all entries of an application process, and of another for which it speaks."""
        entries = [border.entry(row) for row in rows]
        if speaks_for is not None:
            self._speaks_for[channel] = speaks_for
        self._announced.setdefault(channel, [])
        self._announced[channel] = entries
        self._choose(now)

    def forget(self, channel: Channel, now: float) -> None:
        """An application process has gone."""
        self._speaks_for.pop(channel, None)
        if self._announced.pop(channel, None) is not None:
            self._choose(now)

    def _choose(self, now: float) -> None:
        silent = self._speaks_for.values()
        announced = [entries for channel, entries in self._announced.items() if channel not in silent]  # newest last
        chosen = {entry.key: entry for entries in announced for entry in entries}
        for key in [key for key in self._entries if key not in chosen]:
            del self._entries[key]
            self._end(key)
        for key, entry in chosen.items():
            if self._entries.get(key) != entry:
                self._begin(entry, now, now + SET_BACK_S)
        self._plan()

    def _end(self, key: str) -> None:
        """What was to be fired of this entry, is not."""
        self._schedules.pop(key, None)
        self._next.pop(key, None)
        self._queued = {job: each for job, each in self._queued.items() if each != key}
        self._waiting.discard(key)

    def _begin(self, entry: Entry, now: float, latest: float) -> None:
        """Have an entry fire; a last fire time after `latest` is of a clock that was wrong."""
        spec = f"{entry.crontab} {entry.tz}".rstrip()
        state = self._known.get(entry.key)
        if state is None or state.spec != spec or state.last_fire > latest:
            state = EntryState(entry.key, spec, now, state.last_job if state else b"")  # new or edited: from now on
        self._entries[entry.key] = entry
        self._end(entry.key)
        try:
            schedule = Schedule(entry.crontab, tz=entry.tz or None)
            following = schedule.next_fire(max(state.last_fire, now - entry.catch_up_s - ON_TIME_S))
        except ValueError as error:  # of an application of another version, or a zone that is not known here
            logger.error("%s does not fire: %s", entry.key, error)
            return
        if state is not self._known.get(entry.key):
            self._known[entry.key] = state
            self._unstored[entry.key] = state
            self._store_entries()
        self._schedules[entry.key] = schedule
        self._next[entry.key] = following

    def _store_entries(self) -> bool:
        """Whether all entries are stored; one that is not cannot be fired."""
        try:
            for key, state in list(self._unstored.items()):
                self.store.set_entry(key, state.spec, state.last_fire)
                del self._unstored[key]
        except StoreError as error:
            logger.error("an entry cannot be stored: %s; trying again", error)
        return not self._unstored

    def _plan(self) -> None:
        waiting = set(self._queued.values())
        times = [at for key, at in self._next.items() if key not in waiting]
        if self._unstored:
            times.append(self.interface.clock.time() + RETRY_S)
        self.next_at = min(times, default=None)

    def keys(self) -> list[str]:
        """The entries that fire, because a linked application has them."""
        return list(self._entries)

    def ended(self, ids: Sequence[bytes]) -> None:
        """These jobs have ended; firings that are queued behind them may go."""
        self._going.difference_update(ids)
        if self._queued:
            for id in ids:
                self._queued.pop(id, None)
            self._plan()

    def purged(self, ids: Sequence[bytes]) -> None:
        """These jobs were to be removed; one that has just begun goes on."""
        try:
            self.ended([id for id in ids if id in self._going and not self.store.unfinished(id)])
        except StoreError as error:  # what waits asks again
            logger.warning("it is not known whether purged firings have ended: %s", error)
            self._queued = {job: key for job, key in self._queued.items() if job not in ids}
            self._plan()

    def retried(self) -> None:
        """Jobs that have ended may go again."""
        self._going.update(self._last_job.values())

    def fire(self, now: float) -> list[Job]:
        """The jobs of all fire times up to now, claimed for being dispatched."""
        if self._seen - now > SET_BACK_S:
            self._begin_again(now)
        self._seen = max(self._seen, now)
        if self.next_at is None or now < self.next_at:
            return []
        if not self._store_entries():
            self.next_at = now + RETRY_S
            return []
        firings = []
        following = {}
        try:
            for key, at in self._next.items():
                if at <= now:
                    entry = self._entries[key]
                    latest, after = self._latest(key, at, now)
                    job = self._job(entry, latest, now)
                    if job is None and entry.overlap == "queue" and self._last_job.get(key) in self._queued:
                        continue  # it stays due
                    firings.append(Firing(key, latest, job))
                    following[key] = after
            jobs = self.interface.call(MONITOR_FIRE, self.store.fire, firings, token=self.token) if firings else []
        except StoreError as error:
            logger.error("due entries cannot be fired: %s; trying again", error)
            self.next_at = now + RETRY_S
            return []
        for firing in firings:
            state = self._known.get(firing.key)
            if state is not None:
                self._known[firing.key] = state._replace(last_fire=firing.at)
        self._next.update(following)
        self._waiting.difference_update(following)
        for job in jobs:
            self._going.discard(self._last_job.get(job.entry, b""))
            self._last_job[job.entry] = job.id
            self._going.add(job.id)
        self._plan()
        return jobs

    def _begin_again(self, now: float) -> None:
        """The clock was wrong, and has been set right: what was fired in that future does not count."""
        logger.warning("the clock was set back by %.0f s; entries hold from now on", self._seen - now)
        self._seen = now
        for entry in list(self._entries.values()):
            self._begin(entry, now, now)
        self._plan()

    def _latest(self, key: str, at: float, now: float) -> tuple[float, float]:
        """The newest fire time that has come, and the one after it: several missed ones are one firing."""
        schedule = self._schedules[key]
        for span in LOOK_BACK_S:  # a clock that jumps over years is not followed minute by minute
            if at >= now - span:
                break
            if (near := schedule.next_fire(now - span)) <= now:
                at = near
                break
        after = schedule.next_fire(at)
        while after <= now:
            at, after = after, schedule.next_fire(after)
        return at, after

    def _job(self, entry: Entry, at: float, now: float) -> Job | None:
        """The job of a fire time; None if it is passed over or has to wait."""
        late_s = now - at
        if late_s > max(entry.catch_up_s, ON_TIME_S) and entry.key not in self._waiting:
            logger.info("%s: the fire time %.0f s ago was missed and is too old to be made up", entry.key, late_s)
            return None
        last = self._last_job.get(entry.key, b"")
        if entry.overlap != "allow" and last in self._going and self.store.unfinished(last):
            if entry.overlap == "queue":
                self._queued[last] = entry.key
                self._waiting.add(entry.key)
            else:
                logger.warning("%s: skipped, because its previous firing still goes", entry.key)
            return None
        return Job(_firing_id(entry.key, at), entry.task, NO_ARGUMENTS, at, entry=entry.key)


def _firing_id(key: str, at: float) -> bytes:
    """The same for whoever fires it: the store then keeps one job per fire time."""
    import hashlib  # noqa: PLC0415 - brings OpenSSL along, and many applications have no entries

    digest = hashlib.blake2b(f"{key} {at!r}".encode(), digest_size=10).digest()
    return int(at * 1000).to_bytes(6, "big") + digest
