"""Background tasks and cron for Python applications, with nothing to deploy.

>>> import autocron
>>> @autocron.delay
... def send_mail(to: str) -> str:
...     return f"sent to {to}"
>>> send_mail("ann@example.org").result   # not started yet: it runs here
'sent to ann@example.org'

Importing does nothing else: no thread, no file, no process, no signal handler.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know the name; importing typing would take ten times as long as all the rest
if TYPE_CHECKING:
    from .decorators import cron as cron
    from .decorators import delay as delay
    from .decorators import use_dialect as use_dialect
    from .engine import Engine as Engine
    from .engine import get_results as get_results
    from .engine import now as now
    from .engine import start as start
    from .engine import stop as stop
    from .errors import AutocronError as AutocronError
    from .errors import CrontabError as CrontabError
    from .errors import MonitorError as MonitorError
    from .errors import PayloadError as PayloadError
    from .errors import StoreError as StoreError
    from .errors import StoreFull as StoreFull
    from .errors import TaskError as TaskError
    from .result import Result as Result
    from .schedule import Schedule as Schedule

__version__ = "0.1.0"

_WHERE = {
    "cron": "decorators",
    "delay": "decorators",
    "use_dialect": "decorators",
    "Engine": "engine",
    "get_results": "engine",
    "now": "engine",
    "start": "engine",
    "stop": "engine",
    "AutocronError": "errors",
    "CrontabError": "errors",
    "MonitorError": "errors",
    "PayloadError": "errors",
    "StoreError": "errors",
    "StoreFull": "errors",
    "TaskError": "errors",
    "Result": "result",
    "Schedule": "schedule",
}

__all__ = [*_WHERE, "__version__"]


if not TYPE_CHECKING:  # else a misspelt name would pass the type checker

    def __getattr__(name: str) -> object:
        """Public names are loaded when they are first used."""
        if name not in _WHERE:
            raise AttributeError(f"module 'autocron' has no attribute {name!r}; public names are: {', '.join(__all__)}")
        from importlib import import_module  # noqa: PLC0415

        value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
