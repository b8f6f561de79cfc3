"""Moments as they are typed: an ISO time, or how long ago."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import Final

import click

UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
AGE: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def epoch(text: str, option: str, tz: tzinfo | None = None) -> float:
    """An ISO time as UTC epoch seconds; without an offset it is in this zone (None: the local one)."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and tz is not None:
            moment = moment.replace(tzinfo=tz)
        return moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} ({error}); give a time such as 2027-01-01T00:00", param_hint=option
        ) from None


def ago(text: str, option: str, now: float) -> float:
    """A time, or an age such as "90s", "30m", "2h", "7d", "4w" before now, as UTC epoch seconds."""
    if found := AGE.fullmatch(text):
        return now - float(found[1]) * UNITS[found[2]]
    if text[:1].isdigit() and "-" not in text:
        raise click.BadParameter(
            f"{text!r}; give an age such as 30m, 2h or 7d, or a time such as 2027-01-01T00:00", param_hint=option
        )
    return epoch(text, option)
