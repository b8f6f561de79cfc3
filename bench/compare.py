"""All figures of bench/README.md, measured side by side in one run.

    pip install -e . huey
    python bench/compare.py            # about eight minutes; --quick for a first look

Throughput and latency are taken in turns (A B C, A B C, …), medians over the rounds: the machine may drift, the
ratios hold. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
AUTOCRON, HUEY, HUEY_TUNED, LOOP = "autocron", "huey, defaults", "huey, tuned", "raw SQLite loop"


# -- processes -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def application(name: str, *args: object) -> Iterator[subprocess.Popen[str]]:
    """A process of one of the systems, with all that belongs to it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, contextlib.ExitStack() as stack:
        belonging: list[int] = []
        stack.callback(wait_for_ends, belonging)  # after the end of all of them, before that of the directory
        database = Path(directory) / "jobs.db"
        tuned = "1" if name == HUEY_TUNED else "0"
        environment = {**os.environ, "HUEY_FILE": str(database), "HUEY_TUNED": tuned, "BENCH_RUN": directory}
        if name == AUTOCRON:
            command = [HERE / "autocron_app.py", database, *args]
        elif name == LOOP:
            command = [HERE / "sqlite_loop.py", database, *args[1:]]
        else:
            polls = ["-d", "0.01", "-m", "0.05"] if name == HUEY_TUNED else []
            consumer = ["-m", "huey.bin.huey_consumer", "huey_app.huey", "-w", "2", "-k", "process", "-q", *polls]
            stack.enter_context(running(consumer, environment, stderr=subprocess.DEVNULL))
            # Imported, not run: its tasks must have the names that the consumer knows.
            command = ["-c", "import huey_app; huey_app.main()", *args]
        process = stack.enter_context(running(command, environment, stdout=subprocess.PIPE))
        yield process
        belonging += pidfds(marked(f"BENCH_RUN={directory}".encode()))  # the process itself may have ended


@contextlib.contextmanager
def running(command: list[Any], environment: dict[str, str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone afterwards, with its group."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], env=environment, cwd=HERE, text=True, start_new_session=True, **options
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def pidfds(pids: list[int]) -> list[int]:
    """A descriptor of each process that is still there."""
    found = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            found.append(os.pidfd_open(pid))
    return found


def wait_for_ends(fds: list[int]) -> None:
    """Until all these processes are gone."""
    for fd in fds:
        select.select([fd], [], [])
        os.close(fd)


def family(process: subprocess.Popen[str]) -> list[int]:
    """A process and all that belongs to it, by what they inherit: a monitor is nobody's child."""
    (marker,) = (each for each in environment_of(process.pid) if each.startswith(b"BENCH_RUN="))
    return [process.pid, *(pid for pid in marked(marker) if pid != process.pid)]


def marked(marker: bytes) -> list[int]:
    """All processes that have inherited this."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in pids if marker in environment_of(pid)]


def environment_of(pid: int) -> list[bytes]:
    """What a process was started with; nothing if it is gone or somebody else's."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


def measure(name: str, what: str, count: int) -> dict[str, Any]:
    """One system in one run of its own."""
    with application(name, what, count) as process:
        output, _ = process.communicate(timeout=300)
    return dict(json.loads(output.splitlines()[-1]))


# -- what is measured ------------------------------------------------------------------------------------------


def throughput(rounds: int, count: int) -> None:
    """Jobs per second, all systems in turns."""
    systems = [LOOP, AUTOCRON, HUEY_TUNED, HUEY]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name in systems:
            runs[name].append(measure(name, "throughput", count))
    best = {name: {key: statistics.median(run[key] for run in runs[name]) for key in runs[name][0]} for name in systems}
    print(f"\nThroughput: {count} no-op jobs, 2 worker processes, results stored, medians of {rounds} rounds")
    print(f"{'':18}{'µs per call':>14}{'stored/s':>12}{'end to end/s':>14}{'× huey tuned':>14}{'× raw loop':>12}")
    for name in systems:
        row = best[name]
        ratios = [row["jobs_per_s"] / best[other]["jobs_per_s"] for other in (HUEY_TUNED, LOOP)]
        print(
            f"{name:18}{row['call_us']:14.1f}{row['stored_per_s']:12,.0f}{row['jobs_per_s']:14,.0f}"
            f"{ratios[0]:14.2f}{ratios[1]:12.2f}" + (f"   {row['lost']:.0f} jobs lost" if row.get("lost") else "")
        )


def latency(rounds: int, count: int) -> None:
    """From the call to the first line of the task."""
    systems = [AUTOCRON, HUEY_TUNED, HUEY]
    runs: dict[str, list[float]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name in systems:
            runs[name] += measure(name, "latency", count)["ms"]
    print(f"\nFrom the call to the start of the task, idle system, {rounds * count} calls, ms")
    for name in systems:
        print(f"{name:18}{spread(runs[name])}")


def idling(seconds: int) -> None:
    """What the processes do while nothing is due."""
    print(f"\nIdling for {seconds} s, monitor or consumer with 2 workers, and the threads in the application")
    print(f"{'':18}{'context switches':>18}{'CPU ms':>10}{'PSS MB':>10}")
    for name in (AUTOCRON, HUEY_TUNED, HUEY):
        with application(name, "idle", 0) as process:
            assert process.stdout is not None
            process.stdout.readline()
            pids = family(process)
            time.sleep(2)  # a prune, a checkpoint: what follows the last job
            before, cpu = switches(pids, process.pid), cpu_ms(pids)
            time.sleep(seconds)
            memory = sum(pss(pid) for pid in pids if pid != process.pid) / 1024
            print(f"{name:18}{switches(pids, process.pid) - before:18}{cpu_ms(pids) - cpu:10.0f}{memory:10.1f}")


def switches(pids: list[int], application: int) -> int:
    """Context switches of all threads that are not the application's own."""
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            if pid != application or int(thread.name) != pid:
                lines = (thread / "status").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return total


def cpu_ms(pids: list[int]) -> float:
    """CPU time of these processes."""
    tick_ms = 1000 / os.sysconf("SC_CLK_TCK")
    fields = (Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in pids)
    return sum((int(each[11]) + int(each[12])) * tick_ms for each in fields)


def pss(pid: int) -> int:
    """Memory in kB, shared pages by halves."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def endings(count: int) -> None:
    """SIGKILL of the idle application until the last process of its tree is gone."""
    found = []
    for _ in range(count):
        with application(AUTOCRON, "idle", 0) as process:
            assert process.stdout is not None
            process.stdout.readline()
            others = pidfds(family(process)[1:])
            time.sleep(0.2)
            killed = time.monotonic()
            process.kill()
            process.wait()
            wait_for_ends(others)
            found.append((time.monotonic() - killed) * 1000)
    print(f"\nSIGKILL of the idle application to an empty tree, {count} times, ms\n{AUTOCRON:18}{spread(found)}")


def replacements(count: int) -> None:
    """SIGKILL of a worker until its job runs again: in the other one, which is idle, or in its replacement."""
    print(f"\nSIGKILL of a worker to its job running again, {count} times, ms")
    for workers in (2, 1):
        found = []
        for _ in range(count):
            with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                path = Path(directory) / "told"
                os.mkfifo(path)
                told = os.open(path, os.O_RDWR)
                with application(AUTOCRON, "job", workers, path):
                    victim, _ = os.read(told, 100).split()
                    killed = time.monotonic()
                    os.kill(int(victim), signal.SIGKILL)
                    _, began = os.read(told, 100).split()
                    found.append((float(began) - killed) * 1000)
                os.close(told)
        print(f"{f'{AUTOCRON}, {workers} workers':18}  {spread(found)}")


def importing(count: int) -> None:
    """`import autocron` beside an interpreter that imports nothing."""
    found: dict[str, list[float]] = {"pass": [], "import autocron": [], "import huey": []}
    for _ in range(count):
        for code, times in found.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append((time.perf_counter() - begin) * 1000)
    bare = statistics.median(found["pass"])
    print("\nImporting, ms above a bare interpreter")
    for code in ("import autocron", "import huey"):
        print(f"{code:18}{statistics.median(found[code]) - bare:8.1f}")


def spread(values: list[float]) -> str:
    """p50, p99 and the worst."""
    ordered = sorted(values)
    return (
        f"p50 {statistics.median(ordered):8.2f}   p99 {ordered[int(len(ordered) * 0.99)]:8.2f}   max {ordered[-1]:8.2f}"
    )


def main() -> None:
    """Everything, or what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["throughput", "latency", "idling", "endings", "replacements", "importing"]
    parser.add_argument("what", nargs="*", metavar="WHAT", help="only these of: " + ", ".join(names))
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    quick = options.quick
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    actions = {
        "throughput": lambda: throughput(1 if quick else 3, 20_000),
        "latency": lambda: latency(1 if quick else 3, 100),
        "idling": lambda: idling(5 if quick else 30),
        "endings": lambda: endings(5 if quick else 20),
        "replacements": lambda: replacements(5 if quick else 20),
        "importing": lambda: importing(5 if quick else 15),
    }
    for name in options.what or names:
        actions[name]()


if __name__ == "__main__":
    main()
