"""Nothing outlives the application, however it ends and whatever its tasks do."""

from __future__ import annotations

import os
import pty
import signal
import termios
import tty

import pytest
from processes import Application, World, eventually

GRACE_S = 0.4

# How an application ends: what it is told, the signal it is sent, and the exit code that its starter sees.
ENDS: dict[str, tuple[str, int, int]] = {
    "SIGKILL": ("", signal.SIGKILL, -signal.SIGKILL),
    "SIGTERM": ("", signal.SIGTERM, -signal.SIGTERM),
    "SIGINT": ("", signal.SIGINT, -signal.SIGINT),
    "_exit": ("os._exit(3)", 0, 3),
    "exception": ("raise SystemExit('an end with a message')", 0, 1),
    "exit": ("sys.exit(7)", 0, 7),
    "end": ("", 0, 0),
    "stop": ("autocron.stop(); sys.exit(4)", 0, 4),
}

# What its worker is doing then, and whether the diary tells of a process that the task has started.
STATES: dict[str, str] = {
    "idle": "",
    "endless": "endless('job')",
    "busy": "busy('job')",
    "stubborn": "stubborn('job')",
    "grandchild": "parent('job')",
    "grandchild in its own session": "parent('job', own_session=True)",
    "abandoned process": "abandon('job', own_session=False)",
    "abandoned session": "abandon('job')",
    "thread": "leave_thread('job')",
}


def end(application: Application, how: str) -> int:
    """End it in this way; its exit code."""
    code, number, _ = ENDS[how]
    if code:
        application.tell(f"import os, sys; {code}")
    elif number:
        application.signal(number)
    else:
        return application.end()
    return application.wait()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("how", ENDS)
def test_nothing_is_left(world: World, how: str, state: str) -> None:
    """Contract 6: however the application ends, everything ends; its exit code is untouched; no job is lost."""
    world.configure(grace_s=GRACE_S)
    application = world.application()
    if STATES[state]:
        application.do(STATES[state])
        world.hear("begun job")
    else:
        assert application.do("until_ready(add(1, 2))") == 3
    assert len(world.family()) >= 3
    assert end(application, how) == ENDS[how][2]
    world.await_empty()
    assert not (world.directory / "app.db-autocron").exists()
    for job in world.stored():
        finished = job.task in ("tasks:add", "tasks:abandon", "tasks:leave_thread")
        assert (job.status, job.deaths) == (3 if finished else 1, 0)


def test_a_job_within_the_grace_period_is_finished(world: World) -> None:
    """Contract 6: running tasks get a grace period; what they return then is stored."""
    application = world.application()
    world.shut("gate")
    application.do("hold('job')")
    world.hear("begun job")
    application.signal(signal.SIGKILL)
    application.wait()
    world.open("gate")
    world.await_empty()
    assert [each.status for each in world.stored()] == [3]


def test_what_is_registered_and_not_begun_waits(world: World) -> None:
    """Contract 1: pending tasks stay in the database; a clean end hands over what is still in memory."""
    application = world.application()
    application.do("for number in range(1000): add(number, 1)")
    assert application.end() == 0
    world.await_empty()
    jobs = world.stored()
    assert len(jobs) == 1000
    assert {each.status for each in jobs} <= {1, 3}


def test_an_unhandled_exception_hands_over_too(world: World) -> None:
    """Contract 6: the traceback and the exit code are the application's own, and nothing registered is lost."""
    application = world.application()
    application.tell("for number in range(100): add(number, 1)\nraise SystemExit('why')")
    assert application.wait() == 1
    world.await_empty()
    assert "why" in application.stderr()
    assert len(world.stored()) == 100


HANDLERS = "[str(signal.getsignal(each)) for each in signal.valid_signals()] + [str(sys.excepthook)]"


LATE = """
import atexit, multiprocessing, os, threading
from tasks import add
import autocron

def register():
    for number in range(200):
        add(number, 1)

def in_child():
    threading.Thread(target=lambda: gate.wait() and register()).start()

if __name__ == "__main__":
    gate = threading.Event()
    # What is set up before autocron is called after it.
    atexit.register(register)
    threading._register_atexit(gate.set)
    autocron.start(os.path.join(os.environ["AUTOCRON_TEST"], "app.db"))
    child = multiprocessing.get_context("fork").Process(target=in_child)
    child.start()
    child.join()
"""


def test_what_is_registered_while_everything_ends(world: World) -> None:
    """Design 1.1: a clean exit flushes; handlers and threads that register after that see to it themselves."""
    (world.directory / "late.py").write_text(LATE)
    late = world.application("late.py", start=False)
    assert late.wait() == 0
    world.await_empty()
    assert len(world.stored()) == 400


RETURNED = """
import os, sqlite3, threading
from tasks import add, note, until_ready
import autocron

DATABASE = os.path.join(os.environ["AUTOCRON_TEST"], "app.db")

def serve():
    threading.main_thread().join()
    other = sqlite3.connect(DATABASE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    result = add(1, 2)
    other.execute("ROLLBACK")
    note("value", until_ready(result))
    add(3, 4)

if __name__ == "__main__":
    autocron.start(DATABASE)
    threading.Thread(target=serve).start()
"""


def test_threads_that_go_on_when_the_main_thread_has_returned(world: World) -> None:
    """Contract 3: a call does not block on the database, also where the script's last line is behind us for long."""
    (world.directory / "returned.py").write_text(RETURNED)
    application = world.application("returned.py", start=False)
    assert world.hear("value") == ["value", "3"]
    assert application.wait() == 0
    world.await_empty()
    assert len(world.stored()) == 2


FINALIZERS = """
import atexit, os, threading
from tasks import add
import autocron
from autocron.engine import current

class Session:
    def __init__(self, number):
        self.number, self.itself = number, self

    def __del__(self, add=add):
        add(self.number, 1)

def register():
    ending.wait()
    registrar = current()._registrar
    with registrar.mutex, registrar.link._sending:
        inside.set()
        threading.Event().wait()

def end():
    ending.set()
    inside.wait()

if __name__ == "__main__":
    ending, inside = threading.Event(), threading.Event()
    atexit.register(end)  # before autocron's own, so it is called behind that
    threading.Thread(target=register, daemon=True).start()
    autocron.start(os.path.join(os.environ["AUTOCRON_TEST"], "app.db"))
    for number in range(3):
        Session(number)
"""


def test_finalizers_that_come_at_the_very_end(world: World) -> None:
    """Design 1.1: what they register is stored, though Python has stopped a thread in the middle of a registration."""
    (world.directory / "finalizers.py").write_text(FINALIZERS)
    application = world.application("finalizers.py", start=False)
    assert application.wait() == 0
    world.await_empty()
    assert len(world.stored()) == 3


def test_the_handlers_of_the_application_are_its_own(world: World) -> None:
    """Contract 6: start installs no handler, for no signal, and blocks none."""
    application = world.application(start=False)
    application.do("import signal, sys, threading")
    before = application.do(HANDLERS)
    application.do("autocron.start(DATABASE)")
    application.do("until_ready(add(1, 2))")
    assert application.do(HANDLERS) == before
    assert application.do("str(signal.pthread_sigmask(signal.SIG_BLOCK, []))") == "set()"
    application.do("autocron.stop()")
    assert application.do(HANDLERS) == before


def test_an_application_with_a_handler_of_its_own_for_sigterm(world: World) -> None:
    """Contract 6: applications that handle SIGTERM themselves work as if autocron were not there."""
    application = world.application(start=False)
    application.do("import signal, sys")
    application.do("signal.signal(signal.SIGTERM, lambda *_: (note('handled'), sys.exit(9)))")
    application.do("autocron.start(DATABASE)")
    application.do("endless('job')")
    world.hear("begun job")
    application.signal(signal.SIGTERM)
    world.hear("handled")
    assert application.wait() == 9
    world.await_empty()


def test_sigterm_to_the_whole_group(world: World) -> None:
    """Contract 6: a process manager that signals everybody ends the job in good order, not in the middle."""
    application = world.application()
    application.do("import signal; signal.signal(signal.SIGTERM, lambda *_: note('asked'))")
    world.shut("gate")
    application.do("hold('job')")
    world.hear("begun job")
    for each in world.family():
        each.send(signal.SIGTERM)
    world.hear("asked")
    world.open("gate")
    world.hear("ended job")
    # The application went on, so its monitor and its workers are there again.
    assert application.do("until_ready(add(1, 2))") == 3
    assert {each.error for each in world.stored()} == {""}


def test_ctrl_c_reaches_the_application_only(world: World) -> None:
    """Design 2: the monitor has its own session, so that Ctrl-C in the terminal reaches the application only."""
    ours, theirs = pty.openpty()
    tty.setcbreak(theirs, termios.TCSANOW)
    attributes = termios.tcgetattr(theirs)
    attributes[3] |= termios.ISIG
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    application = world.application(
        start=False, stdin=theirs, start_new_session=True, preexec_fn=lambda: os.login_tty(os.dup(0))
    )
    os.close(theirs)
    application.do("import signal; signal.signal(signal.SIGINT, lambda *_: note('interrupted'))")
    application.do("autocron.start(DATABASE)")
    world.shut("gate")
    application.do("held = hold('job')")
    world.hear("begun job")
    before = world.family()
    os.write(ours, b"\x03")
    world.hear("interrupted")
    assert sorted(world.family()) == sorted(before)
    world.open("gate")
    assert application.do("until_ready(held)") == "job"
    assert sorted(world.family()) == sorted(before)
    os.close(ours)
    application.signal(signal.SIGKILL)
    application.wait()
    world.await_empty()


def test_closing_the_terminal(world: World) -> None:
    """Contract 6: an application that dies of SIGHUP takes everything with it."""
    application = world.application()
    application.do("endless('job')")
    world.hear("begun job")
    application.signal(signal.SIGHUP)
    assert application.wait() == -signal.SIGHUP
    world.await_empty()


def test_the_end_while_the_monitor_starts(world: World) -> None:
    """Contract 6: an application killed in the middle of `start` leaves nothing."""
    application = world.application(start=False)
    application.tell("autocron.start(DATABASE, workers=2)")
    eventually(world.monitors)
    application.signal(signal.SIGKILL)
    application.wait()
    world.await_empty()
    assert world.application(start=False).do("autocron.start(DATABASE)") is True


def test_a_stopped_application(world: World) -> None:
    """Contract 6: an application that is suspended (Ctrl-Z) is still there, and goes on afterwards."""
    application = world.application()
    monitor, worker = world.monitor(), world.worker()
    world.shut("gate")
    application.do("held = hold('job')")
    world.hear("begun job")
    application.signal(signal.SIGSTOP)
    world.open("gate")
    world.hear("ended job")
    application.signal(signal.SIGCONT)
    assert application.do("until_ready(held)") == "job"
    assert (world.monitor(), world.worker()) == (monitor, worker)
    application.signal(signal.SIGSTOP)
    application.signal(signal.SIGKILL)
    application.wait()
    world.await_empty()


def test_a_short_run(world: World) -> None:
    """Contract 6: applications that run short (manage.py check) work, and leave nothing."""
    for _ in range(3):
        application = world.application()
        assert application.end() == 0
        world.await_empty()
