"""The table of docs/servers.md says what the tests prove."""

from __future__ import annotations

from matrix_page import PAGE, page


def test_the_page_has_what_the_tests_prove() -> None:
    """docs/servers.md: generated from the tests; matrix_page.py brings it up to date."""
    assert PAGE.read_text() == page()
