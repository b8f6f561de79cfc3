"""Configuration of the project's own tests."""

from __future__ import annotations

import os
import signal
import time

import hypothesis
import pytest

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("autocron", deadline=None)
hypothesis.settings.load_profile("autocron")

pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--chaos",
        choices=("rotating", "all"),
        default="rotating",
        help="which cells of the kill matrix are run: a ninth of them, another one each day, or all",
    )
    parser.addoption(
        "--all-servers",
        action="store_true",
        help="the whole matrix of servers and frameworks; by default one of each kind",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Many tests wait for other processes: one more than there are processors keeps all of these at work."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else None


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "all_servers: run with --all-servers only")
    # A shell without job control has what it starts in the background ignore Ctrl-C, and applications inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Here and not where tests are collected: the processes of a parallel run must agree.
    os.environ.setdefault("AUTOCRON_CHAOS_TURN", str(int(time.time() // 86400)))
