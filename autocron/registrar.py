"""Collects registrations, hands them over in groups, and asks the monitor's questions.

When the link breaks, whatever is unacknowledged is sent again over the next one; the store keeps a job once, whoever
brings it. Callers only touch deques and the bell: they are never blocked by a slow monitor. Who wants to know that a
job is safe (blocking mode) waits for the monitor for some seconds, then writes into the store itself.

A signal handler, or a finalizer, may come in the middle of all this and register, ask or stop. Then the background
waits for the very thread that would wait for the background. So it does without: what it wants stored it stores itself.

In a worker the channel is the link. It needs no acknowledgement: if the monitor dies, so does the worker, and the
job runs again.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from . import messages
from .errors import AutocronError, MonitorError, StoreBusy, StoreError, StoreFull
from .in_caller import InCaller
from .interface import Background, Body, Channel, Closed, Interface, Message, Source
from .job import Entry, Job
from .labels import APP_FALLBACK, APP_REGISTER
from .outbox import Outbox
from .questions import Questions

logger = logging.getLogger("autocron.registrar")

WINDOW_JOBS: Final = 5000  # sent and not acknowledged: enough to keep a monitor busy, bounded in its memory
FALLBACK_AFTER_S: Final = 1.0  # without a monitor, registrations are then written by this process itself
RETRY_S: Final = 1.0
ANSWER_S: Final = 30.0
STORED_S: Final = 5.0  # a monitor that has not stored a job by then is passed over, for a caller who waits for that
TRIES: Final = 6
LINGER_S: Final = 0.001  # a stream of registrations is looked at so often, instead of waking the thread for each
SETTLE_S: Final = 1.0  # a forked child may become a daemon: what is opened while it closes all is a stranger's soon
CROWDED_S: Final = 0.05  # as long as the window is full; the monitor's next word comes sooner


class Registrar:
    """The application's (or a worker's) end of the link."""

    def __init__(
        self,
        interface: Interface,
        address: str,
        *,
        link: Channel | None,
        relink: Callable[[], Channel | None] | None = None,
        background: Background | None = None,
        announcement: Callable[[], tuple[int, list[Entry]]] | None = None,
        introduction: Callable[[], Body | None] | None = None,
        on_settings: Callable[[dict[str, Any], bool], None] | None = None,
    ) -> None:
        self.interface = interface
        self.address = address
        self.link = link
        self.trouble: StoreError | None = None  # why the store takes nothing at the moment
        self.stopped = False
        self.bell = interface.spawner.bell()
        self._relink = relink
        self._announcement = announcement
        self._introduction = introduction
        self._on_settings = on_settings
        self._announced = -1
        self.mutex = interface.spawner.mutex()  # held while somebody sends or writes
        self._outbox = Outbox()
        self._numbers = itertools.count(1)
        self._questions = Questions()
        self._retry_at = 0.0 if link is not None else interface.clock.monotonic() + SETTLE_S
        self._lost_at = interface.clock.monotonic() if link is None else 0.0
        self._sent_at = 0.0
        self._linger_s = 0.0  # not 0: the next look comes that soon, whether the bell is rung or not
        self._is_inside = False  # somebody sends or writes; who finds it so under the mutex is that very thread
        self._failures = 0
        self._leaving = False
        self._is_alone = False
        self._abandoned: Channel | None = None
        self.background: Background = (
            background or interface.spawner.background(self.step, self.bell) or InCaller(interface, self.step)
        )

    # -- what callers do -------------------------------------------------------------------------------------

    def add(self, job: Job, *, blocking: bool = False) -> None:
        """Hand over a registration; `blocking`: return when it is safely stored, StoreError if it cannot be."""
        blocking = blocking or self.background.must_block()
        if blocking and self._interrupts():
            self._store_at_once(job)
            return
        if blocking:
            self._outbox.watched.add(job.id)
        lonely = self._outbox.is_empty()
        self._outbox.pending.append(job)
        if lonely and not self.background.spares_caller():
            self._send_at_once()
        else:
            self.nudge()
        if self.stopped and not blocking:  # by another thread, in this very moment
            self._write_at_last()
        if blocking:
            self._await_safe(job)

    def _send_at_once(self) -> None:
        """Spare a job that comes alone the way through the background; a stream is better left to that."""
        self.send()
        link = self.link
        if self._outbox.pending or link is None or link.backlog():
            self.nudge()

    def refusal(self) -> StoreError | None:
        """Why a registration would be refused now; after a while the next one tries, if none is left to try with."""
        trouble = self.trouble
        if trouble is None:
            return None
        if self.link is not None and self.is_idle() and self.interface.clock.monotonic() >= self._retry_at:
            self.trouble = None
            return None
        return type(trouble)(trouble.path, trouble.reason)  # a new one: each raise lengthens the traceback of the old

    def nudge(self) -> None:
        """There is something to send."""
        if self._relink is None:
            self.send()
        else:
            self.bell.ring()

    def _interrupts(self) -> bool:
        """Whether this thread is in the middle of sending or writing, further down its stack."""
        if self.background.is_dead() and not self._is_alone:
            self._go_on_alone()
        with self.mutex:
            return self._is_inside

    def _go_on_alone(self) -> None:
        """All other threads are dead, maybe with our locks, or the link's, in their hands."""
        self._is_alone = True
        self.mutex, self._is_inside = self.interface.spawner.mutex(), False
        self._abandoned, self.link = self.link, None  # left open: when it ends, with this process, the monitor looks

    def _store_at_once(self, job: Job) -> None:
        for number in range(1, TRIES + 1):
            try:
                self.interface.call(APP_FALLBACK, self._store, [job])
                break
            except StoreBusy:
                if number == TRIES:
                    raise
        self._tell_monitor()

    def _await_safe(self, job: Job) -> None:
        for _ in range(TRIES):
            until = self.interface.clock.monotonic() + STORED_S
            if self.background.wait_for(lambda: self._is_decided(job.id), until):
                break
            self._write_directly()
        if job.id not in self._outbox.watched:
            return
        self._outbox.watched.discard(job.id)
        trouble = self.trouble
        if trouble is None:
            reason = "it is locked, or its monitor is stopped; the job may still be stored, and run"
            raise StoreBusy(self.address, reason)
        with self.mutex:
            self._outbox.withdraw(job)
        raise type(trouble)(trouble.path, trouble.reason)

    def _is_decided(self, id: bytes) -> bool:
        """Whether a job is stored or refused; trouble of others says nothing about one that is under way."""
        if id not in self._outbox.watched:
            return True
        return self.trouble is not None and not self._outbox.is_in_flight(id)

    def ask(self, question: str, argument: object = None, *, within_s: float = ANSWER_S) -> Any:
        """The monitor's answer; AutocronError if there is none in this time."""
        if self._interrupts():
            raise AutocronError("nobody can be asked by a signal handler that has come in the middle of a registration")
        with self._questions.asking(messages.ASK, question, argument) as number:
            self.nudge()
            until = self.interface.clock.monotonic() + within_s
            self.background.wait_for(lambda: self._questions.is_answered(number), until)
            try:
                answer = self._questions.answer_to(number)
            except KeyError:
                raise AutocronError(f"the monitor of {self.address} does not answer; is it stopped?") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def flush(self, within_s: float) -> None:
        """Return when everything handed over is safe; what no monitor takes in time is written by us."""
        self.bell.ring()
        until = self.interface.clock.monotonic() + within_s
        if self._interrupts() or not self.background.wait_for(self.is_idle, until):
            self._write_directly()

    def end(self, within_s: float) -> None:
        """The last flush of this process."""
        self.flush(within_s)
        if not self.is_idle():
            self._write_at_last()

    def _write_at_last(self) -> None:
        reason = self._write_directly()
        if reason is not None:
            # A monitor has them, which may store them after all.
            have = "are not stored yet, and may be lost" if self.link is not None else "are lost"
            logger.error("%d registrations %s: %s", len(self._outbox.all()[0]), have, reason)

    def is_idle(self) -> bool:
        """Whether everything handed over is safe."""
        return self._outbox.is_empty()

    def held(self, id: bytes) -> Job | None:
        """The job of this id, if it is still on its way from here to the monitor."""
        with self.mutex:
            return next((job for job in self._outbox.all()[0] if job.id == id), None)

    # -- what the background does ----------------------------------------------------------------------------

    def step(self, until: float | None = None) -> bool:
        """One pass: link, send, hear, at the longest until this monotonic time. False: there is nothing more to do."""
        if self.stopped:
            return False
        if self.link is None:
            self._find_link()
        self.send()
        # In a stream the bell stays rung and unheard, so that callers need no system call to ring it.
        sources: list[Source] = [] if self._linger_s else [self.bell]
        if self.link is not None:
            sources.append(self.link)
        for event in self.interface.spawner.wait(sources, self._until(until)):
            if isinstance(event, Message):
                self.receive(event.body)
            elif isinstance(event, Closed):
                self._lose_link(event.channel)
        return not self.stopped

    def _until(self, limit: float | None) -> float | None:
        if self._linger_s:
            return self.interface.clock.time() + self._linger_s
        if self.link is None or self._outbox.returned:
            limit = self._retry_at if limit is None else min(limit, self._retry_at)
        if limit is None:
            return None
        return self.interface.clock.time() + max(0.0, limit - self.interface.clock.monotonic())

    def _find_link(self) -> None:
        now = self.interface.clock.monotonic()
        has_settled = not (self._failures or (self.is_idle() and self._questions.are_answered()))
        if self._relink is None or self._leaving or (now < self._retry_at and not has_settled):
            return  # who has registered or asked, and met no failure, has settled
        link = None
        try:
            link = self._relink()
        except StoreError as error:
            self._note(error)
        except (OSError, MonitorError) as error:  # the store may be well: what is registered waits, or goes there
            logger.error("cannot start a monitor for %s: %s", self.address, error)
        if link is None:
            if now - self._lost_at >= FALLBACK_AFTER_S:
                self._write_directly()
            # A monitor that cannot start must not be tried in a loop of new processes.
            self._failures += 1
            self._retry_at = self.interface.clock.monotonic() + min(RETRY_S * 2 ** min(self._failures - 1, 5), 30.0)
            return
        with self.mutex:
            if self.stopped:  # while we were looking
                link.close()
                return
            while self.link is not None:  # a signal handler was faster; the monitor keeps the newest of one process
                self._lose_link(self.link)
            self.link = link
        self._announced = -1
        self._failures = 0
        self.trouble = None
        self._questions.put_again()

    def _lose_link(self, link: Channel) -> None:
        with self.mutex:  # a caller may be just sending
            if link is not self.link:
                return  # it was let go of already
            link.close()
            self.link = None
            self._lost_at = self.interface.clock.monotonic()
            self._retry_at = 0.0
            self._linger_s = 0.0  # there is nobody to look at every millisecond
            self._outbox.take_all_back()

    def send(self) -> None:
        """Hand over what is pending, as far as the window allows."""
        with self.mutex:
            link = self.link
            if link is None or self._is_inside:
                return
            self._is_inside = True
            try:
                self._send(link)
            finally:
                self._is_inside = False

    def _send(self, link: Channel) -> None:
        if self._introduction is not None and (introduction := self._introduction()) is not None:
            link.send(introduction)
        if self._announcement is not None:
            version, entries = self._announcement()
            if version != self._announced:
                link.send((messages.ANNOUNCE, [tuple(entry) for entry in entries]))
                self._announced = version  # only now: Ctrl-C may come in between
        for body in self._questions.unsent():
            link.send(body)
        if self._outbox.returned and self.interface.clock.monotonic() >= self._retry_at:
            self._send_group(link, self._outbox.returned, again=True)
        self._linger_s = 0.0
        if self.trouble is None and self._outbox.pending:
            self._send_stream(link)

    def _send_stream(self, link: Channel) -> None:
        outbox = self._outbox
        while outbox.pending and outbox.in_flight() < WINDOW_JOBS:
            self._send_group(link, outbox.pending, again=False)
        now = self.interface.clock.monotonic()
        if not outbox.watched:
            if outbox.pending:
                self._linger_s = CROWDED_S
            elif now - self._sent_at < LINGER_S:
                self._linger_s = LINGER_S
        self._sent_at = now

    def _send_group(self, link: Channel, jobs: deque[Job], *, again: bool) -> None:
        number = next(self._numbers)
        awaited = self._relink is not None or bool(self._outbox.watched)
        try:
            group = self._outbox.group(jobs, number, until_acknowledged=awaited)
            body = (messages.REGISTER, number, again, [tuple(job) for job in group])
            self.interface.call(APP_REGISTER, link.send, body)
        except BaseException:  # of a signal handler, as Ctrl-C: nobody will acknowledge what was perhaps not sent
            self._outbox.take_back(number)
            raise

    def receive(self, body: Body) -> None:
        """Something the monitor says."""
        kind = body[0]
        if kind == messages.REGISTERED:
            self._outbox.settle(body[1])
            self.trouble = None
        elif kind == messages.UNSTORED:
            _, number, is_full, path, reason = body
            self._outbox.take_back(number)
            self._retry_at = self.interface.clock.monotonic() + RETRY_S
            self._note((StoreFull if is_full else StoreError)(path, reason))
        elif kind == messages.REPLY:
            self._questions.answer(body[1], body[2])
        elif kind == messages.FAILED:
            self._questions.answer(body[1], StoreError(body[2], body[3]))
        elif kind == messages.CHANGED and self._on_settings is not None:
            self._on_settings(*body[1:])

    def _note(self, trouble: StoreError) -> None:
        if self.trouble is None:
            logger.error("registrations wait: %s", trouble)
        self.trouble = trouble

    def _write_directly(self) -> StoreError | None:
        """No monitor is within reach: store what waits, as the monitor would. Why that cannot be, or None."""
        error = self._try_to_write()
        if error is not None and not isinstance(error, StoreBusy):  # another program holds it locked: that only delays
            self._note(error)  # without the mutex: handlers of the log are the application's, and may register
        return error

    def _try_to_write(self) -> StoreError | None:
        with self.mutex:
            jobs, pending = self._outbox.all()
            if not jobs:
                return None
            interrupting, self._is_inside = self._is_inside, True
            try:
                self.interface.call(APP_FALLBACK, self._store, jobs)
                if not interrupting:  # else they go on from where they are; the store keeps a job once
                    self._outbox.settle_all(jobs, pending)
                    self.trouble = None
                    self._tell_monitor()
            except StoreError as error:
                return error
            finally:
                self._is_inside = interrupting
            return None

    def _tell_monitor(self) -> None:
        """One that was only slow would not know of what we have written."""
        if self.link is not None:
            self.link.send((messages.LOOK,))

    def _store(self, jobs: list[Job]) -> None:
        store = self.interface.open_store(self.address)
        try:
            store.add(jobs, token=0)
            store.sync()
        finally:
            store.close()

    def leave(self, within_s: float) -> None:
        """Say good-bye, and wait until it had its effect: if we were the last, the monitor is gone."""
        link = self.link
        if link is None:
            return
        self._leaving = True
        number = self._questions.put(messages.BYE)
        if self._interrupts():
            for body in self._questions.unsent():
                link.send(body)
            return
        self.nudge()
        until = self.interface.clock.monotonic() + within_s
        self.background.wait_for(lambda: self._questions.is_answered(number) or self.link is not link, until)

    def stop(self) -> None:
        """End the background and let go of the link."""
        self.stopped = True
        self.bell.ring()
        self.background.stop()
        if isinstance(self.background, InCaller):  # a thread closes it when it has ended
            self.bell.close()
        self._write_at_last()  # what other threads have registered meanwhile
        with self.mutex:
            if self.link is not None:
                self.link.close()
                self.link = None

    def let_go(self) -> None:
        """In a forked child: close what the fork has copied."""
        self.bell.close()
        if self.link is not None:
            self.link.close()
