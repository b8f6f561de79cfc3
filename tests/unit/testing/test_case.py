"""autocron.testing.case: plain unittest."""

from __future__ import annotations

import io
import unittest
from typing import ClassVar

import autocron
from autocron.testing import AutocronTestCase, assert_enqueued, fast_forward


def outcome(case: type[unittest.TestCase]) -> unittest.TestResult:
    """Run a case without pytest."""
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    return unittest.TextTestRunner(stream=io.StringIO()).run(suite)


def test_a_test_case_has_an_engine_of_its_own() -> None:
    """contract 7: the mixin for unittest."""

    @autocron.delay(days=2)
    def remind(user_id: int) -> None: ...

    class Reminders(AutocronTestCase):
        autocron_options: ClassVar = {"start": "2027-01-01T00:00Z"}

        def test_reminder(self) -> None:
            remind(7)
            assert_enqueued(remind, user_id=7, run_in="2d")
            assert fast_forward("2d").ran(remind).times == 1
            assert autocron.now() == self.fake_engine.now()
            assert autocron.now().isoformat() == "2027-01-03T00:00:00+00:00"

        def test_alone(self) -> None:
            assert not self.fake_engine.pending()

    result = outcome(Reminders)
    assert result.testsRun == 2
    assert result.wasSuccessful()
    assert not autocron.engine.current().guards


def test_a_failure_that_nobody_has_seen_fails_the_case() -> None:
    """contract 7: as with pytest."""

    @autocron.delay
    def fail() -> None:
        raise ValueError("no")

    class Silent(AutocronTestCase):
        def test_it(self) -> None:
            fail()
            self.fake_engine.run_pending(raises=False)

    assert len(outcome(Silent).errors) == 1
