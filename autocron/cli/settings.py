"""`autocron settings`: show and change them. The options are made from those of `Settings`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import click

from ..interface import Interface
from ..settings import BOUNDS, Settings
from .database import Database
from .output import emit, json_option, printable, table

OFF: Final = {"enabled": "disabled", "paused": "resumed"}  # where "no-" in front would be no English


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for name in reversed(Settings._fields):
        command = _option(name)(command)
    return command


def _option(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option of a setting. Values stay text here, so that `Settings` can list all that is wrong at once."""
    default, bounds = Settings._field_defaults[name], BOUNDS[name]
    about = f"{bounds.about}  [default: {printable(default)}]"
    spelled = _spelled(name)
    if isinstance(default, bool):
        off = OFF.get(name, f"no-{spelled}")
        return click.option(f"--{spelled}/--{off}", name, default=None, help=about)
    metavar = "|".join(bounds.choices) or ("SECONDS" if name.endswith("_s") else "N")
    return click.option(f"--{spelled}", name, metavar=metavar, help=about)


def _spelled(name: str) -> str:
    return name.removesuffix("_s").replace("_", "-")


@click.command()
@click.argument("db")
@_options
@json_option
@click.pass_obj
def settings(interface: Interface, /, db: str, as_json: bool, **given: Any) -> None:
    """Show the settings of a database, or change those that are given.

    A running monitor takes new values at once.

    \b
    Example:
      autocron settings app.db --workers 4 --ttl 3600
    """
    defaults = Settings().as_dict()
    changes = {name: _read(value, defaults[name]) for name, value in given.items() if value is not None}
    Settings().changed(**changes)  # a refusal does not need the database
    with Database(interface, db) as database:
        values = database.change(changes)
        monitor = database.find_monitor()
    document = {
        "database": database.address,
        "monitor": monitor,
        "changed": list(changes),
        "settings": {
            name: {"value": value, "default": defaults.get(name), "about": BOUNDS[name].about if name in BOUNDS else ""}
            for name, value in values.items()
        },
    }
    emit(document, as_json, _render)


def _read(text: str | bool, default: object) -> object:
    """The text as a value of the default's type, or as it is: then `Settings` says what is allowed."""
    if isinstance(text, str) and isinstance(default, int | float):
        with contextlib.suppress(ValueError):
            return type(default)(text)
    return text


def _render(document: Mapping[str, Any]) -> Iterable[Any]:
    yield table(
        (
            (f"{name} *" if name in document["changed"] else name, each["value"], each["default"], each["about"])
            for name, each in document["settings"].items()
        ),
        "setting",
        "value",
        "default",
        "about",
    )
    if document["changed"]:
        when = "at once: the monitor has taken it" if document["monitor"] else "from the next start: no monitor runs"
        yield f"* changed, {when}"
