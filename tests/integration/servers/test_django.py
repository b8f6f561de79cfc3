"""Django's own ways: management commands beside a server, transactions, connections, and the helper's settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from cells import CELLS, Cell
from processes import Application, Raised, World, await_deaths, eventually
from server import Server, Site, await_whole

from autocron.payload import decode

RUNSERVER = next(each for each in CELLS if each.command.endswith("runserver"))
GUNICORN = next(each for each in CELLS if "project.wsgi" in each.command)

COMMAND = """
from django.core.management.base import BaseCommand
from django.db import transaction
from reports.models import Report
from reports.tasks import write_report

class Command(BaseCommand):
    def handle(self, **options):
        try:
            with transaction.atomic():
                write_report(Report.objects.create(name="never").pk)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        with transaction.atomic():
            report = Report.objects.create(name="commanded")
            result = write_report(report.pk)
            assert not result.is_ready()
        print(result.uuid)
"""


def with_helper(site: Site, **more: object) -> None:
    """The example as it is with `autocron.contrib.django`."""
    settings = site.directory / "project" / "settings.py"
    options = {"database": "django-example.db", "workers": 2, **more}
    settings.write_text(
        settings.read_text().replace('["reports.apps', '["autocron.contrib.django", "reports.apps')
        + f"\nAUTOCRON = {options!r}\n"
    )
    apps = site.directory / "reports" / "apps.py"
    apps.write_text(
        apps.read_text()
        .replace('        autocron.start("django-example.db", workers=2)\n', "")
        .replace("import autocron\n", "")
    )
    commands = site.directory / "reports" / "management" / "commands"
    commands.mkdir(parents=True)
    (commands / "order.py").write_text(COMMAND)


def results(world: World) -> list[object]:
    """What has come of the jobs that were ordered; None for those that wait."""
    return [
        decode(each.result, allow_pickle=False) if each.result else None for each in world.stored() if not each.entry
    ]


@pytest.mark.parametrize("command", ["check", "migrate", "shell -c pass"])
def test_commands_beside_a_server(command: str, world: World) -> None:
    """Contract 6: `manage.py check` runs short and works as if autocron were not there; the server does not notice."""
    site = Site(world, "django")
    world.await_empty()  # `migrate` was a command alone
    server = site.serve(GUNICORN)
    await_whole(world)
    monitor = world.monitor()
    site.command(f"python manage.py {command}")
    server.order("afterwards")
    server.await_text("report for afterwards")
    await_whole(world)
    assert world.monitor() == monitor
    server.kill()
    server.await_silence()
    world.await_empty()


@pytest.mark.parametrize("cell", [RUNSERVER, GUNICORN], ids=lambda cell: cell.name)
def test_the_helper_starts_with_a_server(cell: Cell, world: World) -> None:
    """contrib.django: started under server commands and WSGI servers, with nothing in the project but settings."""
    site = Site(world, "django")
    with_helper(site)
    server = site.serve(cell)
    server.order("first")
    server.await_text("report for first")
    await_whole(world)
    children = server.children()
    server.kill()
    if cell.survive:
        for each in children:
            each.kill()
    server.await_silence()
    await_deaths(children)
    world.await_empty()


def test_the_helper_registers_only_in_commands(world: World) -> None:
    """contrib.django: jobs of a command wait for the server; a rollback takes its jobs along."""
    site = Site(world, "django")
    with_helper(site, on_commit=True)
    world.database.unlink()  # the example itself has started for `migrate`
    site.command("python manage.py check")
    assert not world.database.exists()
    site.command("python manage.py order")
    world.await_empty()
    assert results(world) == [None]
    server = site.serve(GUNICORN)
    eventually(lambda: results(world) == ["report for commanded"], server.stderr)
    site.command("python manage.py order")
    eventually(lambda: results(world) == ["report for commanded"] * 2, server.stderr)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"worker": 3}, "AUTOCRON['worker'] is not known; known are: database, workers"),
        ({"database": ""}, "AUTOCRON['database'] is missing"),
        ({"database": 7}, "AUTOCRON['database'] = 7: the path of a file is needed"),
        ({"workers": "2"}, "AUTOCRON['workers'] = '2': a whole number from 1 on, or None is needed"),
        ({"on_commit": "nope"}, "AUTOCRON['on_commit'] = 'nope': True, False or a name in DATABASES is needed"),
        ({"start": "no"}, "AUTOCRON['start'] = 'no': True, False or None is needed"),
        ({"server_commands": "serve"}, "AUTOCRON['server_commands'] = 'serve': a list of names of commands is needed"),
    ],
)
def test_the_helper_names_what_is_wrong_with_its_settings(wrong: dict[str, object], message: str, world: World) -> None:
    """contrib.django: ImproperlyConfigured names the key and the known ones."""
    site = Site(world, "django")
    with_helper(site, **wrong)
    with pytest.raises(AssertionError) as caught:
        site.command("python manage.py check")
    assert f"ImproperlyConfigured: {message}" in str(caught.value)


def test_a_job_takes_the_place_of_a_request(world: World) -> None:
    """Contract 6: Django's connections are closed after each job, as after each request, so that none gets too old."""
    site = Site(world, "django")
    site.edit(
        "report = Report", 'old = __import__("django.db").db.connection.connection is not None\n    report = Report'
    )
    site.edit('f"report for {report.name}"', 'f"report for {report.name} {old} {report.pk}"')
    server: Server = site.serve(replace(GUNICORN, command="gunicorn project.wsgi"))
    for name in ("first", "second", "third"):
        server.order(name)
        server.await_text(f"report for {name} False")


SETTINGS = """
SECRET_KEY = "test"
USE_TZ = True
INSTALLED_APPS = ["autocron.contrib.django", "early"]
AUTOCRON = {"database": "unused.db", "start": False, "on_commit": True}
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}}
"""
EARLY = """
import autocron
from django.apps import AppConfig

@autocron.delay
def warm_up():
    pass

class EarlyConfig(AppConfig):
    name = "early"
    def ready(self):
        warm_up()
"""
JOBS = """
import asyncio
import threading
import autocron
from asgiref.sync import sync_to_async
from django.db import connection

@autocron.delay
def add(a, b):
    return a + b

@autocron.delay
async def is_asked_in_the_thread_of_the_job():
    return await sync_to_async(threading.current_thread)() is threading.main_thread()

@autocron.delay
async def last():
    with open("begun", "w"):
        pass
    try:
        await asyncio.sleep(600)
    finally:
        with open("cleaned", "w"):
            pass

@autocron.delay
async def fail():
    raise LookupError("within a coroutine")
"""
APPLICATION = """
import asyncio, os
import autocron, django
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
django.setup()
from django.db import connection, transaction
import site_jobs as jobs
from talk import talk

autocron.stop()  # it has joined, as any program that sets Django up
DATABASE = os.path.join(os.environ["AUTOCRON_TEST"], "app.db")

def finished(result):
    while not result.is_ready():
        pass
    return result

async def view():
    return jobs.add(1, 2)

if __name__ == "__main__":
    talk(globals())
"""


@pytest.fixture
def django(world: World) -> Iterator[Application]:
    """A Django project with the helper, whose calls go out when the transaction commits."""
    for name, text in {"site_settings": SETTINGS, "site_jobs": JOBS, "run_site": APPLICATION}.items():
        (world.directory / f"{name}.py").write_text(text)
    (world.directory / "early").mkdir()
    (world.directory / "early" / "__init__.py").touch()
    (world.directory / "early" / "apps.py").write_text(EARLY)
    application = world.application("run_site.py")
    yield application
    assert application.end() == 0
    world.await_empty()


def test_no_connection_is_opened_to_find_out_that_there_is_no_transaction(django: Application) -> None:
    """contrib.django: outside of a transaction a call asks the database nothing; an async view may make it too."""
    assert django.do("finished(asyncio.run(view())).result") == 3
    assert django.do("finished(jobs.add(1, 1)).result, connection.connection") == (2, None)


def test_a_coroutine_asks_the_database_in_the_thread_of_its_job(django: Application) -> None:
    """contrib.django: a coroutine asks the database in the thread of its job, whose connections are looked after."""
    assert django.do("finished(jobs.is_asked_in_the_thread_of_the_job()).result") is True
    assert django.do("finished(jobs.fail()).error_message") == "LookupError: within a coroutine"


def test_a_manual_transaction_is_one_too(django: Application, world: World) -> None:
    """contrib.django: with `on_commit`, a call in a transaction managed by hand is refused, as Django does it."""
    django.do("connection.ensure_connection()\ntransaction.set_autocommit(False)")
    with pytest.raises(Raised, match="TransactionManagementError"):
        django.do("jobs.add(1, 2)")
    django.do("transaction.rollback()\ntransaction.set_autocommit(True)")
    assert world.stored() == []


def test_a_coroutine_cleans_up_at_the_end_of_the_grace_period(django: Application, world: World) -> None:
    """contract 6: what a job does in `finally` is done when the application ends in the middle of it."""
    django.do("jobs.last()")
    eventually((world.directory / "begun").exists)
    django.do("autocron.stop()")
    assert (world.directory / "cleaned").exists()
    (job,) = world.stored()
    assert job.status == 1


def test_what_is_called_while_django_is_set_up_is_called_once(django: Application, world: World) -> None:
    """contract 3: what Django's set-up has called is registered by the application alone, not by each worker again."""
    django.do("finished(jobs.add(1, 2))")
    assert [each.task for each in world.stored()] == ["site_jobs:add"]
