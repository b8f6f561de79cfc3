"""Housekeeping of the store: when nobody waits for it, slice by slice, then silence."""

from __future__ import annotations

from random import Random

from autocron.errors import StoreError
from autocron.interface import Interface
from autocron.monitor.tidier import IDLE_S, PAUSE_S, RETRY_S, Tidier
from autocron.testing import FakeClock, ModelStore


class Untidy(ModelStore):
    """A store that says how it is tidied."""

    def __init__(self, slices: int = 0, error: StoreError | None = None) -> None:
        super().__init__()
        self.slices = slices
        self.error = error
        self.tidied = 0

    def tidy(self) -> bool:
        if self.error is not None:
            raise self.error
        self.tidied += 1
        self.slices -= 1
        return self.slices > 0


def made(store: Untidy) -> tuple[FakeClock, Tidier]:
    clock = FakeClock(0.0)
    return clock, Tidier(Interface(clock, None, None, Random(1)), store)  # type: ignore[arg-type]


def test_a_store_that_was_not_written_is_left_alone() -> None:
    """design 1.6: with nothing due, nobody wakes up."""
    store = Untidy()
    _, tidier = made(store)
    tidier.tidy()
    assert (tidier.next_at, store.tidied) == (None, 0)


def test_it_waits_until_nothing_was_written_for_a_moment() -> None:
    """design 5: checkpoints when idle."""
    store = Untidy()
    clock, tidier = made(store)
    for _ in range(5):
        store.written += 1
        tidier.tidy()
        assert tidier.next_at == clock.monotonic() + IDLE_S
        clock.advance(IDLE_S / 2)
    tidier.tidy()
    assert store.tidied == 0
    clock.advance(IDLE_S / 2)
    tidier.tidy()
    assert (store.tidied, tidier.next_at) == (1, None)
    clock.advance(3600)
    tidier.tidy()
    assert store.tidied == 1


def test_what_is_left_is_done_slice_by_slice_unless_something_is_written() -> None:
    """design 5: never in the way."""
    store = Untidy(slices=3)
    clock, tidier = made(store)
    store.written += 1
    tidier.tidy()
    clock.advance(IDLE_S)
    tidier.tidy()
    assert tidier.next_at == clock.monotonic() + PAUSE_S
    store.written += 1
    clock.advance(PAUSE_S)
    tidier.tidy()
    assert (store.tidied, tidier.next_at) == (1, clock.monotonic() + IDLE_S)
    while tidier.next_at is not None:
        clock.advance(PAUSE_S)
        tidier.tidy()
    assert store.tidied == 3


def test_a_store_that_cannot_be_tidied_is_tried_again_much_later() -> None:
    """design 1.6: a full disk makes nobody spin."""
    store = Untidy(error=StoreError("app.db", "no"))
    clock, tidier = made(store)
    store.written += 1
    tidier.tidy()
    clock.advance(IDLE_S)
    tidier.tidy()
    assert tidier.next_at == clock.monotonic() + RETRY_S
