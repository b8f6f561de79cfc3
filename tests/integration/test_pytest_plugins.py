"""The fixture among the plugins of a user's project: pytest-django, anyio, pytest-asyncio, random order, xdist.

Each test is a project of its own, run by a pytest of its own with all these plugins installed.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(600)
PATIENCE_S = 500  # a last line against something that hangs, on a busy machine too

SETTINGS = """
SECRET_KEY = "secret"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "autocron.contrib.django", "shop"]
STATIC_URL = "static/"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
ROOT_URLCONF = "shop.urls"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
AUTOCRON = {"database": "/no/such/directory/app.db", "on_commit": ON_COMMIT}
"""
TASKS = """
import autocron
from django.contrib.auth.models import User

@autocron.delay
def welcome(user_id):
    return User.objects.filter(id=user_id).update(last_name="welcomed")

@autocron.cron("0 3 * * *", tz="UTC")
def nightly():
    User.objects.all().delete()
"""
URLS = """
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpResponse
from django.urls import path
from shop.tasks import welcome

def signup(request):
    with transaction.atomic():
        user = User.objects.create(username="ann")
        welcome(user.id)
    return HttpResponse("ok")

async def asignup(request):
    user = await User.objects.acreate(username="ann")
    welcome(user.id)
    return HttpResponse("ok")

urlpatterns = [path("signup", signup), path("asignup", asignup)]
"""
HEAD = """
import urllib.request
import autocron, pytest
from autocron.testing import *
from django.contrib.auth.models import User
from django.db import connection, transaction
from shop.tasks import nightly, welcome
"""


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run the project as a user would; nothing may be warned of."""
    loop = "asyncio_default_fixture_loop_scope=function"  # pytest-asyncio warns where it is not said
    return pytester.runpytest_subprocess("-q", "-W", "error", "-o", loop, *args, timeout=PATIENCE_S)


def django_project(pytester: pytest.Pytester, tests: str, *, on_commit: bool = False, ini: str = "") -> None:
    """A project with an application `shop`, tested by pytest-django."""
    pytester.makefile(".ini", pytest=f"[pytest]\nDJANGO_SETTINGS_MODULE = project_settings\npythonpath = .\n{ini}")
    pytester.makepyfile(
        **{
            "project_settings": SETTINGS.replace("ON_COMMIT", str(on_commit)),
            "shop/__init__": "",
            "shop/tasks": TASKS,
            "shop/urls": URLS,
            "test_shop": HEAD + tests,
        }
    )


def test_tasks_see_the_transaction_of_the_test(pytester: pytest.Pytester) -> None:
    """testing 2.5: the same thread and connection: uncommitted rows are seen, and what tasks write is rolled back."""
    django_project(
        pytester,
        """
pytestmark = pytest.mark.django_db

@pytest.mark.parametrize("again", [1, 2])
def test_one(fake_engine, client, again):
    assert User.objects.count() == 0
    client.get("/signup")
    assert connection.in_atomic_block
    assert run_pending().results == [1]
    assert User.objects.get().last_name == "welcomed"
    assert connection.in_atomic_block   # and nobody has closed or committed it

def test_cron(fake_engine):
    User.objects.create(username="ann")
    assert fast_forward("1d").ran(nightly).times == 1
    assert User.objects.count() == 0

def test_a_crash_and_a_trap_stay_on_this_connection(fake_engine):
    user = User.objects.create(username="ann")
    welcome(user.id)
    crash_worker(during=welcome)
    with trap("worker.run.after") as held:
        run_pending()
        held.release()
        run_pending()
    assert User.objects.get().last_name == "welcomed"

@pytest.mark.autocron(mode="inline")
def test_inline(client):
    client.get("/signup")
    assert User.objects.get().last_name == "welcomed"

class TestInAClass:
    def test_it(self, fake_engine, client):
        client.get("/signup")
        assert_enqueued(welcome, count=1)
""",
    )
    run(pytester).assert_outcomes(passed=6)


def test_an_async_test_of_django_has_its_connection_in_another_thread(pytester: pytest.Pytester) -> None:
    """testing 2.5: tasks see what an async TestCase has not committed, and what they write is rolled back."""
    django_project(
        pytester,
        """
from django.test import TestCase

@autocron.delay
def count():
    return User.objects.count()

@autocron.delay
async def acount():
    return await User.objects.acount()

class Users(AutocronTestCase, TestCase):
    async def test_one(self):
        await self.async_client.get("/asignup")
        count()
        acount()
        self.assertEqual((await arun_pending()).results, [1, 1, 1])
        self.assertEqual((await User.objects.aget()).last_name, "welcomed")

    async def test_another(self):
        count()
        self.assertEqual((await afast_forward("1h")).ran(count).results, [0])
""",
    )
    run(pytester).assert_outcomes(passed=2)


def test_what_waits_for_the_commit_is_hinted_at(pytester: pytest.Pytester) -> None:
    """testing 2.5: on_commit needs django_capture_on_commit_callbacks: the failing claim, and the end, say so."""
    django_project(
        pytester,
        """
pytestmark = pytest.mark.django_db

def test_forgotten(fake_engine, client):
    client.get("/signup")
    assert_enqueued(welcome)

def test_forgotten_without_a_claim_about_jobs(fake_engine, client):
    client.get("/signup")
    run_pending()
    assert User.objects.get().last_name == "welcomed"

def test_remembered(fake_engine, client, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        client.get("/signup")
        assert_not_enqueued(welcome)
    assert_enqueued(welcome, count=1)
    assert run_pending().results == [1]

@pytest.mark.autocron(mode="inline")
def test_inline(client, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        client.get("/signup")
        assert User.objects.get().last_name == ""
    assert User.objects.get().last_name == "welcomed"

@pytest.mark.django_db(transaction=True)
def test_committed(fake_engine, client):
    client.get("/signup")
    assert_enqueued(welcome, count=1)
    assert run_pending().results == [1]

@pytest.mark.django_db(transaction=True)
def test_rolled_back(fake_engine):
    with pytest.raises(KeyError), transaction.atomic():
        welcome(1)
        raise KeyError
    assert_not_enqueued(welcome)
""",
        on_commit=True,
    )
    result = run(pytester)
    result.assert_outcomes(passed=4, failed=2)
    said = "*1 callback waits for transaction.on_commit*fixture django_capture_on_commit_callbacks(execute=True)"
    result.stdout.fnmatch_lines_random([f"E{said}", "*autocron call*", said[1:]])


def test_django_without_settings_is_asked_nothing(pytester: pytest.Pytester) -> None:
    """testing 2.5: a library may import django.db where there is no project: the claim fails with what it says."""
    pytester.makepyfile(
        """
import autocron, django.db
from autocron.testing import assert_enqueued

@autocron.delay
def welcome(): ...

def test_one(fake_engine):
    assert_enqueued(welcome)
"""
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*AssertionError: assert_enqueued(welcome): no match among 0 pending jobs"])
    result.stdout.no_fnmatch_line("*ImproperlyConfigured*")


def test_a_live_server_registers_in_the_same_engine(pytester: pytest.Pytester) -> None:
    """testing 2.5: the engine is that of the process: enqueues from live_server's threads are seen."""
    django_project(
        pytester,
        """
@pytest.mark.parametrize("again", [1, 2])
def test_one(fake_engine, live_server, again):
    assert urllib.request.urlopen(live_server.url + "/signup").read() == b"ok"
    assert_enqueued(welcome, count=1)
    assert run_pending().results == [1]
    assert User.objects.get().last_name == "welcomed"

def test_transactional(fake_engine, transactional_db, client):
    client.get("/signup")
    assert run_pending().results == [1]
    assert User.objects.get().last_name == "welcomed"

@pytest.mark.django_db(transaction=True)
@pytest.mark.asyncio
async def test_async(fake_engine, async_client):
    await async_client.get("/asignup")
    assert_enqueued(welcome, count=1)
""",
    )
    run(pytester).assert_outcomes(passed=4)


def test_the_guard_holds_in_a_django_project(pytester: pytest.Pytester) -> None:
    """testing 2.5: with autocron_guard no test of a project starts anything, asked for or not."""
    django_project(
        pytester,
        """
autocron.start("/no/such/directory/app.db")

@pytest.mark.django_db
def test_one(client):
    client.get("/signup")
    assert_enqueued(welcome, count=1)

def test_no_database_is_needed():
    assert_idle()
""",
        ini="autocron_guard = true",
    )
    result = run(pytester)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["autocron: start() was called *(autocron_guard)"])


ASYNC = """
import anyio, autocron, pytest, sniffio
from autocron.testing import *

loops = []

@autocron.delay(minutes=1)
async def fetch(n):
    await anyio.sleep(0)
    loops.append(sniffio.current_async_library())
    return n
"""


def test_anyio_runs_tests_on_both_backends(pytester: pytest.Pytester) -> None:
    """testing 2.1: the coroutines of tasks are awaited in the loop of the test: asyncio and trio."""
    pytester.makepyfile(
        ASYNC
        + """
@pytest.fixture
async def enqueued_before(fake_engine):
    fetch(1)
    yield
    assert_idle()

@pytest.mark.anyio
async def test_one(enqueued_before, anyio_backend_name):
    loops.clear()
    fetch(2)
    with pytest.raises(autocron.AutocronError, match="afast_forward"):
        fast_forward("1m")
    report = await afast_forward("1m")
    assert report.results == [1, 2]
    assert loops == [anyio_backend_name] * 2

@pytest.mark.anyio
async def test_a_task_group_goes_on_meanwhile(fake_engine):
    heard = []

    @autocron.delay
    async def waits():
        event.set()
        await answered.wait()
        return "done"

    event, answered = anyio.Event(), anyio.Event()
    waits()
    async def other():
        await event.wait()
        heard.append(1)
        answered.set()
    async with anyio.create_task_group() as group:
        group.start_soon(other)
        assert (await arun_pending()).results == ["done"]
    assert heard == [1]

@pytest.mark.anyio
async def test_cancelled(fake_engine):
    @autocron.delay
    async def endless():
        await anyio.sleep_forever()
    endless()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await arun_pending()
    assert_enqueued(endless)
"""
    )
    run(pytester).assert_outcomes(passed=6)


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_pytest_asyncio_runs_tests(pytester: pytest.Pytester, mode: str) -> None:
    """testing 2.1: the same with pytest-asyncio, in both of its modes."""
    mark = "@pytest.mark.asyncio" if mode == "strict" else ""
    fixture = "@pytest_asyncio.fixture" if mode == "strict" else "@pytest.fixture"
    pytester.makeini(f"[pytest]\nasyncio_mode = {mode}")
    pytester.makepyfile(
        ASYNC
        + f"""
import pytest_asyncio

{fixture}
async def enqueued_before(fake_engine):
    fetch(1)
    yield
    assert_idle()

{mark}
async def test_one(enqueued_before):
    loops.clear()
    report = await afast_forward("1m")
    assert report.results == [1]
    assert loops == ["asyncio"]

{mark}
@pytest.mark.autocron(mode="inline", start="2027-01-01T00:00Z")
async def test_marker():
    fetch(1)
    await afast_forward("1m")
    assert autocron.now().isoformat() == "2027-01-01T00:01:00+00:00"
"""
    )
    run(pytester).assert_outcomes(passed=2)


MANY = """
import autocron, pytest
from autocron.testing import *

@autocron.delay(minutes=1)
def double(n): return 2 * n

@autocron.cron("*/10 * * * *", tz="UTC")
def often(): pass

@pytest.mark.parametrize("n", range(12))
def test_delay(fake_engine, n):
    result = double(n)
    assert_enqueued(double, n=n, count=1, run_in="1m")
    assert fast_forward("1m").ran(double).results == [2 * n]
    assert result.result is None and result.is_ready() and result.result == 2 * n

@pytest.mark.parametrize("n", range(1, 7))
@pytest.mark.autocron(start="2027-01-01T00:00Z")
def test_cron(n):
    assert fast_forward(f"{n}h").ran(often).times == 6 * n

@pytest.mark.parametrize("n", range(3))
def test_nested(fake_engine, n):
    @autocron.cron
    @autocron.delay
    def tick(): pass
    assert fast_forward("3m").ran(tick).times == 3

@pytest.mark.parametrize("n", range(3))
@pytest.mark.autocron(freeze=False)
def test_real_time_is_back(n):
    import datetime
    assert abs((datetime.datetime.now(datetime.UTC) - autocron.now()).total_seconds()) < 3600

@pytest.mark.parametrize("n", range(3))
def test_without(n):
    assert not autocron.engine.current().guards
    assert double(n).result == 2 * n
"""


@pytest.mark.parametrize(
    "options",
    [("-p", "no:xdist"), ("-n", "2"), ("-n", "2", "--dist", "loadfile"), ("-p", "no:randomly")],
    ids=" ".join,
)
def test_order_and_process_do_not_matter(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    """testing 2.5: nothing is shared between tests, whatever their order, and whichever process runs them."""
    pytester.makepyfile(test_one=MANY, test_two=MANY)
    run(pytester, *options).assert_outcomes(passed=54)


def test_a_seed_of_pytest_randomly_does_not_reach_identifiers(pytester: pytest.Pytester) -> None:
    """design 3: interface.random is the one source; the same seed gives the same identifiers."""
    pytester.makepyfile(
        """
import autocron, pathlib
@autocron.delay
def send(): pass
def test_one(fake_engine):
    fake_engine.travel_to("2027-01-01T00:00Z")
    with open("ids", "a") as file: file.write(send().uuid + " ")
"""
    )
    for seed in ("1", "2"):
        run(pytester, f"--randomly-seed={seed}").assert_outcomes(passed=1)
    run(pytester, "--autocron-seed=7").assert_outcomes(passed=1)
    first, second, third = (pytester.path / "ids").read_text().split()
    assert first == second != third


def test_xdist_workers_do_not_inherit_the_guard_of_their_parent(pytester: pytest.Pytester) -> None:
    """testing 2.5: the guard holds in each process of pytest, and never in those that a test starts."""
    pytester.makeini("[pytest]\nautocron_guard = true")
    pytester.makepyfile(
        """
import subprocess, sys
import autocron, pytest
from autocron.testing import assert_idle

@pytest.mark.parametrize("n", range(4))
def test_guarded(n):
    assert autocron.start("/no/such/directory/app.db") is True
    assert_idle()

def test_child():
    code = "import autocron; autocron.start('/no/such/directory/app.db')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "FileNotFoundError" in done.stderr
"""
    )
    result = run(pytester, "-n", "2")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["autocron: start() was called 4 times and started nothing (autocron_guard)"])
