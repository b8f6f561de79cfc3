"""Settings, jobs, imports, and the clock."""

from __future__ import annotations

import ast
import importlib.machinery
import itertools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ...job import EntryState, Selection, Status
from ...schedule import Schedule
from ..output import seconds
from ..selecting import registered
from . import NOTE, OK, PROBLEM, Case, Finding

LATE_S: Final = 60.0
AHEAD_S: Final = 5.0  # of our clock: more than a clock is off by itself
LOOKED_AT: Final = 10_000  # waiting jobs whose tasks are looked for


def switches(case: Case) -> Iterator[Finding]:
    """Whether somebody has switched it off."""
    if not case.is_usable:
        return
    settings = case.overview["settings"]
    if not settings["enabled"]:
        yield Finding(
            "settings",
            NOTE,
            "autocron is switched off in this database: tasks run in the caller",
            f"autocron settings {case.given} --enabled, then restart the application",
        )
    if settings["paused"]:
        yield Finding("settings", NOTE, "paused: jobs wait and no entry fires", f"autocron resume {case.given}")


def jobs(case: Case) -> Iterator[Finding]:
    """Whether jobs are run, and how they end."""
    if not case.is_usable or case.database is None:
        return
    counts = case.overview["counts"]
    now = case.interface.clock.time()
    if counts.get(Status.ERROR):
        yield Finding(
            "jobs",
            NOTE,
            f"{counts[Status.ERROR]} ended in error",
            f"autocron results {case.given} --status error; then `autocron retry`",
        )
    waiting = itertools.islice(case.database.jobs(Selection((int(Status.WAITING),))), LOOKED_AT)
    late_s = max((now - each.due for each in waiting), default=0.0)
    if late_s > LATE_S and not case.has_monitor:
        yield Finding("jobs", NOTE, f"one has been due for {seconds(late_s)}", "it is run when an application starts")
    elif late_s > LATE_S and not case.overview["settings"]["paused"]:
        found = f"one has been due for {seconds(late_s)}: the workers do not keep up"
        yield Finding("jobs", NOTE, found, f"autocron settings {case.given} --workers N")
    if not counts.get(Status.ERROR) and late_s <= LATE_S:
        yield Finding("jobs", OK, f"{sum(counts.values())} stored, none is late or ended in error")


def imports(case: Case) -> Iterator[Finding]:
    """Whether workers can find the functions: looked for on the application's path, nothing is imported."""
    if not case.is_usable or case.database is None:
        return
    waiting = itertools.islice(case.database.jobs(Selection((int(Status.WAITING),))), LOOKED_AT)
    entries = [EntryState._make(each).key.rpartition("#")[0] for each in case.overview["entries"]]
    tasks = sorted({each.task for each in waiting} | set(entries))
    applications: Sequence[Mapping[str, Any]] = case.overview["applications"]
    path = applications[-1]["path"] if applications and "path" in applications[-1] else [os.getcwd(), *sys.path]
    where = "the application's path" if applications else "the path of this command, as no application runs"
    problems = [f"{task}: {problem}" for task in tasks if (problem := unfound(task, path))]
    if problems:
        remedy = "define it there, or decorate it again under the old name until its jobs are done"
        if not applications:
            remedy = "run this in the directory and the environment of the application; " + remedy
        yield Finding("imports", NOTE, f"on {where}: {'; '.join(problems)}", remedy)
    elif tasks:
        yield Finding("imports", OK, f"{len(tasks)} task{'s' * (len(tasks) > 1)} found on {where}")


def unfound(task: str, path: Sequence[str]) -> str:
    """Why a worker would not find this task; "" if it would, as far as can be seen from the source."""
    module, _, name = task.rpartition(":")
    if module.startswith("/"):
        if not os.path.exists(module):
            return "the script is not there"
        source = module
    else:
        locations: Any = [each for each in path if isinstance(each, str)]
        for part in module.split("."):
            spec = importlib.machinery.PathFinder.find_spec(part, locations) if locations else None
            if spec is None:
                return f"there is no module {module}"
            locations, source = spec.submodule_search_locations, spec.origin or ""
    if not source.endswith(".py"):
        return ""  # a package without source, an archive
    try:
        with open(source, "rb") as file:
            tree = ast.parse(file.read())
    except SyntaxError as error:
        return f"{source} has a syntax error in line {error.lineno}"
    except (OSError, ValueError) as error:
        return f"{source} cannot be read: {error}"
    if any(getattr(node, "name", None) == "*" for node in ast.walk(tree)):
        return ""  # it may come from elsewhere
    return "" if name.rpartition(".")[2] in _names(tree) else f"there is no {name} in {source}"


def _names(tree: ast.Module) -> Iterator[str]:
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        elif isinstance(node, ast.Attribute) and node not in called:
            yield node.attr  # as in `delay(mail.clean)`: a function of another module is a task of this one


def clock(case: Case) -> Iterator[Finding]:
    """Whether time runs forward, and zones are known."""
    now = case.interface.clock.time()
    local = datetime.fromtimestamp(now).astimezone()
    ahead_s = 0.0
    zones = []
    if case.is_usable and case.database is not None:
        newest = next(case.database.jobs(Selection(newest_first=True)), None)
        entries = [EntryState._make(each) for each in case.overview["entries"]]
        moments = [registered(newest.id)] if newest else []
        ahead_s = max((each - now for each in [*moments, *(each.last_fire for each in entries)]), default=0.0)
        for each in entries:
            *_, zone = f"{each.spec} ".split(" ")[:6]
            try:
                Schedule("* * * * *", tz=zone or None)
            except ValueError:
                zones.append(zone)
    if ahead_s > AHEAD_S:
        yield Finding(
            "clock",
            NOTE,
            f"something was stored {seconds(ahead_s)} after now ({local:%Y-%m-%d %H:%M:%S %z}): the clock was set back",
            "entries fire again when the clock has reached where it was; check the time service (timedatectl)",
        )
    if zones:
        missing = ", ".join(sorted(set(zones)))
        yield Finding("clock", PROBLEM, f"there are no such time zones here: {missing}", "pip install tzdata")
    if ahead_s <= AHEAD_S and not zones:
        yield Finding("clock", OK, f"{local:%Y-%m-%d %H:%M:%S}, local zone {local:%Z} ({local:%z})")
