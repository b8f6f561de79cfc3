"""autocron.monitor.applications: who is linked, and what they ask."""

from __future__ import annotations

from typing import Any

import pytest
from small import Link, Small

import autocron
from autocron import messages
from autocron.errors import StoreFull
from autocron.job import Status, Stored

ran: list[str] = []


@autocron.delay
def note(text: str) -> str:
    ran.append(text)
    return text


@pytest.fixture
def small() -> Small:
    ran.clear()
    return Small().start(grace_s=0.0)


def test_who_says_hello_is_told_the_settings(small: Small) -> None:
    """contract 1: stored settings hold in each process of the application."""
    small.ask(messages.SETTINGS, {"ttl_s": 60.0})
    (welcome,) = small.link().heard(messages.WELCOME)
    assert welcome[1] == small.monitor.applications.settings.as_dict()
    assert welcome[1]["ttl_s"] == 60.0
    assert welcome[2] is True  # the store in memory is only ours


def test_who_speaks_another_protocol_is_refused(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    """contract 6: upgraded while it runs, an application is told what to do, and no message is misunderstood."""
    link = Link(small, {}, protocol=messages.PROTOCOL + 1)
    ((_, path, reason),) = link.heard(messages.REFUSED)
    assert path == small.monitor.address
    assert "end all processes of the application, then start it again" in reason
    assert link.channel.peer.closed
    assert not small.monitor._about()["draining"]
    assert (
        f"speaks protocol {messages.PROTOCOL + 1}, this monitor {messages.PROTOCOL}: "
        "restart the application as a whole" in caplog.text
    )


def test_guests_do_not_keep_the_monitor(small: Small) -> None:
    """design 2: the link is the liveness; the command line looks on, and keeps nothing alive."""
    guest = small.link(guest=True)
    small.engine.stop()
    small.settle()
    assert not small.world.monitors
    assert guest.channel.peer.closed or guest.heard(messages.WELCOME)


def test_what_a_task_has_started_does_not_keep_the_monitor(small: Small) -> None:
    """contract 6: nothing outlives the application: a process of the monitor's own tree does not count."""
    link = small.link()
    (theirs,) = [each for each in small.monitor.applications.linked if each.pid == 0 and each.peer is link.channel]  # type: ignore[attr-defined]
    theirs.kin = True  # type: ignore[misc]
    link.say(messages.HELLO, messages.PROTOCOL, {"pid": 5, "directory": ""}, None)
    small.engine.stop()
    small.settle()
    assert not small.world.monitors


def test_another_application_process_keeps_the_monitor(small: Small) -> None:
    """contract 1: stop ends this process' part and, if it is the last application process, monitor and workers."""
    link = small.link()
    small.engine.stop()
    small.settle()
    assert small.world.monitors
    link.close()
    small.settle()
    assert not small.world.monitors
    assert not small.world.workers


def test_a_process_that_links_anew_has_lost_its_former_link(small: Small) -> None:
    """contract 6: who closes all descriptors may keep its link open: it counts no more."""
    entry = ("app:task#0", "app:task", "* * * * *", "", 86400.0, "skip")
    former, other = small.link(engine=7), small.link(engine=8)
    former.say(messages.ANNOUNCE, [entry])
    again = small.link(engine=7)
    assert former.channel.peer.closed
    assert not other.channel.peer.closed
    assert small.monitor.scheduler.keys() == []
    other.close()
    small.engine.stop()
    small.settle()
    assert small.world.monitors
    again.close()
    small.settle()
    assert not small.world.monitors


def test_changed_settings_hold_at_once_and_for_everybody(small: Small) -> None:
    """contract 1: stored settings; a running monitor takes new values at once."""
    links = [small.link(), small.link(guest=True)]
    for link in links:
        link.heard()
    small.ask(messages.SETTINGS, {"workers": 3, "blocking": True})
    small.hear()
    for link in links:
        ((_, settings, _),) = link.heard(messages.CHANGED)
        assert (settings["workers"], settings["blocking"]) == (3, True)
    assert len(small.workers) == 3
    assert small.store.settings()["workers"] == 3


@pytest.mark.parametrize("workers", ["two", 0, 2.5])
def test_a_number_of_workers_that_is_none_changes_nothing(
    small: Small, workers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """contract 6: whatever a process says, the monitor serves the others, and this one too."""
    link = small.link()
    link.heard()
    link.say(messages.HELLO, messages.PROTOCOL, {"pid": 5, "directory": ""}, workers)
    assert link.heard(messages.WELCOME)
    assert f"workers={workers!r}" in caplog.text
    assert len(small.workers) == 1


@pytest.mark.parametrize(
    ("question", "argument"),
    [
        (messages.RESULT, 1 << 70),
        (messages.RESULTS, None),
        (messages.RESULTS, (b"", 1 << 70)),
        (messages.JOBS, ((), "x")),
        (messages.RETRY, 5),
        (messages.PURGE, ([object], [1])),
        (messages.FIRE, []),
        (messages.SETTINGS, "workers"),
    ],
)
def test_a_question_with_an_argument_it_cannot_have_is_answered_so(small: Small, question: str, argument: Any) -> None:
    """design 2: nobody who asks is left waiting, or asks again over link after link."""
    link = small.link()
    link.heard()
    link.say(messages.ASK, 7, question, argument)
    ((_, request, _, _),) = link.heard(messages.FAILED)
    assert request == 7
    assert not link.channel.peer.closed


def test_settings_that_cannot_be_taken_change_nothing(small: Small) -> None:
    """contract 1: anything but an int ≥ 1 is refused."""
    with pytest.raises(autocron.StoreError, match="workers=0"):
        small.ask(messages.SETTINGS, {"workers": 0, "ttl_s": 1.0})
    assert "ttl_s" not in small.store.settings()


def test_a_number_of_workers_that_cannot_be_stored_does_not_hold(
    small: Small, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """contract 1: the number of workers is stored in the database; who starts is served all the same."""

    def refuse(values: Any) -> None:
        raise StoreFull("app.db", "no space")

    monkeypatch.setattr(small.store, "save_settings", refuse)
    link = small.link()
    link.heard()
    link.say(messages.HELLO, messages.PROTOCOL, {"pid": 5, "directory": ""}, 4)
    assert link.heard(messages.WELCOME)
    assert "the number of workers cannot be stored, and stays 1" in caplog.text
    assert len(small.workers) == 1


@pytest.mark.parametrize(
    ("setting", "private", "allowed"),
    [("auto", True, True), ("auto", False, False), ("on", False, True), ("off", True, False)],
)
def test_pickles_are_allowed_where_only_the_owner_can_write(setting: str, private: bool, allowed: bool) -> None:
    """design 5: pickled where the setting allows it: on for a file that only its owner can write."""
    small = Small()
    small.store.pickle_allowed = private
    small.start(pickle=setting)
    assert small.monitor.applications.pickle_allowed() is allowed
    (worker,) = small.workers
    assert worker.worker is not None
    assert worker.worker._pickle_allowed is allowed


def test_whether_pickles_are_allowed_changes_at_once_and_for_everybody(small: Small) -> None:
    """contract 1: a running monitor takes new values at once: who switches pickles off, has none read any more."""
    (before,) = small.workers
    link = small.link()
    for setting, allowed in (("off", False), ("on", True)):
        link.heard()
        small.ask(messages.SETTINGS, {"pickle": setting})
        small.settle()
        ((*_, told),) = link.heard(messages.CHANGED)
        (worker,) = small.workers
        assert worker.worker is not None
        assert (told, small.engine._pickle_allowed, worker.worker._pickle_allowed) == (allowed, allowed, allowed)
        assert worker is not before
        before = worker
    small.ask(messages.SETTINGS, {"ttl_s": 5})
    small.settle()
    assert small.workers == [before]


def test_a_result_is_seen_by_who_asks_as_it_was_when_it_asked(small: Small) -> None:
    """contract 4: is_ready(): the task has been processed, as soon as its outcome is with the monitor."""
    result = small.call(note.__wrapped__, "one")
    assert not result.is_ready()
    small.hear()
    small.world.run_one()
    link = small.link()
    link.heard()
    link.say(messages.ASK, 5, messages.RESULT, bytes.fromhex(result.uuid))
    ((_, request, stored),) = link.heard(messages.REPLY)
    assert (request, stored[4]) == (5, Status.READY)


def test_the_state_of_a_job_is_told_without_its_arguments(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 4: is_ready(), asked again and again, costs the same however large the arguments are."""
    result = small.call(note.__wrapped__, "one")
    id = bytes.fromhex(result.uuid)
    small.settle()
    whole = Stored._make(small.ask(messages.RESULT, id))
    assert Stored._make(small.ask(messages.STATE, id)) == whole._replace(payload=b"")
    assert small.ask(messages.STATE, b"?") is None
    asked: list[str] = []
    ask = small.registrar.ask
    monkeypatch.setattr(
        small.registrar, "ask", lambda question, id, **more: asked.append(question) or ask(question, id)
    )
    assert result.is_ready()
    assert asked == [messages.STATE]


def test_a_result_is_unavailable_from_the_moment_its_time_is_over(small: Small) -> None:
    """contract 4: kept for the stored time to live; that it is removed a little later shows nowhere."""
    result = small.call(note.__wrapped__, "x")
    small.settle()
    ended = small.clock.time()
    small.clock.reach(ended + 1799.0)
    assert small.ask(messages.RESULT, bytes.fromhex(result.uuid)) is not None
    small.clock.reach(ended + 1800.0)
    assert small.ask(messages.RESULT, bytes.fromhex(result.uuid)) is None
    assert result.is_ready() is False
    assert result.status == Status.UNAVAILABLE


def test_results_come_in_pages_of_a_sane_size(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """contract 5: all stored results, oldest first, however many and large they are."""
    monkeypatch.setattr("autocron.stores.sqlite.PAGE_BYTES", 1000)
    for number in range(20):
        small.call(note.__wrapped__, f"{number}" * 300)
    small.settle()
    pages = []
    after = b""
    while page := small.ask(messages.RESULTS, (after, 500)):
        pages.append(len(page))
        after = Stored._make(page[-1]).id
    assert sum(pages) == 20
    assert max(pages) <= 3
    assert len(small.engine.get_results()) == 20


def test_an_unknown_question_is_answered(small: Small) -> None:
    """design 2: an older monitor does not leave a newer process waiting."""
    with pytest.raises(autocron.AutocronError, match="'meaning' is a question this monitor does not know"):
        small.ask("meaning", 42)


def test_the_overview_tells_who_is_there(small: Small) -> None:
    """command line: info."""
    small.link(guest=True)
    small.link(pid=815)
    overview = small.ask(messages.OVERVIEW)
    assert [each["pid"] for each in overview["applications"]] == [0, 815]
    assert [(each["ready"], each["running"]) for each in overview["workers"]] == [(True, 0)]
