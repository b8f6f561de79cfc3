"""Servers take their time to start: by default one of each kind is tried."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `all_servers`, unless it was asked for; give every server the time of a busy machine."""
    asked = config.getoption("--all-servers")
    left_out = [each for each in items if each.get_closest_marker("all_servers") and not asked]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [each for each in items if asked or not each.get_closest_marker("all_servers")]
    for each in items:
        if each.path.parent.name == "servers":
            each.add_marker(pytest.mark.timeout(300))
