"""docs/testing.md: every example is run in a fresh directory, by the Python of this test, without configuration."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import autocron
from autocron.testing.traps import HOLDABLE

pytestmark = pytest.mark.timeout(600)
PAGE = Path(autocron.__file__).parent.parent / "docs" / "testing.md"
BLOCKS = re.findall(r"^```python\n# (test_\w+\.py)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
OTHERS = [text for text in re.findall(r"^```python\n(.*?)\n", PAGE.read_text(), re.MULTILINE) if "# test_" not in text]


def run(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run it there; the deadline is the last line against something that hangs, also on a busy machine."""
    environment = {**os.environ, "PYTEST_ADDOPTS": "-p no:hypothesispytest"}  # a reader has none; it is slow to import
    return subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.parametrize(("name", "code"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_an_example_of_the_page_passes_as_it_stands(tmp_path: Path, name: str, code: str) -> None:
    """contract 7: the page-one example and each recipe work with nothing but the installation."""
    (tmp_path / name).write_text(code)
    loop = "asyncio_default_fixture_loop_scope=function"  # pytest-asyncio warns where it is not said
    warnings = ["-W", "error", "-W", "ignore:Using `httpx`"]  # starlette's own advice
    done = run(tmp_path, "-m", "pytest", "-q", "--strict-markers", *warnings, "-o", loop, name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* passed", done.stdout)


def test_every_python_block_of_the_page_is_such_an_example() -> None:
    """No block is left out."""
    assert len(BLOCKS) >= 13
    assert OTHERS == []


def test_all_labels_that_can_be_held_are_listed() -> None:
    """style 16: a new label is found in the docs."""
    listed = re.search(r"with the labels (.*?); another one", PAGE.read_text(), re.DOTALL)
    assert listed is not None
    names = re.findall(r"`([\w.]+)`", listed[1])
    full = {name if not name.startswith(".") else f"monitor{name}" for name in names}
    assert full == {point.rpartition(".")[0] for point in HOLDABLE}


def test_the_unittest_example_runs_by_itself(tmp_path: Path) -> None:
    """contract 7: usable from plain unittest."""
    (tmp_path / "test_unittest.py").write_text(dict(BLOCKS)["test_unittest.py"])
    done = run(tmp_path, "-W", "error", "test_unittest.py")
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stderr


def test_the_examples_pass_together_under_xdist_and_in_random_order(tmp_path: Path) -> None:
    """contract 7: nothing is shared, whatever the order and the process."""
    names = [name for name, _ in BLOCKS if name not in ("test_django.py", "test_async.py")]
    for name in names:
        (tmp_path / name).write_text(dict(BLOCKS)[name])
    done = run(tmp_path, "-m", "pytest", "-q", "-n", "2", *names)
    assert done.returncode == 0, done.stdout + done.stderr
