"""Settings are validated as a whole."""

from __future__ import annotations

import pytest

from autocron.settings import BOUNDS, Settings, SettingsError


def test_the_defaults_are_those_of_the_contract() -> None:
    """contract 1 and 4: default 1 worker; default time to live 1800 s."""
    assert Settings().workers == 1
    assert Settings().ttl_s == 1800
    assert Settings().enabled
    assert not Settings().blocking


def test_a_refusal_lists_every_problem_with_name_and_value() -> None:
    """style 13: every problem listed."""
    with pytest.raises(SettingsError) as caught:
        Settings().changed(workers=0, ttl_s="soon", durability="none", wrokers=2, enabled=1)
    message = str(caught.value)
    for words in ("workers=0", "ttl_s='soon'", "durability='none'", "'wrokers' is not a setting", "enabled=1"):
        assert words in message


@pytest.mark.parametrize("value", [True, 2.5, "2", None, float("nan"), -1])
def test_workers_is_a_whole_number_from_1_on(value: object) -> None:
    """contract 1: anything but an int ≥ 1."""
    with pytest.raises(SettingsError, match="workers="):
        Settings().changed(workers=value)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -0.1, True, "1"])
def test_seconds_are_finite_and_not_negative(value: object) -> None:
    """style 13: bounds and special values."""
    with pytest.raises(SettingsError, match="grace_s="):
        Settings().changed(grace_s=value)


def test_values_of_another_version_are_passed_over() -> None:
    """design 5: a database that a newer version has written settings into still works."""
    assert Settings.from_stored({"workers": 3, "durability": "quantum", "colour": "red"}) == Settings(workers=3)


def test_a_round_trip_changes_nothing() -> None:
    """design 5: stored settings."""
    settings = Settings().changed(workers=7, blocking=True, ttl_s=0.5)
    assert Settings.from_stored(settings.as_dict()) == settings


def test_each_setting_has_its_bounds() -> None:
    """style 16: what a setting is about and what it may be stands beside its default."""
    assert tuple(BOUNDS) == Settings._fields
