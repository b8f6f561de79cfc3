"""What `import autocron` offers: the names and signatures that are promised."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

import autocron

PROMISED = {
    "start": {"database_file": inspect.Parameter.empty, "workers": None},
    "stop": {},
    "get_results": {},
    "Engine": {"interface": None},
    "Engine.start": {"self": inspect.Parameter.empty, "database_file": inspect.Parameter.empty, "workers": None},
    "Engine.stop": {"self": inspect.Parameter.empty},
    "cron": {
        "crontab": None,
        "minutes": None,
        "hours": None,
        "days": None,
        "months": None,
        "days_of_week": None,
    },
    "Schedule": {
        "crontab": None,
        "minutes": None,
        "hours": None,
        "days": None,
        "months": None,
        "days_of_week": None,
        "dialect": "autocron",
        "tz": None,
    },
    "Schedule.next_after": {"self": inspect.Parameter.empty, "moment": inspect.Parameter.empty},
    "Schedule.upcoming": {
        "self": inspect.Parameter.empty,
        "start": inspect.Parameter.empty,
        "n": inspect.Parameter.empty,
    },
}


def resolve(name: str) -> Any:
    found: Any = autocron
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", PROMISED)
def test_signatures_are_those_of_the_contract(name: str) -> None:
    """contract 1, 2 and 5: names, order and defaults; what is beyond them is keyword-only or has a default."""
    parameters = inspect.signature(resolve(name)).parameters
    wanted = PROMISED[name]
    in_order = [each for each in parameters if each in wanted]
    assert {each: parameters[each].default for each in in_order} == wanted
    assert in_order == list(wanted)
    for each in parameters.values():
        assert each.name in wanted or each.kind is each.KEYWORD_ONLY or each.default is not each.empty


def test_the_arguments_of_delay_are_keywords() -> None:
    """contract 3: `delay(weeks=0, days=0, hours=0, minutes=0, schedule=None)`, keyword-only."""
    parameters = dict(inspect.signature(autocron.delay).parameters)
    wanted = {"weeks": 0, "days": 0, "hours": 0, "minutes": 0, "schedule": None}
    assert {name: parameters[name].default for name in wanted} == wanted
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in wanted)


@pytest.mark.parametrize("name", autocron.__all__)
def test_every_name_leads_somewhere(name: str) -> None:
    """contract 1: public names are there, though importing loads nothing."""
    assert getattr(autocron, name) is not None
    assert name in dir(autocron)


def test_an_unknown_name_lists_the_known_ones() -> None:
    """style 10: unknown names list the known ones."""
    with pytest.raises(AttributeError, match=r"no attribute 'dealy'; public names are: .*delay"):
        autocron.dealy  # noqa: B018


def test_the_promised_import_paths() -> None:
    """contract 1 and 4: `autocron.engine.Engine`, `autocron.sqlite_interface.Result`."""
    assert importlib.import_module("autocron.engine").Engine is autocron.Engine
    assert importlib.import_module("autocron.sqlite_interface").Result is autocron.Result
    assert isinstance(importlib.import_module("autocron.engine").engine, autocron.Engine)
