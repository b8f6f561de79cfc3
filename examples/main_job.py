"""The main job, to be watched: delayed tasks, a cron entry, a SIGKILL in the middle, and nothing lost.

    python examples/main_job.py

Takes about a minute and a half: cron fires at the full minute. The application is this same file, started by itself
as a process of its own, so that it can be killed for real.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import autocron

DIRECTORY = Path(os.environ.get("MAIN_JOB_DIRECTORY") or tempfile.mkdtemp(prefix="autocron-main-job-"))
DATABASE = DIRECTORY / "app.db"
DIARY = DIRECTORY / "diary.txt"
REPORT_STEPS = 8


def say(text: str) -> None:
    """Show progress at once."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def note(text: str) -> None:
    """Leave a line that survives the process which writes it."""
    with DIARY.open("a") as diary:
        diary.write(f"{text}\n")


@autocron.delay
def thumbnail(number: int) -> str:
    """A short job."""
    time.sleep(0.3)
    return f"thumbnail {number} by process {os.getpid()}"


@autocron.delay
def report(name: str) -> str:
    """A long job: longer than the grace period of a killed application."""
    note(f"report {name!r}: begun")
    for step in range(REPORT_STEPS):
        note(f"report {name!r}: step {step + 1} of {REPORT_STEPS}")
        time.sleep(1)
    note(f"report {name!r}: finished")
    return f"report {name!r}"


@autocron.cron("* * * * *")
def every_minute() -> None:
    """A cron entry."""
    note("cron: every minute")


def diary() -> list[str]:
    """What the tasks have written so far."""
    return DIARY.read_text().splitlines() if DIARY.exists() else []


def application() -> None:
    """A first life: ends by kill -9 while the report is being written."""
    say(f"application {os.getpid()}: autocron.start() -> {autocron.start(DATABASE, workers=2)}")
    waiting = [thumbnail(number) for number in range(1, 9)]
    say(f"application: {len(waiting)} calls registered, none of them has blocked")
    while waiting:
        for result in [each for each in waiting if each.is_ready()]:
            say(f"   done: {result.result}")
            waiting.remove(result)
        time.sleep(0.05)
    say(f"application: waiting for cron at the full minute, {60 - time.time() % 60:.0f} s from now")
    while "cron: every minute" not in diary():
        time.sleep(0.1)
    say("   cron has fired")
    report("2027")
    while f"report '2027': step 2 of {REPORT_STEPS}" not in diary():
        time.sleep(0.05)
    say("application: the report is being written; now kill -9 to myself")
    os.kill(os.getpid(), signal.SIGKILL)


def second_life() -> None:
    """The next start: what was interrupted is finished, without another word."""
    say(f"application {os.getpid()}: autocron.start() -> {autocron.start(DATABASE)}")
    steps = 0
    while "report '2027': finished" not in diary():
        if len(diary()) > steps:
            steps = len(diary())
            say(f"   {diary()[-1]}")
        time.sleep(0.1)
    for result in autocron.get_results():
        if result.function_name == "report":
            while not result.is_ready():
                time.sleep(0.05)
            say(f"application: is_ready() -> True, result -> {result.result!r}")


def tree() -> list[str]:
    """All processes that have to do with this application."""
    listing = subprocess.run(["ps", "-eo", "pid,stat,args"], capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=2) for line in listing.stdout.splitlines()]
    return [
        f"{pid} ({'monitor' if ' monitor ' in args else 'worker'}, {state})"
        for pid, state, args in lines
        if str(DATABASE) in args
    ]


def main() -> None:
    """Start the application, see it die, start it again."""
    environment = {**os.environ, "MAIN_JOB_DIRECTORY": str(DIRECTORY)}
    say(f"database {DATABASE}")
    first = subprocess.Popen([sys.executable, __file__, "application"], env=environment)
    first.wait()
    died = time.monotonic()
    say(f"the application is dead (exit status {first.returncode}); its tree: {', '.join(tree()) or 'empty'}")
    while tree():
        time.sleep(0.02)
    say(f"the tree is empty {time.monotonic() - died:.2f} s after its death (a running job has a grace period of 5 s)")
    subprocess.run([sys.executable, __file__, "second_life"], env=environment, check=True)
    while tree():
        time.sleep(0.02)
    begun = diary().count("report '2027': begun")
    finished = diary().count("report '2027': finished")
    say(f"the report was begun {begun} times and finished {finished} time; the tree is empty; nothing is lost")


if __name__ == "__main__":
    {"application": application, "second_life": second_life}.get(sys.argv[-1], main)()
