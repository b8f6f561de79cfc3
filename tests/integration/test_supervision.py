"""The monitor and its workers: as many as wanted, replaced when they die."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import shutil
import signal
import socket
import sqlite3
import time

import pytest
from processes import Raised, World, await_deaths, eventually

from autocron.system.address import socket_path


def test_one_monitor_and_n_workers(world: World) -> None:
    """Contract 6: one monitor per database, which starts and supervises the workers."""
    application = world.application(workers=3)
    assert application.do("until_ready(add(1, 2))") == 3
    eventually(lambda: len(world.workers()) == 3)
    assert len(world.monitors()) == 1
    assert application.end() == 0
    world.await_empty()


def test_processes_that_start_at_the_same_moment(world: World) -> None:
    """Contract 1: one of them starts the monitor, the others get False; tasks of all of them are executed."""
    applications = [world.application(start=False) for _ in range(6)]
    for each in applications:
        each.tell("autocron.start(DATABASE, workers=2)")
    assert sorted(each.answer() for each in applications) == [False] * 5 + [True]
    for number, each in enumerate(applications):
        assert each.do(f"until_ready(add({number}, 1))") == number + 1
    assert len(world.monitors()) == 1
    eventually(lambda: len(world.workers()) == 2)
    for each in applications:
        each.signal(signal.SIGKILL)
        each.wait()
    world.await_empty()


def test_two_databases_have_a_monitor_each(world: World) -> None:
    """Contract 6: one monitor process per database."""
    first, second = world.application(), world.application(start=False)
    assert second.do("autocron.start(DATABASE + '2')") is True
    assert len(world.monitors()) == 2
    assert first.end() == 0
    eventually(lambda: len(world.monitors()) == 1)  # its workers may just have begun to start
    assert second.do("until_ready(add(1, 2))") == 3


def test_the_starter_of_the_monitor_may_go(world: World) -> None:
    """Contract 6: the monitor belongs to all processes of the application, not to the one that started it."""
    first, second = world.application(), world.application()
    monitor = world.monitor()
    first.signal(signal.SIGKILL)
    first.wait()
    assert second.do("until_ready(add(1, 2))") == 3
    assert world.monitor() == monitor
    assert second.end() == 0
    world.await_empty()


def test_a_dead_worker_is_replaced(world: World) -> None:
    """Contract 6: the monitor replaces a dead worker, and buries it; the number stays exactly n."""
    application = world.application(workers=2)
    eventually(lambda: len(world.workers()) == 2)
    for _ in range(3):
        before = world.workers()
        before[0].kill()
        eventually(lambda before=before: len(world.workers()) == 2 and before[0] not in world.workers())
        assert before[1] in world.workers()
    eventually(lambda: not world.zombies([world.monitor().pid]))
    assert application.do("until_ready(add(1, 2))") == 3


def test_an_interrupted_job_is_run_again(world: World) -> None:
    """Contract 6: a task interrupted by the death of its worker is run again."""
    application = world.application()
    world.shut("gate")
    application.do("held = hold('job')")
    *_, pid = world.hear("begun job")
    worker = world.worker()
    assert worker.pid == int(pid)
    worker.kill()
    *_, again = world.hear("begun job")
    assert again != pid
    world.open("gate")
    assert application.do("until_ready(held)") == "job"
    (job,) = world.stored()
    assert (job.status, job.deaths) == (3, 1)


def test_a_handler_that_a_task_leaves_behind_takes_no_interruption_from_the_next(world: World) -> None:
    """Contract 6: at the end of its grace a job is interrupted, which is no death of its worker."""
    application = world.application()
    application.do("until_ready(with_handler())")
    application.do("held = orderly('job')")
    world.hear("begun job")
    application.end()
    world.hear("tidied job")
    world.await_empty()
    (job,) = [each for each in world.stored() if each.task.endswith("orderly")]
    assert (job.status, job.deaths) == (1, 0)


def test_an_interruption_that_ends_the_worker_is_no_death(world: World) -> None:
    """Contract 6: the job was interrupted by us, and runs again, however often the application ends."""
    world.configure(grace_s=1.0)
    application = world.application()
    application.do("held = undisciplined('job')")
    world.hear("begun job")
    application.end()
    world.await_empty()
    (job,) = world.stored()
    assert (job.status, job.deaths) == (1, 0)


def test_sigterm_ends_a_worker_between_two_jobs_whatever_tasks_have_done(world: World) -> None:
    """Contract 6: whoever sends it; a loop that handles signals takes them from everybody else when it closes."""
    application = world.application()
    application.do("until_ready(with_handler())")
    application.do("until_ready(add(1, 2))")
    worker = world.worker()
    worker.send(signal.SIGTERM)
    await_deaths([worker])
    assert world.worker() != worker


def test_a_dead_monitor_is_replaced(world: World) -> None:
    """Design 2: if the monitor dies, its workers die with it, and a linked application process starts the next."""
    application = world.application(workers=2)
    monitor = world.monitor()
    eventually(lambda: len(world.workers()) == 2)
    workers = world.workers()
    world.shut("gate")
    application.do("held = hold('job')")
    world.hear("begun job")
    monitor.kill()
    world.hear("begun job")
    assert not any(each.is_alive() for each in workers)
    assert world.monitor() != monitor
    world.open("gate")
    assert application.do("until_ready(held)") == "job"
    eventually(lambda: len(world.workers()) == 2)
    eventually(lambda: not world.zombies([application.pid]))
    assert application.end() == 0
    world.await_empty()


def test_a_monitor_that_takes_long_to_start_is_waited_for(world: World) -> None:
    """Design 2, self-healing, on a slow machine: who gave up would end it, and start the next, which is as slow."""
    application = world.application(environment={"AUTOCRON_FAILPOINTS": "monitor.open.before=stop:3"})
    assert application.do("until_ready(add(1, 2))") == 3
    world.monitor().kill()
    assert application.do("until_ready(add(3, 4))") == 7


def test_monitors_that_refuse_the_database_leave_no_zombies(world: World) -> None:
    """Contract 6: the application goes on trying, maybe for days."""
    application = world.application()
    assert application.do("until_ready(add(1, 2))") == 3
    monitor = world.monitor()
    monitor.send(signal.SIGSTOP)
    for name in ("app.db-wal", "app.db-shm"):
        (world.directory / name).unlink(missing_ok=True)
    world.database.write_bytes(b"not a database at all" * 100)
    monitor.kill()
    eventually(lambda: "it is not a SQLite database" in application.stderr())
    world.await_empty(application.identity)
    eventually(lambda: not world.zombies([application.pid]))
    with pytest.raises(Raised, match=r"StoreError: .* it is not a SQLite database"):
        application.do("add(1, 2)")


def test_one_of_several_applications_replaces_the_monitor(world: World) -> None:
    """Design 2: one monitor, also where several processes notice the death of the last one at once."""
    applications = [world.application() for _ in range(4)]
    for _ in range(3):
        world.monitor().kill()
        for number, each in enumerate(applications):
            assert each.do(f"until_ready(add({number}, 1))") == number + 1
        assert len(world.monitors()) == 1
        world.worker()


def test_the_monitor_and_all_workers_at_once(world: World) -> None:
    """Contract 6: after any crash, of all of them at once too, work goes on; nothing is lost."""
    application = world.application(workers=2)
    application.do("results = [add(number, 1) for number in range(500)]")
    for each in [*world.monitors(), *world.workers()]:
        each.send(signal.SIGKILL)
    assert application.do("[until_ready(each) for each in results]") == list(range(1, 501))
    assert len(world.stored()) == 500


def test_everything_at_once(world: World) -> None:
    """Contract 6: after a crash of all processes at once, the next start simply works."""
    world.shut("gate")
    application = world.application(workers=2)
    application.do("held = hold('job')")
    world.hear("begun job")
    for each in world.family():
        each.send(signal.SIGKILL)
    application.wait()
    world.await_empty()
    world.open("gate")
    application = world.application(start=False)
    assert application.do("autocron.start(DATABASE)") is True
    world.hear("ended job")
    eventually(lambda: [each.status for each in world.stored()] == [3])
    assert [each.deaths for each in world.stored()] == [1]


def test_a_poisonous_job_ends_in_error(world: World) -> None:
    """Design 1: after three deaths while it was running a job ends in error; the others go on."""
    application = world.application()
    application.do("poison = kill_worker('job')")
    neighbours = application.do("[add(number, 1).uuid for number in range(50)]")
    assert application.do("until_ready(poison)") == "the worker died (signal 9) while running this task"
    assert application.do("poison.status") == 4
    for uuid in neighbours:
        assert str(application.do(f"until_ready(autocron.Result(uuid={uuid!r}))")).isdigit()
    assert world.notes() == [note for note in world.notes() if note.startswith("begun job ")]
    assert len(world.notes()) == 3
    # An innocent neighbour is never blamed.
    assert {each.deaths for each in world.stored() if each.id.hex() in neighbours} == {0}


def test_poison_is_remembered_over_restarts(world: World) -> None:
    """Design 1: the deaths are stored, so that a job cannot begin anew with each monitor."""
    world.configure(max_deaths=2)
    application = world.application()
    world.shut("gate")
    application.do("held = hold('job')")
    world.hear("begun job")
    world.monitor().kill()
    world.hear("begun job")
    world.worker().kill()
    assert application.do("until_ready(held)") == "the worker died (signal 9) while running this task"


def test_a_function_that_can_no_longer_be_found(world: World) -> None:
    """Contract 3: it ends in the Result; the queue goes on."""
    gone = world.insert("tasks:gone", 1, number=1)
    module = world.insert("no_such_module:task", 1, number=2)
    plain = world.insert("os:getpid", number=3)
    application = world.application()
    assert "there is no task tasks:gone" in application.do(f"until_ready(autocron.Result(uuid={gone!r}))")
    assert "no_such_module" in application.do(f"until_ready(autocron.Result(uuid={module!r}))")
    # Design 5: a worker calls only tasks.
    assert "there is no task os:getpid" in application.do(f"until_ready(autocron.Result(uuid={plain!r}))")
    assert application.do("until_ready(add(1, 2))") == 3


def test_files_dated_in_the_future_stop_nobody(world: World) -> None:
    """Contract 3: a function that is gone ends in the Result, whatever the clock of who has built this release."""
    module = world.directory / "built.py"
    module.write_text("import autocron\n@autocron.delay\ndef there(): return 7\n")
    os.utime(module, (time.time() + 86400,) * 2)
    gone = world.insert("built:gone", number=1)
    there = world.insert("built:there", number=2)
    application = world.application()
    assert "there is no task built:gone" in application.do(f"until_ready(autocron.Result(uuid={gone!r}))")
    assert application.do(f"until_ready(autocron.Result(uuid={there!r}))") == 7


def test_a_job_that_closes_the_channel_of_its_worker_is_to_blame(world: World) -> None:
    """Design 1.2: its outcome cannot be told; it must not run for ever, and stops nobody."""
    application = world.application()
    application.do("closing = close_all('job')")
    # Its monitor may be the first to notice.
    reasons = [f"the worker died ({how}) while running this task" for how in ("exit code 1", "signal 9")]
    assert application.do("until_ready(closing)") in reasons
    assert len([each for each in world.notes() if each.startswith("begun job")]) == 3
    assert application.do("until_ready(add(1, 2))") == 3


def test_a_worker_that_can_hear_nothing_is_replaced(world: World) -> None:
    """Contract 6: it lives, and would keep for ever what it is given."""
    application = world.application()
    deaf = application.do("until_ready(close_signals())")
    assert application.do("until_ready(add(1, 2))") == 3
    assert deaf not in [each.pid for each in world.workers()]
    assert application.end() == 0


def test_a_removed_private_directory_is_made_again(world: World) -> None:
    """Contract 6: somebody has tidied up: dead workers are still replaced, and others find a monitor."""
    application = world.application()
    first = application.do("until_ready(add(1, 2))") and world.monitor()
    shutil.rmtree(world.directory / "app.db-autocron")
    application.do("import sys; sys.path.append('/nowhere')")  # it introduces itself again, which calls off an end
    world.worker().kill()
    assert application.do("until_ready(add(2, 3))") == 5
    eventually(lambda: application.do("until_ready(add(0, 0))") == 0 and world.monitors() not in ([], [first]))
    other = world.application()
    assert other.do("until_ready(add(3, 4))") == 7
    assert len(world.monitors()) == 1
    for each in (application, other):
        assert each.end() == 0
    world.await_empty()


def test_a_removed_socket_is_made_again(world: World) -> None:
    """Contract 1: a monitor that holds the lock is found by whoever starts next."""
    application = world.application()
    monitor = world.monitor()
    (world.directory / "app.db-autocron" / "link").unlink()
    eventually(lambda: application.do("until_ready(add(1, 2))") and (world.directory / "app.db-autocron/link").exists())
    other = world.application()
    assert other.do("until_ready(add(3, 4))") == 7
    assert world.monitors() == [monitor]
    for each in (application, other):
        assert each.end() == 0
    world.await_empty()


def test_workers_have_the_environment_of_the_newest_application(world: World) -> None:
    """Contract 6: a reload takes the monitor over, which has the environment of who has started it."""
    first = world.application(environment={"COLOUR": "red"})
    assert first.do("until_ready(environment('COLOUR'))") == "red"
    second = world.application(environment={"COLOUR": "blue"})
    world.worker().kill()
    assert second.do("until_ready(environment('COLOUR'))") == "blue"
    assert second.end() == 0
    assert first.do("until_ready(environment('COLOUR'))") == "red"  # it was a short command
    third = world.application(environment={"COLOUR": "green"})
    assert first.end() == 0
    world.worker().kill()
    assert third.do("until_ready(environment('COLOUR'))") == "green"


def test_jobs_registered_after_a_deploy_run_the_new_code(world: World) -> None:
    """Design 2: on a new link, workers whose imported files changed retire before their next job."""
    first = world.application()
    module = world.directory / "changing.py"
    module.write_text("import autocron\n@autocron.delay\ndef version(): return 1\n")
    first.do("import changing")
    assert first.do("until_ready(changing.version())") == 1
    before = world.worker()
    module.write_text("import autocron\n@autocron.delay\ndef version(): return 'new'\n")
    later = os.stat(module).st_mtime + 2  # another second than what is cached
    os.utime(module, (later, later))
    second = world.application(start=False)
    second.do("import changing")
    assert second.do("autocron.start(DATABASE)") is False
    assert second.do("until_ready(changing.version())") == "new"
    assert world.worker() != before


def test_a_task_that_was_written_after_its_worker_began(world: World) -> None:
    """Design 2: "function not found" in a worker older than the registering process goes to a fresh worker first."""
    application = world.application()
    module = world.directory / "growing.py"
    module.write_text("import autocron\n@autocron.delay\ndef old(): return 1\n")
    assert application.do("import growing") is None
    assert application.do("until_ready(growing.old())") == 1
    module.write_text(module.read_text() + "@autocron.delay\ndef new(): return 2\n")
    later = os.stat(module).st_mtime + 2
    os.utime(module, (later, later))
    assert application.do("until_ready(__import__('importlib').reload(growing).new())") == 2


def test_jobs_registered_inside_a_task(world: World) -> None:
    """Contract 3: inside a running task, a call of a delayed function registers a new job, as anywhere."""
    application = world.application()
    assert application.do("until_ready(fan_out(10))") == 10
    for number in range(10):
        world.hear(f"told child-{number}")
    eventually(lambda: {each.status for each in world.stored()} == {3})
    assert len(world.stored()) == 11


@pytest.mark.parametrize("new_session", [False, True])
def test_what_a_task_has_started_does_not_keep_the_monitor(world: World, new_session: bool) -> None:
    """Design 1: the monitor ends with the application, even if a task has started a process that is linked too."""
    application = world.application()
    world.shut("gate")
    application.do(f"link_from_task('job', {new_session})")
    world.hear("linked job")
    assert len(world.monitors()) == 1
    application.signal(signal.SIGKILL)
    application.wait()
    world.await_empty()


def take_the_place_of_the_monitor(world: World, lock: int) -> None:
    """Whoever holds the lock is the monitor: while a test does, no other can be."""
    while True:
        for each in world.monitors():
            each.kill()
        with contextlib.suppress(BlockingIOError):  # the next one was faster
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return


def test_without_a_monitor_registrations_are_written_directly(world: World) -> None:
    """Design 2: no monitor within reach: registrations wait, and are then written by the process itself."""
    application = world.application()
    with open(world.directory / "app.db-autocron" / "lock", "r+") as lock:
        take_the_place_of_the_monitor(world, lock.fileno())
        application.do("results = [add(number, 1) for number in range(10)]")
        eventually(lambda: len(world.stored()) == 10)
        assert {each.status for each in world.stored()} == {1}
    assert application.do("[until_ready(each) for each in results]") == list(range(1, 11))


def test_the_end_without_a_monitor(world: World) -> None:
    """Design 2: at exit the process writes what waits itself: nothing registered is lost."""
    application = world.application()
    with open(world.directory / "app.db-autocron" / "lock", "r+") as lock:
        take_the_place_of_the_monitor(world, lock.fileno())
        application.do("for number in range(10): add(number, 1)")
        assert application.end() == 0
        assert len(world.stored()) == 10
    world.await_empty()


def test_a_locked_database_only_delays(world: World) -> None:
    """Design 5: another program that locks the file for a while only delays; callers are not blocked by it."""
    application = world.application()
    assert application.do("until_ready(add(0, 1))") == 1
    other = sqlite3.connect(world.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    application.do("results = [add(number, 1) for number in range(10)]")
    eventually(lambda: "another program holds it locked" in world.stderr())
    other.execute("COMMIT")
    other.close()
    assert application.do("[until_ready(each) for each in results]") == list(range(1, 11))


def test_a_worker_that_cannot_live_is_not_restarted_in_a_storm(world: World) -> None:
    """Design 2: dying workers are restarted with backoff."""
    application = world.application(environment={"PYTHONPATH": str(world.directory / "poison")}, log="INFO")
    assert application.do("until_ready(add(0, 0))") == 0  # a worker that still starts would take the poison itself
    poison = world.directory / "poison"
    poison.mkdir()
    (poison / "sitecustomize.py").write_text(
        f"import os\nwith open({str(world.directory / 'diary')!r}, 'w') as diary: diary.write('born\\n')\nos._exit(1)\n"
    )
    world.worker().kill()
    for _ in range(4):
        world.hear("born")
    (poison / "sitecustomize.py").unlink()
    assert application.do("until_ready(add(1, 2))") == 3
    # Two at once, then pauses that double: a storm would have had dozens.
    assert len(world.notes()) <= 2


def test_the_monitor_takes_as_many_descriptors_as_it_may_and_nobody_else_does(world: World) -> None:
    """Contract 6: it needs two for each process of the application; tasks have what the application has."""
    application = world.application(start=False)
    application.do(f"__import__('resource').setrlimit({resource.RLIMIT_NOFILE}, (64, 4096))")
    application.do("autocron.start(DATABASE)")
    assert application.do("until_ready(add(1, 2))") == 3
    assert resource.prlimit(world.monitor().pid, resource.RLIMIT_NOFILE) == (4096, 4096)
    assert resource.prlimit(world.worker().pid, resource.RLIMIT_NOFILE) == (64, 4096)


def test_more_processes_than_the_monitor_has_descriptors_for(world: World) -> None:
    """Contract 6: who cannot be linked waits; for everybody else nothing changes."""
    application, other = world.application(start=False), world.application(start=False)
    application.do(f"__import__('resource').setrlimit({resource.RLIMIT_NOFILE}, (64, 64))")
    application.do("autocron.start(DATABASE)")
    world.worker()
    other.do("from autocron.system import links; held = [links.connect(DATABASE) for _ in range(60)]")
    eventually(lambda: "no further process can be linked" in world.stderr())
    world.worker().kill()
    assert application.do("until_ready(add(1, 2))") == 3
    other.do("[each.close() for each in held]")
    other.do("autocron.start(DATABASE)")
    assert other.do("until_ready(add(3, 4))") == 7
    assert world.stderr().count("no further process can be linked") == 1


def test_much_at_once_in_both_directions(world: World) -> None:
    """Design 7: 5 MB both ways on a channel deadlock naive writers; here nobody waits for a slow peer."""
    application = world.application(workers=2)
    application.do("texts = [str(number) * 5_000_000 for number in range(4)]")
    application.do("results = [echo(text) for text in texts]")
    assert application.do("[until_ready(result) == text for result, text in zip(results, texts)]") == [True] * 4


def test_a_stopped_monitor_blocks_no_caller(world: World) -> None:
    """Design 2: registrations wait in the registrar while the monitor is stopped, and none is lost."""
    application = world.application()
    assert application.do("until_ready(add(1, 2))") == 3
    monitor = world.monitor()
    monitor.send(signal.SIGSTOP)
    application.do("results = [add(number, 1) for number in range(20_000)]")  # more than the link takes
    monitor.send(signal.SIGCONT)
    assert application.do("until_ready(results[-1])") == 20_000
    assert application.do("[until_ready(results[number]) for number in (0, 5000, 19_998)]") == [1, 5001, 19_999]
    assert world.monitor() == monitor


def test_a_stopped_monitor_does_not_block_who_waits_for_the_store(world: World) -> None:
    """Contract 3: blocking mode returns when the job is safely stored: past a monitor that is stopped, and once."""
    world.configure(blocking=True)
    application = world.application()
    assert application.do("until_ready(add(1, 2))") == 3
    monitor = world.monitor()
    monitor.send(signal.SIGSTOP)
    uuid = application.do("told('one').uuid")
    assert [each.status for each in world.stored() if each.id.hex() == uuid] == [1]
    monitor.send(signal.SIGCONT)
    world.hear("told one")
    assert application.do("until_ready(add(3, 4))") == 7
    assert world.monitor() == monitor
    assert not [each for each in world.notes() if each.startswith("told")]


def test_a_stopped_monitor_that_takes_no_more_links_blocks_no_start(world: World) -> None:
    """Contract 1: the kernel keeps 128 links for it, and who connects then would wait for ever."""
    application = world.application()
    assert application.do("until_ready(add(1, 2))") == 3
    monitor = world.monitor()
    monitor.send(signal.SIGSTOP)
    links = []
    with socket_path(world.directory / "app.db-autocron") as path, contextlib.ExitStack() as stack:
        with contextlib.suppress(BlockingIOError):
            while True:
                links.append(stack.enter_context(socket.socket(socket.AF_UNIX)))
                links[-1].setblocking(False)
                links[-1].connect(path)
        assert len(links) > 100
        second = world.application(start=False)
        assert second.do("autocron.start(DATABASE)") is False
        result = second.do("add(3, 4).uuid")
        eventually(lambda: result in {each.id.hex() for each in world.stored()})
    monitor.send(signal.SIGCONT)
    assert second.do(f"until_ready(autocron.Result(uuid={result!r}))") == 7


def test_a_stopped_worker_goes_with_the_application(world: World) -> None:
    """Contract 6: whatever state a worker is in, it does not outlive the application."""
    world.configure(grace_s=0.3)
    application = world.application(workers=2)
    eventually(lambda: len(world.workers()) == 2)
    for each in world.workers():
        each.send(signal.SIGSTOP)
    application.signal(signal.SIGKILL)
    application.wait()
    world.await_empty()


def test_a_stopped_monitor_ends_when_it_is_continued(world: World) -> None:
    """Contract 6: a monitor that was stopped when the application ended notices it afterwards."""
    application = world.application()
    world.worker()
    monitor = world.monitor()
    monitor.send(signal.SIGSTOP)
    application.signal(signal.SIGKILL)
    application.wait()
    monitor.send(signal.SIGCONT)
    world.await_empty()
