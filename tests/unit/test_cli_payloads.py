"""Payloads as text: what is stored is shown, and nothing of it is brought to life."""

from __future__ import annotations

import dataclasses
import enum
import pickle
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron.cli.payloads import call_text, value_text
from autocron.payload import encode, encode_call


class Color(enum.Enum):
    RED = 1


class Mode(enum.Flag):
    R = 1
    W = 2


@dataclasses.dataclass
class Point:
    x: int
    label: str = "here"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ({"id": 7, "tags": ["a", None, True, 1.5]}, "{'id': 7, 'tags': ['a', None, True, 1.5]}"),
        ({"$set": 1}, "{'$set': 1}"),
        ((1, (2,), ()), "(1, (2,), ())"),
        ({3: (1,)}, "{3: (1,)}"),
        ({"a": (1, 2)}, "{'a': (1, 2)}"),
        ({5}, "{5}"),
        (set(), "set()"),
        (frozenset([1]), "frozenset(1)"),
        (b"abc", "bytes(YWJj)"),
        (1 << 3000, str(1 << 3000)),
        (Color.RED, "Color.RED"),
        (Mode.R | Mode.W, "Mode(3)"),
        (Point(1), "Point(x=1, label='here')"),
        (datetime(2027, 1, 1, 9, 30), "datetime(2027-01-01T09:30:00)"),
        (date(2027, 1, 1), "date(2027-01-01)"),
        (timedelta(days=1), "timedelta(1, 0, 0)"),
        (Decimal("1.20"), "decimal(1.20)"),
        (UUID(int=1), "uuid(00000000000000000000000000000001)"),
        (PurePosixPath("/a b"), "PurePosixPath(/a b)"),
        ([Point(1), {2: Color.RED}], "[Point(x=1, label='here'), {2: Color.RED}]"),
    ],
    ids=repr,
)
def test_a_value_is_written_as_one_would_write_it(value: Any, text: str) -> None:
    """command line: a result can be read."""
    assert value_text(encode(value)) == text


def test_an_aware_moment_is_told_with_its_zone() -> None:
    """command line: a moment is not told without what it means."""
    assert value_text(encode(datetime(2027, 1, 1, tzinfo=UTC))).startswith("datetime(2027-01-01T00:00:00, timezone(")


def test_a_call_is_written_as_one_would_write_it() -> None:
    """command line: the arguments of a job can be read."""
    assert call_text(encode_call((7, "a"), {"unit": "km"})) == "7, 'a', unit='km'"
    assert call_text(encode_call(((1, 2),), {"$odd": {1}})) == "(1, 2), $odd={1}"
    assert call_text(encode_call((), {})) == ""


class Bomb:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('unpickled')",)


def test_pickles_stay_closed() -> None:
    """design 5: the command line never unpickles."""
    assert value_text(b"p" + pickle.dumps(Bomb())) == f"(pickled, {len(pickle.dumps(Bomb())) + 1} bytes)"
    assert call_text(b"p" + pickle.dumps(Bomb())).startswith("(pickled")


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda tail: b't{"$' + tail) | st.text().map(str.encode))
def test_whatever_is_stored_is_shown_or_said_to_be_unreadable(payload: bytes) -> None:
    """command line: a damaged row spoils no list."""
    for prefix in (b"", b"j", b"t"):
        assert isinstance(value_text(prefix + payload), str)
        assert isinstance(call_text(prefix + payload), str)


def test_what_is_too_long_is_cut() -> None:
    """command line: a payload of megabytes is not printed."""
    assert len(value_text(encode("x" * 100_000))) == 10_001
