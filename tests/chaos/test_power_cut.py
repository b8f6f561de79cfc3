"""A power cut at every point of a real run: what was acknowledged is there afterwards."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import power_cut
import pytest
from processes import World, eventually

from autocron.errors import StoreError
from autocron.stores import open_store

pytestmark = [
    pytest.mark.skipif(bool(power_cut.why_not()), reason=power_cut.why_not() or "strace works"),
    pytest.mark.timeout(300),
]

FAST = Path("/dev/shm")  # images are written by the thousand


class Cut(NamedTuple):
    """One image: what was acknowledged before, and what is wrong with it."""

    after: int  # calls
    kind: str
    acknowledged: int
    lost: int
    damage: str


def record(world: World, **settings: object) -> Path:
    """A real run in two bursts, the log folded between them and begun anew; the database is made within it."""
    trace = world.directory / "trace"
    application = world.application(start=False, python=(*power_cut.strace(trace), sys.executable))
    application.do("autocron.start(DATABASE)")
    application.do("import bulk")
    # Settings are stored by a question, because nothing of the file may come from outside the recording.
    stored = {"blocking": True, **settings}
    application.do(f"autocron.engine.current()._registrar.ask('settings', {stored!r})")
    size = world.database.stat().st_size
    application.do("bulk.register_safely(15)")
    application.do("bulk.register_safely(3, 20_000)")
    eventually(lambda: world.database.stat().st_size > size)  # a checkpoint, for nobody waits for anything
    application.do("bulk.register_safely(15)")
    application.do("bulk.until_done()")
    assert application.end() == 0
    world.await_empty()
    return trace


def cuts(world: World, trace: Path, *, without: str = "") -> Iterator[Cut]:
    """Cut the power after every call that matters, in several ways; `without`: these files were never synced."""
    disk = power_cut.Disk(world.directory)
    acknowledgements = os.fsencode(world.directory / "acknowledged")
    acknowledged: list[bytes] = []
    with tempfile.TemporaryDirectory(dir=FAST if FAST.is_dir() else None) as scratch:
        image = Path(scratch, "image")
        for number, call in enumerate(power_cut.calls(trace)):
            if call.path == acknowledgements and call.name == "write":
                acknowledged += [bytes.fromhex(each.decode()) for each in call.strings[-1].split()]
            elif without and call.name in ("fsync", "fdatasync") and call.path.endswith(without.encode()):
                continue
            disk.apply(call)
            if not (disk.holds(call.path) or call.path == disk.directory):
                continue
            for kind, reached, names in (
                ("nothing more", power_cut.nothing, False),
                ("everything", power_cut.everything, True),
                ("torn", power_cut.Torn(number), bool(number % 2)),
            ):
                disk.image(image, reached, names=names)
                lost, damage = look(image / "app.db", acknowledged)
                yield Cut(number, kind, len(acknowledged), lost, damage)


def look(database: Path, acknowledged: list[bytes]) -> tuple[int, str]:
    """How many of the acknowledged are not there, and what else is wrong with it at the next start."""
    try:
        store = open_store(str(database), create=not acknowledged)
        try:
            present = {each.id for each in store.results(b"", 10_000)}
        finally:
            store.close()
    except StoreError as error:
        return len(acknowledged), str(error)
    db = sqlite3.connect(database)
    (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
    db.close()
    return len(set(acknowledged) - present), "" if verdict == "ok" else verdict


def test_what_was_acknowledged_survives_a_power_cut_at_any_moment(world: World) -> None:
    """Design 1.1: once a registration is acknowledged, the job survives a power cut; the file is sound, from its making
    on, and the next start simply works."""
    trace = record(world)
    seen = list(cuts(world, trace))
    assert [cut for cut in seen if cut.damage or cut.lost] == []
    assert {cut.acknowledged for cut in seen} == set(range(34))
    assert len(seen) > 200


def test_without_the_sync_of_the_log_the_same_run_loses_something(world: World) -> None:
    """Testing 4.3: the method can fail. A run whose syncs of the log are left out loses acknowledged jobs."""
    trace = record(world)
    assert any(cut.lost for cut in cuts(world, trace, without="-wal"))


def test_relaxed_durability_may_lose_the_last_moments_but_never_the_file(world: World) -> None:
    """Design 5: `durability="normal"` survives the death of any process; a power cut may take acknowledged jobs."""
    trace = record(world, durability="normal")
    seen = list(cuts(world, trace))
    assert any(cut.lost for cut in seen)
    assert [cut for cut in seen if cut.damage] == []
