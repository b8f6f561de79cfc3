"""The commands on a small world: a monitor that answers, and a store without one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from click.testing import CliRunner, Result

import autocron
from autocron import messages
from autocron.cli.root import root
from autocron.interface import Event, Source
from autocron.job import Job, Status
from autocron.payload import NO_ARGUMENTS
from autocron.registry import registry
from autocron.testing.world import View

ran: list[str] = []


@autocron.delay
def mail(to: str) -> str:
    ran.append(to)
    if to == "nobody":
        raise LookupError(f"no such address: {to}\nat all")
    return f"sent to {to}"


@autocron.delay(hours=2)
def remind(to: str) -> None:
    ran.append(f"remind {to}")


def report() -> None:
    ran.append("report")


@pytest.fixture(autouse=True)
def entry() -> Iterator[str]:
    """An hourly entry; its key."""
    ran.clear()
    autocron.cron("0 * * * *", tz="UTC")(report)
    yield f"{__name__}:report#0"
    registry.forget(f"{__name__}:report")


def run(small: Any, command: str, *args: object, answer: str = "") -> Result:
    line = [command, small.path, *map(str, args)]
    result = CliRunner().invoke(root, line, obj=small.interface(), input=answer)
    small.settle()
    return result


def document(small: Any, command: str, *args: object) -> dict[str, Any]:
    result = run(small, command, *args, "--json")
    assert result.exit_code == 0, result.stderr or result.exception
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def jobs(small: Any, *args: object) -> list[dict[str, Any]]:
    return list(document(small, "results", *args)["jobs"])


def register_some(small: Any) -> None:
    """A job in each state but processing, an hour apart."""
    small.ask(messages.SETTINGS, {"ttl_s": 1e6})
    for to in ("ann", "nobody", "bob"):
        mail(to)
        small.settle()
        small.clock.advance(3600.0)
    remind("ann")
    small.settle()


def end_monitor(small: Any) -> None:
    small.engine.stop()
    small.settle()


# -- looking -------------------------------------------------------------------------------------------------


def test_results_are_told_newest_first(small: Any, entry: str) -> None:
    """command line: `results`, with all that is known of each job."""
    register_some(small)
    found = jobs(small, "--task", "mail") + jobs(small, "--task", "remind")
    assert [(each["arguments"], each["status"]) for each in found] == [
        ("'bob'", "ready"),
        ("'nobody'", "error"),
        ("'ann'", "ready"),
        ("'ann'", "waiting"),
    ]
    assert found[0]["task"] == f"{__name__}:mail"
    assert (found[0]["result"], found[0]["error"]) == ("'sent to bob'", None)
    assert (found[1]["result"], found[1]["error"]) == (None, "LookupError: no such address: nobody\nat all")
    assert found[3]["kept_until"] is None
    assert found[0]["kept_until"] > found[0]["registered"]


def test_a_method_is_found_by_its_name(small: Any) -> None:
    """command line: a function or method, as `run-now` takes them; and no other whose name ends so."""
    named = ("app:Shop.mail", "app:mail", "app:email")
    small.stores[0].add([Job(bytes([each]) * 16, name, NO_ARGUMENTS, 0.0) for each, name in enumerate(named)], token=0)
    assert {each["task"] for each in jobs(small, "--task", "mail")} == {"app:Shop.mail", "app:mail"}
    assert [each["task"] for each in jobs(small, "--task", "Shop.mail")] == ["app:Shop.mail"]


def test_results_can_be_restricted(small: Any) -> None:
    """command line: by state, task, age and id; -n says how many."""
    register_some(small)
    everything = jobs(small, "-n", 0)
    assert len(everything) == 7  # the hourly entry has fired three times
    assert [each["arguments"] for each in jobs(small, "--status", "error")] == ["'nobody'"]
    assert [each["status"] for each in jobs(small, "--status", "error", "--status", "waiting")] == ["waiting", "error"]
    assert jobs(small, "--task", f"{__name__}:*d", "--since", "30m")[0]["task"].endswith("remind")
    assert {each["arguments"] for each in jobs(small, "--until", "90m", "--task", "mail")} == {"'ann'", "'nobody'"}
    one = everything[0]["id"]
    assert [each["id"] for each in jobs(small, one)] == [one]
    assert one in [each["id"] for each in jobs(small, one[:9])]
    limited = document(small, "results", "-n", 2)
    assert ([each["id"] for each in limited["jobs"]], limited["more"]) == (
        [each["id"] for each in everything[:2]],
        True,
    )


def test_more_results_than_there_can_be(small: Any) -> None:
    """command line: `results -n`, however many somebody asks for."""
    register_some(small)
    assert len(document(small, "results", "-n", 10**23)["jobs"]) == len(document(small, "results")["jobs"])


def test_results_as_tables(small: Any) -> None:
    """command line: a line per job; all of it for a single id."""
    register_some(small)
    (failed,) = jobs(small, "--status", "error")
    shown = run(small, "results", "--status", "error").stdout
    assert "mail('nobody')" in shown
    assert "LookupError: no such address: nobody…" in shown
    shown = run(small, "results", failed["id"]).stdout
    assert r"error       LookupError: no such address: nobody\nat all" in shown
    assert run(small, "results", "--task", "nothing").stdout == "no such jobs\n"


def test_a_narrow_terminal_loses_no_column(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """command line: `results`: what does not fit is broken, by the terminal at last, and never left out."""
    register_some(small)
    monkeypatch.setattr("autocron.cli.output.is_terminal", lambda: True)
    for columns in (10, 40, 60):
        monkeypatch.setenv("COLUMNS", str(columns))
        shown = run(small, "results").stdout
        assert shown.splitlines()[0].split() == ["id", "registered", "status", "call", "result"]
        assert re.search(r"ready +test_.* 'sent", shown)


def test_tasks_are_counted(small: Any) -> None:
    """command line: `tasks`, how many jobs of each are in which state."""
    register_some(small)
    found = {each["task"].partition(":")[2]: each for each in document(small, "tasks")["tasks"]}
    assert {name: [each[status] for status in ("waiting", "ready", "error")] for name, each in found.items()} == {
        "mail": [0, 2, 1],
        "remind": [1, 0, 0],
        "report": [0, 3, 0],
    }
    assert found["mail"]["newest_error"].startswith("LookupError")
    assert found["remind"]["next_due"] > found["remind"]["newest"]
    assert "LookupError: no such address: nobody…" in run(small, "tasks").stdout
    assert run(small, "tasks", "--task", "nothing").stdout == "no such jobs\n"


def test_workers_are_listed(small: Any) -> None:
    """command line: `workers`; without a monitor there are none, and it is said why."""
    found = document(small, "workers")
    assert found["monitor"]
    assert [(each["state"], each["task"]) for each in found["workers"]] == [("idle", None)]
    assert "idle" in run(small, "workers").stdout
    end_monitor(small)
    assert document(small, "workers")["workers"] == []
    assert "no monitor runs" in run(small, "workers").stdout


def test_crons_tell_when_entries_fire_and_how_they_ended(small: Any, entry: str) -> None:
    """command line: `crons`."""
    register_some(small)
    (found,) = [each for each in document(small, "crons")["cron_entries"] if each["key"] == entry]
    assert (found["words"], found["fires"]) == ("every hour", True)
    assert found["next_fire"] == "2027-01-16T04:00:00+00:00"
    assert (found["last_fire"], found["last_job"]["status"]) == ("2027-01-16T03:00:00+00:00", "ready")
    end_monitor(small)
    (found,) = [each for each in document(small, "crons")["cron_entries"] if each["key"] == entry]
    assert not found["fires"]
    assert "no running application has it" in run(small, "crons").stdout


def test_top_is_a_view_after_another(small: Any, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """command line: `top`, with what was done per second between two views."""
    register_some(small)
    real_wait = View.wait

    def wait(self: View, sources: Sequence[Source], until: float | None) -> list[Event]:
        if not sources and until is not None:  # between two views
            small.clock.reach(until)
            for to in ("ann", "bob", "cat"):
                mail(to)
            small.settle()
        return real_wait(self, sources, until)

    monkeypatch.setattr(View, "wait", wait)
    lines = run(small, "top", "-n", 2, "--interval", 2, "--json").stdout.splitlines()
    first, second = (json.loads(line) for line in lines)
    assert (first["jobs_per_s"], second["jobs_per_s"]) == (None, 1.5)
    assert [each["key"] for each in second["next_fires"]] == [entry]
    assert [each["error"].partition(":")[0] for each in second["newest_errors"]] == ["LookupError"]
    assert second["jobs"] == {"waiting": 1, "processing": 0, "ready": 8, "error": 1}
    shown = run(small, "top", "-n", 1).stdout
    assert "not running" not in shown
    end_monitor(small)
    assert "not running" in run(small, "top", "-n", 1).stdout


def test_ctrl_c_is_how_top_ends(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """command line: so it is no error, and nothing is said."""
    real_wait = View.wait

    def wait(self: View, sources: Sequence[Source], until: float | None) -> list[Event]:
        if not sources and until is not None:  # between two views
            raise KeyboardInterrupt
        return real_wait(self, sources, until)

    monkeypatch.setattr(View, "wait", wait)
    for form in ([], ["--json"]):
        result = run(small, "top", *form)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.strip()


# -- changing ------------------------------------------------------------------------------------------------


def test_retry_runs_what_failed(small: Any) -> None:
    """command line: `retry`, by id, by task, all; only what ended in error."""
    register_some(small)
    ran.clear()
    (failed,) = jobs(small, "--status", "error")
    assert document(small, "retry", failed["id"])["retried"] == 1
    assert document(small, "retry", "--task", "remind")["retried"] == 0
    assert document(small, "retry", "--all")["retried"] == 1
    assert ran == ["nobody"] * 2
    assert "1 job to be run again\n" in run(small, "retry", "--since", "3h").stdout
    end_monitor(small)
    assert "no monitor runs" in run(small, "retry", "--all").stdout
    small.start()
    assert ran == ["nobody"] * 4


@pytest.mark.parametrize("command", ["retry", "purge"])
def test_nothing_is_done_to_all_jobs_by_oversight(small: Any, command: str) -> None:
    """command line: without ids or filters it is asked which jobs are meant."""
    register_some(small)
    result = run(small, command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "which jobs?" in result.stderr
    assert len(jobs(small)) == 7


def test_purge_asks_first(small: Any) -> None:
    """command line: deletions ask for confirmation, saying what they would remove; --yes does not."""
    register_some(small)
    refused = run(small, "purge", "--task", "mail", answer="n\n")
    assert refused.exit_code == 1
    assert "Remove 3 jobs (2 ready, 1 error)" in refused.stderr
    assert len(jobs(small)) == 7
    assert run(small, "purge", "--task", "mail", "--json").exit_code == 2
    assert run(small, "purge", "--task", "mail", answer="y\n").stdout == "3 jobs removed\n"
    assert document(small, "purge", "--task", "mail", "--yes")["purged"] == 0
    assert len(jobs(small)) == 4


def test_purge_spares_what_has_not_run_unless_told(small: Any) -> None:
    """command line: jobs that wait are removed only with --status waiting."""
    register_some(small)
    assert document(small, "purge", "--all", "--yes")["purged"] == 6
    assert [each["status"] for each in jobs(small)] == ["waiting"]
    assert document(small, "purge", "--status", "waiting", "--all", "--yes")["purged"] == 1
    assert jobs(small) == []


def test_run_now_of_a_job_and_of_an_entry(small: Any, entry: str) -> None:
    """command line: `run-now` takes the id of a waiting job, the key of an entry, or the name of its function."""
    register_some(small)
    ran.clear()
    (waiting,) = jobs(small, "--status", "waiting")
    found = document(small, "run-now", waiting["id"][:20], "report")
    assert [each["entry"] for each in found["jobs"]] == [None, entry]
    assert sorted(ran) == ["remind ann", "report"]
    assert document(small, "run-now", entry)["jobs"][0]["task"] == f"{__name__}:report"
    end_monitor(small)
    result = run(small, "run-now", "report")
    assert "no monitor runs: nothing is run until an application starts" in result.stdout
    assert ran.count("report") == 2


def test_run_now_of_what_is_not_there_runs_nothing(small: Any, entry: str) -> None:
    """command line: all that is named is looked for before anything is run, and what there is is told."""
    register_some(small)
    ran.clear()
    result = run(small, "run-now", "report", "weekly")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"known are {entry}" in result.stderr
    result = run(small, "run-now", "report", "abcdef")
    assert "no waiting job has an id that begins with abcdef" in result.stderr
    assert ran == []


def test_pause_and_resume(small: Any) -> None:
    """command line: a pause is stored, told by `info`, and ended by `resume`."""
    found = document(small, "pause")
    assert (found["paused"], found["changed"]) == (True, True)
    mail("ann")
    small.settle()
    assert ran == []
    assert "nothing has changed" in run(small, "pause").stdout
    assert "paused" in run(small, "info").stdout
    assert document(small, "info")["paused"]
    assert "`autocron resume`" in run(small, "run-now", "report").stdout
    end_monitor(small)
    small.start()
    assert ran == []
    assert document(small, "resume")["changed"]
    assert sorted(ran) == ["ann", "report"]


def test_without_a_monitor_the_store_is_asked_and_changed(small: Any) -> None:
    """command line: the same answers, and the next application runs what was asked for."""
    register_some(small)
    end_monitor(small)
    ran.clear()
    assert len(jobs(small)) == 7
    assert document(small, "retry", "--all")["retried"] == 1
    assert document(small, "purge", "--task", "report", "--yes")["purged"] == 3
    assert document(small, "pause")["monitor"] is False
    small.start()
    assert ran == []
    assert document(small, "resume")["waiting"] >= 0
    assert ran == ["nobody"]


def test_many_jobs_are_changed_in_groups(small: Any) -> None:
    """design 2: the monitor is not held up by a large change."""
    rows = [Job(number.to_bytes(16, "big"), "app:gone", NO_ARGUMENTS, 2e9) for number in range(1, 1203)]
    small.stores[-1].add(rows, token=0)
    assert document(small, "purge", "--status", "waiting", "--all", "--yes")["purged"] == 1202
    assert small.ask("overview")["counts"].get(Status.WAITING, 0) == 0


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["results", "app.db", "xyz"], "'xyz' is no id of a job"),
        (["results", "app.db", "abc"], "its first 6 or more"),
        (["results", "app.db", "--since", "soon"], "2027-01-01T00:00"),
        (["results", "app.db", "--since", "12"], "an age such as 30m"),
        (["results", "app.db", "--status", "done"], "'waiting', 'processing', 'ready', 'error'"),
        (["purge", "app.db", "--status", "processing"], "'waiting', 'ready', 'error'"),
        (["top", "app.db", "--interval", "nan"], "nan: a number of seconds, and an end, is needed"),
        (["top", "app.db", "--interval", "inf"], "inf: a number of seconds, and an end, is needed"),
    ],
)
def test_what_cannot_be_taken_is_refused_before_the_database_is_needed(args: list[str], part: str) -> None:
    """command line: exit code 2, and what is allowed."""
    result = CliRunner().invoke(root, args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert part in result.stderr
