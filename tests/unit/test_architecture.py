"""The layout is a promise: who may import whom, and what the middle never touches."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import autocron
from autocron.labels import LABELS

ROOT = Path(autocron.__file__).parent

RULES = {
    "job",
    "refusal",
    "labels",
    "messages",
    "crontab",
    "schedule",
    "payload",
    "settings",
    "signature",
    "errors",
    "run",
    "registry",
}
SEAM = RULES | {"interface"}
MONITOR = {
    "monitor",
    "monitor.applications",
    "monitor.dispatcher",
    "monitor.ready",
    "monitor.scheduler",
    "monitor.pool",
    "monitor.pruner",
    "monitor.tidier",
    "monitor.border",
}

# Each file of the middle, and what of the package it may import. What is not here may not be in the middle.
MAY_IMPORT = {
    "errors": set(),
    "labels": set(),
    "messages": set(),
    "job": set(),
    "registry": {"errors", "job"},
    "naming": {"registry"},
    "signature": {"errors"},
    "crontab": {"errors"},
    "schedule": {"crontab", "errors"},
    "payload": {"errors", "refusal", "tagged", "pickled"},
    "tagged": {"errors", "refusal", "payload"},
    "pickled": {"errors", "refusal", "payload"},
    "refusal": set(),
    "settings": {"errors"},
    "run": set(),
    "interface": {"job", "labels"},
    "result": RULES | {"engine"},
    "outbox": {"job"},
    "questions": {"interface"},
    "in_caller": {"interface"},
    "registrar": SEAM | {"outbox", "questions", "in_caller"},
    "guest": SEAM | {"registrar", "in_caller"},
    "linker": SEAM,
    "engine": SEAM | {"registrar", "linker", "guest", "result", "system"},
    "decorators": SEAM | {"naming", "engine", "result"},
    "worker": SEAM,
    "sqlite_interface": {"result"},
    **dict.fromkeys(MONITOR, SEAM | MONITOR),
}
# The ways up. They are taken only when they are needed, inside a function.
UPWARD_AND_LAZY = {("engine", "system"), ("result", "engine"), ("payload", "tagged"), ("payload", "pickled")}
WORLDS = {"system", "stores", "testing", "cli", "contrib"}
OUTSIDE = {
    "time",
    "os",
    "signal",
    "subprocess",
    "threading",
    "socket",
    "sqlite3",
    "random",
    "multiprocessing",
    "select",
}
CALLS = {"open", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name and parts[0] not in WORLDS and parts[0] != "__main__":
            yield name, ast.parse(path.read_text())


def imports(name: str, tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Everything a module imports, our own names relative to the package; and whether it does so lazily."""
    lazy = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    package = name.split(".") if (ROOT / name.replace(".", "/")).is_dir() else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                yield (node.module or "").removeprefix("autocron.") if node.module else "", node in lazy
                continue
            base = package[: len(package) - node.level + 1]
            if node.module:
                yield ".".join([*base, node.module]), node in lazy
            else:
                yield from ((".".join([*base, alias.name]), node in lazy) for alias in node.names)


MIDDLE = dict(modules())
OWN = set(MIDDLE) | WORLDS


@pytest.mark.parametrize("name", sorted(MIDDLE))
def test_every_file_of_the_middle_imports_only_what_lies_below_it(name: str) -> None:
    """style 1: who may import whom."""
    assert name in MAY_IMPORT, f"{name} is new in the middle: say in this table what it may import"
    for target, lazy in imports(name, MIDDLE[name]):
        own = target.split(".")[0] in {each.split(".")[0] for each in OWN}
        if own and target != name:
            assert target in MAY_IMPORT[name], f"{name} imports {target}"
            assert lazy or (name, target) not in UPWARD_AND_LAZY, f"{name} imports {target} at its top"


@pytest.mark.parametrize("name", sorted(MIDDLE))
def test_the_middle_does_not_touch_the_world(name: str) -> None:
    """design 3: everything behind the seam is forbidden in the core."""
    for target, _ in imports(name, MIDDLE[name]):
        assert target.split(".")[0] not in OUTSIDE, f"{name} imports {target}"
    for node in ast.walk(MIDDLE[name]):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in CALLS, f"{name}:{node.lineno} calls {called}"


def test_the_table_names_no_file_that_is_gone() -> None:
    """A row of the table that no file has would allow what nobody looked at."""
    assert set(MAY_IMPORT) == set(MIDDLE)


def test_the_small_world_uses_roles_and_stores_but_never_the_real_world() -> None:
    """style 1: `testing/` uses roles and stores, never `system/`."""
    for path in sorted((ROOT / "testing").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for target, _ in imports(name, ast.parse(path.read_text())):
            assert target.split(".")[0] != "system", f"{path} imports {target}"


def test_every_label_is_used_by_a_role_and_every_call_at_the_seam_has_one_of_them() -> None:
    """design 3: each call carries a label; the registry of labels is the list of all of them."""
    used: set[str] = set()
    for tree in MIDDLE.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("interface.call"):
                label = ast.unparse(node.args[0])
                used.add(label.lower().replace("_", ".", 1))
    assert used == set(LABELS)
