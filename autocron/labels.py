"""Names of the points at the seam.

Each call of a role into the world carries a label. One registry serves everybody who wants to stand at such a
point: the simulator yields and crashes there, a failpoint kills a real process there, a trap holds the call in a
unit test, a trace lists them. A label is reached twice, as `<label>.before` and `<label>.after`.
"""

from __future__ import annotations

from typing import Final, NewType

Label = NewType("Label", str)

APP_CONNECT: Final = Label("app.connect")
APP_SPAWN: Final = Label("app.spawn")
APP_REGISTER: Final = Label("app.register")
APP_FALLBACK: Final = Label("app.fallback")

MONITOR_LISTEN: Final = Label("monitor.listen")
MONITOR_OPEN: Final = Label("monitor.open")
MONITOR_RESCUE: Final = Label("monitor.rescue")
MONITOR_SPAWN: Final = Label("monitor.spawn")
MONITOR_ADD: Final = Label("monitor.add")
MONITOR_SYNC: Final = Label("monitor.sync")
MONITOR_ACKNOWLEDGE: Final = Label("monitor.acknowledge")
MONITOR_CLAIM: Final = Label("monitor.claim")
MONITOR_DISPATCH: Final = Label("monitor.dispatch")
MONITOR_SETTLE: Final = Label("monitor.settle")
MONITOR_RELEASE: Final = Label("monitor.release")
MONITOR_FIRE: Final = Label("monitor.fire")
MONITOR_PRUNE: Final = Label("monitor.prune")
MONITOR_TIDY: Final = Label("monitor.tidy")
MONITOR_DRAIN: Final = Label("monitor.drain")

WORKER_RUN: Final = Label("worker.run")
WORKER_ANSWER: Final = Label("worker.answer")

LABELS: Final = frozenset(
    value for name, value in globals().items() if name.startswith(("APP_", "MONITOR_", "WORKER_"))
)
POINTS: Final = frozenset(f"{label}.{moment}" for label in LABELS for moment in ("before", "after"))
