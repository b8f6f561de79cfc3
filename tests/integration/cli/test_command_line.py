"""The command line beside real application processes, and what its documentation says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from command_line import PATIENCE_S, Application, document, info_when, is_idle, run

from autocron import messages
from autocron.cli.database import Database
from autocron.cli.root import COMMANDS
from autocron.settings import Settings
from autocron.system import real_interface

DOCS = (Path(__file__).parents[3] / "docs" / "command-line.md").read_text()


# -- with a monitor ------------------------------------------------------------------------------------------


def test_info_asks_a_running_monitor(database: Path, tmp_path: Path, start: Callable[..., Application]) -> None:
    """Its applications, its workers and what they run, its entries."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    application = start(str(fifo))
    found = info_when(database, lambda found: any(each["state"] == "running" for each in found["workers"]))
    assert found["monitor"] is True
    assert found["applications"] == [{"pid": application.process.pid}]
    (worker,) = found["workers"]
    assert worker.pop("since_s") >= 0
    assert worker == {"pid": worker["pid"], "state": "running", "jobs": 1, "task": f"{application.script}:hold"}
    assert found["jobs"] == {"waiting": 0, "processing": 1, "ready": 0, "error": 0}
    found = info_when(database, lambda found: bool(found["cron_entries"]))
    (entry,) = found["cron_entries"]
    assert entry["key"] == f"{application.script}:tidy#0"
    assert (entry["crontab"], entry["tz"]) == ("0 3 0 * *", "Europe/Berlin")
    assert "T03:00:00" in entry["next_fire"]
    shown = run("info", database).stdout
    assert f"{worker['pid']}" in shown
    assert f"{Path(application.script).name}:hold" in shown
    assert "Mon " in shown
    fifo.write_text("go")
    info_when(database, lambda found: found["jobs"]["ready"] == 1 and found["workers"][0]["state"] == "idle")


def test_a_running_monitor_takes_settings_at_once(database: Path, start: Callable[..., Application]) -> None:
    """The number of workers changes while the application runs, and is stored."""
    application = start()
    changed = document("settings", database, "--workers", 3)
    assert (changed["monitor"], changed["changed"]) == (True, ["workers"])
    assert changed["settings"]["workers"]["value"] == 3
    assert "at once" in run("settings", database, "--max-deaths", 2).stdout
    info_when(database, lambda found: [each["state"] for each in found["workers"]] == ["idle"] * 3)
    document("settings", database, "--disabled")
    info_when(database, lambda found: not found["workers"])
    application.end()
    settings = document("info", database)["settings"]
    assert (settings["workers"], settings["max_deaths"], settings["enabled"]) == (3, 2, False)


def test_a_guest_keeps_no_monitor_alive(database: Path, start: Callable[..., Application]) -> None:
    """The monitor ends with its application, even while the command line is linked; then the store is opened."""
    application = start()
    info_when(database, is_idle)
    with Database(real_interface(), str(database)) as asked:
        assert len(asked.ask(messages.OVERVIEW)["applications"]) == 1
        assert asked.find_monitor()
        application.end()
        until = time.monotonic() + PATIENCE_S
        while asked.find_monitor():
            assert asked.ask(messages.OVERVIEW)["applications"] == []
            assert time.monotonic() < until
        assert asked.ask(messages.OVERVIEW)["workers"] == []


# -- without one ---------------------------------------------------------------------------------------------


def test_info_without_a_monitor(database: Path) -> None:
    """The store is opened, nothing is started, and no file is left."""
    found = document("info", "app.db")
    assert found["database"] == str(database)
    assert (found["monitor"], found["applications"], found["workers"]) == (False, [], [])
    assert os.listdir(database.parent) == ["app.db"]


def test_settings_without_a_monitor(database: Path) -> None:
    """They are stored for the next start."""
    options = ["--workers", 4, "--blocking", "--ttl", 60, "--grace", 0.5, "--durability", "normal", "--pickle", "off"]
    changed = document("settings", database, *options)
    assert (changed["monitor"], len(changed["changed"])) == (False, 6)
    values = {name: each["value"] for name, each in document("settings", database)["settings"].items()}
    assert values == {
        "workers": 4,
        "enabled": True,
        "paused": False,
        "blocking": True,
        "ttl_s": 60.0,
        "grace_s": 0.5,
        "max_deaths": 3,
        "durability": "normal",
        "pickle": "off",
    }
    assert document("settings", database, "--no-blocking")["settings"]["blocking"]["value"] is False
    refused = run("settings", database, "--workers", 0, "--blocking")
    assert refused.exit_code == 2
    assert document("settings", database)["settings"]["blocking"]["value"] is False  # nothing of it was taken


@pytest.mark.parametrize("command", ["info", "settings", "tasks", "results", "workers", "crons", "top", "pause"])
def test_databases_that_cannot_be_used(command: str, database: Path, tmp_path: Path) -> None:
    """Exit code 1, a sentence with the path, and the file stays as it was."""
    foreign = tmp_path / "foreign.txt"
    foreign.write_text("text, " * 100)
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(database.read_bytes()[:5000])
    cases = {
        foreign: "it is not a SQLite database",
        damaged: "the file is damaged",
        tmp_path: "it is a directory",
        tmp_path / "none.db": "it does not exist",
        tmp_path / "nowhere" / "app.db": f"the directory {tmp_path / 'nowhere'}",
    }
    for path, reason in cases.items():
        before = path.read_bytes() if path.is_file() else None
        result = run(command, path)
        assert (result.exit_code, result.stdout) == (1, ""), result.stdout
        assert str(path) in result.stderr
        assert reason in result.stderr
        assert (path.read_bytes() if path.is_file() else None) == before
    assert not (tmp_path / "none.db").exists()


def test_a_file_in_a_directory_of_the_current_one(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """command line: a relative name lies in ~/.autocron/; who means another file is told how, and to create nothing."""
    monkeypatch.chdir(tmp_path)
    for name, hint in (
        ("here/app.db", f"for the file in the current directory give {tmp_path}/here/app.db"),
        ("x/y", ""),
    ):
        if hint:
            Path("here").mkdir()
            Path(name).touch()
        result = run("info", name)
        assert result.exit_code == 1
        directory = Path("~/.autocron", name).parent
        assert f"database ~/.autocron/{name}: the directory {directory} does not exist" in result.stderr
        assert result.stderr.rstrip().endswith(hint or "does not exist")


def test_a_store_that_does_not_exist_yet(database: Path) -> None:
    """Another kind of address is refused as it is for `start`."""
    result = run("info", "postgresql://localhost/app")
    assert result.exit_code == 2
    assert "there is no store for 'postgresql'" in result.stderr


# -- as a program --------------------------------------------------------------------------------------------


def program(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_python_m_autocron() -> None:
    """The package can be run as a module; without a terminal there is no colour."""
    done = program("-m", "autocron", "cron", "@daily", "-n", "1", "--tz", "UTC", "--from", "2027-01-01")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Sat 2027-01-02 00:00:00 +00:00" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("command", ["info {} ", "top {} -n 1", "results {}", "doctor {}", "cron @daily"])
def test_who_has_closed_stdout_reads_nothing(command: str, database: Path) -> None:
    """command line: `autocron info app.db >&-`, as some supervisors do it: there is nobody to tell, and no error."""
    line = f"exec {sys.executable} -m autocron {command.format(database)} >&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra(missing: str) -> None:
    """One line says how to install it."""
    code = f"import sys; sys.modules[{missing!r}] = None; from autocron.cli import main; main()"
    done = program("-c", code)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert 'pip install "autocron[cli]"' in done.stderr


# -- the documentation ---------------------------------------------------------------------------------------


def section_of(command: str | None) -> str:
    found = re.search(rf"^## `autocron {command}[ `].*?(?=^## |\Z)", DOCS, re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_and_option_is_documented(command: click.Command) -> None:
    """docs/command-line.md has a section for each command, with all its options."""
    section = section_of(command.name)
    assert section
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            for spelled in (*parameter.opts, *parameter.secondary_opts):
                assert spelled == "--json" or re.search(rf"`{spelled}\b", section), spelled


def paths(value: Any, prefix: str = "") -> set[str]:
    """The keys of a document, with `[]` for the elements of a list."""
    if isinstance(value, dict):
        return {path for key, each in value.items() for path in paths(each, f"{prefix}.{key}" if prefix else key)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return paths(value[0], f"{prefix}[]")
    return {prefix}


LINES = {
    "info": ["DB"],
    "tasks": ["DB"],
    "results": ["DB"],
    "workers": ["DB"],
    "crons": ["DB"],
    "top": ["DB", "-n", "1"],
    "settings": ["DB"],
    "retry": ["DB", "--all"],
    "purge": ["DB", "--until", "1d", "--yes"],
    "run-now": ["DB", "tidy"],
    "pause": ["DB"],
    "resume": ["DB"],
    "doctor": ["DB"],
    "cron": ["@daily"],
}


def test_json_keys_are_documented(database: Path, tmp_path: Path, start: Callable[..., Application]) -> None:
    """The keys in the documentation are those of the documents, no more and no fewer."""
    start("--fail")
    info_when(database, lambda found: bool(found["cron_entries"]) and is_idle(found) and bool(found["jobs"]["error"]))
    document("run-now", database, "tidy")
    info_when(database, lambda found: bool(found["jobs"]["ready"]))
    assert set(LINES) == {command.name for command in COMMANDS} - {"run"}  # of which there is a test of its own
    for name, line in LINES.items():
        assert_documented(name, document(name, *(database if each == "DB" else each for each in line)))


def assert_documented(command: str, found: dict[str, Any]) -> None:
    keys = {re.sub(r"^(cron_entries\[\]\.last_job)$", r"\1.", path) for path in paths(found)}
    settings = "|".join(Settings().as_dict())
    keys = {re.sub(rf"^settings\.({settings})\b", "settings.NAME", path) for path in keys}
    section = section_of(command).partition("Keys of ")[2]
    documented = set(re.findall(r"^- `([^`]+)`", section, re.MULTILINE))
    if "cron_entries[].last_job." in keys:  # nothing has fired
        keys.discard("cron_entries[].last_job.")
        documented = {each for each in documented if ".last_job." not in each}
    assert documented == keys
