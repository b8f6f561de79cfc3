"""How the command line asks: over a link as a guest, and what happens when nobody answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from autocron import messages
from autocron.cli.database import Database
from autocron.errors import AutocronError, StoreError
from autocron.interface import Body, Closed, Event, Interface, Message
from autocron.stores import open_store
from autocron.testing.clock import FakeClock


class Link:
    """The end of a link whose monitor is a function."""

    pid = 0
    kin = False

    def __init__(self, answer: Callable[[Body], list[Body] | None]) -> None:
        self.said: list[Body] = []
        self.heard: list[Event] = []
        self.closed = False
        self._answer = answer

    def send(self, body: Body) -> None:
        self.said.append(body)
        answers = self._answer(body)
        self.heard += [Closed(self)] if answers is None else [Message(self, each) for each in answers]

    def backlog(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


class Spawner:
    """Links to be found, one after another; a wait with nothing to hear lasts until its end."""

    in_process = False

    def __init__(self, clock: FakeClock, path: Path, links: list[Link]) -> None:
        self._clock = clock
        self._path = path
        self.links = links

    def locate(self, database_file: str) -> str:
        return str(self._path / database_file)

    def describe(self) -> dict[str, Any]:
        return {"pid": 7}

    def connect(self, address: str) -> Link | None:
        return self.links.pop(0) if self.links else None

    def wait(self, sources: Sequence[Link], until: float) -> list[Event]:
        events = [event for link in sources for event in link.heard]
        for link in sources:
            link.heard.clear()
        if not events:
            self._clock.reach(until)
        return events


def database(path: Path, *links: Link) -> Database:
    open_store(str(path / "app.db")).close()
    clock = FakeClock(1e9)
    spawner: Any = Spawner(clock, path, list(links))
    return Database(Interface(clock, spawner, open_store, None), "app.db")  # type: ignore[arg-type]


def replying(body: Body) -> list[Body]:
    if body[0] == messages.HELLO:
        return [(messages.WELCOME, {}, True), (messages.REPLY, 99, "an answer to somebody else")]
    return [(messages.CHANGED, {}, False), (messages.REPLY, body[1], {"asked": body[2]})]


def test_a_guest_says_so(tmp_path: Path) -> None:
    """Its hello keeps no monitor alive and asks for no workers; other messages are passed over."""
    link = Link(replying)
    with database(tmp_path, link) as asked:
        assert asked.ask(messages.OVERVIEW) == {"asked": messages.OVERVIEW}
        assert asked.find_monitor()
    assert link.said[0] == (messages.HELLO, messages.PROTOCOL, {"guest": True, "pid": 7}, None)
    assert link.closed


def test_a_refusal_of_the_monitor_is_raised(tmp_path: Path) -> None:
    """What the monitor cannot do is told as it tells it."""
    link = Link(lambda body: [(messages.FAILED, body[1], "/app.db", "no space")] if body[0] == messages.ASK else [])
    with database(tmp_path, link) as asked, pytest.raises(StoreError, match=r"/app\.db: no space"):
        asked.ask(messages.OVERVIEW)


def test_a_monitor_that_does_not_answer(tmp_path: Path) -> None:
    """It may be stopped: the database is not opened beside it."""
    with (
        database(tmp_path, Link(lambda body: [])) as asked,
        pytest.raises(AutocronError, match=r"app\.db does not answer"),
    ):
        asked.ask(messages.OVERVIEW)


def test_a_monitor_that_ends_is_succeeded(tmp_path: Path) -> None:
    """The next one is asked, or the store if there is none."""
    ending = Link(lambda body: None if body[0] == messages.ASK else [])
    with database(tmp_path, ending, Link(replying)) as asked:
        assert asked.ask(messages.OVERVIEW) == {"asked": messages.OVERVIEW}
    assert ending.closed
    with database(tmp_path, Link(lambda body: None if body[0] == messages.ASK else [])) as asked:
        assert asked.ask(messages.OVERVIEW)["workers"] == []
        assert not asked.find_monitor()


def test_without_a_monitor_the_store_is_changed(tmp_path: Path) -> None:
    """The same code answers here."""
    with database(tmp_path) as asked:
        assert asked.ask(messages.SETTINGS, {"workers": 3})["workers"] == 3
    with database(tmp_path) as asked:
        assert asked.ask(messages.OVERVIEW)["settings"]["workers"] == 3


def test_nothing_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file is an error that names it, and the file of that name in the current directory."""
    clock = FakeClock(1e9)
    spawner: Any = Spawner(clock, tmp_path, [])
    interface = Interface(clock, spawner, open_store, None)  # type: ignore[arg-type]
    with pytest.raises(
        StoreError, match=rf"{tmp_path}/app\.db: it does not exist; autocron.start\(\) of an application makes it$"
    ):
        Database(interface, "app.db")
    here = tmp_path / "here"
    here.mkdir()
    (here / "app.db").touch()
    monkeypatch.chdir(here)
    with pytest.raises(StoreError, match=rf"does not exist; .* give {here}/app\.db"):
        Database(interface, "app.db")
    with pytest.raises(StoreError, match="the file is empty"):
        Database(interface, "here/app.db")
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["app.db", "here"]
    assert (here / "app.db").stat().st_size == 0


def test_a_database_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its monitor would not speak to us, so it is said whose it is."""
    monkeypatch.setattr("autocron.cli.database.os.geteuid", lambda: 65534)
    with pytest.raises(StoreError, match=r"belongs to another user; run as that one \(sudo -u '#\d+' autocron"):
        database(tmp_path)
