"""The fake engine for `unittest`, Django's `TestCase` included."""

from __future__ import annotations

import unittest
from collections.abc import Mapping
from typing import Any, ClassVar

from .engine import FakeEngine, fake_engine


class AutocronTestCase(unittest.TestCase):
    """Each test has `self.fake_engine`; the functions and assertions of `autocron.testing` act on it.

    autocron_options: the arguments of `autocron.testing.fake_engine`.
    """

    autocron_options: ClassVar[Mapping[str, Any]] = {}
    fake_engine: FakeEngine

    def setUp(self) -> None:
        super().setUp()
        self.fake_engine = self.enterContext(fake_engine(**self.autocron_options))
