"""Faults at chosen points of real processes, and the account that must be right afterwards.

A failpoint stops the process that reaches it; then the test strikes, at whom it likes, and lets the process go on.
Each case ends with a healthy life of the application, after which the database is checked: every acknowledged job is
there once, has ended well, and was done.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from processes import PATIENCE_S, PAUSE_S, Application, Process, Timeout, World, eventually

from autocron.job import Job, Outcome
from autocron.payload import encode_call
from autocron.stores import open_store
from autocron.system.failpoints import LOG, VARIABLE
from autocron.system.tree import process

GRACE_S = 1.0
TIMES = "AUTOCRON_CHAOS_TIMES"  # a file that gets a line for each measured death


class Account(NamedTuple):
    """How often the jobs of a test were done."""

    accepted: int
    once: int
    more: int
    lost: int


class Chaos:
    """A world in which processes are struck."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = world.directory / "failpoints"
        world.configure(blocking=True, grace_s=GRACE_S)
        self._plant()

    def _plant(self) -> None:
        """What an earlier life has left: a result whose time is over, and a cron entry that was missed."""
        store = open_store(str(self.world.database))
        old = Job(bytes(15) + b"\1", "load:at_once", encode_call(("old",), {}), 1.0)
        store.add([old], token=1)
        store.settle([Outcome(old.id, 3)], token=1, now=time.time() - 10, ttl_s=0)
        store.set_entry("load:every_minute#0", "* * * * *", time.time() - 3600)
        store.close()

    def application(self, failpoint: str = "") -> Application:
        """An application that has not started yet; with a failpoint its whole tree has it."""
        environment = {VARIABLE: failpoint, LOG: str(self.log)} if failpoint else {}
        application = self.world.application(start=False, environment=environment, log="ERROR")
        application.do("import load")
        return application

    def is_reached(self, otherwise: Callable[[], object]) -> bool:
        """Wait until a process has reached the failpoint; False if something else holds before."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            over = otherwise()
            if self.log.exists():
                return True
            if over:
                return False
            time.sleep(PAUSE_S)
        raise Timeout(f"neither the failpoint nor anything else; {self.world.family()}\n{self.world.stderr()}")

    def reached_by(self) -> int:
        """The process that has reached it."""
        return int(eventually(lambda: self.log.read_text().split()[1:2])[0])

    def held(self) -> Process:
        """The process that has stopped there."""
        pid = self.reached_by()
        held: list[Process] = eventually(lambda: self._stopped(pid))
        return held[0]

    def _stopped(self, pid: int) -> list[Process]:
        found = process(pid)
        if found is None or found.state in "ZX":
            raise Timeout(f"process {pid} died at its failpoint before anybody struck")
        return [each for each in self.world.family() if each.pid == pid] if found.state == "T" else []

    def of_role(self, role: str, application: Application) -> list[Process]:
        """Those who can be struck."""
        if role == "application":
            return [application.identity] if application.identity.is_alive() else []
        return self.world.monitors() if role == "monitor" else self.world.workers()

    def finish(self, *, exactly_once: bool) -> Account:
        """A healthy last life, after which everything that was acknowledged has been done."""
        self.settle()
        private = self.world.directory / "app.db-autocron"
        assert not private.exists(), f"left behind: {os.listdir(private)}"
        account = self.account()
        assert account.lost == 0, self.lost()
        assert account.more == 0 or not exactly_once, "done again, though nobody died"
        return account

    def settle(self) -> None:
        """A life in which nobody is struck, until no job is left."""
        application = self.application()
        application.do("autocron.start(DATABASE, workers=2)")
        # As long as something is done, there is no reason to lose patience.
        while self.unfinished():
            done = self.count("done")
            try:
                eventually(lambda: not self.unfinished())
            except Timeout:
                if self.count("done") == done:
                    raise Timeout(f"nothing is done any more; left: {self.unfinished()}") from None
            else:
                break  # a firing may come at any full minute
        assert application.end() == 0
        self.world.await_empty()

    def unfinished(self) -> list[Any]:
        """The jobs that have not ended, read without disturbing anybody."""
        with closing(sqlite3.connect(f"file:{self.world.database}?mode=ro", uri=True)) as db:
            left = db.execute("SELECT hex(id), task, status, deaths FROM jobs WHERE status < 3 LIMIT 9").fetchall()
            fired = db.execute("SELECT 1 FROM jobs WHERE entry != '' LIMIT 1").fetchall()
        return left or ([] if fired else ["the cron entry has not fired"])

    def account(self) -> Account:
        """The invariants, on the files alone."""
        done = self._done()
        accepted = self._accepted()
        with closing(sqlite3.connect(self.world.database)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            # A firing may have come at a full minute just before the end, and waits for the next start.
            statuses = {status for (status,) in db.execute("SELECT DISTINCT status FROM jobs WHERE entry = ''")}
        assert statuses <= {3, 4}, statuses
        names = accepted.values()
        assert len(set(names)) == len(accepted), "an identifier was given twice"
        return Account(
            accepted=len(accepted),
            once=sum(done[name] == 1 for name in names),
            more=sum(done[name] > 1 for name in names),
            lost=len(self.lost()),
        )

    def lost(self) -> dict[str, str]:
        """What was acknowledged and is not there, has not ended well, or says so and was not done; with the reason."""
        with closing(sqlite3.connect(self.world.database)) as db:
            rows = {
                id.lower(): f"status {status}: {error}" if status != 3 or error else ""
                for id, status, error in db.execute("SELECT hex(id), status, coalesce(error, '') FROM jobs")
            }
        done = self._done()
        reasons = {
            name: rows.get(uuid, "not there") or ("" if done[name] else "ready, and not done")
            for uuid, name in self._accepted().items()
        }
        return {name: reason for name, reason in reasons.items() if reason}

    def _accepted(self) -> dict[str, str]:
        """Names by id of what was acknowledged."""
        return dict(line.split() for line in self._lines("accepted"))  # type: ignore[misc]

    def _done(self) -> Counter[str]:
        """How often each name was done."""
        return Counter(self._lines("done"))

    def count(self, name: str) -> int:
        """How many lines a file has."""
        return len(self._lines(name))

    def _lines(self, name: str) -> list[str]:
        path = self.world.directory / name
        return path.read_text().splitlines() if path.exists() else []


@contextmanager
def measured(world: World, point: str, fault: str) -> Iterator[None]:
    """Inside, the application dies; the time from then until the tree is empty is noted."""
    yield
    died = time.monotonic()
    empty = world.await_empty()
    if path := os.environ.get(TIMES):
        line = json.dumps({"point": point, "fault": fault, "seconds": max(0.0, empty - died)})
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, line.encode() + b"\n")
        os.close(fd)


def strike(how: str, targets: list[Process], held: Process | None = None) -> None:
    """Strike at all of them at once, then let who is held at a failpoint go on."""
    number = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "STOP": signal.SIGSTOP}[how]
    for each in targets:
        each.send(number)
    if how == "STOP":
        time.sleep(0.05)  # the fault has a duration; nothing waits for it
        for each in targets:
            each.send(signal.SIGCONT)
    if held is not None:
        held.send(signal.SIGCONT)
