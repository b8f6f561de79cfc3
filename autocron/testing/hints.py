"""Why a job may not be there, as far as the frameworks know."""

from __future__ import annotations

import sys


def uncommitted() -> list[str]:
    """What Django keeps for the commit of a transaction that a test never commits."""
    database = sys.modules.get("django.db")
    if database is None:
        return []
    waiting = sum(len(each.run_on_commit) for each in database.connections.all(initialized_only=True))
    if not waiting:
        return []
    return [
        f"{waiting} callbacks wait for transaction.on_commit, and a TestCase never commits: "
        "use `with self.captureOnCommitCallbacks(execute=True):`"
    ]
