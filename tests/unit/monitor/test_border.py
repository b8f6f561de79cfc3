"""autocron.monitor.border: what comes in is what its record says, or it goes no further."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from small import Small, job_of

import autocron
from autocron import messages
from autocron.job import Entry, Job, Outcome
from autocron.monitor import border

ran: list[str] = []
NAN, INFINITE = float("nan"), float("inf")


@autocron.delay
def note(word: str) -> None:
    ran.append(word)


@pytest.mark.parametrize("job", [job_of(), job_of(number=(1 << 128) - 1, priority=-(1 << 63), deaths=(1 << 63) - 1)])
def test_a_job_of_ours_is_taken_as_it_is(job: Job) -> None:
    """design 2: the payload passes through as bytes, and nothing of a job is changed."""
    assert border.job(tuple(job)) == job


ODD_JOBS: list[tuple[dict[str, Any], str]] = [
    ({"id": b"short"}, "id=b'short': 16 bytes"),
    ({"id": "0123456789abcdef"}, "id='0123456789abcdef': bytes"),
    ({"task": b"app:task"}, "task=b'app:task': str"),
    ({"payload": None}, "payload=None: bytes"),
    ({"due": NAN}, "due=nan: a finite"),
    ({"due": INFINITE}, "due=inf: a finite"),
    ({"due": "now"}, "due='now': float"),
    ({"priority": 1 << 63}, "priority=9223372036854775808: a whole number of 64 bits"),
    ({"priority": 1.5}, "priority=1.5: int"),
    ({"attempt": -(1 << 70)}, "attempt=-1180591620717411303424: a whole number of 64 bits"),
    ({"max_attempts": None}, "max_attempts=None: int"),
    ({"timeout_s": NAN}, "timeout_s=nan: a finite"),
    ({"expires": -INFINITE}, "expires=-inf: a finite"),
    ({"queue": None}, "queue=None: str"),
    ({"entry": 5}, "entry=5: str"),
    ({"deaths": "3"}, "deaths='3': int"),
]


@pytest.mark.parametrize(("change", "problem"), ODD_JOBS, ids=[problem for _, problem in ODD_JOBS])
def test_a_job_that_could_not_be_stored_is_refused_with_the_reason(change: dict[str, Any], problem: str) -> None:
    """contract 3: what cannot work is refused, and the message names the field, the value and what is needed."""
    with pytest.raises(ValueError, match=r"(is|are) needed") as caught:
        border.job(tuple(job_of()._replace(**change)))
    assert problem in str(caught.value)


@pytest.mark.parametrize("row", [(b"0123456789abcdef", "tasks:add"), (*job_of(), "more"), 5, None])
def test_a_row_of_another_shape_is_refused(row: Any) -> None:
    """design 2: jobs of another version."""
    with pytest.raises((TypeError, ValueError)):
        border.job(row)


ODD_OUTCOMES = [
    (b"", "3", b"", "", 0.0),
    (b"", 1 << 63, b"", "", 0.0),
    (b"", 3, None, "", 0.0),
    (b"", 3, b"", "", NAN),
]


@pytest.mark.parametrize("row", [*ODD_OUTCOMES, ()])
def test_an_outcome_that_could_not_be_stored_is_refused(row: Any) -> None:
    """contract 6: a worker that has gone mad stops nobody else."""
    with pytest.raises((TypeError, ValueError)):
        border.outcome(row)
    assert border.outcome((b"", 3, b"", "", 0.0)) == Outcome(b"", 3)


@pytest.mark.parametrize("change", [{"key": b"a"}, {"crontab": None}, {"catch_up_s": NAN}, {"overlap": 1}])
def test_an_entry_that_could_not_fire_is_refused(change: dict[str, Any]) -> None:
    """contract 6: an application of another version stops nobody else."""
    entry = Entry("app:task#0", "app:task", "* * * * *")
    assert border.entry(tuple(entry)) == entry
    assert border.entry(tuple(entry._replace(catch_up_s=INFINITE))).catch_up_s == INFINITE  # made up however late
    with pytest.raises(ValueError, match="is needed"):
        border.entry(tuple(entry._replace(**change)))


def test_a_job_that_cannot_be_stored_costs_neither_its_group_nor_its_link(caplog: pytest.LogCaptureFixture) -> None:
    """contract 3: the others of the group are stored and acknowledged, and nothing is sent again and again."""
    ran.clear()
    small = Small().start()
    link = small.link()
    link.heard()
    good = job_of(f"{__name__}:note", "good", number=1)
    odd = [good._replace(id=b"short"), good._replace(id=bytes(16), due=NAN), good[:4]]
    caplog.set_level(logging.ERROR)
    caplog.clear()
    link.say(messages.REGISTER, 5, False, [*map(tuple, odd), tuple(good)])
    small.settle()
    assert link.heard() == [(messages.REGISTERED, 5)]
    assert ran == ["good"]
    assert len(small.jobs()) == 1
    assert len(caplog.records) == 3
    assert all("cannot be stored, and is refused" in each.message for each in caplog.records)
