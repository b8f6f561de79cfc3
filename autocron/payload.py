"""Arguments and results ↔ bytes: JSON where that is exact, pickle where it is allowed, a refusal otherwise.

The first byte tells the format:

    j   JSON as it is: only None, bool, int, float, str, list, dict with str keys
    t   JSON in which an object whose only key begins with `$` is a tag: {"$tuple": [1, 2]}
    p   pickle

Types are chosen exactly (`type(x) is …`), so what comes back equals the original in value and in type at
every depth; an unknown subclass (a namedtuple, an OrderedDict) is never flattened to its base. One thing is
not kept: a list that occurs twice in one payload becomes two equal lists (pickle keeps it one).

What JSON holds as it is, is here. Tags and pickle are loaded when they are first needed: they name a quarter of the
standard library, and a worker that takes the place of a dead one has to be there soon.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from .errors import PayloadError
from .refusal import Refusal, sentence

# Shallow enough to be read back under 600 other frames: Python allows 1000, a level here is up to 3 of JSON.
MAX_DEPTH = 100

# Python may refuse to write longer ints in decimal (from 4300 digits, or 640), never in hexadecimal.
LARGE = 1 << 2048

# A row of SQLite holds 1,000,000,000 bytes, and this one holds arguments and a result.
_MOST_BYTES = 1 << 28

SCALARS = frozenset({type(None), bool, float, str})

# Lone surrogates must survive; escaped as ASCII, two in a row would be read back as one character.
_UTF8 = ("utf-8", "surrogatepass")

_to_json = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


class NotLoadedError(PayloadError):
    """A payload names a class whose module is not loaded."""

    def __init__(self, module: str, qualname: str) -> None:
        super().__init__(
            f"the payload cannot be read: it names {module}.{qualname}, but the module {module} is not loaded;"
            " import it in the module of the task, and where results are read, or allow pickle"
        )
        self.module = module


def encode(value: object, *, allow_pickle: bool = False, name: str = "value") -> bytes:
    """Return `value` as bytes; changing `value` later changes nothing in them.

    Raises PayloadError, which calls it `name`, if neither JSON nor (with `allow_pickle`) pickle can hold it.

    >>> encode({"id": 7})
    b'j{"id":7}'
    >>> decode(encode((1, {2: "b"})))
    (1, {2: 'b'})
    """
    try:
        if _is_plain((value,), MAX_DEPTH):
            return _bounded(b"j" + _to_json(value).encode(*_UTF8), name)
        return _bounded(b"t" + _tagged(value, MAX_DEPTH), name)
    except (Refusal, RecursionError) as refusal:
        if allow_pickle:
            return _pickled(value, name)
        raise PayloadError(sentence(refusal, name)) from None


def decode(data: bytes, *, allow_pickle: bool = False) -> Any:
    """Return the value that `encode` was given.

    Raises PayloadError, and nothing else, if `data` was not written by `encode`, names a class that is not
    loaded or has changed, or is pickled and `allow_pickle` is false. With it, the modules of classes are imported.

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
        return _read_importing(read, data) if allow_pickle else read(data)
    except PayloadError:
        raise
    except Exception as error:  # damaged bytes and classes of the application may raise anything
        raise PayloadError(f"the payload cannot be read: {type(error).__name__}: {error}") from error


def _read_importing(read: Callable[[bytes], Any], data: bytes) -> Any:
    """A pickle imports what it names, so where pickles are allowed a tag may do so too."""
    while True:
        try:
            return read(data)
        except NotLoadedError as error:
            import_module(error.module)


def encode_call(
    args: tuple[Any, ...], kwargs: dict[str, Any], *, allow_pickle: bool = False, names: Sequence[str] = ()
) -> bytes:
    """Return the arguments of a call as bytes, in the format of `encode`.

    Raises PayloadError as `encode` does, naming the argument; `names` are those of the positional ones.

    >>> encode_call((7,), {"unit": "km"})
    b'j[[7],{"unit":"km"}]'
    """
    try:
        if _is_plain(args, MAX_DEPTH) and (not kwargs or _is_plain((kwargs,), MAX_DEPTH + 1)):
            return _bounded(b"j" + _to_json((args, kwargs)).encode(*_UTF8), "arguments")
        return _bounded(b"t" + _tagged([[*args], kwargs], MAX_DEPTH + 2), "arguments")
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


def _is_plain(values: Iterable[Any], room: int) -> bool:
    """Whether JSON needs no tags; asked first, since the JSON encoder lets subclasses and int keys pass."""
    for value in values:
        kind = type(value)
        if kind in SCALARS:
            continue
        if kind is int:
            if -LARGE < value < LARGE:
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


def _tagged(value: object, room: int) -> bytes:
    from .tagged import tagged  # noqa: PLC0415 - see above

    return _to_json(tagged(value, room)).encode(*_UTF8)


def _bounded(data: bytes, name: str) -> bytes:
    if len(data) > _MOST_BYTES:
        raise PayloadError(
            f"{name}: {len(data):,} bytes are too many, {_MOST_BYTES:,} can be stored; use a file, and its path"
        )
    return data


def _pickled(value: object, name: str) -> bytes:
    from .pickled import pickled  # noqa: PLC0415 - see above

    return _bounded(b"p" + pickled(value, name), name)


def json_reader(decoder: json.JSONDecoder) -> Callable[[bytes], Any]:
    """Reads what follows the first byte."""
    parse = decoder.raw_decode

    def read(data: bytes) -> Any:
        text = data.decode(*_UTF8)
        value, end = parse(text, 1)
        if end != len(text):
            raise PayloadError(f"the payload cannot be read: something follows its end at character {end}")
        return value

    return read


def _read_tagged(data: bytes) -> Any:
    from .tagged import read  # noqa: PLC0415 - see above

    return read(data)


def _read_pickled(data: bytes) -> Any:
    from .pickled import read  # noqa: PLC0415 - see above

    return read(data)


_FORMATS: dict[bytes, Callable[[bytes], Any]] = {
    b"j": json_reader(json.JSONDecoder()),
    b"t": _read_tagged,
    b"p": _read_pickled,
}
