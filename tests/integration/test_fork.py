"""Applications that fork, in all ways there are, before and after `start`."""

from __future__ import annotations

import signal

import pytest
from processes import World, eventually

JOIN = "autocron.engine.engine.join(DATABASE)"
FORK = """
import os, sys
def fork(work):
    # A child that works, tells that it has, and stays until the gate is open.
    pid = os.fork()
    if pid == 0:
        try:
            note("value", work())
            wait_at("child")
            code = 5
        except BaseException as error:
            note("value", repr(error))
            code = 1
        os._exit(code)
    return pid
"""


# In C, while our thread sleeps: if it waited for the interpreter, nobody in the child would ever take its turn there,
# and that is a lock of Python's own, which only `PyOS_AfterFork_Child` would make anew.
FORK_IN_C = """
import ctypes, linecache, os, sys, threading, time
def sleeps(thread):
    frame = sys._current_frames()[thread.ident]
    return "poll.poll(" in linecache.getline(frame.f_code.co_filename, frame.f_lineno)
def fork_in_c(work):
    while not all(sleeps(each) for each in threading.enumerate() if each.name == "autocron"):
        time.sleep(0)
    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid
"""


def test_fork_after_start(world: World) -> None:
    """Contract 6: a forked child registers and asks over a link of its own; parent and child go on."""
    application = world.application()
    monitor = world.monitor()
    world.shut("child")
    application.do(FORK)
    child = application.do("fork(lambda: until_ready(add(1, 2)))")
    assert world.hear("value") == ["value", "3"]
    assert application.do("until_ready(add(3, 4))") == 7
    world.open("child")
    assert application.do(f"os.waitstatus_to_exitcode(os.waitpid({child}, 0)[1])") == 5
    assert application.do("until_ready(add(5, 6))") == 11
    assert world.monitor() == monitor
    assert application.end() == 0
    world.await_empty()


def test_fork_before_start(world: World) -> None:
    """Contract 6: children of an application that has not started start for themselves, and share one monitor."""
    application = world.application(start=False)
    world.shut("child")
    application.do(FORK)
    for _ in range(3):
        application.do("fork(lambda: (autocron.start(DATABASE), until_ready(add(1, 2)))[1])")
    assert application.do("autocron.start(DATABASE)") in (True, False)
    for _ in range(3):
        assert world.hear("value") == ["value", "3"]
    assert len(world.monitors()) == 1
    world.open("child")
    assert application.end() == 0
    world.await_empty()


def test_a_child_keeps_the_monitor_when_its_parent_dies(world: World) -> None:
    """Design 2: forked children link for themselves at once: they are application processes too."""
    application = world.application()
    monitor = world.monitor()
    world.shut("child")
    world.shut("later")
    application.do(FORK)
    application.do("fork(lambda: (note('forked'), wait_at('later'), until_ready(add(1, 2)))[2])")
    world.hear("forked")
    eventually(lambda: len(application.do("autocron.engine.current()._registrar.ask('overview')['applications']")) == 2)
    application.signal(signal.SIGKILL)
    application.wait()
    world.open("later")
    assert world.hear("value") == ["value", "3"]
    assert world.monitor() == monitor
    world.open("child")
    world.await_empty()


def test_registrations_just_before_a_fork_are_made_once(world: World) -> None:
    """Contract 6: what waits in the parent's memory is the parent's; the child does not register it again."""
    application = world.application()
    world.shut("child")
    world.open("child")
    application.do(FORK)
    application.do("fork(lambda: 1) if [add(number, 1) for number in range(300)] else None")
    world.hear("value")
    assert application.do("until_ready(add(1, 2))") == 3
    eventually(lambda: [each.status for each in world.stored()] == [3] * 301)


def test_fork_while_other_threads_register(world: World) -> None:
    """Design 2: nothing of ours that a fork may catch in the middle locks the child out."""
    application = world.application()
    world.shut("child")
    world.open("child")
    application.do(FORK)
    application.do("import threading; going = True")
    application.do("def flood():\n    while going: until_ready([add(1, 1) for _ in range(50)][-1])\n")
    application.do("threads = [threading.Thread(target=flood) for _ in range(3)]")
    application.do("[each.start() for each in threads] and None")
    for _ in range(10):
        application.do("fork(lambda: until_ready(add(1, 2)))")
        assert world.hear("value") == ["value", "3"]
    application.do("going = False; [each.join() for each in threads]")
    application.do("autocron.stop()")


WITHOUT_A_MONITOR = """
import os, threading
from autocron.stores.sqlite import SQLiteStore
from autocron.system.processes import Processes

def refuse(*anything): raise OSError("no process can be started")
Processes.spawn = refuse

add_really, begun, forking = SQLiteStore.add, threading.Event(), threading.Event()
def add_slowly(store, jobs, *, token):
    if not forking.is_set():
        store._db.execute("BEGIN IMMEDIATE")
        begun.set()
        forking.wait()
        store._db.execute("ROLLBACK")
    return add_really(store, jobs, token=token)
SQLiteStore.add = add_slowly

def fork_in_the_middle():
    begun.wait()
    threading.Timer(0.2, forking.set).start()
    child = os.fork()
    if not child:
        forking.set()
        add(3, 4)
        engine._registrar.flush(10.0)
        os._exit(0)
    return os.waitpid(child, 0)[1]
"""


def test_fork_while_the_thread_writes_into_the_store(world: World) -> None:
    """Design 2: no SQLite connection is ever carried through a fork: the child would be locked out for ever."""
    application = world.application()
    assert application.do("until_ready(add(1, 2))") == 3
    application.do("from autocron.engine import engine")
    application.do(WITHOUT_A_MONITOR)
    world.monitor().kill()
    application.do("add(2, 3)")
    assert application.do("fork_in_the_middle()") == 0
    eventually(lambda: len(world.stored()) == 3)
    assert "lost" not in world.stderr()


def test_a_child_that_stops(world: World) -> None:
    """Contract 1: stop in a child ends the child's part only."""
    application = world.application()
    world.shut("child")
    application.do(FORK)
    application.do("fork(lambda: autocron.stop())")
    assert world.hear("value") == ["value", "None"]
    assert application.do("until_ready(add(1, 2))") == 3
    assert len(world.monitors()) == 1


def test_an_exiting_child_hands_over(world: World) -> None:
    """Contract 6: a clean end of a forked child flushes what it has registered."""
    application = world.application()
    application.do(
        "import os, sys\npid = os.fork()\nif pid == 0:\n    for number in range(200): add(number, 1)\n    sys.exit(0)\n"
    )
    assert application.do("os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])") == 0
    assert len(world.stored()) == 200


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(world: World, method: str) -> None:
    """Contract 6: processes of multiprocessing register by their own link, and nothing is lost at their end."""
    application = world.application()
    application.do("import multiprocessing, jobs")
    application.do(f"context = multiprocessing.get_context({method!r})")
    application.do("children = [context.Process(target=jobs.register, args=(DATABASE, 100)) for _ in range(3)]")
    application.do("[each.start() for each in children] and None")
    application.do("[each.join() for each in children] and None")
    assert application.do("[each.exitcode for each in children]") == [0, 0, 0]
    assert len(world.stored()) == 300
    assert application.do("until_ready(add(1, 2))") == 3
    assert len(world.monitors()) == 1
    application.signal(signal.SIGKILL)
    application.wait()
    world.await_empty()


def test_a_pool_of_multiprocessing(world: World) -> None:
    """Contract 6: workers of a pool, which end by os._exit or a signal, have handed over what they registered."""
    application = world.application()
    application.do("import multiprocessing, jobs")
    assert application.do(
        "[each for each in multiprocessing.get_context('fork').Pool(2).map(jobs.register_and_wait, range(6))]"
    ) == [1, 2, 3, 4, 5, 6]
    assert application.end() == 0
    world.await_empty()


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_pool_that_is_ended_at_once(how: str, world: World) -> None:
    """Contract 6: a pool ends its processes by SIGTERM, right behind their last answer; what they called is kept."""
    application = world.application()
    application.do("import multiprocessing, jobs")
    application.do(
        f"with multiprocessing.get_context({how!r}).Pool(4) as pool:\n"
        "    pool.starmap(jobs.register, [(DATABASE, 1)] * 40)\n"
    )
    assert len(world.stored()) == 40


@pytest.mark.parametrize("how", ["fork", "multiprocessing"])
def test_jobs_of_a_child_that_a_task_forks(how: str, world: World) -> None:
    """Contract 3: a call in a running task registers a job, in a child of it too; at its end none is lost."""
    application = world.application(start=False)
    assert application.do("autocron.start(DATABASE, workers=2)") is True
    for number in (1, 5, 50):
        assert application.do(f"until_ready(fork_and_call({how!r}, {number}))") == 0
    eventually(lambda: len(world.stored()) == 3 + 1 + 5 + 50, lambda: f"{len(world.stored())} are stored")
    assert application.end() == 0


def test_a_child_that_a_task_forks(world: World) -> None:
    """Contract 3: it ends as the task says, and that is nobody's outcome: with its exit code, or its last words."""
    application = world.application()
    assert application.do("until_ready(fork_and_exit(3))") == 3
    assert world.stderr() == ""
    assert application.do("until_ready(fork_and_exit('last words'))") == 1
    assert "last words" in world.stderr()
    assert "failed" not in world.stderr()
    assert [each.error for each in world.stored()] == ["", ""]


def test_a_child_that_a_task_forks_and_terminates(world: World) -> None:
    """Contract 6: SIGTERM ends it, however soon it comes, unless the task handles that; its worker goes on."""
    application = world.application()
    worker = world.worker()
    assert [application.do("until_ready(terminate_child())") for _ in range(10)] == [-signal.SIGTERM] * 10
    assert application.do("until_ready(terminate_child(handled_as=3))") == 3
    assert world.worker() == worker
    assert world.stderr() == ""


def test_a_fork_past_python(world: World) -> None:
    """Design 2: a C-level fork keeps a copy of the socket; the death of the process itself ends its link."""
    application = world.application()
    world.shut("child")
    application.do(FORK_IN_C)
    child = application.do("fork_in_c(lambda: (note('forked'), wait_at('child')))")
    world.hear("forked")
    assert application.do("until_ready(add(1, 2))") == 3
    application.signal(signal.SIGKILL)
    application.wait()
    (left,) = eventually(lambda: [each for each in world.family() if each.pid == child])
    world.await_empty(left)


def test_children_of_a_fork_past_python(world: World) -> None:
    """Contract 6: a server that forks in C (uWSGI) tells Python nothing; its children link for themselves even so."""
    application = world.application()
    application.do(FORK_IN_C)
    application.do("def work(number): note('child', until_ready(add(number, 1)), len(autocron.get_results()) > 0)")
    assert application.do("until_ready(add(0, 1))") == 1
    application.do("[fork_in_c(lambda: work(number)) for number in (1, 2, 3)] and None")
    assert {tuple(world.hear("child")) for _ in range(3)} == {("child", str(number), "True") for number in (2, 3, 4)}
    assert application.do("until_ready(add(4, 1))") == 5
    assert len(world.stored()) == 5
    assert application.end() == 0
    world.await_empty()


def test_exec(world: World) -> None:
    """Design 2: execv keeps the pid and ends the link: a reloader's application starts anew."""
    application = world.application()
    assert application.do("until_ready(add(1, 2))") == 3
    application.tell("import os, sys; os.execv(sys.executable, [sys.executable, 'app.py'])")
    assert application.do("autocron.start(DATABASE)") in (True, False)
    assert application.do("os.getpid()") == application.pid
    assert application.do("until_ready(add(3, 4))") == 7
    eventually(lambda: (len(world.monitors()), len(world.workers())) == (1, 1))
    assert application.end() == 0
    world.await_empty()


def test_exec_of_another_program(world: World) -> None:
    """Design 2: a process that becomes something else is no application of ours any more."""
    application = world.application()
    world.worker()
    application.tell("import os; os.execvp('sleep', ['sleep', '3600'])")
    world.await_empty(application.identity)
    assert application.identity.is_alive()


STARTING_IN_A_THREAD = """
import os, threading
from autocron.system.processes import Processes

start_really, inside, forked = Processes._start, threading.Event(), threading.Event()
def start_slowly(*arguments, **options):
    inside.set()
    forked.wait()
    return start_really(*arguments, **options)
Processes._start = start_slowly

def fork_in_the_middle():
    thread = threading.Thread(target=autocron.start, args=(DATABASE,))
    thread.start()
    inside.wait()
    pid = fork(start_and_work)
    forked.set()
    thread.join()
    return pid

def start_and_work():
    forked.set()
    autocron.start(DATABASE)
    return until_ready(add(1, 2))
"""


def test_fork_while_another_thread_starts(world: World) -> None:
    """Contract 6: neither is the child locked out, nor does it keep anything open of what the parent was opening."""
    application = world.application(start=False)
    world.shut("child")
    application.do(FORK)
    application.do(STARTING_IN_A_THREAD)
    child = application.do("fork_in_the_middle()")
    assert world.hear("value") == ["value", "3"]
    assert application.do("until_ready(add(3, 4))") == 7
    monitor = world.monitor()
    monitor.kill()
    assert application.do("until_ready(add(5, 6))") == 11
    assert world.monitor() != monitor
    world.open("child")
    assert application.do(f"os.waitstatus_to_exitcode(os.waitpid({child}, 0)[1])") == 5
    assert application.end() == 0
    world.await_empty()


@pytest.mark.parametrize("before", ["autocron.start(DATABASE); autocron.stop()", JOIN + "; add(0, 0)"])
def test_each_child_has_ids_of_its_own(world: World, before: str) -> None:
    """Contract 6: what siblings register in the same moment are different jobs, whatever their parent did before."""
    server = world.application()
    application = world.application(start=False)
    world.shut("child")
    world.open("child")
    application.do(FORK)
    application.do(before)
    # A millisecond between two calls keeps siblings in step: what tells their ids apart is not the time.
    application.do(
        "import time\nfrom autocron.engine import engine\n"
        "def many():\n"
        "    if not engine._joined: autocron.start(DATABASE)\n"
        "    return len([(add(1, each), time.sleep(0.001)) for each in range(100)]), engine._registrar.flush(10.0)\n"
    )
    for _ in range(3):
        application.do("fork(many)")
    for _ in range(3):
        assert world.hear("value")[1] == "(100,"
    assert len(world.stored()) == 300 + (JOIN in before)
    assert application.end() == 0
    assert server.end() == 0
    world.await_empty()
