"""The pytest plugin, loaded by the entry point: fixtures, marker, options. It changes nothing unless it is used."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from .simulation.fixtures import MARKER as SIMULATION_MARKER
from .simulation.fixtures import add_options, autocron_sim, pytest_pyfunc_call

if TYPE_CHECKING:
    from .clock import FakeClock
    from .engine import FakeEngine

MARKER = (
    "autocron(mode, start, tz, freeze, seed, workers, strict): "
    "run the test with a fake engine, with the arguments of autocron.testing.fake_engine"
)
MODES = ("queued", "inline", "off")
OPTIONS = ("mode", "start", "tz", "freeze", "seed", "workers", "strict")
GUARD = pytest.StashKey["FakeEngine"]()
TOLD = pytest.StashKey["Counter[str]"]()  # by the processes of pytest-xdist

__all__ = ["autocron_sim", "pytest_pyfunc_call"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and ini options."""
    group = parser.getgroup("autocron")
    group.addoption("--autocron-seed", type=int, default=0, help="seed of the identifiers that fake engines draw")
    add_options(group)
    parser.addini("autocron_mode", "mode of fake engines: queued, inline or off", default="queued")
    parser.addini("autocron_strict", "jobs that still wait at the end of a test are an error", "bool", default=False)
    parser.addini("autocron_freeze", "fake engines may start a freezer", "bool", default=True)
    parser.addini("autocron_guard", "each test has a fake engine, asked for or not", "bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; with the guard, nothing real is started from here on, during collection too."""
    config.addinivalue_line("markers", MARKER)
    config.addinivalue_line("markers", SIMULATION_MARKER)
    if (mode := config.getini("autocron_mode")) not in MODES:
        raise pytest.UsageError(f"autocron_mode = {mode}: only {', '.join(MODES)} is allowed")
    if config.getini("autocron_guard"):
        from .engine import FakeEngine  # noqa: PLC0415 - the plugin loads nothing until it is used

        config.stash[GUARD] = FakeEngine(freeze=False).__enter__()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the guard away."""
    engine = config.stash.get(GUARD, None)
    if engine is not None:
        del config.stash[GUARD]
        engine.close()


def pytest_report_header(config: pytest.Config) -> str:
    """What holds in this session."""
    from .freezing import installed  # noqa: PLC0415

    freezes = config.getini("autocron_freeze") and config.getini("autocron_mode") != "off"
    kind = installed() if freezes else None
    freezer = "none" if kind is None else kind.name
    guard = ", guard" if config.getini("autocron_guard") else ""
    mode = config.getini("autocron_mode")
    return f"autocron: mode {mode}, clock {'real' if mode == 'off' else 'fake'}, freezer {freezer}{guard}"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What one should know, once."""
    told = _told_here() + config.stash.get(TOLD, Counter())
    if told["unfrozen"]:
        from .freezing import INSTALL  # noqa: PLC0415

        terminalreporter.write_line(f"autocron: {INSTALL}")
    if (starts := told["starts"]) and config.getini("autocron_guard"):
        times = "once" if starts == 1 else f"{starts} times"
        terminalreporter.write_line(f"autocron: start() was called {times} and started nothing (autocron_guard)")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of pytest-xdist tells the one that writes the summary."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["autocron"] = dict(_told_here())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Such a process has ended."""
    node.config.stash.setdefault(TOLD, Counter()).update(getattr(node, "workeroutput", {}).get("autocron", {}))


def _told_here() -> Counter[str]:
    told: Counter[str] = Counter()
    if (freezing := sys.modules.get("autocron.testing.freezing")) is not None:
        told["unfrozen"] = int(freezing.FollowingClock.said)
    if (guarding := sys.modules.get("autocron.testing.guarding")) is not None:
        told["starts"] = guarding.GuardingEngine.starts
    return told


@pytest.fixture
def fake_engine(request: pytest.FixtureRequest) -> Iterator[FakeEngine]:
    """Autocron in this thread, on a clock that the test moves: see `autocron.testing`."""
    from .engine import FakeEngine  # noqa: PLC0415

    engine = FakeEngine(**_options(request))
    engine.freezes_at_once = _is_asked_for(request)
    engine.__enter__()
    yield engine
    engine.close()
    engine.check()


def _is_asked_for(request: pytest.FixtureRequest) -> bool:
    """Whether the test knows of its engine. One that only the guard has brought leaves the time as it is."""
    node = request.node
    return "fake_engine" in getattr(node, "fixturenames", ()) or node.get_closest_marker("autocron") is not None


@pytest.fixture
def autocron_clock(fake_engine: FakeEngine) -> FakeClock:
    """The clock of `fake_engine`."""
    return fake_engine.clock


@pytest.fixture(autouse=True)
def _autocron_in_force(request: pytest.FixtureRequest) -> None:
    """The marker and the guard stand for the fixture."""
    if request.node.get_closest_marker("autocron") is not None or request.config.getini("autocron_guard"):
        request.getfixturevalue("fake_engine")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that fails says why a job may not have been there."""
    try:
        return (yield)
    except Exception as error:
        from .hints import of_this_test  # noqa: PLC0415

        if hints := [hint for hint in of_this_test() if hint not in str(error)]:
            item.add_report_section("call", "autocron", "\n".join(hints))
        raise


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    config = request.config
    options: dict[str, Any] = {name: config.getini(f"autocron_{name}") for name in ("mode", "strict", "freeze")}
    options["seed"] = config.getoption("--autocron-seed")
    for marker in reversed(list(request.node.iter_markers("autocron"))):  # the closest last
        unknown = [name for name in marker.kwargs if name not in OPTIONS]
        if marker.args or unknown:
            wrong = ", ".join([*map(repr, marker.args), *(f"{name}=" for name in unknown)])
            raise pytest.UsageError(f"@pytest.mark.autocron({wrong}): only {', '.join(OPTIONS)} are known, as keywords")
        options |= marker.kwargs
    return options
