"""What a power cut may leave of the files of a run: recorded by strace, rebuilt call by call.

A file is what was synced, and the writes since then, each of which may have reached the disk or not, in any order,
whole or torn at a sector. A name is there when its directory was synced; before that it may be there or not. This is
harder than most file systems are: what survives here survives anywhere.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

SECTOR: Final = 512
CALLS: Final = (
    "openat,pwrite64,pwritev,pwritev2,write,writev,fdatasync,fsync,sync_file_range,ftruncate,fallocate,"
    "unlink,unlinkat,rename,renameat,renameat2,link,linkat,copy_file_range"
)
LINE: Final = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>)?(.*)$")
STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
DESCRIPTOR: Final = re.compile(r"^\(\d+<((?:\\x[0-9a-f]{2})*)>")
UNFINISHED: Final = " <unfinished ...>"


def strace(trace: Path) -> tuple[str, ...]:
    """The command that records what follows it, and all it starts."""
    return ("strace", "-f", "-y", "-xx", "-s", "100000000", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(trace))


def why_not() -> str:
    """Why nothing can be recorded here; empty if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    with tempfile.TemporaryDirectory() as directory:
        command = [*strace(Path(directory, "trace")), "true"]
        tried = subprocess.run(command, capture_output=True, check=False, text=True)
    return "" if tried.returncode == 0 else f"strace cannot trace here: {tried.stderr.strip()}"


class Call(NamedTuple):
    """A system call that went well."""

    name: str
    path: bytes  # of the descriptor; empty if the call has none
    strings: tuple[bytes, ...]
    numbers: tuple[int, ...]  # what follows the last string, or the descriptor
    flags: str
    result: int


def calls(trace: Path) -> Iterator[Call]:
    """The calls in the order in which they ended."""
    begun: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        found = LINE.match(line)
        if found is None:
            continue  # a signal, an exit
        pid, name, rest = found.groups()
        if rest.endswith(UNFINISHED):
            begun[pid] = rest.removesuffix(UNFINISHED)
            continue
        if " resumed>" in line[:80]:
            rest = begun.pop(pid) + rest
        arguments, equals, result = rest.rpartition(" = ")
        number = re.match(r"\d+", result)
        if not equals or number is None:
            continue  # it failed
        descriptor = DESCRIPTOR.match(arguments)
        strings = tuple(_bytes(each) for each in STRING.findall(arguments))
        behind = STRING.sub("", arguments)
        behind = behind[behind.rindex(">") + 1 if ">" in behind else 0 :]
        numbers = tuple(int(each) for each in re.findall(r"(?<![\w])\d+(?![\w])", behind))
        path = _bytes(descriptor.group(1)) if descriptor else b""
        yield Call(name, path, strings, numbers, arguments, int(number.group()))


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


@dataclass(eq=False)
class Content:
    """A file, whatever its name."""

    durable: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # offset and data; or a length, and None

    def sync(self) -> None:
        """All of it is on the disk."""
        self.durable, self.pending = self.image(lambda data: [(0, data)]), []

    def image(self, reached: Callable[[bytes], Sequence[tuple[int, bytes]]]) -> bytes:
        """What is there if of each write these parts have reached the disk."""
        content = bytearray(self.durable)
        for at, data in self.pending:
            if data is None:
                if reached(b""):
                    content[at:] = bytes(at - len(content)) if at > len(content) else b""
                continue
            for start, part in reached(data):
                begin = at + start
                if len(content) < begin + len(part):
                    content.extend(bytes(begin + len(part) - len(content)))
                content[begin : begin + len(part)] = part
        return bytes(content)


def everything(data: bytes) -> list[tuple[int, bytes]]:
    """Every write has reached the disk, though nobody asked for it."""
    return [(0, data)]


def nothing(data: bytes) -> list[tuple[int, bytes]]:
    """No write has reached the disk that nobody asked for."""
    return []


class Torn:
    """Some writes have, some have not, and some in part."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self, data: bytes) -> list[tuple[int, bytes]]:
        fate = self._random.random()
        if fate < 0.4:
            return [(0, data)]
        if fate < 0.8:
            return []
        sectors = range(0, len(data), SECTOR)
        return [(at, data[at : at + SECTOR]) for at in sectors if self._random.random() < 0.5]


class Disk:
    """The files of one directory, as the calls leave them."""

    def __init__(self, directory: Path) -> None:
        self.directory = os.fsencode(directory)
        self.names: dict[bytes, Content] = {}
        self.durable_names: dict[bytes, Content] = {}

    def holds(self, path: bytes) -> bool:
        """Whether it is a file of this directory."""
        return os.path.dirname(path) == self.directory

    def apply(self, call: Call) -> None:
        """Do what the call did."""
        name = call.name
        if name == "openat":
            if call.strings and self.holds(call.strings[-1]) and "O_CREAT" in call.flags:
                self.names.setdefault(call.strings[-1], Content())
        elif name.startswith("unlink"):
            self.names.pop(call.strings[-1], None)
        elif name.startswith(("rename", "link")):
            source, target = call.strings[-2:]
            if source in self.names:
                self.names[target] = self.names[source]
                if name.startswith("rename"):
                    del self.names[source]
        elif call.path == self.directory and name in ("fsync", "fdatasync"):
            self.durable_names = dict(self.names)
        elif self.holds(call.path):
            self._apply_to(self.names.setdefault(call.path, Content()), call)

    def _apply_to(self, content: Content, call: Call) -> None:
        if call.name == "pwrite64":
            content.pending.append((call.numbers[-1], call.strings[-1][: call.result]))
        elif call.name == "ftruncate":
            content.pending.append((call.numbers[-1], None))
        elif call.name in ("fsync", "fdatasync"):
            content.sync()
        elif call.name not in ("write", "writev"):  # of a log, a diary: not what is looked at
            raise NotImplementedError(f"{call.name} is not rebuilt")

    def image(self, into: Path, reached: Callable[[bytes], Sequence[tuple[int, bytes]]], *, names: bool) -> None:
        """Write what a power cut leaves; `names`: those of a directory that was not synced are there too."""
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir()
        for path, content in (self.names if names else self.durable_names).items():
            into.joinpath(os.fsdecode(os.path.basename(path))).write_bytes(content.image(reached))
