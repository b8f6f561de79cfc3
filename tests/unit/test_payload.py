"""What the payload promises, by example; test_payload_properties.py asks the same of anything."""

from __future__ import annotations

import abc
import collections
import contextlib
import copyreg
import dataclasses
import enum
import importlib
import io
import pickle
import socket
import struct
import sys
import types
import zoneinfo
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cached_property
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import freezegun
import pytest

from autocron.errors import PayloadError
from autocron.payload import decode, decode_call, encode, encode_call, is_pickled

T = TypeVar("T")


class Zone(enum.StrEnum):
    PARIS = "Europe/Paris"


PARIS = zoneinfo.ZoneInfo("Europe/Paris")


class Colour(enum.Enum):
    RED = 1
    CRIMSON = 1
    BLUE = "blue"
    MIXED = (1, [2])


class Level(enum.IntEnum):
    LOW = 1


class Mode(enum.StrEnum):
    FAST = "fast"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Bits(enum.IntFlag):
    ONE = 1


class Impostor(enum.Enum):
    """A name that leads nowhere: the class under it is another one (see `test_replaced_class`)."""

    OLD = 1


@dataclass
class Point:
    x: int
    y: Any = 0
    count: ClassVar[int] = 3


@dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    tags: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Counted:
    given: int
    total: int = field(init=False)
    calls: ClassVar[list[str]] = []

    def __post_init__(self) -> None:
        self.calls.append("post_init")
        self.total = self.given * 2


@dataclass
class Unset:
    a: int
    b: int = field(init=False)


@dataclass
class Child(Point):
    z: int = 0


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Circle:
    radius: float

    @cached_property
    def area(self) -> float:
        return 3 * self.radius**2


@dataclass
class Secret:
    a: int

    def __post_init__(self) -> None:
        self.b = object()


@dataclass
class FailureError(Exception):
    code: int


class Demanding(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


class Abstract(abc.ABC):
    __slots__ = ()

    @abc.abstractmethod
    def go(self) -> None: ...


@dataclass
class Concrete(Abstract):
    a: int

    def go(self) -> None: ...


class Plainly(Point):
    """A subclass of a dataclass that is none itself."""


Row = collections.namedtuple("Row", "a b")


class Text(str):
    __slots__ = ()


class Stubborn:
    def __init__(self) -> None:
        self.fine = {1, (2,)}

    def __reduce__(self) -> str:
        raise ZeroDivisionError


class Proxy:
    """Such as the `request` of a web framework, outside of a request."""

    __slots__ = ("target",)

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("working outside of a request")


class Outer:
    @dataclass
    class Inner:
        a: int


def a_generator() -> Any:
    yield 1


EXACT: list[object] = [
    None,
    True,
    0,
    1,
    -1,
    1.0,
    -0.0,
    float("inf"),
    1e308,
    5e-324,
    "",
    "ü\x00\n\u2028😀",
    "\ud800",
    "\ud83d\ude00",  # two lone surrogates, not one character
    [],
    {},
    (),
    [[], {}],
    {"": None},
    {1: "a", "1": "b"},
    {True: 1, 2: 2},
    {1.5: 1, None: 2},
    {(1, ("a", (2,))): [3]},
    {frozenset({(2, 3)}): {2}},
    {"$tuple": [1]},
    {"$tuple": [(1,)]},
    {"$": (1,)},
    {"$dict": [[1, 2]], "b": ()},
    [{"$unknown": ()}],
    (1,),
    ((), [()]),
    set(),
    {"a"},
    frozenset({frozenset()}),
    b"",
    bytes(range(256)),
    bytearray(b"x"),
    1j,
    complex(-0.0, float("inf")),
    range(1, 10, -3),
    slice(None, 2, "a"),
    2**64,
    10**616,
    datetime(2024, 2, 29, 1, 2, 3, 4),
    datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=PARIS),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-5, seconds=1), "odd")),
    UTC,
    timezone(timedelta(0), "GMT"),
    PARIS,
    date(2024, 1, 1),
    time(1, 2, 3, 4, tzinfo=PARIS, fold=1),
    time(0),
    timedelta(-1, 2, 3),
    timedelta.max,
    Decimal("1.00"),
    Decimal("-0E+5"),
    Decimal("Infinity"),
    UUID(int=5),
    Path("a/../b"),
    Path(),
    PurePosixPath("//a"),
    PureWindowsPath("c:\\a/b"),
    Colour.RED,
    Colour.CRIMSON,
    Colour.MIXED,
    Level.LOW,
    Mode.FAST,
    Right.READ,
    Right.READ | Right.WRITE,
    Right(0),
    Bits(9),
    {Colour.RED: Level.LOW},
    Point(1, (2, Point(3))),
    Frozen("a", ("b",)),
    {Frozen("a"): 1},
    Child(1, 2, 3),
    Box(Box(1)),
    Concrete(1),
    Outer.Inner(1),
]


def assert_same(found: Any, expected: Any) -> None:
    """Equal in value and in type at every depth; the `repr` tells -0.0, 1.00 and a fold."""
    assert type(found) is type(expected)
    assert repr(found) == repr(expected)
    assert found == expected


def define_order(module: types.ModuleType) -> Any:
    """A dataclass `Order` in `module`, as if it were written there."""
    cls = dataclasses.make_dataclass("Order", [("id", int)])
    cls.__module__ = module.__name__
    vars(module)["Order"] = cls
    return cls


def refusal(value: object, **options: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        encode(value, **options)
    return str(caught.value)


@pytest.mark.parametrize("value", EXACT, ids=lambda value: type(value).__name__)
def test_decoded_equals_original_in_value_and_type(value: object) -> None:
    """design 5: decoded equals original in value and in type, without pickle."""
    assert_same(decode(encode(value)), value)
    assert_same(decode(encode([{"a": (value,)}])), [{"a": (value,)}])
    assert_same(decode_call(encode_call((value, 1), {"k": value})), ((value, 1), {"k": value}))


def test_int_beyond_the_limit_of_digits() -> None:
    """design 5: an int of any size; the message of no test may print it."""
    value = 7**20000
    assert decode(encode({"a": [value, -value]})) == {"a": [value, -value]}
    assert decode(encode({value: 1})) == {value: 1}
    assert "<int>" in refusal({value: object()})


def test_not_a_number() -> None:
    """design 5: nan comes back as nan."""
    value = decode(encode([float("nan"), Decimal("sNaN12")]))
    assert str(value) == "[nan, Decimal('sNaN12')]"


def test_five_megabytes_both_ways() -> None:
    """design 7: large payloads work."""
    value = bytes(range(256)) * 20_000
    assert decode(encode(value)) == value


def test_plain_data_is_plain_json() -> None:
    """design 5: JSON; the command line and people can read it."""
    assert encode({"a": [1, "é", None]}) == 'j{"a":[1,"é",null]}'.encode()
    assert encode_call((7,), {"n": 3}) == b'j[[7],{"n":3}]'
    assert encode((1,)) == b't{"$tuple":[1]}'


def test_later_changes_do_not_matter() -> None:
    """contract 3: arguments are captured at the call."""
    rows = [1]
    data = encode_call((rows,), {})
    rows.append(2)
    assert decode_call(data) == (([1],), {})


def test_one_list_twice_becomes_two_equal_ones() -> None:
    """The documented exception: sharing inside a payload is not kept by JSON."""
    shared: list[int] = []
    first, second = decode(encode([shared, shared]))
    assert first == second == []
    assert first is not second


# --- enums and dataclasses --------------------------------------------------------------------------------


def test_enum_members_are_the_same_objects() -> None:
    """design 5: Enum members, IntEnum too (JSON alone would make it an int)."""
    for member in (Colour.RED, Level.LOW, Mode.FAST, Right.READ, Right.READ | Right.WRITE):
        assert decode(encode(member)) is member


def test_dataclass_is_rebuilt_without_its_init() -> None:
    """design 5: dataclasses, by their fields; __post_init__ ran when the original was made."""
    value = Counted(given=2)
    value.total = 99
    Counted.calls.clear()
    assert_same(decode(encode(value)), value)
    assert Counted.calls == []


def test_unset_field_stays_unset() -> None:
    """A field(init=False) that nobody has set yet is no error."""
    found = decode(encode(Unset(1)))
    assert vars(found) == {"a": 1}


def test_cached_property_and_generic_alias_are_not_fields() -> None:
    """What is computed from the fields is computed again."""
    value = Circle(2.0)
    assert value.area == 12.0
    assert vars(decode(encode(value))) == {"radius": 2.0}
    assert_same(decode(encode(Box[int](1))), Box(1))


def test_hidden_attribute_is_not_lost_silently() -> None:
    """design 5: or refused at the call: an attribute beside the fields would be missing in the task."""
    assert "'b', an attribute that is no field" in refusal(Secret(1))


def test_dataclass_on_top_of_a_builtin_is_not_flattened() -> None:
    """An exception keeps its arguments elsewhere than in fields."""
    assert "derived from a built-in class" in refusal(FailureError(1))


def test_field_added_since(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 1: pending tasks stay; a deployment may have added a field with a default."""
    module = types.ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", module)
    old = define_order(module)
    new = dataclasses.make_dataclass(
        "Order", [("id", int), ("n", int, field(default=1)), ("tags", list, field(default_factory=list))]
    )
    data = encode(old(7))
    vars(module)["Order"] = new
    assert decode(data) == new(7, 1, [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: sys.modules.pop("shop"), "shop.Order, but the module shop is not loaded"),
        (lambda: vars(sys.modules["shop"]).clear(), "shop.Order, but there is no such dataclass"),
        (lambda: vars(sys.modules["shop"]).update(Order=int), "there is no such dataclass"),
        (lambda: vars(sys.modules["shop"]).update(Order=Unset), "shop.Order has no field 'id'"),
    ],
)
def test_class_that_has_changed_since(monkeypatch: pytest.MonkeyPatch, change: Any, message: str) -> None:
    """design 5: classes are resolved only from loaded modules; the message names them."""
    module = types.ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", module)
    cls = define_order(module)
    data = encode(cls(7))
    change()
    with pytest.raises(PayloadError, match=message):
        decode(data)


def test_replaced_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that is not found under its own name would come back as another one."""
    old = Impostor.OLD
    monkeypatch.setattr(sys.modules[__name__], "Impostor", Colour)
    assert "not found under this name" in refusal(old)
    assert "not found under this name" in refusal(old, allow_pickle=False)


def test_classes_of_the_main_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 3: functions of the main script work; so do its classes, loaded again by a worker."""
    module = types.ModuleType("__mp_main__")
    cls = define_order(module)
    monkeypatch.setitem(sys.modules, "__main__", module)
    data = encode(cls(7))
    assert b'"__main__"' in data
    assert decode(data) == cls(7)


def test_frozen_time_stores_what_it_stands_for() -> None:
    """contract 7: freezegun's stand-ins are stored as the datetime and the date they stand for."""
    with freezegun.freeze_time("2024-05-06 07:08:09"):
        import datetime as module

        data = encode([module.datetime.now(), module.date.today(), module.datetime.now(UTC)])
        while_frozen = decode(data)
    expected = [
        datetime(2024, 5, 6, 7, 8, 9),
        date(2024, 5, 6),
        datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
    ]
    assert_same(decode(data), expected)
    assert_same(while_frozen, expected)


# --- pickle ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [Row(1, 2), Text("a"), collections.OrderedDict(a=1), Plainly(1), int, len, {"a": [Row(1, (2,))]}],
    ids=repr,
)
def test_other_types_are_pickled_or_refused(value: object) -> None:
    """design 5: the payload is pickled where the setting allows it, or refused; never flattened."""
    assert "cannot be stored" in refusal(value)
    data = encode(value, allow_pickle=True)
    assert is_pickled(data)
    assert_same(decode(data, allow_pickle=True), value)


def test_an_exception_that_could_not_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 3: what cannot work is refused at the call: its own __init__ wants more than an exception keeps."""
    assert_same(decode(encode(LookupError("a"), allow_pickle=True), allow_pickle=True).args, ("a",))
    with pytest.raises(
        PayloadError, match=r"argument 'errors'\[0\]: a .*Demanding cannot be stored; .* inside the task"
    ):
        encode_call(([Demanding(1, 2)],), {}, allow_pickle=True, names=("errors",))
    message = refusal(Demanding(1, 2), allow_pickle=True, name="return value")
    assert message.startswith("return value: a ")
    monkeypatch.setitem(copyreg.dispatch_table, Demanding, lambda error: (Demanding, (1, 2)))
    assert decode(encode(Demanding(1, 2), allow_pickle=True), allow_pickle=True).args == ("1 and 2",)


def test_a_call_is_pickled_as_a_whole() -> None:
    """design 5: … or the payload is pickled: one list stays one list."""
    shared: list[int] = []
    data = encode_call((shared, Row(1, 2)), {"k": shared}, allow_pickle=True)
    (first, row), kwargs = decode_call(data, allow_pickle=True)
    assert first is kwargs["k"]
    assert_same(row, Row(1, 2))


def test_pickle_is_only_used_where_needed() -> None:
    """Plain data stays readable where pickle is allowed."""
    assert not is_pickled(encode({1: (2,)}, allow_pickle=True))


def test_pickled_payload_is_not_read_unless_allowed() -> None:
    """design 5: the command line never unpickles."""
    data = encode(Row(1, 2), allow_pickle=True)
    for read in (decode, decode_call):
        with pytest.raises(PayloadError, match="pickle is not allowed"):
            read(data)


def test_damaged_pickle() -> None:
    """Whatever unpickling raises is a PayloadError."""
    for data in (b"p", b"pgarbage", b"p" + pickle.dumps(Row(1, 2))[:-3], b"pcshop_not_there\nOrder\n."):
        with pytest.raises(PayloadError, match="cannot be read"):
            decode(data, allow_pickle=True)


# --- refusals --------------------------------------------------------------------------------------------


def test_refusal_names_argument_path_and_way_out() -> None:
    """contract 3: refused at the call; style 10: the thing, and the way out."""
    rows = {"rows": [0, 1, 2, a_generator()]}
    for allow_pickle in (False, True):
        with pytest.raises(PayloadError) as caught:
            encode_call((), rows, allow_pickle=allow_pickle)
        assert str(caught.value) == ("argument 'rows'[3]: a generator cannot be stored; use a list of what it yields")


def test_refusal_of_a_positional_argument() -> None:
    """Its name where the caller knows it, else its number."""
    for allow_pickle in (False, True):
        with pytest.raises(PayloadError, match=r"^argument 2: a lambda cannot be stored; use the data it needs"):
            encode_call((1, lambda: 0), {}, allow_pickle=allow_pickle)
        with pytest.raises(PayloadError, match=r"^argument 'b'\['x'\]: a lambda"):
            encode_call((1, {"x": lambda: 0}, 2), {}, allow_pickle=allow_pickle, names=("a", "b"))


def test_the_culprit_is_named_and_not_its_neighbour() -> None:
    """Where pickle is allowed, the namedtuple in front is no problem."""
    message = refusal([Row(1, 2), Point(1, {"k": Row(1, lambda: 0)})], allow_pickle=True, name="result")
    assert message.startswith("result[1].y['k'][1]: a lambda cannot be stored; ")


@pytest.mark.parametrize(
    ("value", "start"),
    [
        ([{"a": object()}], "value[0]['a']: an object cannot be stored; convert it to plain data"),
        ({(1, Row(1, 2)): 1}, "value key (1, Row(a=1, b=2))[1]: a "),
        ({"k", Row(1, 2)}, "value element: a "),
        (Point(1, {2: Text()}), "value.y[2]: a "),
    ],
)
def test_path_to_what_cannot_be_stored(value: object, start: str) -> None:
    """style 10: an error names the thing."""
    assert refusal(value).startswith(start)


def test_open_file_and_socket(tmp_path: Path) -> None:
    """contract 3: what cannot be serialised is refused, by pickle too."""
    with (tmp_path / "a").open("w") as file:
        assert "use its path" in refusal([file], allow_pickle=True)
        assert "use its path" in refusal([file])
    with socket.socket() as connection:
        assert "a socket.socket cannot be stored" in refusal({"c": connection}, allow_pickle=True)
    assert refusal({(1, None): sys}, allow_pickle=True).startswith("value[(1, None)]: a module cannot be stored")
    assert "a memoryview cannot be stored" in refusal([memoryview(b"")], allow_pickle=True)


def test_local_classes_are_refused() -> None:
    """design 5: no class that a worker could not find."""

    @dataclass
    class Local:
        a: int

    class LocalEnum(enum.Enum):
        A = 1

    for value in (Local(1), LocalEnum.A, [Local(1)]):
        for allow_pickle in (False, True):
            assert "define the class at the top of its module" in refusal(value, allow_pickle=allow_pickle)


def test_value_that_contains_itself() -> None:
    """Cyclic: pickled where allowed, else refused in words."""
    value: list[Any] = [1, {}]
    value[1]["again"] = (value,)
    assert "contains itself" in refusal(value)
    with pytest.raises(PayloadError, match=r"^argument 'v': what contains itself"):
        encode_call((), {"v": value})
    found = decode(encode(value, allow_pickle=True), allow_pickle=True)
    assert found[1]["again"][0] is found


def nested(levels: int, wrap: Any, value: object = 0) -> Any:
    for _ in range(levels):
        value = wrap(value)
    return value


WRAPS = [
    lambda value: [value],
    lambda value: {"a": value},
    lambda value: {1: value},
    lambda value: (value,),
    lambda value: Point(1, value),
    lambda value: Frozen("a", value),
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_deep_nesting(wrap: Any) -> None:
    """A hundred levels come back, even under many calls; more are refused, without RecursionError."""

    def under(frames: int) -> Any:
        return under(frames - 1) if frames else decode(data)

    value = nested(100, wrap)
    data = encode(value)
    assert under(500) == value
    assert decode_call(encode_call((value,), {"a": value})) == ((value,), {"a": value})
    assert "more than 100 levels" in refusal(nested(101, wrap))
    with pytest.raises(PayloadError, match=r"^argument 1.*: more than 100 levels"):
        encode_call((nested(101, wrap),), {})
    assert "levels cannot be stored" in refusal(nested(100_000, wrap), allow_pickle=True)


def test_deep_nesting_is_pickled_where_allowed() -> None:
    """design 5: or the payload is pickled."""
    value = nested(150, lambda value: [value])
    assert decode(encode(value, allow_pickle=True), allow_pickle=True) == value


def test_no_recursion_error_at_the_end_of_the_stack() -> None:
    """An application that is deep in calls itself gets a PayloadError."""

    value = nested(90, lambda value: [value])
    outcomes = set()

    def dive() -> None:
        with contextlib.suppress(RecursionError):  # of this function itself
            dive()
        try:
            encode(value)
            outcomes.add("stored")
        except PayloadError:
            outcomes.add("refused")

    dive()
    assert outcomes == {"stored", "refused"}


# --- what others may write -------------------------------------------------------------------------------

HERE = __name__


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"j",
        b"t",
        b"x1",
        b"jnull ",
        b"j[1]x",
        b"j\xff",
        b"j" + b"[" * 100_000,
        b"j" + b"9" * 5000,
        b't{"$nothing":1}',
        b't{"$int":"zz"}',
        b't{"$int":7}',
        b't{"$set":[[1]]}',
        b't{"$dict":[[[],1]]}',
        b't{"$tuple":1}',
        b't{"$zoneinfo":"../../etc/passwd"}',
        b't{"$timezone":[{"$timedelta":[99,0,0]}]}',
        b't{"$decimal":"x"}',
        b't{"$WindowsPath":"a"}',
        b't{"$enum":["os","system","a"]}',
        b't{"$enum":["os","environ","a"]}',
        b't{"$enum":[1,2,3]}',
        b't{"$enum":["%(here)s","Colour","GREEN"]}',
        b't{"$enum":["%(here)s","Colour","__init__"]}',
        b't{"$flag":["%(here)s","Right",64]}',
        b't{"$flag":["%(here)s","Point",1]}',
        b't{"$dataclass":["os","system",{}]}',
        b't{"$dataclass":["%(here)s","Plainly",{"x":1}]}',
        b't{"$dataclass":["%(here)s","Point",{"x":1,"__class__":2}]}',
        b't{"$dataclass":["%(here)s","Point",{"count":1}]}',
        b't{"$dataclass":["%(here)s","Point",[1]]}',
        b't{"$dataclass":["%(here)s","Outer.Inner.__init__.__globals__",{}]}',
        b't{"$dataclass":["%(here)s",".",{}]}',
    ],
)
def test_malicious_bytes(data: bytes) -> None:
    """design 5: classes only, declared fields only, loaded modules only; nothing but PayloadError."""
    with pytest.raises(PayloadError):
        decode(data.replace(b"%(here)s", HERE.encode()))


def test_decode_imports_nothing_by_itself() -> None:
    """design 5: classes are resolved only from loaded modules."""
    sys.modules.pop("wave", None)  # any small module
    with pytest.raises(PayloadError, match="the module wave is not loaded"):
        decode(b't{"$dataclass":["wave","_wave_params",{}]}')
    assert "wave" not in sys.modules


def test_where_pickles_are_allowed_the_modules_of_classes_are_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """contract 3: a dataclass arrives whether or not the module of the task imports its module."""
    (tmp_path / "parts_of_shop.py").write_text("import dataclasses\n@dataclasses.dataclass\nclass Part:\n    id: int\n")
    (tmp_path / "broken_shop.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    data = b't{"$dataclass":["parts_of_shop","Part",{"id":1}]}'
    with pytest.raises(PayloadError, match="parts_of_shop is not loaded; import it in the module of the task"):
        decode(data)
    assert decode(data, allow_pickle=True).id == 1
    monkeypatch.delitem(sys.modules, "parts_of_shop")
    for module in ("broken_shop", "no_shop_at_all"):
        with pytest.raises(PayloadError, match=r"cannot be read: .*Error: "):
            decode(data.replace(b"parts_of_shop", module.encode()), allow_pickle=True)


def test_decode_asks_no_lazy_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """design 5: … not even by the __getattr__ of a module."""

    def refuse(name: str) -> object:
        raise AssertionError(name)

    class Lazy(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    plain = types.ModuleType("lazy_shop")
    vars(plain)["__getattr__"] = refuse
    for module in (plain, Lazy("lazy_shop")):
        monkeypatch.setitem(sys.modules, "lazy_shop", module)
        with pytest.raises(PayloadError, match="no such dataclass"):
            decode(b't{"$dataclass":["lazy_shop","Order",{}]}')


@pytest.mark.parametrize(
    "data", [b"j7", b"j[]", b"j[[],{},1]", b"j[{},[]]", b't{"$tuple":[[],{}]}', b't[[],{"$dict":[[1,2]]}]']
)
def test_payload_that_is_no_call(data: bytes) -> None:
    """What decode_call returns can be called with."""
    with pytest.raises(PayloadError):
        decode_call(data)


def test_keyword_of_a_str_subclass() -> None:
    """JSON would make it a str; pickle keeps it."""
    kwargs: dict[str, Any] = {Text("a"): 1}
    with pytest.raises(PayloadError, match="subclass of str"):
        encode_call((), kwargs)
    _, found = decode_call(encode_call((), kwargs, allow_pickle=True), allow_pickle=True)
    assert type(next(iter(found))) is Text


def test_posix_path_is_no_pure_path() -> None:
    """design 5: Path, by its exact kind."""
    assert type(decode(encode(PosixPath("a")))) is PosixPath
    assert type(decode(encode(PurePosixPath("a")))) is PurePosixPath


def test_path_that_its_text_does_not_tell() -> None:
    """design 5: equal, or refused: Python 3.11 shows the file "c:a" as if it were on a drive."""
    path = PureWindowsPath(".\\c:a")
    if PureWindowsPath(str(path)) == path:
        assert_same(decode(encode(path)), path)
    else:
        assert "does not lead back" in refusal(path)


def test_imported_while_time_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 7: what the first import happened under does not matter."""
    importlib.import_module("autocron.tagged")  # whatever has run before
    monkeypatch.delitem(sys.modules, "autocron.tagged")
    with freezegun.freeze_time("2024-05-06"):
        importlib.import_module("autocron.tagged")
    value = [datetime(2024, 1, 1), date(2024, 1, 1)]
    assert_same(decode(encode(value)), value)


def test_zone_without_a_key() -> None:
    """A ZoneInfo made from a file does not say which zone it is."""
    smallest = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    assert "use ZoneInfo(key)" in refusal(zoneinfo.ZoneInfo.from_file(io.BytesIO(smallest)))


def test_zone_of_an_enumeration() -> None:
    """What an application calls its zones by is no hindrance."""
    assert decode(encode(zoneinfo.ZoneInfo.no_cache(Zone.PARIS))) is zoneinfo.ZoneInfo("Europe/Paris")


def test_enum_member_that_is_not_listed() -> None:
    """Some libraries make members on the fly; nothing would find them again."""
    stray = object.__new__(Colour)
    stray._name_, stray._value_ = "STRAY", 7
    assert "none of its members" in refusal(stray)


class Request:
    """As that of a web framework: a reference to half the process."""

    def __init__(self) -> None:
        self.environ = {"number": 1, "lines": iter("ab"), "input": a_generator()}


def test_what_holds_more_than_data_is_named_as_a_whole() -> None:
    """style 10: who passes a request has to pass something else, and not to look for the lock in it."""
    assert refusal([Request()], allow_pickle=True) == (
        f"value[0].environ['input']: a generator cannot be stored; "
        f"pass the data that the task needs, not a {HERE}.Request"
    )


def test_object_that_refuses_to_be_pickled() -> None:
    """The object is named, also where nothing inside it is to blame."""
    start = f"value element: a {HERE}.Proxy cannot be stored; "
    for allow_pickle in (False, True):
        assert refusal({Proxy()}, allow_pickle=allow_pickle).startswith(start)
    assert refusal([Stubborn()], allow_pickle=True).startswith(
        f"value[0]: a {HERE}.Stubborn cannot be stored; use what"
    )
