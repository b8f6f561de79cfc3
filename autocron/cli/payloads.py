"""Payloads as text, for the eyes: nothing is imported, nothing is unpickled, no class is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

LONGEST: Final = 10_000  # characters of a payload that are worth showing

Show = Callable[[Any], str]


def call_text(payload: bytes) -> str:
    """The arguments of a call, as they would be written: `7, unit='km'`."""
    return _shown(payload, _call)


def value_text(payload: bytes) -> str:
    """A value, as it would be written: `{'id': 7}`. No payload is None."""
    return _shown(payload, lambda value, show: show(value)) if payload else "None"


def _shown(payload: bytes, write: Callable[[Any, Show], str]) -> str:
    form = payload[:1]
    if form == b"p":
        return f"(pickled, {len(payload)} bytes)"
    try:
        if form not in (b"j", b"t"):
            raise ValueError("no format of ours")
        text = write(json.loads(payload[1:].decode("utf-8", "surrogatepass")), repr if form == b"j" else _tagged)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return f"(unreadable, {len(payload)} bytes)"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _call(call: Any, show: Show) -> str:
    args, kwargs = call
    if kwargs.keys() == {"$dict"}:  # its only keyword begins with a $
        kwargs = dict(kwargs["$dict"])
    return ", ".join([*map(show, args), *(f"{name}={show(value)}" for name, value in kwargs.items())])


def _tagged(value: Any) -> str:
    """What `autocron.payload` reads as an object, written as it would be made."""
    if isinstance(value, list):
        return f"[{_items(value)}]"
    if not isinstance(value, dict):
        return repr(value)
    content: Any = None
    tag, content = next(iter(value.items())) if len(value) == 1 else ("", content)
    if not tag.startswith("$"):
        return f"{{{', '.join(f'{key!r}: {_tagged(each)}' for key, each in value.items())}}}"
    name = tag[1:]
    if name == "int":
        return str(int(content, 16)) if len(content) < 1000 else f"{content}"
    if name == "tuple":
        return f"({_items(content)}{',' if len(content) == 1 else ''})"
    if name == "set" and content:
        return f"{{{_items(content)}}}"
    if name == "dict":
        return f"{{{', '.join(f'{_tagged(key)}: {_tagged(each)}' for key, each in content)}}}"
    if name == "enum":
        return f"{content[1]}.{content[2]}"
    if name == "flag":
        return f"{content[1]}({content[2]})"
    if name == "dataclass":
        fields = content[2].items()
        return f"{content[1]}({', '.join(f'{key}={_tagged(each)}' for key, each in fields)})"
    if name in ("datetime", "time"):
        moment, _, zone = content
        return f"{name}({moment}{'' if zone is None else f', {_tagged(zone)}'})"
    return f"{name}({_items(content) if isinstance(content, list) else content})"


def _items(values: list[Any]) -> str:
    return ", ".join(map(_tagged, values))
