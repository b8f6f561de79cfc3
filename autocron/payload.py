"""Arguments and results ↔ bytes: JSON where that is exact, pickle where it is allowed, a refusal otherwise.

The first byte tells the format:

    j   JSON as it is: only None, bool, int, float, str, list, dict with str keys
    t   JSON in which an object whose only key begins with `$` is a tag: {"$tuple": [1, 2]}
    p   pickle

Types are chosen exactly (`type(x) is …`), so what comes back equals the original in value and in type at
every depth; an unknown subclass (a namedtuple, an OrderedDict) is never flattened to its base. One thing is
not kept: a list that occurs twice in one payload becomes two equal lists (pickle keeps it one).

Reading JSON imports nothing and executes no code but that of the classes it names, which must be enums or
dataclasses of modules that are loaded already: `_missing_` of a Flag, `__hash__` of a key, the
`default_factory` of a field that is newer than the payload.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from functools import cached_property
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from types import FunctionType, MethodType, ModuleType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from .errors import PayloadError
from .refusal import Refusal, described, sentence, short, way_out

_PICKLE_PROTOCOL = 5  # fixed, so that every supported Python reads what another one wrote

# Shallow enough to be read back under 600 other frames: Python allows 1000, a level here is up to 3 of JSON.
_MAX_DEPTH = 100

# Python may refuse to write longer ints in decimal (from 4300 digits, or 640), never in hexadecimal.
_LARGE = 1 << 2048

# A row of SQLite holds 1,000,000,000 bytes, and this one holds arguments and a result.
_MOST_BYTES = 1 << 28

_SCALARS = frozenset({type(None), bool, float, str})

# Lone surrogates must survive; escaped as ASCII, two in a row would be read back as one character.
_UTF8 = ("utf-8", "surrogatepass")

_to_json = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def encode(value: object, *, allow_pickle: bool = False, name: str = "value") -> bytes:
    """Return `value` as bytes; changing `value` later changes nothing in them.

    Raises PayloadError, which calls it `name`, if neither JSON nor (with `allow_pickle`) pickle can hold it.

    >>> encode({"id": 7})
    b'j{"id":7}'
    >>> decode(encode((1, {2: "b"})))
    (1, {2: 'b'})
    """
    try:
        if _is_plain((value,), _MAX_DEPTH):
            return _bounded(b"j" + _to_json(value).encode(*_UTF8), name)
        return _bounded(b"t" + _to_json(_tagged(value, _MAX_DEPTH)).encode(*_UTF8), name)
    except (Refusal, RecursionError) as refusal:
        if allow_pickle:
            return _pickled(value, name)
        raise PayloadError(sentence(refusal, name)) from None


def decode(data: bytes, *, allow_pickle: bool = False) -> Any:
    """Return the value that `encode` was given.

    Raises PayloadError, and nothing else, if `data` was not written by `encode`, names a class that is not
    loaded or has changed, or is pickled and `allow_pickle` is false.

    >>> decode(b't{"$set":[1]}')
    {1}
    """
    form = data[:1]
    if form == b"p" and not allow_pickle:
        raise PayloadError("the payload is pickled, and pickle is not allowed here")
    read = _FORMATS.get(form)
    if read is None:
        raise PayloadError("the payload cannot be read: it begins with none of j, t, p")
    try:
        return read(data)
    except PayloadError:
        raise
    except Exception as error:  # damaged bytes and classes of the application may raise anything
        raise PayloadError(f"the payload cannot be read: {type(error).__name__}: {error}") from error


def encode_call(
    args: tuple[Any, ...], kwargs: dict[str, Any], *, allow_pickle: bool = False, names: Sequence[str] = ()
) -> bytes:
    """Return the arguments of a call as bytes, in the format of `encode`.

    Raises PayloadError as `encode` does, naming the argument; `names` are those of the positional ones.

    >>> encode_call((7,), {"unit": "km"})
    b'j[[7],{"unit":"km"}]'
    """
    try:
        if _is_plain(args, _MAX_DEPTH) and (not kwargs or _is_plain((kwargs,), _MAX_DEPTH + 1)):
            return _bounded(b"j" + _to_json((args, kwargs)).encode(*_UTF8), "arguments")
        return _bounded(b"t" + _to_json(_tagged([[*args], kwargs], _MAX_DEPTH + 2)).encode(*_UTF8), "arguments")
    except (Refusal, RecursionError):
        if allow_pickle:
            with suppress(PayloadError):
                return _pickled([[*args], kwargs], "call")
    for number, value in enumerate(args):  # each by itself, so that the message begins with its name
        name = repr(names[number]) if number < len(names) else str(number + 1)
        encode(value, allow_pickle=allow_pickle, name=f"argument {name}")
    for key, value in kwargs.items():
        encode(value, allow_pickle=allow_pickle, name=f"argument {key!r}")
    raise PayloadError("the arguments cannot be stored together; is a keyword a subclass of str?")


def decode_call(data: bytes, *, allow_pickle: bool = False) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return `(args, kwargs)` as `encode_call` was given them; raises PayloadError as `decode` does.

    >>> decode_call(b'j[[7],{"unit":"km"}]')
    ((7,), {'unit': 'km'})
    """
    call = decode(data, allow_pickle=allow_pickle)
    if type(call) is list and len(call) == 2:
        args, kwargs = call
        if type(args) is list and type(kwargs) is dict and all(isinstance(key, str) for key in kwargs):
            return tuple(args), kwargs
    raise PayloadError("the payload cannot be read: it does not hold the arguments of a call")


def is_pickled(data: bytes) -> bool:
    """Whether `decode` needs `allow_pickle` for `data`."""
    return data[:1] == b"p"


NO_ARGUMENTS = b"j[[],{}]"  # what `encode_call((), {})` returns


# --- writing ---------------------------------------------------------------------------------------------


def _is_plain(values: Iterable[Any], room: int) -> bool:
    """Whether JSON needs no tags; asked first, since the JSON encoder lets subclasses and int keys pass."""
    for value in values:
        kind = type(value)
        if kind in _SCALARS:
            continue
        if kind is int:
            if -_LARGE < value < _LARGE:
                continue
            return False
        if room <= 0:
            return False
        if kind is list:
            if _is_plain(value, room - 1):
                continue
        elif kind is dict:
            for key in value:
                if type(key) is not str:
                    return False
            if _is_plain(value.values(), room - 1):
                continue
        return False
    return True


def _tagged(value: Any, room: int) -> object:
    """Return what JSON shall hold for `value`, or raise Refusal where nothing would be exact."""
    kind = type(value)
    if kind in _SCALARS or (kind is int and -_LARGE < value < _LARGE):
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
    raise Refusal(f"{described(value)} cannot be stored", way_out(value) or _PLAIN_DATA)


def _items(
    values: Iterable[Any], room: int, step: Callable[[int], str] = "[{}]".format, parent: object = None
) -> list[object]:
    """Tag each of `values`; `step(n)` is the way from `parent` to the n-th, for the message."""
    if room <= 0:
        raise Refusal(f"more than {_MAX_DEPTH} levels cannot be stored", "nest less deeply, or allow pickle")
    items: list[object] = []
    try:
        for value in values:
            items.append(_tagged(value, room - 1))
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
    raise Refusal(f"{described(member)} which is none of its members cannot be stored", _PLAIN_DATA)


def _dataclass(value: Any, room: int) -> object:
    cls = type(value)
    reference = _reference(cls)
    if not all(base.__flags__ & _WRITTEN_IN_PYTHON for base in cls.__mro__[:-1]):
        raise Refusal(f"{described(value)}, derived from a built-in class, cannot be stored", _PLAIN_DATA)
    attributes = _attributes(value)
    names = [field.name for field in dataclasses.fields(cls) if field.name in attributes]
    for name in attributes.keys() - names:
        # A cache is made anew when it is asked for; anything else would be lost.
        if name != "__orig_class__" and not isinstance(getattr(cls, name, None), cached_property):
            reason = f"{described(value)} with {name!r}, an attribute that is no field, cannot be stored"
            raise Refusal(reason, f"make {name!r} a field, or allow pickle")
    fields = _items([attributes[name] for name in names], room, lambda n: f".{names[n]}", value)
    return [*reference, dict(zip(names, fields, strict=True))]


_WRITTEN_IN_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE; a dict or an exception keeps more than its attributes


def _attributes(value: object) -> dict[str, Any]:
    """The attributes of `value`, those in slots too, whatever its class says about pickling."""
    state: Any = object.__getstate__(value)
    return {**(state[0] or {}), **state[1]} if type(state) is tuple else state or {}


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
    why = f"there is no such {kind}" if module in sys.modules else f"the module {module} is not loaded"
    raise PayloadError(f"the payload cannot be read: it names {module}.{qualname}, but {why}")


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


def _json_reader(decoder: json.JSONDecoder) -> Callable[[bytes], Any]:
    parse = decoder.raw_decode

    def read(data: bytes) -> Any:
        text = data.decode(*_UTF8)
        value, end = parse(text, 1)
        if end != len(text):
            raise PayloadError(f"the payload cannot be read: something follows its end at character {end}")
        return value

    return read


_FORMATS: dict[bytes, Callable[[bytes], Any]] = {
    b"j": _json_reader(json.JSONDecoder()),
    b"t": _json_reader(json.JSONDecoder(object_hook=_untag)),
    b"p": lambda data: pickle.loads(data[1:]),
}


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
    return [value.replace(tzinfo=None).isoformat(), value.fold, _tagged(value.tzinfo, room)]


def _moment_reader(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda content: parse(content[0]).replace(fold=content[1], tzinfo=content[2])


def _timezone(zone: timezone, room: int) -> object:
    offset, name = zone.utcoffset(None), zone.tzname(None)
    is_named = name != timezone(offset).tzname(None)
    return [_tagged(offset, room), *([name] if is_named else [])]


def _zoneinfo(zone: ZoneInfo, _: int) -> object:
    if type(zone.key) is not str:
        raise Refusal("a ZoneInfo without a key cannot be stored", "use ZoneInfo(key)")
    return zone.key


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


# --- pickling, and what to say where it fails ------------------------------------------------------------

_PLAIN_DATA = "convert it to plain data (numbers, text, lists, dicts, dataclasses), or allow pickle"


def _bounded(data: bytes, name: str) -> bytes:
    if len(data) > _MOST_BYTES:
        raise PayloadError(
            f"{name}: {len(data):,} bytes are too many, {_MOST_BYTES:,} can be stored; use a file, and its path"
        )
    return data


def _pickled(value: object, name: str) -> bytes:
    try:
        return _bounded(b"p" + pickle.dumps(value, _PICKLE_PROTOCOL), name)
    except PayloadError:
        raise
    except RecursionError:
        raise PayloadError(f"{name}: so many levels cannot be stored; nest less deeply") from None
    except Exception as error:  # __reduce__ of any class may raise anything
        steps, culprit, owner = _culprit(value, _MAX_DEPTH)
        if owner is not culprit:
            instead = f"pass the data that the task needs, not {described(owner)}"
        else:
            instead = way_out(culprit) or "use what it is made from, and make it inside the task"
        raise PayloadError(f"{name}{steps}: {described(culprit)} cannot be stored; {instead}") from error


def _culprit(value: Any, room: int) -> tuple[str, object, object]:
    """The way to what refuses to be pickled; the innermost such object; and the outermost one that is not mere data."""
    for step, child in _children(value) if room else ():
        try:
            pickle.dumps(child, _PICKLE_PROTOCOL)
        except Exception:
            steps, culprit, owner = _culprit(child, room - 1)
            is_data = not step.startswith(".") or dataclasses.is_dataclass(type(value))
            return step + steps, culprit, owner if is_data else value
    return "", value, value


# Below, issubclass(type(value), …) and not isinstance: a proxy may do anything if asked for its __class__.


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    kind = type(value)
    if issubclass(kind, dict):
        for key, item in value.items():
            yield f" key {short(key)}", key
            yield f"[{short(key)}]", item
    elif issubclass(kind, list | tuple):
        yield from ((f"[{number}]", item) for number, item in enumerate(value))
    elif issubclass(kind, set | frozenset):
        yield from ((" element", item) for item in value)
    elif not issubclass(kind, type | Enum | ModuleType | FunctionType | MethodType):
        with suppress(Exception):
            yield from [(f".{name}", item) for name, item in _attributes(value).items()]
