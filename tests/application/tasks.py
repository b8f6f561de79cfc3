"""Tasks of the tests' application. They tell what they do in a diary, and wait at gates that the test opens."""

import asyncio
import fcntl
import logging
import logging.config
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import autocron

DIRECTORY = os.environ["AUTOCRON_TEST"]


def note(*words):
    """A line that the test hears at once, and that survives the process which writes it."""
    with open(os.path.join(DIRECTORY, "diary"), "w") as diary:
        diary.write(" ".join(map(str, words)) + "\n")


def wait_at(gate):
    """Return when the test has opened this gate."""
    with open(os.path.join(DIRECTORY, f"gate-{gate}"), "a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)


def until_ready(result):
    """Its value, or its error as text; blocks the application as an impatient one would."""
    while not result.is_ready():
        time.sleep(0.005)
    return result.error_message or result.result


@autocron.delay
def add(a, b):
    """A short job."""
    return a + b


@autocron.delay
def told(word):
    """A job that is heard."""
    note("told", word, os.getpid())
    return word


@autocron.delay
def hold(name, gate="gate"):
    """A job that goes on until the test lets it."""
    note("begun", name, os.getpid())
    wait_at(gate)
    note("ended", name, os.getpid())
    return name


@autocron.delay
def endless(name):
    """A job that never ends."""
    note("begun", name, os.getpid())
    while True:
        time.sleep(3600)


@autocron.delay
def orderly(name):
    """A job that never ends, and sees to its own end."""
    note("begun", name, os.getpid())
    try:
        time.sleep(3600)
    finally:
        note("tidied", name)


@autocron.delay
def undisciplined(name):
    """A job that has SIGTERM end its process, as for the programs it starts."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    note("begun", name, os.getpid())
    time.sleep(3600)


@autocron.delay
async def with_handler():
    """A job whose event loop handles SIGTERM, and leaves the default behind when it closes."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)


@autocron.delay
def stubborn(name):
    """A job that ignores SIGTERM, and whatever is raised within it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("begun", name, os.getpid())
    while True:
        try:
            time.sleep(3600)
        except BaseException:
            continue


@autocron.delay
def busy(name):
    """A job that never lets go of the processor."""
    note("begun", name, os.getpid())
    while True:
        pass


@autocron.delay
def parent(name, own_session=False):
    """A job that waits for a process it has started."""
    child = subprocess.Popen(["sleep", "3600"], start_new_session=own_session)
    note("begun", name, os.getpid(), child.pid)
    child.wait()


@autocron.delay
def abandon(name, own_session=True):
    """A job that leaves a process behind, which nobody waits for."""
    code = "import subprocess; subprocess.Popen(['sleep', '3600'])"
    subprocess.run([sys.executable, "-c", code], start_new_session=own_session, check=True)
    note("begun", name, os.getpid())


@autocron.delay
def leave_thread(name):
    """A job that leaves a thread behind, which would keep any process from ending."""
    threading.Thread(target=time.sleep, args=(3600,)).start()
    note("begun", name, os.getpid())


@autocron.delay
def kill_worker(name):
    """A poisonous job."""
    note("begun", name, os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)


@autocron.delay
def environment(name):
    """A job that tells what its process was given."""
    return os.environ.get(name)


@autocron.delay
def close_all(name):
    """A job that closes what is not its own."""
    note("begun", name, os.getpid())
    os.closerange(3, 256)


@autocron.delay
def close_signals():
    """A job that closes the descriptor by which its worker hears of signals."""
    os.close(autocron.engine.engine._interface.spawner._signals._reader)
    return os.getpid()


@autocron.delay
def fail(text):
    """A job that fails."""
    raise ValueError(text)


@autocron.delay
def start_in_task():
    """A job that starts autocron, as a module with `start` at its top would."""
    return autocron.start(os.path.join(DIRECTORY, "app.db"), workers=7)


@autocron.delay
def fan_out(number):
    """A job that registers jobs."""
    for each in range(number):
        told(f"child-{each}")
    return number


@autocron.delay
def link_from_task(name, new_session=False):
    """A job that starts a process which uses autocron itself, and leaves it behind."""
    code = "import sys, time, tasks, autocron; autocron.start(sys.argv[1]); tasks.note(*sys.argv[2:]); time.sleep(3600)"
    command = [sys.executable, "-c", code, os.path.join(DIRECTORY, "app.db"), "linked", name]
    subprocess.Popen(command, start_new_session=new_session)
    wait_at("gate")


@autocron.delay
def where():
    """The directory of the worker."""
    return os.getcwd()


@autocron.delay
def interpreter():
    """The interpreter of the worker."""
    return sys.executable


@autocron.delay
def exit_worker(code):
    """A job that ends its process past Python."""
    os._exit(code)


@autocron.delay
def fork_and_exit(code):
    """A job that forks a child, which ends as any program may; its exit code."""
    pid = os.fork()
    if not pid:
        sys.exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@autocron.delay
def fork_and_call(how, number):
    """A job that forks a child, which registers jobs and ends; its exit code."""
    if how == "multiprocessing":
        child = multiprocessing.get_context("fork").Process(target=fan_out.__wrapped__, args=(number,))
        child.start()
        child.join()
        return child.exitcode
    pid = os.fork()
    if not pid:
        return fan_out.__wrapped__(number)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@autocron.delay
def terminate_child(handled_as=0):
    """A job that forks a child and sends it SIGTERM at once; its exit code, which a handler of the task may decide."""
    before = signal.getsignal(signal.SIGTERM)
    if handled_as:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(handled_as))
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,))
    child.start()
    signal.signal(signal.SIGTERM, before)
    child.terminate()
    child.join()
    return child.exitcode


@autocron.delay
def shout(text):
    """A job that prints and logs."""
    print("said", text)
    print("printed", text, file=sys.stderr)
    logging.basicConfig()
    logging.warning("logged %s", text)


@autocron.delay
def silence():
    """A job that configures logging, as Django, alembic and many applications do: all loggers there are fall silent."""
    logging.config.dictConfig({"version": 1})


@autocron.delay
def echo(value):
    """A job that gives back what it got."""
    return value
