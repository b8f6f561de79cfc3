"""Where the data of time zones lie, so that the monitor, which sees no package of the application's, finds the same."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterable


def zone_directories() -> list[str]:
    """Those of this process: PYTHONTZPATH or the system's, then the package tzdata (slim containers have no others)."""
    import zoneinfo  # noqa: PLC0415 - a worker asks for none

    directories = [each for each in zoneinfo.TZPATH if os.path.isdir(each)]
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec("tzdata")
        for each in (spec and spec.submodule_search_locations) or ():
            directories.append(os.path.join(each, "zoneinfo"))
    return [os.path.abspath(each) for each in directories]


def use_zone_directories(directories: Iterable[str]) -> None:
    """Look for time zones in these."""
    import zoneinfo  # noqa: PLC0415 - as above

    zoneinfo.reset_tzpath([each for each in directories if os.path.isabs(each)])
