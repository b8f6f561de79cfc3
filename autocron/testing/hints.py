"""Why something may not have happened, as far as frameworks and traps know."""

from __future__ import annotations

import sys

from .world import World, told


def of_this_test() -> list[str]:
    """All there is to say; nothing if no fake engine is in force."""
    engine = sys.modules.get(f"{__package__}.engine")
    if engine is None or not engine._in_force:
        return []
    return uncommitted() + held(engine.current().world)


def uncommitted() -> list[str]:
    """What Django keeps for the commit of a transaction that a test never commits."""
    database = sys.modules.get("django.db")
    if database is None or not sys.modules["django.conf"].settings.configured:
        return []
    waiting = sum(len(each.run_on_commit) for each in database.connections.all(initialized_only=True))
    if not waiting:
        return []
    return [
        f"{waiting} {'callback waits' if waiting == 1 else 'callbacks wait'} for transaction.on_commit, "
        "and the transaction of a test is never committed: use `with self.captureOnCommitCallbacks(execute=True):`, "
        "with pytest-django the fixture django_capture_on_commit_callbacks(execute=True)"
    ]


def held(world: World) -> list[str]:
    """Who takes no turn."""
    processes = world.held()
    return [f"{told(processes)} by a trap, and goes on when it is released"] if processes else []
