"""autocron.testing.plugin: fixtures, marker, ini options, guard."""

from __future__ import annotations

import pytest

import autocron
from autocron.registry import registry
from autocron.testing import FakeEngine

HEAD = """
import autocron, pytest
from autocron.testing import *

@autocron.delay
def send(to="ann"): return to
"""


def run(pytester: pytest.Pytester, body: str, *args: str, ini: str = "") -> pytest.RunResult:
    """Run a test module in this process."""
    pytester.makepyfile(HEAD + body)
    pytester.makeini(f"[pytest]\n{ini}")
    # Hypothesis would be imported anew by each of these runs.
    without = ("-p", "no:randomly", "-p", "no:hypothesispytest", "-p", "no:asyncio")
    return pytester.runpytest_inprocess(*without, *args)


def test_the_fixture_is_there_by_installing(pytester: pytest.Pytester) -> None:
    """contract 7: no configuration, strict markers included; the engine is gone after the test."""
    body = """
def test_one(fake_engine, autocron_clock):
    send()
    assert_enqueued(send, to="ann")
    assert autocron_clock is fake_engine.clock
    assert run_pending().results == ["ann"]
def test_two():
    with pytest.raises(autocron.AutocronError): run_pending()
"""
    run(pytester, body, "--strict-markers").assert_outcomes(passed=2)


def test_nothing_is_fake_unless_asked_for() -> None:
    """contract 7: installing the plugin changes nothing by itself."""
    assert not autocron.engine.current().guards


@pytest.mark.autocron(start="2027-01-01T00:00Z", tz="Europe/Berlin", workers=3)
def test_the_marker_stands_for_the_fixture() -> None:
    """contract 7: the marker puts the engine in force, with its arguments."""
    from autocron.testing.engine import current

    assert autocron.now().isoformat() == "2027-01-01T00:00:00+00:00"
    assert autocron.now().astimezone().isoformat() == "2027-01-01T01:00:00+01:00"
    current().world.pump()
    assert len(current().world.workers) == 3


@pytest.mark.autocron(mode="inline")
class TestMarkers:
    """Markers of a class and of a test add up."""

    @pytest.mark.autocron(start="2027-01-01T00:00Z")
    def test_the_closest_marker_adds_to_the_farther_ones(self, fake_engine: FakeEngine) -> None:
        """contract 7: a class says the mode, a test the start."""

        @autocron.delay
        def send() -> None: ...

        assert send().is_ready()
        assert autocron.now().year == 2027


def test_an_unknown_argument_of_the_marker_is_named(pytester: pytest.Pytester) -> None:
    """contract 7: a misspelt option must not be passed over."""
    result = run(pytester, "@pytest.mark.autocron(strat='2027-01-01')\ndef test_one(fake_engine): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*strat=*only mode, start, tz, freeze, seed, workers, strict are known*"])


def test_a_failure_that_nobody_has_seen_is_an_error_of_the_test(pytester: pytest.Pytester) -> None:
    """contract 7: failed and unobserved at teardown: the test errors, with the traceback."""
    body = """
@autocron.delay
def fail(): raise ValueError("in the task")
def test_unseen(fake_engine):
    fail()
    run_pending(raises=False)
def test_seen(fake_engine):
    fail()
    assert run_pending(raises=False).failed
def test_asked(fake_engine):
    result = fail()
    run_pending(raises=False)
    assert result.is_ready() and result.has_error
"""
    result = run(pytester, body)
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*raise ValueError*", "*nobody has looked at this failure*"])


def test_strict_does_not_allow_leftovers(pytester: pytest.Pytester) -> None:
    """contract 7: autocron_strict."""
    body = """
def test_one(fake_engine): send()
@pytest.mark.autocron(strict=False)
def test_two(fake_engine): send()
"""
    result = run(pytester, body, ini="autocron_strict = true")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*1 jobs still wait at the end of the test*", "*send()*"])


def test_the_mode_can_be_set_for_all_tests(pytester: pytest.Pytester) -> None:
    """contract 7: autocron_mode."""
    body = "def test_one(fake_engine): assert send().is_ready()"
    result = run(pytester, body, ini="autocron_mode = inline")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["autocron: mode inline, clock fake, freezer time-machine"])


def test_mode_off_leaves_autocron_alone(pytester: pytest.Pytester) -> None:
    """contract 7: mode off: hands off; a moved clock, and claims about jobs that are elsewhere, are refused."""
    body = """
@pytest.mark.autocron(mode="off")
def test_one(fake_engine):
    assert not autocron.engine.current().guards
    assert send().result == "ann"   # not started: it runs in the caller
    with pytest.raises(autocron.AutocronError, match='mode "off"'): fast_forward("1d")
    with pytest.raises(autocron.AutocronError, match='mode "off"'): fake_engine.outage("1d")
    with pytest.raises(autocron.AutocronError, match='mode "off"'): fake_engine.clock.advance(60)
    with pytest.raises(autocron.AutocronError, match='mode "off"'): trap("worker.run.before")
    assert fake_engine.clock.freezer == ""
@pytest.mark.autocron(mode="off", strict=True)
@pytest.mark.parametrize("look", [
    assert_idle, pending, enqueued, history, lambda: captured().__enter__(), lambda: assert_not_enqueued(send),
    lambda: assert_ran(send), lambda: crash_worker(send), lambda: simulate_duration(send, 1),
])
def test_looking(look):
    with pytest.raises(autocron.AutocronError, match='mode "off": autocron is real'): look()
@pytest.mark.autocron(mode="off", start="2027-01-01T00:00Z")
def test_two(): pass
"""
    result = run(pytester, body, ini="autocron_mode = off")
    result.assert_outcomes(passed=10, errors=1)
    result.stdout.fnmatch_lines(["autocron: mode off, clock real, freezer none", "*its processes know no other time*"])


def test_a_misspelt_mode_of_the_ini_file_ends_the_session_at_once(pytester: pytest.Pytester) -> None:
    """testing 2.6: autocron_mode: not an error of each test."""
    result = run(pytester, "def test_one(): pass", ini="autocron_mode = eager")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*autocron_mode = eager: only queued, inline, off is allowed"])


def test_the_guard_holds_for_tests_that_do_not_know_of_autocron(pytester: pytest.Pytester) -> None:
    """contract 7: autocron_guard: each test has its own implicit engine, and start() starts nothing real."""
    body = """
assert autocron.start("/no/such/directory/app.db") is True    # during collection
def test_one():
    assert autocron.start("/no/such/directory/app.db") is True
    send()
    assert_enqueued(send, count=1)
def test_two():
    assert_not_enqueued(send)
"""
    result = run(pytester, body, ini="autocron_guard = true")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["autocron: start() was called * and started nothing (autocron_guard)"])


def test_a_test_may_be_real_under_the_guard(pytester: pytest.Pytester) -> None:
    """contract 7: mode off: autocron is real, in a test that says so."""
    body = """
@pytest.mark.autocron(mode="off")
def test_real():
    for each in range(2):
        assert not autocron.engine.current().guards
        with pytest.raises(FileNotFoundError): autocron.start("/no/such/directory/app.db")
        autocron.stop()
def test_guarded():
    assert autocron.start("/no/such/directory/app.db") is True
"""
    run(pytester, body, ini="autocron_guard = true").assert_outcomes(passed=2)


def test_an_engine_of_ones_own_is_the_current_one_under_the_guard(pytester: pytest.Pytester) -> None:
    """contract 7: `Engine(interface=…)` in a test; the guard is for the real world."""
    body = """
from random import Random
from autocron.interface import Interface
def test_own():
    guard = autocron.engine.current()
    store, spawner = MemoryStore(), InProcessSpawner()
    engine = autocron.Engine(interface=Interface(FakeClock(), spawner, lambda address: store, Random(0)))
    for each in range(2):
        assert engine.start("app.db")
        assert autocron.engine.current() is engine
        send()
        assert spawner.run_pending() == 1
        engine.stop()
        assert autocron.engine.current() is guard
"""
    run(pytester, body, ini="autocron_guard = true").assert_outcomes(passed=1)


def test_the_guard_alone_leaves_datetime_alone(pytester: pytest.Pytester) -> None:
    """contract 7: a test that does not know of autocron does not find its time standing still."""
    body = """
import time, time_machine
def test_without():
    assert not time_machine.traveller_stack
def test_with(fake_engine):
    assert time.time() == fake_engine.clock.time()
@pytest.mark.autocron
def test_marked():
    assert time.time() == autocron.now().timestamp()
@pytest.fixture
def mails(fake_engine): return []
def test_indirectly(mails):
    assert time.time() == autocron.now().timestamp()
def test_moved():
    fast_forward("1h")
    assert time.time() == autocron.now().timestamp()
"""
    run(pytester, body, ini="autocron_guard = true").assert_outcomes(passed=5)


def test_entries_of_a_test_do_not_reach_the_next_one(pytester: pytest.Pytester) -> None:
    """testing 2.5: also for a function that was there before; those of a module that is imported by the test stay."""
    pytester.makepyfile(tasks_of_it="import autocron\n@autocron.cron\ndef often(): pass\ndef sync_all(): pass\n")
    body = """
def sync_all(): pass
def test_one(fake_engine):
    autocron.cron("* * * * *")(sync_all)
    import tasks_of_it
    assert fast_forward("2m").times == 4
@pytest.mark.parametrize("turn", [1, 2])
def test_two(fake_engine, turn):
    import tasks_of_it
    report = fast_forward("2m")
    assert report.times == report.ran(tasks_of_it.often).times == 2
    autocron.cron("* * * * *")(tasks_of_it.sync_all)
"""
    try:
        run(pytester, body).assert_outcomes(passed=3)
    finally:
        registry.forget("tasks_of_it:often")


def test_tasks_of_a_test_do_not_reach_the_next_one(pytester: pytest.Pytester) -> None:
    """contract 7: tasks and entries decorated inside a test are dropped at its end; those of a module stay."""
    body = """
def test_one(fake_engine):
    @autocron.cron
    def every_minute(): pass
    assert fast_forward("2m").ran(every_minute).times == 2
def test_two(fake_engine):
    assert not fast_forward("2m")
    send(); assert run_pending()
"""
    run(pytester, body).assert_outcomes(passed=2)


def test_interrupts_and_outcomes_of_pytest_pass_through(pytester: pytest.Pytester) -> None:
    """contract 7: KeyboardInterrupt and pytest's own exceptions are no errors of a task."""
    body = """
@autocron.delay
def skips(): pytest.skip("not here")
@autocron.delay
def fails(): pytest.fail("not so")
@autocron.delay
def leaves(): pytest.exit("enough")
def test_one(fake_engine):
    skips(); run_pending(raises=False)
def test_two(fake_engine):
    fails(); run_pending(raises=False)
def test_three(fake_engine):
    leaves(); run_pending(raises=False)
"""
    result = run(pytester, body)
    result.assert_outcomes(skipped=1, failed=1)
    result.stdout.fnmatch_lines(["*Exit: enough*"])


def test_an_exit_of_a_task_that_nobody_has_seen_is_an_error_of_its_test_alone(pytester: pytest.Pytester) -> None:
    """testing 2.2: failed and unobserved: the test errors; and the teardown goes on to its end."""
    body = """
torn = []
@pytest.fixture
def world():
    yield
    torn.append(1)
@autocron.delay
def leaves(): raise SystemExit(3)
def test_one(world, fake_engine):
    leaves(); run_pending(raises=False)
@pytest.mark.autocron(start="2028-01-01T00:00Z")
def test_two():
    assert torn == [1]
    assert autocron.now().year == 2028
"""
    result = run(pytester, body)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*nobody has looked at this failure: SystemExit(3)*"])


def test_loading_the_plugin_loads_nothing_of_the_engine() -> None:
    """contract 1, 7: `import autocron` and an installed plugin have no side effects: names are resolved lazily."""
    import ast
    from pathlib import Path

    from autocron import testing
    from autocron.testing import plugin
    from autocron.testing.simulation import fixtures

    for module in (plugin, testing, fixtures):
        tree = ast.parse(Path(module.__file__ or "").read_text())
        loaded = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert loaded <= {"__future__", "collections", "collections.abc", "typing", "simulation.fixtures"}, module
    with pytest.raises(AttributeError, match=r"public names are: .*run_pending"):
        testing.run_pendin  # noqa: B018
