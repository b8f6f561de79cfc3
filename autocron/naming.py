"""The address of a task: "package.module:name", or "/path/script.py:name" for the main script.

A worker finds the function by loading the module again, which decorates it again. So the module is the one whose top
level decorates it, and `later = delay(mailer.send)` in `app.tasks` is "app.tasks:mailer.send".
"""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final

from .registry import Load, layers_of, registry

MAINS: Final = ("__main__", "__mp_main__")  # the second one where `multiprocessing` or a worker loads it
OPTIMIZED: Final = 1  # a flag of the code of functions: bodies of modules and classes have none
COMPREHENSIONS: Final = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
PROMPT: Final = "__main__"  # what is typed there is in no file


def address_of(function: Callable[..., Any]) -> str:
    """Where a worker finds this function, which is just being decorated."""
    frame = _decorating()
    if frame is None:
        return defined_at(function)
    module, own = frame.f_globals.get("__name__"), function.__module__
    home = _home(module, frame.f_globals, frame.f_code.co_filename)
    if own is None or own == module or (own in MAINS and module in MAINS):
        return f"{home}:{function.__qualname__}"
    return f"{home}:{own}.{function.__qualname__}"


def defined_at(function: Callable[..., Any]) -> str:
    """Where a worker finds this function, if its own module decorates it."""
    *_, inner = layers_of(function)
    code = getattr(inner, "__code__", None)
    home = _home(function.__module__, getattr(inner, "__globals__", {}), code.co_filename if code else "")
    return f"{home}:{function.__qualname__}"


def load() -> Load | None:
    """The body and the namespace of the module that is just decorating something: others each time it is loaded."""
    frame = _decorating()
    return None if frame is None else (frame.f_code, id(frame.f_globals))


def main_module() -> str:
    """The name of the main program of this process, if `python -m package.module` has started it and it has tasks."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    name = "" if spec is None or spec.name in MAINS else str(spec.name)
    return name if any(each.startswith(f"{name}:") for each in registry.tasks) else ""


def _decorating() -> FrameType | None:
    """The top level of a module, or of a class at its top level, that is just decorating something; else None."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_passed_over(frame):
        frame = frame.f_back
    return frame if frame is not None and frame.f_code.co_name == "<module>" else None


def _is_passed_over(frame: FrameType) -> bool:
    """Whether this belongs to what is around it: the body of a class, a comprehension, a helper for a framework."""
    name = frame.f_code.co_name
    is_class = not frame.f_code.co_flags & OPTIMIZED and name != "<module>"
    return is_class or name in COMPREHENSIONS or str(frame.f_globals.get("__name__")).startswith(f"{__package__}.")


def _home(module: str | None, namespace: Mapping[str, Any], file: str) -> str:
    if module and module not in MAINS:
        return module
    return registry.loading or _of_main(namespace, file)


def _of_main(namespace: Mapping[str, Any], file: str) -> str:
    """The name under which this main program can be imported, its path, or `PROMPT`.

    By what the program itself sees: profilers and `multiprocessing` run it where `sys.modules` still says another.
    """
    if namespace.get("__name__") not in MAINS:
        namespace = vars(sys.modules["__main__"])  # the function was made elsewhere
    spec, path = namespace.get("__spec__"), namespace.get("__file__")
    if file.startswith("<") and file != "<string>":  # which `exec` says, in programs too
        return PROMPT
    if spec is not None and spec.name not in MAINS:
        return str(spec.name)  # python -m package.module
    if path is None or path.startswith("<"):  # python -c and python -
        return PROMPT
    path = Path(path).absolute()
    if ".." in path.parts:  # the same wherever it was started from
        plain = Path(posixpath.normpath(path))
        path = plain if plain.exists() and plain.samefile(path) else path.parent.resolve() / path.name
    if spec is not None and path.name == "__main__.py":
        path = path.parent  # a directory or a zip file as the program
    return str(path)
