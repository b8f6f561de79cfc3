"""Lock, link, versions and workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ... import __version__
from ...errors import AutocronError, StoreError
from ...system import address as addresses
from ...system import tree
from ...system.code import LOADING
from ...worker import GUARD
from ..database import Database
from ..output import seconds
from . import NOTE, OK, PROBLEM, Case, Finding

STARTING_S: Final = 10.0  # as long as the modules of a large application may take


def lock(case: Case) -> Iterator[Finding]:
    """Who is the one monitor, as the kernel knows it."""
    if case.is_blind:
        return
    holder = holder_of(addresses.directory_of(str(case.path)) / "lock")
    if holder is None:
        yield Finding("lock", OK, "free: no monitor runs")
        return
    case.holder = holder
    process = tree.process(holder)
    if process is not None and process.state in "Tt":
        case.is_stopped = True
        yield Finding("lock", PROBLEM, f"the monitor, pid {holder}, is stopped: nothing runs", f"kill -CONT {holder}")
    else:
        yield Finding("lock", OK, f"held by the monitor, pid {holder or 'in another container'}")


def holder_of(path: Path) -> int | None:
    """The process that holds a lock on this file: 0 if it cannot be seen from here, None if nobody does."""
    try:
        found = path.stat()
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in locks:
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(found.st_ino):
            major, minor, _ = fields[5].split(":")
            if os.makedev(int(major, 16), int(minor, 16)) == found.st_dev:
                return max(0, int(fields[4]))
    return None


def link(case: Case) -> Iterator[Finding]:
    """Whether the monitor answers."""
    if case.is_stopped or case.is_blind:
        return
    clock = case.interface.clock
    started = clock.monotonic()
    try:
        case.database = Database(case.interface, str(case.path))
        case.has_monitor = case.database.find_monitor()
        if case.has_monitor:
            case.overview = case.database.overview()
            took_ms = (clock.monotonic() - started) * 1000
    except FileNotFoundError:
        return  # the directory is one of the findings
    except StoreError as error:
        case.trouble = error
    except AutocronError as error:
        if case.has_monitor:
            yield Finding("link", PROBLEM, str(error), _remedy_for_silence(case.holder))
        return
    if case.has_monitor and not case.is_usable:
        return  # what it says is a finding about the file
    if case.has_monitor:
        yield Finding("link", OK, f"the monitor answers, in {took_ms:.1f} ms")
    elif holder_of(addresses.directory_of(str(case.path)) / "lock") is not None:
        yield Finding(
            "link",
            PROBLEM,
            "a monitor holds the lock and cannot be spoken to",
            "it may be of another user or container; if its socket was removed: end its application",
        )
    else:
        yield Finding("link", NOTE, "no monitor runs, so nothing is run", "start an application, or `autocron run`")


def _remedy_for_silence(holder: int) -> str:
    # Every monitor waits for its disk, or for a worker to begin, now and then: that is no finding by itself.
    if (process := tree.process(holder)) is not None and process.state == "D":
        return "it waits for its disk: look for one in trouble"
    return "see `lock`; if nothing else helps: end the application"


def same_versions(case: Case) -> Iterator[Finding]:
    """Whether monitor, applications and this command belong together."""
    if not case.has_monitor or not case.is_usable:
        return
    if (version := case.overview["version"]) != __version__:
        yield Finding("versions", NOTE, f"the monitor is autocron {version}", "use the command of its environment")
    applications = case.overview["applications"]
    directories = list(dict.fromkeys(each.get("directory", "") for each in applications))  # the newest comes last
    if len(directories) > 1:
        yield Finding(
            "applications",
            NOTE,
            f"they run in different directories: {', '.join(directories)}; workers see the code of the newest",
            "give each application a database of its own; while a new release is deployed it is meant",
        )
    interpreters = sorted({each.get("executable", "") for each in applications})
    if len(interpreters) > 1:
        yield Finding(
            "applications",
            NOTE,
            f"they run with different interpreters: {', '.join(interpreters)}; workers use that of the newest",
            "give each environment a database of its own",
        )
    else:
        pids = ", ".join(str(each.get("pid", 0)) for each in applications)
        yield Finding("applications", OK, f"{len(applications)} linked: {pids}, {''.join(interpreters)}")


def workers(case: Case) -> Iterator[Finding]:
    """Whether there are as many as are wanted, and whether they do something."""
    if not case.has_monitor or not case.is_usable:
        return
    wanted = case.overview["settings"]["workers"] if case.overview["settings"]["enabled"] else 0
    found = case.overview["workers"]
    ready = [each for each in found if each["ready"] and not each["ending"]]
    starting = [each for each in found if not each["ready"] and each["since_s"] < STARTING_S]
    if len(ready) < wanted:
        state = NOTE if ready or starting else PROBLEM
        how = f"{len(ready)} of {wanted} are ready" + (f", {len(starting)} are starting" if starting else "")
        yield Finding("workers", state, how, "wait a moment; else the application's stderr says why they end")
        return
    stopped = [each["pid"] for each in found if (process := tree.process(each["pid"])) and process.state in "Tt"]
    if stopped:
        pids = " ".join(map(str, stopped))
        yield Finding("workers", PROBLEM, f"stopped: {pids}; the job in the hands of one waits", f"kill -CONT {pids}")
        return
    loading = [each for each in ready if each["running"] and each["since_s"] >= STARTING_S and _loads(each["pid"])]
    for each in loading:
        yield Finding(
            "workers",
            PROBLEM,
            f"{each['pid']} is still loading the code of {each['task']} after {seconds(each['since_s'])}",
            GUARD,
        )
    if loading:
        return
    busy = [f"{each['task']} for {seconds(each['since_s'])}" for each in ready if each["running"]]
    yield Finding("workers", OK, f"{len(ready)} of {wanted}; {', '.join(busy) or 'idle'}")


def _loads(pid: int) -> bool:
    """Whether this worker says that it loads code: by its name, for it can say nothing else meanwhile."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == LOADING
    except OSError:
        return False
