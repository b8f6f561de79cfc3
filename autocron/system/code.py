"""Loading the application's code in a worker: modules by name, the main script as `multiprocessing` does."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import logging
import pkgutil
import runpy
import sys
import types
from _thread import LockType, allocate_lock, start_new_thread  # what is loaded may patch `threading` (gevent)
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from ..errors import AutocronError
from ..registry import registry
from ..worker import GUARD
from .frameworks import as_request, set_up_django
from .versions import Versions

logger = logging.getLogger("autocron.worker")

SLOW_S: Final = 10.0  # to import an application; a server that is started by it never ends
WORKER: Final = "autocron-worker"  # the names of its process
LOADING: Final = "autocron-load"
MAIN: Final = "__mp_main__"  # not "__main__": what is guarded by that name must not run in a worker


class ApplicationCode:
    """See `autocron.worker.Code`."""

    def __init__(self, started: float, name_process: Callable[[str], None] = lambda name: None) -> None:
        self._versions = Versions(started)
        self._name_process = name_process
        self._mains: dict[str, types.ModuleType] = {}
        self._main_module = ""  # of an application that was started by `python -m`
        self._django = ""  # settings module of a project that is not set up yet

    def prepare(self, spec: Mapping[str, Any]) -> None:
        """See the application's modules as it does."""
        sys.path[:] = [each for each in spec["path"] if isinstance(each, str)]
        sys.argv[:] = spec["argv"]
        self._main_module = spec.get("main", "")
        self._django = spec.get("django", "")

    def resolve(self, address: str) -> Callable[..., Any]:
        function = as_request(self._find(address))
        if len(self._mains) > 1:  # scripts share a database, and each has classes of its own
            self._show_main(address.rpartition(":")[0])
        self._versions.note()  # also of what earlier jobs have imported
        return function

    def _find(self, address: str) -> Callable[..., Any]:
        function = registry.tasks.get(address)
        if function is not None:
            return function
        if self._django:
            with self._loading(self._django):
                set_up_django(self._django)
            self._django = ""
        module = address.rpartition(":")[0]
        is_main = module.startswith("/") or module == self._main_module
        if is_main and module not in self._mains:
            with self._loading(module):
                self.load_main(module)
        elif not is_main and module not in sys.modules:
            importlib.invalidate_caches()  # it may have been written since we looked
            with self._loading(module):
                importlib.import_module(module)
        loaded = self._mains[module] if is_main else sys.modules.get(module)
        function = registry.tasks.get(address) or _under_another_name(loaded, address.rpartition(":")[2])
        if function is None:
            file = getattr(loaded, "__file__", None) or module
            raise AutocronError(f"there is no task {address}: no function of this name is decorated in {file}")
        return function

    def load_main(self, program: str) -> None:
        """Load a main program without what is guarded for it: a script, an archive, a directory, or a module's name."""
        if program in self._mains:
            return
        main = self._mains[program] = types.ModuleType(MAIN)
        previous = {name: sys.modules.get(name) for name in ("__main__", MAIN, program)}
        self._show_main(program)
        try:
            _execute(program, main)
        except BaseException:
            del self._mains[program]
            for name, module in previous.items():
                if module is None:
                    sys.modules.pop(name, None)
                else:
                    sys.modules[name] = module
            raise

    def _show_main(self, program: str) -> None:
        """By its name `__main__`, where classes of its own are looked for, a job sees the program it comes from."""
        main = self._mains.get(program)
        if main is not None:
            sys.modules["__main__"] = sys.modules[MAIN] = main

    @contextmanager
    def _loading(self, name: str) -> Iterator[None]:
        self._name_process(LOADING)
        loaded = allocate_lock()
        loaded.acquire()
        start_new_thread(_tell_if_slow, (loaded, name))
        try:
            with registry.while_loading(name):
                yield
        finally:
            self._name_process(WORKER)
            loaded.release()

    def is_stale(self) -> bool:
        return self._versions.have_changed()


def _under_another_name(module: types.ModuleType | None, name: str) -> Callable[..., Any] | None:
    """The task that this name of the module leads to: what was renamed may keep its old name beside the new one."""
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    wrapped = getattr(found, "__wrapped__", None)
    return next((each for each in registry.tasks.values() if each is found or each is wrapped), None)


def _execute(program: str, main: types.ModuleType) -> None:
    if not program.startswith("/"):
        main.__spec__ = spec = importlib.util.find_spec(program)
        if spec is None:
            raise ModuleNotFoundError(f"no module named {program!r}", name=program)
        main.__file__, main.__package__ = spec.origin, spec.parent
        sys.modules[program] = main  # who imports it under its name sees the same classes
        loader: Any = spec.loader
        exec(loader.get_code(program), main.__dict__)  # noqa: S102 - as `python -m` does
    elif pkgutil.get_importer(program) is not None:  # a directory or an archive, by what it holds
        main.__dict__.update(runpy.run_path(program, run_name=MAIN))
        sys.modules["__main__"] = sys.modules[MAIN] = main
    else:
        # Without a __spec__, as Python leaves a script: by the path alone a process that a task spawns can load it
        # again.
        main.__file__ = program
        if program.endswith(".pyc"):
            importlib.machinery.SourcelessFileLoader(MAIN, program).exec_module(main)
        else:  # source, whatever it is called; never from a cache, which takes a script of the same second for old
            source = importlib.machinery.SourceFileLoader(MAIN, program)
            exec(source.source_to_code(source.get_data(program), program), main.__dict__)  # noqa: S102


def _tell_if_slow(loaded: LockType, name: str) -> None:
    if loaded.acquire(timeout=SLOW_S):
        return
    logger.warning("still loading %s after %g s, and running nothing meanwhile; %s", name, SLOW_S, GUARD)
