"""Why something may not have happened, as far as frameworks and traps know."""

from __future__ import annotations

import sys

from .world import World, told


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


def held(world: World) -> list[str]:
    """Who takes no turn."""
    processes = world.held()
    return [f"{told(processes)} by a trap, and goes on when it is released"] if processes else []
