"""JSON with tags, for all that JSON has no word for: {"$tuple": [1, 2]}.

Reading imports nothing and executes no code but that of the classes it names, which must be enums or
dataclasses of modules that are loaded already: `_missing_` of a Flag, `__hash__` of a key, the
`default_factory` of a field that is newer than the payload. Of a module that is not it only tells the name.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from functools import cached_property
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from types import ModuleType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from .errors import PayloadError
from .payload import LARGE, MAX_DEPTH, SCALARS, NotLoadedError, json_reader
from .refusal import PLAIN_DATA, Refusal, attributes, described, short, way_out

# --- writing ---------------------------------------------------------------------------------------------


def tagged(value: Any, room: int) -> object:
    """Return what JSON shall hold for `value`, or raise Refusal where nothing would be exact."""
    kind = type(value)
    if kind in SCALARS or (kind is int and -LARGE < value < LARGE):
        return value
    if kind is list:
        return _items(value, room)
    if kind is dict:
        return _dict(value, room)
    if kind.__module__ == "freezegun.api":  # a frozen test's datetime or date: store what it stands for
        kind = kind.__mro__[1]
    if kind in _WRITERS:
        tag, write = _WRITERS[kind]
        return {tag: write(value, room)}
    if issubclass(kind, Enum):
        return _enum(value)
    if "__dataclass_fields__" in vars(kind):
        return {"$dataclass": _dataclass(value, room)}
    raise Refusal(f"{described(value)} cannot be stored", way_out(value) or PLAIN_DATA)


def _items(
    values: Iterable[Any], room: int, step: Callable[[int], str] = "[{}]".format, parent: object = None
) -> list[object]:
    """Tag each of `values`; `step(n)` is the way from `parent` to the n-th, for the message."""
    if room <= 0:
        raise Refusal(f"more than {MAX_DEPTH} levels cannot be stored", "nest less deeply, or allow pickle")
    items: list[object] = []
    try:
        for value in values:
            items.append(tagged(value, room - 1))
    except Refusal as refusal:
        refusal.steps.append(step(len(items)))
        refusal.parents.append(id(values if parent is None else parent))
        raise
    return items


def _dict(mapping: dict[Any, Any], room: int) -> object:
    values = _items(mapping.values(), room, lambda n: f"[{short([*mapping][n])}]", mapping)
    has_str_keys = all(type(key) is str for key in mapping)
    if has_str_keys and not (len(mapping) == 1 and next(iter(mapping))[:1] == "$"):
        return dict(zip(mapping, values, strict=True))
    keys = _items(mapping, room, lambda n: f" key {short([*mapping][n])}")
    return {"$dict": list(zip(keys, values, strict=True))}


def _enum(member: Enum) -> object:
    cls = type(member)
    reference = _reference(cls)
    if cls.__members__.get(member._name_) is member:
        return {"$enum": [*reference, member._name_]}
    if issubclass(cls, Flag) and type(member._value_) is int:  # a combination has no name of its own
        return {"$flag": [*reference, member._value_]}
    raise Refusal(f"{described(member)} which is none of its members cannot be stored", PLAIN_DATA)


def _dataclass(value: Any, room: int) -> object:
    cls = type(value)
    reference = _reference(cls)
    if not all(base.__flags__ & _WRITTEN_IN_PYTHON for base in cls.__mro__[:-1]):
        raise Refusal(f"{described(value)}, derived from a built-in class, cannot be stored", PLAIN_DATA)
    state = attributes(value)
    names = [field.name for field in dataclasses.fields(cls) if field.name in state]
    for name in state.keys() - names:
        # A cache is made anew when it is asked for; anything else would be lost.
        if name != "__orig_class__" and not isinstance(getattr(cls, name, None), cached_property):
            reason = f"{described(value)} with {name!r}, an attribute that is no field, cannot be stored"
            raise Refusal(reason, f"make {name!r} a field, or allow pickle")
    fields = _items([state[name] for name in names], room, lambda n: f".{names[n]}", value)
    return [*reference, dict(zip(names, fields, strict=True))]


_WRITTEN_IN_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE; a dict or an exception keeps more than its attributes


def _reference(cls: type) -> list[str]:
    """Module and qualified name of `cls`, if they lead back to it."""
    module, qualname = cls.__module__, cls.__qualname__
    if module == "__mp_main__":  # the application's main script, as a worker may have loaded it
        module = "__main__"
    if _found(module, qualname) is not cls:
        reason = f"an object of {module}.{qualname}, a class not found under this name, cannot be stored"
        raise Refusal(reason, "define the class at the top of its module")
    return [module, qualname]


def _found(module: str, qualname: str) -> Any:
    """What loaded modules hold under this name, else None; imports nothing, not even by a lazy attribute."""
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        # Not isinstance, nor getattr: they ask the module's own __getattribute__, and that might import.
        if issubclass(type(found), type):
            found = type.__getattribute__(found, "__dict__").get(name)
        elif issubclass(type(found), ModuleType):
            found = object.__getattribute__(found, "__dict__").get(name)
        else:
            return None
    return found


# --- reading ---------------------------------------------------------------------------------------------


def _untag(item: dict[str, Any]) -> Any:
    if len(item) != 1:
        return item
    ((tag, content),) = item.items()
    if tag[:1] != "$":
        return item
    if tag not in _READERS:
        raise PayloadError(f"the payload cannot be read: {tag!r} is unknown; did a newer autocron write it?")
    return _READERS[tag](content)


def _load_class(module: str, qualname: str, kind: str, is_kind: Callable[[type], bool]) -> Any:
    cls = _found(module, qualname)
    if issubclass(type(cls), type) and is_kind(cls):
        return cls
    if module not in sys.modules:
        raise NotLoadedError(module, qualname)
    raise PayloadError(f"the payload cannot be read: it names {module}.{qualname}, but there is no such {kind}")


def _load_enum(content: list[str]) -> Any:
    module, qualname, name = content
    cls = _load_class(module, qualname, "enum", lambda cls: issubclass(cls, Enum))
    if name not in cls.__members__:
        raise PayloadError(f"the payload cannot be read: {module}.{qualname} has no member {name!r}")
    return cls.__members__[name]


def _load_flag(content: list[Any]) -> Any:
    module, qualname, number = content
    return _load_class(module, qualname, "flag", lambda cls: issubclass(cls, Flag))(number)


def _load_dataclass(content: list[Any]) -> Any:
    """Set the fields, as unpickling would; __init__ and __post_init__ ran when the original was made."""
    module, qualname, stored = content
    cls = _load_class(module, qualname, "dataclass", lambda cls: "__dataclass_fields__" in vars(cls))
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if unknown := stored.keys() - fields:
        raise PayloadError(f"the payload cannot be read: {module}.{qualname} has no field {min(unknown)!r}")
    value = object.__new__(cls)
    for name, field in fields.items():
        if name in stored:
            object.__setattr__(value, name, stored[name])
        elif field.default is not dataclasses.MISSING:  # a field that is newer than the payload
            object.__setattr__(value, name, field.default)
        elif field.default_factory is not dataclasses.MISSING:
            object.__setattr__(value, name, field.default_factory())
    return value


read = json_reader(json.JSONDecoder(object_hook=_untag))


# --- the tagged types ------------------------------------------------------------------------------------


def _elements(values: Iterable[Any], room: int) -> object:
    return _items(values, room, lambda _: " element")


def _bounds(value: range | slice, room: int) -> object:
    return _items((value.start, value.stop, value.step), room)


def _base64(value: bytes | bytearray, _: int) -> object:
    return b64encode(value).decode()


def _parts(value: timedelta, _: int) -> object:
    return [value.days, value.seconds, value.microseconds]


def _moment(value: Any, room: int) -> object:
    return [value.replace(tzinfo=None).isoformat(), value.fold, tagged(value.tzinfo, room)]


def _moment_reader(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda content: parse(content[0]).replace(fold=content[1], tzinfo=content[2])


def _timezone(zone: timezone, room: int) -> object:
    offset, name = zone.utcoffset(None), zone.tzname(None)
    is_named = name != timezone(offset).tzname(None)
    return [tagged(offset, room), *([name] if is_named else [])]


def _zoneinfo(zone: ZoneInfo, _: int) -> object:
    if not isinstance(zone.key, str):
        raise Refusal("a ZoneInfo without a key cannot be stored", "use ZoneInfo(key)")
    return str.__str__(zone.key)  # which may be an enumeration


def _path(path: Any, _: int) -> object:
    text = str(path)
    if type(path)(text) != path:  # Python 3.11 shows PureWindowsPath(".\\c:a"), a file, as "c:a", one on a drive
        raise Refusal(f"the path {path!r}, which its text does not lead back to, cannot be stored", "use a str")
    return text


def _real(cls: Any) -> Any:
    """The standard library's class behind freezegun's, should this module be imported in a frozen test."""
    return next(base for base in cls.__mro__ if base.__module__ == "datetime")


_PATHS: tuple[Any, ...] = (PosixPath, PurePosixPath, WindowsPath, PureWindowsPath)

# Type, tag, how to write the content of the tag, how to read it. A frozen test replaces `datetime` in all
# namespaces; the methods in this table stay those of the real class.
_TYPES: list[tuple[type, str, Callable[[Any, int], object], Callable[[Any], Any]]] = [
    (int, "$int", lambda value, _: hex(value), lambda text: int(text, 16)),
    (tuple, "$tuple", _items, tuple),
    (set, "$set", _elements, set),
    (frozenset, "$frozenset", _elements, frozenset),
    (bytes, "$bytes", _base64, b64decode),
    (bytearray, "$bytearray", _base64, lambda text: bytearray(b64decode(text))),
    (complex, "$complex", lambda value, _: [value.real, value.imag], lambda parts: complex(*parts)),
    (range, "$range", _bounds, lambda bounds: range(*bounds)),
    (slice, "$slice", _bounds, lambda bounds: slice(*bounds)),
    (_real(datetime), "$datetime", _moment, _moment_reader(_real(datetime).fromisoformat)),
    (_real(date), "$date", lambda value, _: value.isoformat(), _real(date).fromisoformat),
    (time, "$time", _moment, _moment_reader(time.fromisoformat)),
    (timedelta, "$timedelta", _parts, lambda parts: timedelta(*parts)),
    (timezone, "$timezone", _timezone, lambda parts: timezone(*parts)),
    (ZoneInfo, "$zoneinfo", _zoneinfo, ZoneInfo),
    (Decimal, "$decimal", lambda value, _: str(value), Decimal),
    (UUID, "$uuid", lambda value, _: value.hex, UUID),
    *((cls, f"${cls.__name__}", _path, cls) for cls in _PATHS),
]
_WRITERS = {kind: (tag, write) for kind, tag, write, _ in _TYPES}
_READERS: dict[str, Callable[[Any], Any]] = {
    **{tag: read for _, tag, _, read in _TYPES},
    "$dict": dict,
    "$enum": _load_enum,
    "$flag": _load_flag,
    "$dataclass": _load_dataclass,
}
