"""autocron.system.links: the listener, and whom it links while there are descriptors."""

from __future__ import annotations

import errno
import resource
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocron.interface import Connected, Event
from autocron.system import descriptors, links
from autocron.system.address import make_directory
from autocron.system.linux import AVAILABLE
from autocron.system.waiting import wait

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="elsewhere than on Linux there is no timer to wait for")


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(descriptors, "_given", [(1, 1)])  # the limit of this process stays as it is
    made = str(tmp_path / "app.db")
    make_directory(made)
    return made


@pytest.fixture
def listener(address: str) -> Iterator[links.SocketListener]:
    made = links.SocketListener.open(address)
    assert made is not None
    yield made
    made.close()


def is_readable(listener: links.SocketListener) -> bool:
    poll = select.poll()
    poll.register(listener.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def heard(listener: links.SocketListener) -> list[Event]:
    return list(listener.receive(select.POLLIN))


def test_who_cannot_be_linked_for_want_of_descriptors_is_linked_later(
    listener: links.SocketListener, address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """design 1.6: quiet: somebody who waits is looked at after a moment, not again and again at once."""
    monkeypatch.setattr(links, "REST_S", 1000.0)
    room = False
    monkeypatch.setattr(listener, "_is_room_left", lambda: room)
    peer = links.connect(address)
    assert peer is not None
    assert is_readable(listener)
    assert heard(listener) == []
    assert not is_readable(listener)
    monkeypatch.setattr(links, "REST_S", 0.0)
    for _ in range(3):
        listener._is_full = False
        assert heard(listener) == []
        assert wait([listener], None) == []  # it is told when the rest is over
    room = True
    (event,) = wait([listener], None)
    assert isinstance(event, Connected)
    assert caplog.text.count("no further process can be linked") == 1
    event.channel.close()
    peer.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_the_system_may_have_none_left_either(
    listener: links.SocketListener, monkeypatch: pytest.MonkeyPatch, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """design 1.6: whoever says so."""

    class Exhausted:
        def accept(self) -> None:
            raise OSError(number, "Too many open files")

        def close(self) -> None:
            pass

    listener._socket.close()
    monkeypatch.setattr(listener, "_socket", Exhausted())
    assert heard(listener) == []
    assert listener._is_full
    assert "Too many open files" in caplog.text


def test_the_last_descriptors_are_for_other_things(monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 6: the store and the workers go on, however many processes want to be linked."""
    assert descriptors.are_left()
    monkeypatch.setattr(resource, "getrlimit", lambda which: (descriptors.RESERVED, 4096))
    assert not descriptors.are_left()
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert descriptors.are_left()
