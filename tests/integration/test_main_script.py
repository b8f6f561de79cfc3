"""Tasks of the main program, in all the ways a program can be started."""

from __future__ import annotations

import os
import py_compile
import sys
import time
import zipapp
from pathlib import Path

import pytest
from processes import Application, Raised, World

from autocron.stores import open_store

PROGRAM = """
import os
from dataclasses import dataclass
from typing import NamedTuple
import autocron
from talk import talk
from tasks import note, until_ready
DATABASE = os.path.join(os.environ["AUTOCRON_TEST"], "app.db")

@autocron.delay
def main_task(number):
    return [number + 1, __name__ != "__main__"]

class Box:
    @staticmethod
    @autocron.delay
    def method(number):
        return number * 2

@dataclass
class User:
    name: str

@autocron.delay
def greet(user):
    return User(f"hello {user.name}")

class Pair(NamedTuple):
    left: int
    right: int

@autocron.delay
def swap(pair):
    return Pair(pair.right, pair.left)

@autocron.delay
def in_a_process(number):
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(abs, number).result()

at_import = main_task(0)

if __name__ == "__main__":
    talk(globals())
"""


def package(directory: Path) -> None:
    (directory / "package" / "inner").mkdir(parents=True)
    for name in ("__init__.py", "__main__.py", "program.py", "inner/__init__.py"):
        (directory / "package" / name).write_text("" if name.endswith("__init__.py") else PROGRAM)


def with_path(world: World) -> dict[str, str]:
    """The directory of the test on the path, before what is there already."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(world.directory), os.environ.get("PYTHONPATH"))))}


def start_script(world: World) -> Application:
    (world.directory / "program.py").write_text(PROGRAM)
    return world.application("program.py")


def start_script_elsewhere(world: World) -> Application:
    (world.directory / "program.py").write_text(PROGRAM)
    other = world.directory / "other"
    other.mkdir()
    return world.application("../program.py", cwd=other)


def start_script_beyond_a_link(world: World) -> Application:
    (world.directory / "real" / "bin").mkdir(parents=True)
    (world.directory / "real" / "program.py").write_text(PROGRAM)
    (world.directory / "bin").symlink_to(world.directory / "real" / "bin")
    return world.application("bin/../program.py", environment=with_path(world))


def start_package(world: World) -> Application:
    package(world.directory)
    return world.application("-m", "package")


def start_module(world: World) -> Application:
    package(world.directory)
    return world.application("-m", "package.program")


def start_top_module(world: World) -> Application:
    (world.directory / "program.py").write_text(PROGRAM)
    return world.application("-m", "program")


def start_directory(world: World) -> Application:
    (world.directory / "program").mkdir()
    (world.directory / "program" / "__main__.py").write_text(PROGRAM)
    return world.application("program", environment=with_path(world))


def start_zipapp(world: World, name: str = "program.pyz") -> Application:
    source = world.directory / "source"
    source.mkdir()
    (source / "__main__.py").write_text(PROGRAM)
    (source / "inside.py").write_text("VALUE = 1\n")
    zipapp.create_archive(source, world.directory / name, interpreter="/usr/bin/env python3")
    return world.application(name, environment=with_path(world))


def start_zipapp_without_suffix(world: World) -> Application:
    return start_zipapp(world, "program")


def start_without_suffix(world: World) -> Application:
    (world.directory / "program").write_text("#!/usr/bin/env python3\n" + PROGRAM)
    return world.application("program")


def start_compiled(world: World) -> Application:
    (world.directory / "program.py").write_text(PROGRAM)
    py_compile.compile(str(world.directory / "program.py"), cfile=str(world.directory / "compiled.pyc"), doraise=True)
    (world.directory / "program.py").unlink()
    return world.application("compiled.pyc")


def start_profiled(world: World) -> Application:
    (world.directory / "program.py").write_text(PROGRAM)
    return world.application("-m", "cProfile", "-o", str(world.directory / "profile"), "program.py")


STARTS = [
    start_compiled,
    start_script,
    start_script_elsewhere,
    start_script_beyond_a_link,
    start_package,
    start_module,
    start_profiled,
    start_top_module,
    start_directory,
    start_zipapp,
    start_zipapp_without_suffix,
    start_without_suffix,
]


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.__name__.removeprefix("start_"))
def test_tasks_of_the_main_program(world: World, start: object) -> None:
    """Contract 3: functions of the main script work, however it is started; its guarded part does not run again."""
    application = start(world)  # type: ignore[operator]
    assert application.do("until_ready(main_task(1))") == [2, True]
    assert application.do("until_ready(Box.method(4))") == 8
    # A process that a task spawns loads the main program too, as it would in the application.
    assert application.do("until_ready(in_a_process(-1))") == 1
    if start is not start_profiled:  # in which the class itself cannot be found under its name
        assert application.do("until_ready(greet(User('ann'))) == User('hello ann')")
    # Ran at import in the application, where autocron was not active; a worker that loads the program ignores it.
    assert application.do("at_import.result") == [1, False]
    assert "is ignored" in application.stderr()
    assert len(world.stored()) == (3 if start is start_profiled else 4)
    # A restarted worker, and one of the next life, find them too.
    world.worker().kill()
    assert application.do("until_ready(main_task(2))") == [3, True]
    uuid = application.do("main_task(3).uuid")
    assert application.do(f"until_ready(autocron.Result(uuid={uuid!r}))") == [4, True]
    assert {each.error for each in world.stored()} == {""}


def test_classes_of_the_main_script(world: World) -> None:
    """Contract 3: functions of the main script work, and so do its classes as arguments and results."""
    application = start_script(world)
    application.do("import sys; sys.modules.pop('__mp_main__', None)")  # multiprocessing puts it there
    assert application.do("until_ready(swap(Pair(1, 2))) == Pair(2, 1)") is True


def test_cron_entries_of_the_main_program(world: World) -> None:
    """Contract 2 and 3: entries of the main script run in a worker, which loads the script to find them."""
    (world.directory / "fires.py").write_text(
        PROGRAM.replace(
            "class Box:", '@autocron.cron\ndef every_minute():\n    note("fired", os.getpid())\n\nclass Box:'
        )
    )
    now = time.time()
    store = open_store(str(world.database))
    store.set_entry(f"{world.directory / 'fires.py'}:every_minute#0", "* * * * *", now - 3600)
    store.close()
    application = world.application("fires.py")
    # The fire times missed while nothing ran are made up for, once.
    assert world.hear("fired") == ["fired", str(world.worker().pid)]
    assert [each.entry for each in world.stored()] == [f"{world.directory / 'fires.py'}:every_minute#0"]
    assert application.end() == 0


@pytest.mark.parametrize("first", ["program", "beside"])
def test_a_module_that_is_the_program_here_and_imported_there(first: str, world: World) -> None:
    """Contract 3: jobs of both processes find the class they mean, whichever of them came first."""
    is_user = "@autocron.delay\ndef is_user(user):\n    return isinstance(user, User)\n\n"
    (world.directory / "both.py").write_text(PROGRAM.replace("class Box:", f"{is_user}class Box:"))
    starts = {
        "program": lambda: (world.application("-m", "both"), "is_user(User('ann'))"),
        "beside": lambda: (world.application(), "both.is_user(both.User('ann'))"),
    }
    names = [first, *(name for name in starts if name != first)]
    for application, call in [starts[name]() for name in names] * 2:
        if call.startswith("both."):
            application.do("import both")
        assert application.do(f"until_ready({call})") is True


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_that_load_the_main_script_again(method: str, world: World) -> None:
    """Contract 6: they work as if autocron were not there, and may start it too."""
    (world.directory / "pool.py").write_text(
        PROGRAM.replace("class Box:", "@autocron.cron('@yearly')\ndef seldom(): ...\n\nclass Box:").replace(
            "at_import = main_task(0)",
            f"""
def child(number):
    autocron.start(DATABASE)
    return until_ready(main_task(number))

def in_a_pool(*args):
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context
    with ProcessPoolExecutor(1, mp_context=get_context({method!r})) as pool:
        return pool.submit(*args).result()
""",
        )
    )
    application = world.application("pool.py")
    assert application.do("in_a_pool(child, 1)") == [2, True]
    assert application.do("list(autocron.registry.registry.entries)") == [f"{world.directory / 'pool.py'}:seldom#0"]
    assert [each.task for each in world.stored()] == [f"{world.directory / 'pool.py'}:main_task"]


def test_a_script_without_a_guard(world: World) -> None:
    """Contract 1 and 3: `start` and calls at the top level of a script: a worker that loads it starts nothing."""
    (world.directory / "bare.py").write_text(
        PROGRAM.replace(
            'if __name__ == "__main__":\n    ', "autocron.start(DATABASE)\nresult = main_task(5)\n"
        ).replace("talk(globals())", "if 'AUTOCRON_TALK' in os.environ and __name__ == '__main__': talk(globals())")
    )
    application = world.application("bare.py", start=False)
    assert application.do("until_ready(result)") == [6, True]
    assert len(world.stored()) == 1
    assert len(world.monitors()) == 1


def test_a_module_that_calls_tasks_while_it_is_imported(world: World) -> None:
    """Contract 3: a worker that imports it ignores the calls: each would be one more job with each new worker."""
    (world.directory / "eager.py").write_text(
        "import autocron, tasks\nresult = tasks.add(1, 1)\n@autocron.delay\ndef task(): return tasks.add(2, 2).uuid\n"
    )
    application = world.application()
    application.do("import eager")
    inner = application.do("until_ready(eager.task())")
    world.worker().kill()
    application.do("until_ready(eager.task())")
    assert application.do(f"until_ready(autocron.Result(uuid={inner!r}))") == 4
    assert sorted(each.task for each in world.stored()) == ["eager:task"] * 2 + ["tasks:add"] * 3


def test_a_main_program_that_cannot_be_loaded(world: World) -> None:
    """Contract 3: whatever importing raises ends in the Result; the queue goes on."""
    (world.directory / "broken.py").write_text(
        PROGRAM + "\nif __name__ != '__main__': raise RuntimeError('only as a program')\n"
    )
    application = world.application("broken.py")
    assert "RuntimeError: only as a program" in application.do("until_ready(main_task(1))")
    application.do("import tasks")
    assert application.do("until_ready(tasks.add(1, 2))") == 3


@pytest.mark.parametrize("arguments", [("-c", "{code}"), ("-i", "-c", "{code}"), ("-",)], ids=["-c", "-i", "stdin"])
def test_tasks_of_an_interactive_session_are_refused(world: World, arguments: tuple[str, ...]) -> None:
    """Contract 3: tasks of an interactive session are refused at the call; those of modules work there too."""
    program = world.directory / "typed"
    program.write_text(PROGRAM.replace("at_import = main_task(0)", ""))
    with program.open() as typed:
        application = world.application(
            *(each.format(code=program.read_text()) for each in arguments), stdin=typed, python=(sys.executable,)
        )
        with pytest.raises(Raised, match="TaskError: main_task: a worker cannot find a task of an interactive session"):
            application.do("main_task(1)")
        with pytest.raises(Raised, match="TaskError: @cron every: a worker cannot find a task of an interactive"):
            application.do("@autocron.cron\ndef every(): pass")
        application.do("import tasks")
        assert application.do("until_ready(tasks.add(1, 2))") == 3


def test_nested_functions_and_lambdas_are_refused(world: World) -> None:
    """Contract 3: what cannot work is refused at the call, never lost later."""
    application = world.application()
    application.do("def make():\n    @autocron.delay\n    def inner(): pass\n    return inner\n")
    for made in ("make()", "autocron.delay(lambda: 1)"):
        with pytest.raises(Raised, match=r"TaskError: .* cannot find a nested function or a lambda"):
            application.do(f"{made}()")
    with pytest.raises(Raised, match="PayloadError"):
        application.do("add(open('/dev/null'), 1)")
    with pytest.raises(Raised, match="TypeError"):
        application.do("add(1)")
    assert world.stored() == []
