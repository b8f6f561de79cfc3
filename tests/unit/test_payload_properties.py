"""What the payload promises, for anything: whatever is stored comes back, whatever is read is harmless."""

from __future__ import annotations

import contextlib
import enum
import json
import math
import zoneinfo
from dataclasses import dataclass, fields
from datetime import UTC, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from autocron.errors import PayloadError
from autocron.payload import decode, decode_call, encode, encode_call, is_pickled


class Fruit(enum.Enum):
    APPLE = 1
    PEAR = "pear"


class Number(enum.IntEnum):
    ONE = 1
    TWO = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass(frozen=True, slots=True)
class Key:
    a: Any
    b: Any = None


@dataclass
class Node:
    left: Any
    right: Any = None


def is_same(a: Any, b: Any) -> bool:
    """Equal in value and in type at every depth; nan is nan, and 0.0 is not -0.0."""
    if type(a) is not type(b):
        return False
    if type(a) is float:
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if type(a) is complex:
        return is_same(a.real, b.real) and is_same(a.imag, b.imag)
    if type(a) in (list, tuple):
        return len(a) == len(b) and all(map(is_same, a, b))
    if type(a) is dict:
        return is_same(list(a.items()), list(b.items()))
    if type(a) in (set, frozenset):  # equal sets may iterate in another order; nan equals nothing
        rest = list(b)
        for x in a:
            match = next((i for i, y in enumerate(rest) if is_same(x, y)), None)
            if match is None:
                return False
            del rest[match]
        return not rest
    if type(a) is Decimal:
        return str(a) == str(b)
    if type(a) in (Key, Node):
        return all(is_same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if hasattr(a, "fold"):
        return repr(a) == repr(b) and a.replace(tzinfo=None) == b.replace(tzinfo=None) and is_same(a.tzinfo, b.tzinfo)
    return bool(a == b) and repr(a) == repr(b)


offsets = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))
zones = st.one_of(
    st.none(),
    st.just(UTC),
    st.builds(timezone, offsets),
    st.builds(timezone, offsets, st.text(max_size=5)),
    st.sampled_from(["Europe/Paris", "America/St_Johns", "UTC", "Asia/Kathmandu"]).map(zoneinfo.ZoneInfo),
)
fixed_zones = st.one_of(st.none(), st.builds(timezone, offsets))  # hypothesis asks a zone for each date
texts = st.text(st.characters(), max_size=8)  # lone surrogates included
path_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
small_ints = st.integers(-1000, 1000)

hashable_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers().map(lambda n: n << 9000),
    st.floats(),
    st.complex_numbers(),
    texts,
    st.just("$tuple"),
    st.binary(max_size=20),
    st.datetimes().flatmap(lambda moment: zones.map(lambda zone: moment.replace(tzinfo=zone, fold=1))),
    st.datetimes(timezones=fixed_zones),
    st.dates(),
    st.times().flatmap(lambda moment: zones.map(lambda zone: moment.replace(tzinfo=zone))),
    st.timedeltas(),
    zones,
    st.decimals(allow_nan=False),
    st.uuids(),
    path_texts.map(Path),
    path_texts.map(PurePosixPath),
    path_texts.map(PureWindowsPath),
    st.sampled_from([*Fruit, *Number, *Access, Access(0), Access(3)]),
    st.builds(range, small_ints, small_ints, small_ints.filter(bool)),
)
hashables = st.recursive(
    hashable_leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.frozensets(inner, max_size=4),
        st.builds(Key, inner, inner),
    ),
    max_leaves=6,
)
values = st.recursive(
    st.one_of(
        hashables,
        st.binary(max_size=20).map(bytearray),
        st.builds(slice, small_ints, st.none(), texts),
        st.just(Decimal("NaN")),
        st.just(Decimal("sNaN1")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(hashables, max_size=4),
        st.dictionaries(texts, inner, max_size=4),
        st.dictionaries(st.sampled_from(["$tuple", "$dict", "$", "$x"]), inner, max_size=2),
        st.dictionaries(hashables, inner, max_size=4),
        st.builds(Node, inner, inner),
    ),
    max_leaves=12,
)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
names = st.sampled_from([__name__, "os", "sys", "enum", "builtins", "__main__", "", "no.such"])
qualnames = st.sampled_from(["Fruit", "Access", "Key", "Node", "system", "Enum", "type", "", "Key.__init__", "."])
readers = [
    "int", "tuple", "set", "frozenset", "dict", "bytes", "bytearray", "complex", "range", "slice", "datetime",
    "date", "time", "timedelta", "timezone", "zoneinfo", "decimal", "uuid", "PosixPath", "PureWindowsPath",
    "WindowsPath", "enum", "flag", "dataclass", "unknown", "",
]  # fmt: skip
written_by_others = st.recursive(
    st.one_of(plain, st.tuples(names, qualnames, plain), st.sampled_from(["1", "APPLE", "2024-01-01", "Z", "/"])),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(readers).map("${}".format), inner, min_size=1, max_size=1),
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)


@given(values)
@settings(deadline=None)
def test_decoded_equals_original(value: object) -> None:
    """design 5: decoded equals original in value and in type at every depth, and needs no pickle."""
    data = encode(value)
    assert is_same(decode(data), value)
    assert encode(value, allow_pickle=True)[:1] == data[:1]
    assert not is_pickled(data)


@given(plain)
@settings(deadline=None)
def test_plain_values_too(value: object) -> None:
    """design 5: … on the short way, which needs no tags."""
    data = encode(value)
    assert data[:1] == b"j"
    assert is_same(decode(data), value)


@given(st.lists(values, max_size=4).map(tuple), st.dictionaries(texts, values, max_size=4))
@settings(deadline=None)
def test_calls_too(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """contract 3: arguments are captured at the call, as they are."""
    assert is_same(decode_call(encode_call(args, kwargs)), (args, kwargs))


@given(values)
@settings(deadline=None)
def test_decoded_is_storable_again(value: object) -> None:
    """A result that is handed on as an argument comes back the same."""
    assert is_same(decode(encode(decode(encode(value)))), value)


@given(st.sampled_from([b"", b"j", b"t", b"p", b"x"]), st.binary())
@settings(deadline=None)
def test_any_bytes_are_harmless(form: bytes, rest: bytes) -> None:
    """design 5: decode raises PayloadError and nothing else."""
    for read in (decode, decode_call):
        with contextlib.suppress(PayloadError):
            read(form + rest)


@given(written_by_others)
@settings(deadline=None)
def test_any_tags_are_harmless(tree: object) -> None:
    """design 5: … nor for JSON that was made to look right: no class but enums and dataclasses is touched."""
    data = b"t" + json.dumps(tree).encode()
    with contextlib.suppress(PayloadError):
        decode(data)


@given(values, st.integers(0), st.binary(max_size=3))
@settings(deadline=None)
def test_damaged_payloads_are_harmless(value: object, position: int, damage: bytes) -> None:
    """design 5: … nor for a payload that was damaged."""
    data = encode(value)
    start = position % (len(data) + 1)
    with contextlib.suppress(PayloadError):
        decode(data[:start] + damage + data[start + 1 :])
