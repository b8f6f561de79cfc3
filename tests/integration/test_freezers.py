"""A real engine in a test whose time is frozen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)
PROGRAM = """
import select
from datetime import UTC, datetime

import autocron
from autocron.registrar import Registrar

passes = 0
step = Registrar.step


def counted(self):
    global passes
    passes += 1
    return step(self)


Registrar.step = counted


@autocron.delay
def double(n):
    return 2 * n


def pause(seconds):  # nobody freezes select
    select.select([], [], [], seconds)


if __name__ == "__main__":
    FREEZE
    with frozen:
        autocron.start(DATABASE)
        results = [double(n) for n in range(200)]
        for _ in range(30_000):
            if all(result.is_ready() for result in results):
                break
            pause(0.01)
        assert [result.result for result in results] == [2 * n for n in range(200)], "it stalls"
        before = passes
        pause(0.5)
        assert passes - before < 20, f"it spins: {passes - before} passes while idle"
        autocron.stop()
    print("fine")
"""

FREEZERS = {
    "freezegun": "from freezegun import freeze_time; frozen = freeze_time(MOMENT)",
    "time-machine": "import time_machine; frozen = time_machine.travel(MOMENT, tick=False)",
}


@pytest.mark.parametrize("moment", ["1999-12-31", "2040-01-01"])
@pytest.mark.parametrize("freezer", FREEZERS)
def test_a_real_engine_inside_a_frozen_test_neither_spins_nor_stalls(tmp_path: Path, freezer: str, moment: str) -> None:
    """contract 7: whatever the freezer shows, and though the engine is loaded while it does."""
    program = PROGRAM.replace("FREEZE", FREEZERS[freezer].replace("MOMENT", repr(moment)))
    script = tmp_path / "script.py"
    script.write_text(program.replace("DATABASE", repr(str(tmp_path / "app.db"))))
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.stdout == "fine\n", done.stderr
