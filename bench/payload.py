"""What encoding and decoding cost per job: python bench/payload.py"""

from __future__ import annotations

import timeit
from datetime import UTC, datetime
from typing import Any

from autocron.payload import decode, decode_call, encode, encode_call

CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "f(7)": ((7,), {}),
    'f("a", n=3)': (("a",), {"n": 3}),
    "f(datetime)": ((datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),), {}),
    "f(100 rows of 4)": (([{"id": n, "name": "x", "price": 1.5, "ok": True} for n in range(100)],), {}),
    "f(5 MB of bytes)": ((bytes(5_000_000),), {}),
}


def microseconds(function: Any, *args: Any) -> float:
    timer = timeit.Timer(lambda: function(*args))
    number, _ = timer.autorange()
    return min(timer.repeat(5, number)) / number * 1e6


def main() -> None:
    print(f"{'µs':24}{'encode':>12}{'decode':>12}")
    for name, (args, kwargs) in CALLS.items():
        data = encode_call(args, kwargs)
        print(f"{name:24}{microseconds(encode_call, args, kwargs):12.2f}{microseconds(decode_call, data):12.2f}")
    print(f"{'result None':24}{microseconds(encode, None):12.2f}{microseconds(decode, encode(None)):12.2f}")


if __name__ == "__main__":
    main()
