"""Django's own ways: management commands beside a server, transactions, connections, and the helper's settings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cells import CELLS, Cell
from processes import World, await_deaths, eventually
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


@pytest.mark.parametrize("wrong", ["nothing", "unknown"])
def test_the_helper_names_what_is_wrong_with_its_settings(wrong: str, world: World) -> None:
    """contrib.django: ImproperlyConfigured names the key and the known ones."""
    site = Site(world, "django")
    with_helper(site, **({"worker": 3} if wrong == "unknown" else {"database": ""}))
    with pytest.raises(AssertionError) as caught:
        site.command("python manage.py check")
    assert "ImproperlyConfigured: AUTOCRON['" in str(caught.value)
    assert ("known are: database, workers" if wrong == "unknown" else "['database'] is missing") in str(caught.value)


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
