"""What Django 6 expects of a backend for its tasks, with workers and without. Skipped for older Djangos."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from processes import Application, World, eventually

from autocron.job import Status
from autocron.payload import decode, decode_call, encode

pytest.importorskip("django.tasks")

SETTINGS = """
import os
SECRET_KEY = "test"
USE_TZ = "NAIVE" not in os.environ
TIME_ZONE = "Asia/Tokyo"
INSTALLED_APPS = ["autocron.contrib.django"]
AUTOCRON = {"database": "unused.db", "start": False}
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}}
AUTOCRON_BACKEND = {"BACKEND": "autocron.contrib.django.backend.AutocronBackend", "QUEUES": ["default", "slow"]}
TASKS = {"default": AUTOCRON_BACKEND, "elsewhere": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}}
"""
JOBS = """
import dataclasses, os
import autocron
from django.tasks import task
from django.tasks.signals import task_enqueued, task_started, task_finished
from django.utils.safestring import mark_safe

@task
def add(a, b=0):
    return a + b

@task
async def add_async(a, b=0):
    return a + b

@task
def fail(text):
    raise LookupError(text)

@task
def leave(code):
    raise SystemExit(code)

@task
def unserialisable():
    return object()

@task(takes_context=True)
def tell(context):
    result = context.task_result
    return [result.id, context.attempt, str(result.status), result.task.priority, result.task.queue_name]

@task
def hold(gate):
    return open(gate).read()

@task(backend="elsewhere")
def declared_elsewhere():
    return "run by autocron all the same"

@task
def echo(*args, **kwargs):
    return [*args, mark_safe("<b>"), kwargs]

@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int

CACHED = LookupError("autocron report: {bad")
KINDS = {"frozen": Frozen(3), "cached": CACHED, "long": LookupError("x" * 200_000), "interrupt": KeyboardInterrupt()}

@task
def fail_in_a_way(kind):
    raise KINDS[kind]

@task(takes_context=True)
def look(context):
    context.task_result.refresh()
    result = context.task_result
    return [str(result.status), context.attempt, result.started_at]

@task(takes_context=True)
def survive(context):
    if context.attempt < 3:
        os.kill(os.getpid(), 9)
    return [context.attempt, context.task_result.worker_ids]

@task
@autocron.cron("@yearly")
def both():
    return "both"

def plain(context, word):
    return [word, context.attempt]

later = task(takes_context=True)(plain)
delayed = autocron.delay(plain)

@task
def renamed(word):
    return f"new {word}"

@task
def watch(word):
    return word

@task
def enqueue_another(word):
    return add.enqueue(word).id

@task
async def enqueue_another_async(word):
    return (await add.aenqueue(word)).id

def complain(sender, task_result, **more):
    if task_result.task.name == "watch":
        raise RuntimeError("a receiver has a bug")

task_enqueued.connect(complain)
task_started.connect(complain)
task_finished.connect(complain)

@task
def first_name(word):
    return f"old {word}"

@task
def undecorated():
    pass

@task
def removed():
    pass

if os.environ.get("RELEASE"):
    first_name = renamed
    undecorated = undecorated.func
    del removed

@autocron.delay
def looks_similar(a, b, c):
    pass
"""
APPLICATION = """
import datetime, os, sys, time
import autocron, django
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
django.setup()
from django.tasks import default_task_backend, task_backends, TaskResultStatus
from django.tasks.exceptions import *
from django.tasks.signals import task_enqueued, task_started, task_finished
from django.utils import timezone
from asgiref.sync import async_to_sync
import site_jobs as jobs
from talk import talk

autocron.stop()  # it has joined, as any program that sets Django up
DATABASE = os.path.join(os.environ["AUTOCRON_TEST"], "app.db")
signals = []
for name, signal in {"enqueued": task_enqueued, "started": task_started, "finished": task_finished}.items():
    def note(sender, task_result, name=name, **more):
        signals.append((name, str(task_result.status)))
    signal.connect(note, weak=False)

def finished(result):
    while not result.is_finished:
        time.sleep(0.005)
        result.refresh()
    return result

def in_order(result):
    return result.enqueued_at <= result.started_at == result.last_attempted_at <= result.finished_at

if __name__ == "__main__":
    talk(globals())
"""


@pytest.fixture(params=["workers", "inactive"])
def django(request: pytest.FixtureRequest, world: World) -> Iterator[Application]:
    """A Django project that enqueues, for workers or, where autocron is not started, in the caller."""
    for name, text in {"site_settings": SETTINGS, "site_jobs": JOBS, "site": APPLICATION}.items():
        (world.directory / (f"{name}.py" if name != "site" else "run_site.py")).write_text(text)
    application = world.application("run_site.py", start=request.param == "workers")
    yield application
    assert application.end() == 0
    world.await_empty()


@pytest.mark.parametrize("task", ["add", "add_async"])
def test_a_task_is_run_and_its_result_tells_all(task: str, django: Application) -> None:
    """Django: a result has its task, arguments, value and moments; coroutines are tasks too."""
    django.do(f"result = finished(jobs.{task}.enqueue(1, b=2))")
    assert django.do("str(result.status), result.is_finished, result.return_value") == ("SUCCESSFUL", True, 3)
    assert django.do(f"result.task == jobs.{task}, result.args, result.kwargs") == (True, [1], {"b": 2})
    assert django.do("in_order(result), result.attempts, result.errors, result.backend") == (True, 1, [], "default")
    assert django.do(f"async_to_sync(jobs.{task}.aenqueue)(1).args") == [1]


def test_a_failure_is_in_the_result(django: Application) -> None:
    """Django: the class of the exception and its traceback; asking for the value is a ValueError."""
    for task, kind, last in (("fail", "LookupError", "LookupError: no such thing\n"), ("leave", "SystemExit", None)):
        django.do(f"result = finished(jobs.{task}.enqueue('no such thing'))")
        assert django.do("str(result.status), in_order(result), result.attempts") == ("FAILED", True, 1)
        assert django.do("[each.exception_class.__name__ for each in result.errors]") == [kind]
        assert django.do("result.errors[0].traceback").endswith(last or "SystemExit: no such thing\n")
        assert django.do("(lambda: result.return_value)") is not None
        with pytest.raises(Exception, match="ValueError: Task failed"):
            django.do("result.return_value")


def test_what_is_not_json_is_refused(django: Application) -> None:
    """Django: arguments at the call, a return value as a failure."""
    with pytest.raises(Exception, match="TypeError"):
        django.do("jobs.add.enqueue(object())")
    django.do("result = finished(jobs.unserialisable.enqueue())")
    assert django.do("result.errors[0].exception_class.__name__") == "TypeError"


def test_the_context(django: Application) -> None:
    """Django: a task that takes the context knows its own result."""
    django.do("result = finished(jobs.tell.using(priority=7, queue_name='slow').enqueue())")
    assert django.do("result.return_value[0] == result.id, result.return_value[1:]") == (
        True,
        [1, "RUNNING", 7, "slow"],
    )
    assert django.do("result.task.priority, result.task.queue_name") == (7, "slow")


def test_what_cannot_be_a_task(django: Application) -> None:
    """Django: InvalidTask, when it is made or enqueued."""
    for code in (
        "jobs.add.using(queue_name='unknown').enqueue()",
        "jobs.add.using(priority=101)",
        "jobs.add.using(run_after=datetime.datetime(2027, 1, 1))",
        "jobs.add.__class__(priority=0, func=lambda: 0, backend='default', queue_name='default', run_after=None)",
    ):
        with pytest.raises(Exception, match="InvalidTask"):
            django.do(code)


def test_unknown_results(django: Application) -> None:
    """Django: TaskResultDoesNotExist for ids that were never given, TaskResultMismatch for another task's."""
    for id in ("123", "ab" * 16, "no hex", None, 5):
        with pytest.raises(Exception, match="TaskResultDoesNotExist"):
            django.do(f"default_task_backend.get_result({id!r})")
        with pytest.raises(Exception, match="TaskResultDoesNotExist"):
            django.do(f"async_to_sync(default_task_backend.aget_result)({id!r})")


def test_signals(django: Application) -> None:
    """Django: enqueued in this process; started and finished where it is run."""
    django.do("finished(jobs.add.enqueue(1))")
    assert django.do("signals")[0] == ("enqueued", "READY")


def test_a_task_declared_for_another_backend(django: Application) -> None:
    """Django: `using(backend=…)` at the call is enough."""
    django.do("result = finished(jobs.declared_elsewhere.using(backend='default').enqueue())")
    assert django.do("result.return_value") == "run by autocron all the same"


@pytest.mark.parametrize("django", ["workers"], indirect=True)
def test_a_result_is_found_again_in_another_process(django: Application, world: World) -> None:
    """Django: get_result and refresh, from any process; a task of another name is a mismatch."""
    id = django.do("result = jobs.add.enqueue(20, b=22)") or django.do("result.id")
    other = world.application("run_site.py")
    assert other.do(f"finished(jobs.add.get_result({id!r})).return_value") == 42
    with pytest.raises(Exception, match="TaskResultMismatch"):
        other.do(f"jobs.fail.get_result({id!r})")
    assert django.do("finished(result) == jobs.add.get_result(result.id)") is True
    other.end()


@pytest.mark.parametrize("django", ["workers"], indirect=True)
def test_a_result_is_known_from_the_moment_on_that_it_has_an_id(django: Application, world: World) -> None:
    """Django: results are retrieved from any process, also by the request that follows at once."""
    django.do("soon = timezone.now() + datetime.timedelta(hours=1)")
    django.do("for number in range(100): jobs.add.using(run_after=soon).enqueue(number).refresh()")
    other = world.application("run_site.py")
    for number in range(50):
        id = django.do(f"jobs.add.using(run_after=soon).enqueue({number}).id")
        assert other.do(f"jobs.add.get_result({id!r}).args") == [number]
    other.end()


def test_subclasses_of_what_json_knows(django: Application) -> None:
    """Django: arguments and return values are JSON, whatever class a str or a float is of."""
    django.do("import enum; from django.utils.safestring import mark_safe; Kind = enum.StrEnum('Kind', ['small'])")
    django.do("result = finished(jobs.echo.enqueue(mark_safe('<i>'), (1, 2), kind=Kind.small))")
    assert django.do("result.args, result.kwargs") == (["<i>", [1, 2]], {"kind": "small"})
    assert django.do("result.return_value") == ["<i>", [1, 2], "<b>", {"kind": "small"}]
    assert django.do("type(result.args[0]).__name__, type(result.return_value[2]).__name__") == ("str", "str")
    django.do("Queue = enum.StrEnum('Queue', ['slow']); Level = enum.IntEnum('Level', ['high'])")
    django.do("result = finished(jobs.add.using(queue_name=Queue.slow, priority=Level.high).enqueue(1))")
    assert django.do("result.return_value") == 1


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("frozen", "site_jobs.Frozen"),
        ("cached", "builtins.LookupError"),
        ("long", "builtins.LookupError"),
        ("interrupt", "builtins.KeyboardInterrupt"),
    ],
)
@pytest.mark.parametrize("django", ["workers"], indirect=True)
def test_whatever_a_task_raises_is_told_with_its_moments(
    kind: str, path: str, django: Application, world: World
) -> None:
    """Django: any failure has its class, its traceback and when it was; autocron's message holds nothing else."""
    django.do(f"first = finished(jobs.fail_in_a_way.enqueue({kind!r}))")
    django.do(f"result = finished(jobs.fail_in_a_way.enqueue({kind!r}))")
    assert django.do("str(result.status), in_order(result), result.attempts") == ("FAILED", True, 1)
    assert django.do("first.finished_at <= result.started_at") is True
    assert django.do("[each.exception_class_path for each in result.errors]") == [path]
    assert django.do("'fail_in_a_way' in result.errors[0].traceback") is True
    assert all(" report: {'" not in each.error for each in world.stored())


@pytest.mark.parametrize("django", ["workers"], indirect=True)
def test_a_task_may_look_at_its_own_result(django: Application) -> None:
    """Django: refresh in a task; it runs for the first time, and the report of its run is as ever."""
    django.do("result = finished(jobs.look.enqueue())")
    assert django.do("result.return_value, in_order(result), result.attempts") == (["RUNNING", 1, None], True, 1)


@pytest.mark.parametrize("django", ["workers"], indirect=True)
def test_the_death_of_a_worker_is_an_attempt(django: Application) -> None:
    """Django: context.attempt counts from 1; all the workers that have run the task are known."""
    django.do("result = finished(jobs.survive.enqueue())")
    assert django.do("result.return_value == [3, result.worker_ids], result.worker_ids[:2]") == (True, ["died"] * 2)


@pytest.mark.parametrize("django", ["workers"], indirect=True)
def test_a_function_may_be_a_task_of_both(django: Application, world: World) -> None:
    """contrib.django: a Django task, a cron entry and a delayed function do not take each other's place."""
    django.do("autocron.stop()")
    world.insert("site_jobs:both")  # as its cron entry would
    django.do("autocron.start(DATABASE)")
    django.do("result = finished(jobs.both.enqueue())")
    assert django.do("result.return_value") == "both"
    eventually(lambda: [each.result for each in world.stored() if each.task == "site_jobs:both"] == [encode("both")])
    django.do("result = finished(jobs.later.enqueue('word'))")
    assert django.do("result.return_value, jobs.later.get_result(result.id) == result") == (["word", 1], True)
    assert django.do("jobs.delayed.address") == "site_jobs:plain"


@pytest.mark.parametrize("django", ["workers"], indirect=True)
def test_jobs_of_a_renamed_task(django: Application, world: World) -> None:
    """servers, deploys: the old name beside the new one leads the jobs of the last release to the task."""
    id = django.do("result = finished(jobs.first_name.enqueue('word'))") or django.do("result.id")
    assert django.do("result.return_value") == "old word"
    (job,) = world.stored()
    assert job.task == "site_jobs:first_name.run"
    args, _ = decode_call(job.payload)
    django.do("autocron.stop()")
    for number, name in enumerate((job.task, "site_jobs:first_name"), 1):
        world.insert(name, *args, number=number)
    other = world.application("run_site.py", environment={"RELEASE": "2"})
    eventually(lambda: all(each.status == Status.READY for each in world.stored()), world.stored)
    values = [decode(each.result)["return_value"] for each in world.stored()]
    assert values == ["new word", "new word", "old word"]
    assert other.do(f"jobs.renamed.get_result({id!r}).return_value") == "old word"
    other.end()


@pytest.mark.parametrize("django", ["workers"], indirect=True)
def test_results_that_a_release_has_left(django: Application, world: World) -> None:
    """Django: a result is known while its task is, whatever has become of its queue, or of the decorator."""
    ids = django.do("[finished(each.enqueue()).id for each in (jobs.undecorated, jobs.removed)]")
    (job, _) = world.stored()
    (args, kwargs, about), _ = decode_call(job.payload)
    django.do("autocron.stop()")
    old = world.insert(job.task, args, kwargs, {**about, "id": "01".zfill(32), "queue_name": "gone"})
    other = world.application("run_site.py", environment={"RELEASE": "2"})
    assert other.do(f"str(default_task_backend.get_result({ids[0]!r}).status)") == "SUCCESSFUL"
    assert other.do(f"finished(default_task_backend.get_result({old!r})).task.queue_name") == "gone"
    with pytest.raises(Exception, match="TaskResultDoesNotExist"):
        other.do(f"default_task_backend.get_result({ids[1]!r})")
    other.end()


@pytest.mark.parametrize("django", ["workers"], indirect=True)
@pytest.mark.parametrize("arguments", ["[], {}, {'backend': 'default'}", "[], {}, {}", "1, 2, 3", "1, 2, frozenset"])
def test_the_result_of_another_kind_of_job(arguments: str, django: Application) -> None:
    """Django: TaskResultDoesNotExist for the jobs of autocron's own tasks."""
    django.do(f"result = jobs.looks_similar({arguments})")
    with pytest.raises(Exception, match="TaskResultDoesNotExist"):
        django.do("default_task_backend.get_result(result.uuid)")


@pytest.mark.parametrize("django", ["inactive"], indirect=True)
def test_in_a_test(django: Application) -> None:
    """testing, Django: a fake engine knows the tasks, and says so where a result is asked for that nothing brings."""
    django.do("from autocron.testing import *; fake = fake_engine().__enter__()")
    django.do("assert_not_enqueued(jobs.add); result = jobs.add.enqueue(1, b=2)")
    assert django.do("str(assert_enqueued(jobs.add, args=[1], kwargs={'b': 2}).task)") == "site_jobs:add.run"
    with pytest.raises(Exception, match=r"TaskPending: add\.run was asked for 10 times and has not run"):
        django.do("finished(result)")
    assert django.do("run_pending().ran(jobs.add).times, finished(result).return_value") == (1, 3)
    django.do("fake.__exit__(None, None, None)")


def test_naive_moments(django: Application, world: World) -> None:
    """Django: without USE_TZ all moments of a result are naive, and of the local zone."""
    site = world.application(
        "run_site.py", environment={"NAIVE": "1"}, start=django.do("autocron.engine.current().active")
    )
    site.do("result = finished(jobs.add.using(run_after=datetime.datetime(2020, 1, 1)).enqueue(1))")
    assert site.do("in_order(result), result.finished_at <= datetime.datetime.now()") == (True, True)
    assert site.do("result.finished_at.tzinfo, str(result.task.run_after)") == (None, "2020-01-01 00:00:00")
    site.end()


@pytest.mark.parametrize("django", ["workers"], indirect=True)
@pytest.mark.parametrize("task", ["enqueue_another", "enqueue_another_async"])
def test_a_task_may_enqueue_another(task: str, django: Application) -> None:
    """contract 3: inside a running task, a call registers a new job, as anywhere; its result is known at once."""
    id = django.do(f"result = finished(jobs.{task}.enqueue(40))") or django.do("result.return_value")
    assert django.do(f"finished(jobs.add.get_result({id!r})).return_value") == 40


def test_a_receiver_with_a_bug(django: Application) -> None:
    """Django: what a receiver of a signal raises is logged, and changes nothing about the task."""
    django.do("result = finished(jobs.watch.enqueue('word'))")
    assert django.do("str(result.status), result.return_value, in_order(result)") == ("SUCCESSFUL", "word", True)


@pytest.mark.parametrize("django", ["workers"], indirect=True)
def test_run_after(django: Application) -> None:
    """Django: supports_defer; the job waits, and its result says so."""
    django.do("later = jobs.add.using(run_after=timezone.now() + datetime.timedelta(hours=1)).enqueue(1)")
    django.do("finished(jobs.add.enqueue(2))")
    django.do("later.refresh()")
    assert django.do("str(later.status), later.started_at, later.attempts") == ("READY", None, 0)
    assert django.do("later == jobs.add.get_result(later.id) or later.task.run_after") is True
    django.do("never = jobs.add.using(run_after=datetime.datetime.max.replace(tzinfo=datetime.UTC)).enqueue(1)")
    assert django.do("jobs.add.get_result(never.id).task.run_after.year") == 9999
    with pytest.raises(Exception, match="Task has not finished yet"):
        django.do("later.return_value")


@pytest.mark.parametrize("django", ["workers"], indirect=True)
def test_an_urgent_task_overtakes_those_that_are_due(django: Application, world: World) -> None:
    """Django: supports_priority; the larger is the more urgent, equals run in the order in which they were enqueued."""
    gate = world.directory / "gate"
    os.mkfifo(gate)
    django.do(f"held = jobs.hold.enqueue({str(gate)!r})")
    with gate.open("w"):  # the only worker is in it now
        django.do("results = [jobs.add.using(priority=n).enqueue(n) for n in (-100, 0, 50, -100, 100, 0)]")
        django.do("[each.refresh() for each in results]")  # the monitor has them all
    django.do("[finished(each) for each in (held, *results)]")
    django.do("begun = sorted(range(6), key=lambda n: results[n].started_at)")
    assert django.do("begun") == [4, 2, 1, 5, 0, 3]
