"""The honest measure: bugs planted on purpose are found. The whole table is made by `--planted`, and is in the docs."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocron.testing.simulation.campaign import a_switcher
from autocron.testing.simulation.hunt import first_failing
from autocron.testing.simulation.planted import BUGS

TABLE = Path(__file__).parents[2] / "docs" / "simulation.md"
QUICK = 60  # seeds; those that need more are found by the command


def rows() -> dict[str, int]:
    """The bugs of the table in the documentation, and how many seeds each took."""
    table = TABLE.read_text().partition("## Planted bugs")[2]
    lines = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    return {cells[1].strip(" `"): int(cells[3]) if cells[3].strip().isdigit() else 0 for cells in lines}


def test_the_table_in_the_documentation_has_every_bug() -> None:
    """testing 3.8: every planted bug is found; one that is not would say where the simulator is blind."""
    assert set(rows()) == {bug.name for bug in BUGS}
    assert [name for name, seeds in rows().items() if not seeds] == []


@pytest.mark.parametrize("bug", [bug for bug in BUGS if 0 < rows().get(bug.name, 0) <= QUICK], ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: object) -> None:
    """testing 3.8: what the simulator finds in the documentation, it finds here."""
    found = next(each for each in BUGS if each is bug)
    with a_switcher() as switcher:
        assert first_failing(found, switcher, most=4 * QUICK) is not None
