"""What the simulator has found: each bug as the shortest tape that showed it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autocron.testing.simulation.aims import BUSY, CRASH, FULL, KILL, PAUSE, UNSURE
from autocron.testing.simulation.run import Verdict, run
from autocron.testing.simulation.switcher import Switcher
from autocron.testing.simulation.tape import Numbers


@pytest.fixture(name="switcher", scope="module")
def fixture_switcher() -> Iterator[Switcher]:
    switcher = Switcher()
    yield switcher
    switcher.close()


def holds(numbers: Numbers, switcher: Switcher, *, strikes: bool = True) -> Verdict:
    verdict = run(0, numbers, switcher=switcher)
    assert verdict.story or not strikes, "the tape strikes nowhere any more: write it anew"
    assert verdict.failure is None, f"{verdict.failure}\n" + "\n".join(verdict.story)
    return verdict


def test_a_monitor_that_dies_right_behind_its_welcome_is_noticed(switcher: Switcher) -> None:
    """design 2, self-healing: its welcome and its end come in one wait; the end is told only once."""
    holds({"monitor.spawn.before": {0: CRASH}, "steps of an application": {0: 1}}, switcher)


def test_an_entry_that_could_not_be_stored_at_first_fires_later(switcher: Switcher) -> None:
    """contract 2: a disk that was full for a moment silences no entry."""
    holds({"cron": {0: 1}, "disk store.set_entry": {0: FULL}}, switcher)


def test_what_a_job_has_registered_is_kept_although_its_worker_has_gone_and_the_disk_refuses(
    switcher: Switcher,
) -> None:
    """design 2: a job is not recorded as done without what it has registered."""
    numbers = {
        "steps of an application": {0: 11},
        "step": {0: 13, 7: 10, 9: 12},
        "due": {0: 3, 1: 3},
        "task": {2: 6},
        "disk monitor.add": {5: BUSY},
        "worker.run.after": {0: KILL},
    }
    holds(numbers, switcher)


def test_refused_registrations_are_sent_again_although_others_were_acknowledged_meanwhile(switcher: Switcher) -> None:
    """design 1: an acknowledgement of one group says nothing about the one that was refused."""
    numbers = {"steps of an application": {0: 8}, "step": {1: 12, 4: 12, 6: 10}, "disk monitor.sync": {2: BUSY}}
    holds(numbers, switcher)


def test_a_result_that_was_removed_is_not_waiting_again_while_others_are_registered(switcher: Switcher) -> None:
    """contract 4: a result whose time is over is unavailable, whatever else is on its way to the monitor."""
    numbers = {
        "settings": {0: 1},
        "ttl": {0: 1},
        "steps of an application": {0: 4},
        "step": {1: 10, 2: 0, 3: 12},  # register, pause, register, ask after the first
        "pause of an application": {0: 5},
    }
    holds(numbers, switcher, strikes=False)


def test_a_job_is_given_up_although_the_monitor_died_before_it_could_say_so(switcher: Switcher) -> None:
    """design 1: after three deaths while it was running, a job is not run a fourth time."""
    holds({"steps of an application": {0: 1}, "task": {0: 7}, "monitor.settle.before": {0: CRASH}}, switcher)


def test_what_an_application_has_written_past_a_slow_monitor_runs_once(switcher: Switcher) -> None:
    """design 2: the monitor may find the same registrations in the link afterwards, and the store decides."""
    numbers = {
        "applications": {0: 1},
        "start of an application": {0: 3},
        "steps of an application": {1: 1},
        "leaves early": {1: 1},
        "farewell": {0: 1},
        "monitor.add.before": {0: PAUSE},
        "length of a pause": {0: 4},
        "length": {0: 2},
    }
    holds(numbers, switcher)


def test_what_the_store_took_though_it_reported_an_error_runs_although_its_application_died(
    switcher: Switcher,
) -> None:
    """design 1: nobody sends it again, and nobody has it in hand: the monitor finds it in the store."""
    numbers = {
        "applications": {0: 1},
        "length": {0: 1},
        "leaves early": {0: 1, 1: 1, 2: 1, 3: 1, 5: 1},
        "restart": {1: 1, 2: 1, 4: 1, 8: 1},
        "steps of an application": {4: 2, 5: 1},
        "farewell": {4: 2},
        "disk monitor.add": {2: UNSURE},
    }
    holds(numbers, switcher)


def test_fire_times_that_a_stopped_monitor_has_missed_are_one_firing(switcher: Switcher) -> None:
    """contract 2, catch-up; the oracle took those behind the last thing that had happened for well again."""
    numbers = {
        "cron": {0: 1},
        "length": {0: 3},
        "settings": {0: 1},
        "ttl": {0: 1},
        "monitor.prune.after": {0: PAUSE, 1: PAUSE},
        "length of a pause": {0: 5, 1: 5},
    }
    holds(numbers, switcher)
