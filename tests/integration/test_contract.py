"""Sentences of the contract that only real processes can keep, beside those that have a file of their own."""

from __future__ import annotations

import shutil
import time
import zoneinfo
from pathlib import Path

import pytest
from processes import Raised, World, eventually

from autocron.job import Status
from autocron.stores import open_store

HOUR = 3600.0

ENTRIES = """
import os
import autocron
from tasks import note

@autocron.cron(os.environ["CRONTAB"], tz=os.environ["ZONE"])
def tick():
    note("tick", os.getpid())
"""

BORROWED = """
import autocron
from lent import double

later = autocron.delay(double)
"""

LENT = """
def double(number):
    return 2 * number
"""

SHAPES = """
import asyncio
import dataclasses
import datetime
import autocron

@dataclasses.dataclass
class Order:
    number: int
    at: datetime.datetime

class Shop:
    @staticmethod
    @autocron.delay
    def open_at(hour):
        return hour

    @classmethod
    @autocron.delay
    def name(cls, suffix):
        return cls.__name__ + suffix

    @autocron.delay
    def close(self, hour):
        return hour + 1

@autocron.delay
def everything(a, /, b=2, *rest, c, **more):
    return [a, b, rest, c, more]

@autocron.delay
async def wait(number):
    await asyncio.sleep(0)
    return number

@autocron.delay
def ship(order):
    return dataclasses.replace(order, number=order.number + 1)

@autocron.delay
def leave(code):
    raise SystemExit(code)

@autocron.delay
def unstorable():
    return (each for each in "ab")
"""


def crontab_of(moment: float) -> str:
    """Hourly, at the minute of this moment."""
    return f"{time.gmtime(moment).tm_min} * * * *"


def missed(world: World, zone: str = "UTC") -> dict[str, str]:
    """An entry whose last fire time, half an hour ago, nobody was there to see."""
    (world.directory / "entries.py").write_text(ENTRIES)
    crontab = crontab_of(time.time() - HOUR / 2)
    store = open_store(str(world.database))
    store.set_entry("entries:tick#0", f"{crontab} {zone}", time.time() - 2 * HOUR)
    store.close()
    return {"CRONTAB": crontab, "ZONE": zone}


def test_a_fire_time_is_fired_once_however_many_processes_have_the_entry(world: World) -> None:
    """Contract 2: a fire time is fired exactly once per application, whatever the number of its processes.

    Design 6: one that was missed while nothing ran is run once, late.
    """
    environment = missed(world)
    applications = [world.application(start=False, environment=environment) for _ in range(3)]
    for each in applications:
        each.do("import entries")
    for each in applications:
        each.tell("autocron.start(DATABASE, workers=2)")
    assert sorted(each.answer() for each in applications) == [False, False, True]
    world.hear("tick")
    for each in applications:
        assert each.do("until_ready(add(1, 2))") == 3  # whatever was to be fired has been
    assert world.notes() == []
    for each in applications:
        each.end()
    world.await_empty()
    (job,) = [each for each in world.stored() if each.entry]
    assert (job.entry, job.status) == ("entries:tick#0", Status.READY)


def test_an_entry_may_be_decorated_after_start(world: World) -> None:
    """Contract 1: `@cron`/`@delay` may be applied before or after start."""
    application = world.application(environment=missed(world))
    application.do("import entries")
    world.hear("tick")


def test_the_monitor_knows_the_zones_of_the_application(world: World) -> None:
    """Design 6: `tz=` per entry; the data of zones may lie in a package, as in slim containers, or anywhere."""
    (source,) = [each for each in map(Path, zoneinfo.TZPATH) if (each / "UTC").exists()][:1] or pytest.skip("no zones")
    zones = world.directory / "zones" / "Test"
    zones.mkdir(parents=True)
    shutil.copy(source / "UTC", zones / "Zone")
    environment = {**missed(world, "Test/Zone"), "PYTHONTZPATH": str(zones.parent)}
    application = world.application(environment=environment)
    application.do("import entries")
    world.hear("tick")
    assert "does not fire" not in world.stderr()


def test_a_function_of_another_module_is_found(world: World) -> None:
    """Contract 3: what cannot work is refused, never lost later; so `later = delay(lent.double)` works."""
    (world.directory / "borrowed.py").write_text(BORROWED)
    (world.directory / "lent.py").write_text(LENT)
    application = world.application()
    application.do("import borrowed")
    assert application.do("until_ready(borrowed.later(21))") == 42


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("Shop.open_at(9)", 9),
        ("Shop.name('!')", "Shop!"),
        ("Shop().close(18)", 19),
        ("everything(1, c=3)", [1, 2, (), 3, {}]),
        ("everything(1, 2, 3, c=4, e=5)", [1, 2, (3,), 4, {"e": 5}]),
        ("wait(7)", 7),
        ("leave(3)", "SystemExit: 3"),
    ],
)
def test_functions_of_every_kind_are_tasks(world: World, call: str, value: object) -> None:
    """Contract 3: a worker process calls the function; whatever ends it ends in the Result."""
    (world.directory / "shapes.py").write_text(SHAPES)
    application = world.application()
    application.do("import shapes")
    assert application.do(f"until_ready(shapes.{call})") == value


def test_dataclasses_and_zoned_datetimes_travel_both_ways(world: World) -> None:
    """Design 5: decoded equals original in value and in type, in a process that has loaded the class for itself."""
    (world.directory / "shapes.py").write_text(SHAPES)
    application = world.application()
    application.do("import shapes, datetime, zoneinfo")
    application.do("at = datetime.datetime(2027, 10, 31, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin'))")
    application.do("shipped = until_ready(shapes.ship(shapes.Order(1, at)))")
    assert application.do("shipped == shapes.Order(2, at) and shipped.at.fold == 1 and str(shipped.at)") == (
        "2027-10-31 02:30:00+01:00"
    )


def test_a_return_value_that_cannot_be_stored_ends_in_the_result(world: World) -> None:
    """Contract 3: a return value that cannot be serialised ends in the Result. The queue goes on."""
    (world.directory / "shapes.py").write_text(SHAPES)
    application = world.application()
    application.do("import shapes")
    assert "return value: a generator cannot be stored" in application.do("until_ready(shapes.unstorable())")
    assert application.do("until_ready(shapes.wait(1))") == 1


def test_a_signal_handler_may_call_a_task(world: World) -> None:
    """Contract 6: applications that handle SIGTERM themselves; a task called there is one like any other."""
    application = world.application()
    application.do("import signal, itertools")
    application.do("numbers, results = itertools.count(), []")
    application.do("signal.signal(signal.SIGUSR1, lambda *_: results.append(add(next(numbers), 0)))")
    # Many signals in the middle of many registrations.
    application.do("import threading")
    application.do(
        "stop = threading.Event()\n"
        "def shower():\n"
        "    while not stop.is_set() and len(results) < 300:\n"
        "        os.kill(os.getpid(), signal.SIGUSR1)\n"
        "shower = threading.Thread(target=shower)\n"
        "shower.start()\n"
        "mine = []\n"
        "while len(mine) < 500 or not results:\n"
        "    mine.append(add(len(mine), 1))\n"
        "stop.set()\n"
        "shower.join()\n"
    )
    assert application.do("[until_ready(each) for each in mine] == list(range(1, len(mine) + 1))")
    assert application.do("sorted(until_ready(each) for each in results) == list(range(len(results)))")


def test_a_stop_in_one_thread_loses_nothing_of_another(world: World) -> None:
    """Contract 1: pending tasks stay in the database; contract 3: after `stop()` calls run in the caller."""
    application = world.application()
    application.do(
        "import threading\n"
        "results = []\n"
        "stop = threading.Event()\n"
        "def register():\n"
        "    while not stop.is_set():\n"
        "        results.append(add(1, 2))\n"
        "threads = [threading.Thread(target=register) for _ in range(3)]\n"
        "for each in threads:\n"
        "    each.start()\n"
    )
    assert eventually(lambda: application.do("len(results)") > 100)
    application.do("autocron.stop()\nstop.set()\nfor each in threads:\n    each.join()")
    registered = application.do("sorted(each.uuid for each in results if each.uuid)")
    assert application.do("{each.result for each in results if not each.uuid} <= {3}")
    application.end()
    world.await_empty()
    assert sorted(each.id.hex() for each in world.stored()) == registered


def test_get_results_pages_through_many(world: World) -> None:
    """Contract 5: all stored results, oldest first."""
    application = world.application(workers=2)
    application.do("results = [add(number, 0) for number in range(1500)]")
    application.do("until_ready(results[-1])")
    assert application.do("all(each.is_ready() or until_ready(each) is not None for each in results)")
    assert application.do("[each.result for each in autocron.get_results()] == list(range(1500))")


def test_a_task_that_waits_for_another_one_gets_its_result(world: World) -> None:
    """Contract 3: a call inside a running task registers a new job; with a second worker it can be waited for."""
    (world.directory / "nested.py").write_text(
        "import autocron\nfrom tasks import add, until_ready\n\n"
        "@autocron.delay\ndef outer(number):\n    return until_ready(add(number, 1)) * 2\n"
    )
    application = world.application(workers=2)
    application.do("import nested")
    assert application.do("until_ready(nested.outer(20))") == 42


def test_generators_are_refused_where_they_are_written(world: World) -> None:
    """Contract 3: what cannot work is refused at the decoration."""
    application = world.application(start=False)
    with pytest.raises(Raised, match=r"TaskError: .*generator"):
        application.do("@autocron.delay\ndef numbers():\n    yield 1\n")


def test_a_child_that_a_task_forks_may_return(world: World) -> None:
    """Contract 6: no orphan; what a forked child returns is nobody's result, and the child ends as any program does."""
    (world.directory / "forking.py").write_text(
        "import os\nimport autocron\nfrom tasks import note\n\n"
        "@autocron.delay\ndef split():\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n        return 'child'\n"
        "    return 'parent', os.waitpid(pid, 0)[1]\n"
    )
    application = world.application()
    application.do("import forking")
    assert application.do("until_ready(forking.split())") == ("parent", 0)
    assert application.do("until_ready(add(1, 2))") == 3
    assert len(world.family()) == 3  # application, monitor, worker


def test_large_arguments_and_results_pass_each_other(world: World) -> None:
    """Design 7: 5 MB both ways on a channel deadlock naive writers."""
    application = world.application(workers=2)
    application.do("results = [add(bytes([each]) * 5_000_000, b'end') for each in range(4)]")
    for each in range(4):
        assert application.do(f"until_ready(results[{each}]) == bytes([{each}]) * 5_000_000 + b'end'")


def test_many_entries_are_no_burden(world: World) -> None:
    """Contract 2: an application may have thousands of entries; jobs are served meanwhile."""
    (world.directory / "many.py").write_text(
        "import autocron\n\n"
        "def make(number):\n"
        "    def entry(): ...\n"
        "    entry.__qualname__ = f'entry_{number}'\n"
        "    return entry\n\n"
        "for number in range(2000):\n"
        "    autocron.cron(minutes=[number % 60], hours=[4], months=[1], days=[1 + number % 28])(make(number))\n"
    )
    application = world.application(start=False)
    application.do("import many")
    application.do("autocron.start(DATABASE)")
    assert application.do("until_ready(add(1, 2))") == 3
    assert application.do("len([autocron.get_results()])") == 1
    store = open_store(str(world.database))
    try:
        assert eventually(lambda: len(store.entries()) == 2000)
    finally:
        store.close()
