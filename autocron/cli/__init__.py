"""The command line. A new command is a new file, and its name in `root.COMMANDS`.

    root       which commands there are, and how an error ends
    database   a database, asked through its monitor or opened here
    output     one document, shown as tables or printed as JSON
    cron · info · settings

It looks at databases that other processes use: it starts no monitor, creates no database and unpickles nothing.
"""

from __future__ import annotations

import io
import sys


def main() -> None:
    """The console script `autocron`; without the extra `cli`, one line on stderr and exit code 2."""
    try:
        from .root import root  # noqa: PLC0415 - click and rich may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich"):
            raise
        sys.stderr.write(f'autocron: {error.name} is missing; for the command line: pip install "autocron[cli]"\n')
        sys.exit(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None: `>&-` has closed it
            stream.reconfigure(errors="backslashreplace")  # not all encodings know what stands in a database
    root()
