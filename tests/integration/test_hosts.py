"""Applications with habits: daemons, reapers, changed directories, other event loops, PID 1."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import World, eventually

NAMESPACE = ("unshare", "-Urpf", "--mount-proc")


def is_possible(command: tuple[str, ...]) -> bool:
    """Whether this machine lets us."""
    try:
        return subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


DAEMON = """
import os
def become_daemon():
    # As the textbooks say: fork, setsid, fork, close everything, reopen the standard streams.
    talk = int(os.environ["AUTOCRON_TALK"])
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    for fd in range(3, 1024):
        if fd != talk:
            try:
                os.close(fd)
            except OSError:
                pass
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    # Numbers that were ours belong to somebody else from now on.
    return [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
"""


def test_an_application_that_becomes_a_daemon_after_start(world: World) -> None:
    """Contract 6: close all descriptors to become daemons: it links anew, and nobody else's descriptor is touched."""
    application = world.application()
    assert application.do("until_ready(add(1, 2))") == 3
    application.do(DAEMON)
    application.do("others = become_daemon()")
    assert application.wait() == 0
    assert application.do("until_ready(add(3, 4))") == 7
    assert application.do("len([os.fstat(fd) for fd in others])") == 20
    assert application.do("__import__('stat').S_ISCHR(os.fstat(others[0]).st_mode)") is True
    assert len(world.monitors()) == 1
    (daemon,) = [each for each in world.family() if each.role == ""]
    daemon.kill()
    world.await_empty()


def test_an_application_that_starts_as_a_daemon(world: World) -> None:
    """Contract 6: start without standard streams of one's own: the workers' output goes into no file of others."""
    application = world.application(start=False)
    application.do(DAEMON)
    application.do("others = become_daemon(); [os.close(fd) for fd in (0, 1, 2)]")
    application.wait()
    application.do("victim = open('victim', 'w+')")
    assert application.do("victim.fileno() < 3") is True
    assert application.do("autocron.start(DATABASE)") is True
    assert "ValueError: no" in application.do("until_ready(fail('no'))")
    assert (world.directory / "victim").read_text() == ""
    (daemon,) = [each for each in world.family() if each.role == ""]
    daemon.kill()
    world.await_empty()


@pytest.mark.parametrize("closed", [(0, 1, 2), (0,), (1,), (2,), (1, 2)], ids=str)
def test_an_application_without_standard_streams(world: World, closed: tuple[int, ...]) -> None:
    """Contract 6: our own descriptors are not taken for them; what is written there reaches nobody, and no file."""
    application = world.application(start=False)
    application.do(f"[os.close(fd) for fd in {closed}]")
    assert application.do("autocron.start(DATABASE)") is True
    assert "ValueError: no" in application.do("until_ready(fail('no'))")
    for each in (world.monitor(), world.worker()):
        for number in range(3):
            target = os.readlink(f"/proc/{each.pid}/fd/{number}")
            assert target in ("/dev/null", str(application.errors)), (each.role, number)
            assert number not in closed or target == "/dev/null"


TAKE_OUR_DESCRIPTORS = """
import os
talk = int(os.environ["AUTOCRON_TALK"])
def take(quiet):
    # At once: the thread that sleeps in poll looks its numbers up when it is woken, and finds these.
    ours = [int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2 and int(fd) != talk]
    fresh = [fd for _ in range(10) for fd in (os.pipe() if quiet else [os.open("/dev/null", os.O_RDWR)])]
    for fd, number in zip(fresh, set(ours) - set(fresh), strict=False):
        os.dup2(fd, number)
    return fresh
"""


@pytest.mark.parametrize("quiet", [True, False])
def test_closing_our_descriptors(world: World, quiet: bool) -> None:
    """Design 7: an application that closes our descriptors and reuses their numbers keeps its own, and goes on."""
    application = world.application()
    assert application.do("until_ready(add(1, 2))") == 3
    application.do(TAKE_OUR_DESCRIPTORS)
    application.do(f"fresh = take({quiet})")
    assert application.do("until_ready(add(3, 4))") == 7
    application.do("taken = [os.fstat(fd) for fd in fresh]; autocron.stop()")
    assert application.do("[os.fstat(fd) for fd in fresh] == taken") is True
    if quiet:
        assert application.do("[os.write(writer, b'y') for writer in fresh[1::2]]") == [1] * 10
        assert application.do("[os.read(reader, 10) for reader in fresh[::2]]") == [b"y"] * 10
    world.await_empty(application.identity)


def test_sigchld_ignored(world: World) -> None:
    """Design 7: the application ignores SIGCHLD: workers are told apart all the same, nothing is left."""
    application = world.application(start=False)
    application.do("import signal, subprocess; signal.signal(signal.SIGCHLD, signal.SIG_IGN)")
    assert application.do("autocron.start(DATABASE)") is True
    poison = application.do("kill_worker('job').uuid")
    assert "signal 9" in application.do(f"until_ready(autocron.Result(uuid={poison!r}))")
    world.monitor().kill()
    assert application.do("until_ready(add(1, 2))") == 3
    application.do("autocron.stop()")
    world.await_empty(application.identity)


def test_an_application_that_reaps_everything(world: World) -> None:
    """Design 7: waitpid(-1) in the application may take the monitor's exit status; nobody waits for it in vain."""
    application = world.application()
    application.do(
        "import os, threading\n"
        "def reap():\n"
        "    while True:\n"
        "        try: note('reaped', os.waitpid(-1, 0)[0])\n"
        "        except ChildProcessError: pass\n"
        "threading.Thread(target=reap, daemon=True).start()\n"
    )
    monitor = world.monitor()
    monitor.kill()
    assert application.do("until_ready(add(1, 2))") == 3
    application.do("autocron.stop()")
    world.await_empty(application.identity)


def test_an_application_that_waits_for_all_its_children(world: World) -> None:
    """Contract 6: as if autocron were not there: the monitor, which does not end before it, is none of them."""
    application = world.application()
    application.do(
        "import os, subprocess\n"
        "def wait_for_all():\n"
        "    ended = []\n"
        "    while True:\n"
        "        try: ended.append(os.wait()[0])\n"
        "        except ChildProcessError: return ended\n"
    )
    assert application.do("wait_for_all()") == []
    assert application.do("until_ready(add(1, 2))") == 3
    world.monitor().kill()
    assert application.do("until_ready(add(3, 4))") == 7
    application.do("child = subprocess.Popen(['true'])")
    assert application.do("wait_for_all() == [child.pid]") is True


def test_the_application_keeps_its_own_children(world: World) -> None:
    """Contract 6: autocron reaps nobody's children but its own."""
    application = world.application(start=False)
    application.do("import subprocess, os")
    application.do("before = subprocess.Popen(['sh', '-c', 'exit 3'])")
    application.do("autocron.start(DATABASE); until_ready(add(1, 2))")
    application.do("after = subprocess.Popen(['sh', '-c', 'exit 4'])")
    world.monitor().kill()
    assert application.do("until_ready(add(1, 2))") == 3
    application.do("autocron.stop()")
    assert application.do("(before.wait(), after.wait())") == (3, 4)


def test_an_application_that_takes_its_signals_itself(world: World) -> None:
    """Contract 6: one that blocks signals to wait for them: they are delivered to no thread of ours instead."""
    application = world.application()
    application.do("import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})")
    for name in ("SIGTERM", "SIGUSR1"):
        application.do(f"os.kill(os.getpid(), signal.{name})")
        assert application.do(f"signal.sigwait([signal.{name}]).name") == name
    assert application.do("until_ready(add(1, 2))") == 3


def test_start_in_a_thread_that_ends(world: World) -> None:
    """Design 7: a death signal fires when the parent thread ends: start may be called from any thread."""
    application = world.application(start=False)
    application.do("import threading; thread = threading.Thread(target=autocron.start, args=(DATABASE,))")
    application.do("thread.start(); thread.join()")
    monitor, worker = world.monitor(), world.worker()
    assert application.do("until_ready(add(1, 2))") == 3
    assert (world.monitor(), world.worker()) == (monitor, worker)


def test_register_in_a_thread_that_ends(world: World) -> None:
    """Contract 3: any thread may register; what it registered does not end with it."""
    application = world.application()
    application.do("import threading; results = []")
    application.do("threads = [threading.Thread(target=lambda: results.append(add(1, 2))) for _ in range(20)]")
    application.do("[each.start() for each in threads] and [each.join() for each in threads] and None")
    assert application.do("[until_ready(each) for each in results]") == [3] * 20


def test_an_application_that_changes_its_directory(world: World) -> None:
    """Contract 6: applications that change their directory: workers see the one at `start`."""
    other = world.directory / "other"
    other.mkdir()
    application = world.application(start=False)
    application.do("import os; os.chdir('other')")
    assert application.do("autocron.start(DATABASE)") is True
    application.do("os.chdir('/')")
    assert application.do("until_ready(add(1, 2))") == 3
    assert application.do("until_ready(where())") == str(other)
    world.monitor().kill()
    assert application.do("until_ready(add(1, 2))") == 3


def test_a_directory_that_is_gone(world: World) -> None:
    """Contract 6: even a directory that has been removed meanwhile stops nothing."""
    other = world.directory / "other"
    other.mkdir()
    application = world.application(start=False)
    application.do("import os; os.chdir('other')")
    other.rmdir()
    assert application.do("autocron.start(DATABASE)") is True
    assert application.do("until_ready(add(1, 2))") == 3


def plugin_in(world: World) -> Path:
    """A module in the directory `library`, whose task tells from which file it comes."""
    path = world.directory / "library" / "plugin.py"
    path.parent.mkdir()
    path.write_text("import autocron\n@autocron.delay\ndef task(): return __file__\n")
    return path


def test_an_application_that_changes_its_path(world: World) -> None:
    """Contract 6: applications that change sys.path: workers import what the application imports."""
    plugin = plugin_in(world)
    application = world.application(start=False)
    application.do("import sys; sys.path.insert(0, 'library')")
    assert application.do("autocron.start(DATABASE)") is True
    application.do("import plugin")
    assert application.do("until_ready(plugin.task())") == str(plugin)


def test_a_path_changed_after_start(world: World) -> None:
    """Contract 6: applications that change sys.path, also after `start`."""
    plugin = plugin_in(world)
    application = world.application()
    assert application.do("until_ready(add(1, 2))") == 3
    application.do("import sys; sys.path.insert(0, 'library'); import plugin")
    assert application.do("until_ready(plugin.task())") == str(plugin)


def test_a_relative_path_and_a_directory_changed_before_start(world: World) -> None:
    """Contract 6: applications that change their directory and sys.path: a relative entry is where it was when used."""
    plugin = plugin_in(world)
    application = world.application(start=False)
    application.do("import os, sys; sys.path.insert(0, 'library'); import plugin; os.chdir('/')")
    assert application.do("autocron.start(DATABASE)") is True
    assert application.do("until_ready(plugin.task())") == str(plugin)


def test_odd_entries_of_the_path_and_the_arguments(world: World) -> None:
    """Contract 6: what else than plain strings applications put there, which Python passes over."""
    application = world.application(start=False)
    application.do("import sys, pathlib\nclass Odd(str): pass")
    application.do("sys.path += [pathlib.Path('/a'), Odd('/b'), b'/c', None]")
    application.do("sys.argv += [pathlib.Path('/d'), Odd('e')]")
    assert application.do("autocron.start(DATABASE)") is True
    assert application.do("until_ready(add(1, 2))") == 3


def test_a_process_that_sees_the_same_code_keeps_the_workers(world: World) -> None:
    """Contract 6: a place that is in the path twice, and "" of `python -c` for it, make no other code."""
    first = world.application()
    worker = world.worker()
    second = world.application(start=False)
    second.do("import os, sys\nassert sys.path[0] == os.getcwd()\nsys.path[:1] = ['', os.getcwd(), '']")
    assert second.do("autocron.start(DATABASE)") is False
    assert second.do("until_ready(add(1, 2))") == 3
    assert world.worker() == worker
    assert first.do("until_ready(add(1, 3))") == 4


def test_modules_that_hide_the_standard_library(world: World) -> None:
    """Contract 6: the monitor does not stumble over files of the application; workers see what the application sees."""
    library = world.directory / "library"
    library.mkdir()
    for name in ("sqlite3", "marshal", "socket", "registrar", "engine"):
        (library / f"{name}.py").write_text("raise ImportError('the wrong one')\n")
    application = world.application(start=False, environment={"PYTHONSAFEPATH": ""})
    application.do("import sys, os; sys.path.append('library'); os.chdir('library')")
    assert application.do("autocron.start(DATABASE)") is True
    assert application.do("until_ready(add(1, 2))") == 3


def test_an_application_that_python_is_to_inspect(world: World) -> None:
    """Contract 6: nobody looks into a worker that has ended: it ends as always."""
    application = world.application(environment={"PYTHONINSPECT": "1"})
    assert application.do("until_ready(add(1, 2))") == 3
    application.do("autocron.stop()")
    world.await_empty(application.identity)
    assert "Traceback" not in application.stderr()


def test_django_merely_installed(world: World) -> None:
    """Contract 6: applications that merely have Django installed work as if autocron were not there."""
    django = world.directory / "django"
    django.mkdir()
    (django / "__init__.py").write_text("import os\nopen(os.environ['AUTOCRON_TEST'] + '/imported', 'w').close()\n")
    application = world.application(environment={"DJANGO_SETTINGS_MODULE": "no.such.settings"})
    assert application.do("until_ready(add(1, 2))") == 3
    assert not (world.directory / "imported").exists()


@pytest.mark.skipif(not is_possible(NAMESPACE), reason="no user namespaces here: unshare -Urpf --mount-proc fails")
@pytest.mark.parametrize("how", ["SIGKILL", "end"])
def test_pid_1(world: World, how: str) -> None:
    """Design 7: an application that is PID 1 of a container: jobs run, workers are replaced, nothing is left."""
    application = world.application(python=(*NAMESPACE, sys.executable))
    assert application.do("__import__('os').getpid()") == 1
    poison = application.do("kill_worker('job').uuid")
    assert "signal 9" in application.do(f"until_ready(autocron.Result(uuid={poison!r}))")
    world.monitor().kill()
    assert application.do("until_ready(add(1, 2))") == 3
    eventually(lambda: not world.zombies([each.pid for each in world.family()]))
    if how == "end":
        assert application.end() == 0
    else:
        for each in world.family():
            if each.pid != application.pid and each.role == "":
                each.kill()  # PID 1 inside
        application.wait()
    world.await_empty()


@pytest.mark.skipif(not is_possible(NAMESPACE), reason="no user namespaces here: unshare -Urpf --mount-proc fails")
def test_two_pid_namespaces_on_one_volume(world: World) -> None:
    """Design 7: across pid namespaces the peer's pid is 0: the link alone counts; still one monitor."""
    inside = world.application(python=(*NAMESPACE, sys.executable))
    outside = world.application(start=False)
    assert outside.do("autocron.start(DATABASE)") is False
    assert outside.do("until_ready(add(1, 2))") == 3
    assert inside.do("until_ready(add(3, 4))") == 7
    assert len(world.monitors()) == 1
    assert inside.end() == 0
    # The container took the monitor with it; who stays starts the next one.
    assert outside.do("until_ready(add(5, 6))") == 11
    assert outside.end() == 0
    world.await_empty()


GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent
"""


def test_gevent(world: World) -> None:
    """Design 7: a gevent-patched application without threads: registering blocks its caller, and nothing is lost."""
    pytest.importorskip("gevent", reason="gevent is not installed")
    (world.directory / "patched.py").write_text(
        GEVENT + "import runpy\nrunpy.run_path('app.py', run_name='__main__')\n"
    )
    application = world.application("patched.py", start=False)
    assert application.do("autocron.start(DATABASE)") is True
    assert application.do("until_ready(add(1, 2))") == 3
    assert application.do("[until_ready(each) for each in [add(number, 1) for number in range(50)]]") == list(
        range(1, 51)
    )
    world.monitor().kill()
    assert application.do("until_ready(add(1, 2))") == 3
    application.signal(signal.SIGKILL)
    application.wait()
    world.await_empty()


PATCHED = """
import os, time
import autocron

@autocron.delay
def work():
    return os.getpid()

@autocron.delay
def wait_for_ever():
    note("begun")
    try:
        time.sleep(3600)
    finally:
        note("tidied")
"""


def test_tasks_that_are_patched_by_gevent(world: World) -> None:
    """Design 7: a worker is none the worse for what its tasks' module patches, and interrupts them as others."""
    pytest.importorskip("gevent", reason="gevent is not installed")
    (world.directory / "patched.py").write_text(GEVENT + "from tasks import note\n" + PATCHED)
    application = world.application(start=False)
    application.do("import patched")
    application.do("autocron.start(DATABASE)")
    worker = world.worker().pid
    assert [application.do("until_ready(patched.work())") for _ in range(5)] == [worker] * 5
    application.do("endless = patched.wait_for_ever()")
    world.hear("begun")
    application.do("autocron.stop()")
    world.hear("tidied")


UWSGI = """
import sys
sys.executable = "/usr/bin/uwsgi_python3"
"""


def test_an_interpreter_that_is_embedded(world: World) -> None:
    """Design 7: a server that embeds Python names itself as the executable: the interpreter is found all the same."""
    application = world.application(start=False)
    application.do(UWSGI)
    assert application.do("autocron.start(DATABASE)") is True
    assert application.do("until_ready(add(1, 2))") == 3


def test_an_application_without_threads(world: World) -> None:
    """Design 7: hosts that allow no thread: registering works in the caller."""
    application = world.application(start=False)
    application.do("import threading")
    application.do('def refuse(self): raise RuntimeError("can\'t start new thread")\nthreading.Thread.start = refuse\n')
    assert application.do("autocron.start(DATABASE)") is True
    assert application.do("until_ready(add(1, 2))") == 3
    application.do("told('from the caller')")
    world.hear("told from")
    assert application.end() == 0
    world.await_empty()


def test_a_virtual_environment(world: World) -> None:
    """Design 2: workers run with the interpreter of the application, and see its packages."""
    application = world.application()
    assert application.do("until_ready(interpreter())") == sys.executable
    assert application.do("__import__('sys').executable") == sys.executable
