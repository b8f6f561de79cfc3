"""Failpoints: how they are asked for, and when they act."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocron.errors import AutocronError, StoreBusy, StoreFull
from autocron.labels import LABELS
from autocron.system import real_interface
from autocron.system.failpoints import POINTS, Failpoints, parse


def test_every_label_has_two_points() -> None:
    """Design 3: the registry of labels is the registry of failpoints: a new label is tested without another word."""
    assert len(POINTS) == 2 * len(LABELS)
    assert "monitor.settle.after" in POINTS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("monitor.settle.after=kill@3", ("monitor.settle.after", "kill", "", 3)),
        ("monitor.spawn.before=stop:5", ("monitor.spawn.before", "stop", "5", 1)),
        ("worker.run.after=exit:2@10", ("worker.run.after", "exit", "2", 10)),
    ],
)
def test_how_they_are_written(text: str, expected: tuple[str, str, str, int]) -> None:
    """Design 3: point, action, argument, and the number of the passage at which it acts."""
    found = parse(text)
    assert (found.point, found.action, found.argument, found.passages) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("monitor.settle=kill", "'monitor.settle' is no point; known are app.connect.after, "),
        ("monitor.settle.after=explode", "'explode' at monitor.settle.after is no action; known are kill, "),
        ("monitor.settle.after=kill@0", "monitor.settle.after at passage '0'"),
        ("", "'' is no point"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, reason: str) -> None:
    """Design 3: a test whose failpoint does not exist would prove nothing."""
    with pytest.raises(AutocronError) as refused:
        parse(text)
    assert f"AUTOCRON_FAILPOINTS: {reason}" in str(refused.value)


def test_they_act_once_at_the_nth_passage() -> None:
    """Design 3: at the passage asked for, and never again."""
    failpoints = Failpoints([parse("monitor.add.before=full@3"), parse("monitor.add.after=busy")], "")
    failpoints.reach("monitor.add.before")
    failpoints.reach("monitor.add.before")
    with pytest.raises(StoreFull):
        failpoints.reach("monitor.add.before")
    failpoints.reach("monitor.add.before")
    with pytest.raises(StoreBusy):
        failpoints.reach("monitor.add.after")
    failpoints.reach("monitor.claim.before")


def test_processes_that_share_a_log_act_once_together(tmp_path: Path) -> None:
    """Design 3: the next process of a role passes where the last one died."""
    log = str(tmp_path / "log")
    with pytest.raises(StoreFull):
        Failpoints([parse("monitor.add.before=full")], log).reach("monitor.add.before")
    Failpoints([parse("monitor.add.before=full")], log).reach("monitor.add.before")
    (line,) = Path(log).read_text().splitlines()
    assert line.startswith("monitor.add.before ")


def test_without_the_variable_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Design 3: inert otherwise: a call at the seam is the call itself. The variable is read when a world is built."""
    monkeypatch.delenv("AUTOCRON_FAILPOINTS", raising=False)
    plain = real_interface()
    monkeypatch.setenv("AUTOCRON_FAILPOINTS", "monitor.add.before=full")
    failing = real_interface()
    assert plain.reach is not failing.reach
    plain.reach("monitor.add.before")
    with pytest.raises(StoreFull):
        failing.reach("monitor.add.before")
