"""autocron.registry: what has been decorated in this process."""

from __future__ import annotations

import sys
import types

import pytest

from autocron.job import Entry
from autocron.registry import Registry


def entry(crontab: str = "* * * * *") -> Entry:
    return Entry("", "app:task", crontab)


def task() -> None: ...


def reloaded() -> None: ...


def test_an_entry_is_known_by_task_and_ordinal() -> None:
    """design 6: an entry is known by module (or main script), qualified name and ordinal."""
    registry = Registry()
    registry.add_entry(task, entry("0 * * * *"))
    registry.add_entry(task, entry("30 * * * *"))
    assert {key: each.crontab for key, each in registry.entries.items()} == {
        "app:task#0": "0 * * * *",
        "app:task#1": "30 * * * *",
    }
    assert all(each.key == key for key, each in registry.entries.items())


def test_a_module_that_is_loaded_again_replaces_its_entries() -> None:
    """design 6: reloads: not one more each time."""
    registry = Registry()
    registry.add_entry(task, entry("0 * * * *"))
    registry.add_entry(task, entry("30 * * * *"))
    registry.add_entry(reloaded, entry("15 * * * *"))
    assert [each.crontab for each in registry.entries.values()] == ["15 * * * *"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_script_that_is_imported_too_has_its_entries_once(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 2: a fire time is fired exactly once per application: `python app.py` that imports `app`."""
    module = types.ModuleType("app")
    module.__file__ = "/srv/app.py"
    monkeypatch.setitem(sys.modules, "app", module)
    registry = Registry()
    for address, function in [("/srv/app.py:task", task), ("app:task", reloaded)][::order]:
        registry.add_entry(function, Entry("", address, "0 * * * *"))
        registry.add_entry(function, Entry("", address, "30 * * * *"))
    assert {key: each.crontab for key, each in registry.entries.items()} == {
        "/srv/app.py:task#0": "0 * * * *",
        "/srv/app.py:task#1": "30 * * * *",
    }
    registry.add_entry(task, Entry("", "app:other", "0 * * * *"))
    assert "app:other#0" in registry.entries


def test_each_change_can_be_noticed() -> None:
    """design 6: application processes announce their entries when they change."""
    registry = Registry()
    versions = [registry.version]
    registry.add_entry(task, entry())
    versions.append(registry.version)
    registry.forget("app:task")
    versions.append(registry.version)
    assert versions == sorted(set(versions))
    assert not registry.entries
    assert not registry.decorated


def test_tasks_are_found_by_their_address() -> None:
    """design 5: a worker calls only tasks."""
    registry = Registry()
    registry.add_task("app:task", task)
    assert registry.tasks == {"app:task": task}
