"""What is said over a link and over a worker's channel: tuples whose first element is one of these kinds.

A peer of the monitor is an application process or a worker; both register jobs and ask questions the same way.
"""

from __future__ import annotations

from typing import Final

PROTOCOL: Final = 1  # grows when older and newer processes would misunderstand each other

# application → monitor
HELLO: Final = "hello"  # (protocol, spec of the process, workers | None)
ANNOUNCE: Final = "announce"  # ([entry, …]): all entries of this process
BYE: Final = "bye"  # (request,): this process leaves; answered when that has its effect
LOOK: Final = "look"  # (): something was written past the monitor

# peer → monitor
REGISTER: Final = "register"  # (group, again, [job, …]); again: may have been stored before
ASK: Final = "ask"  # (request, question, argument)

# the questions
RESULT: Final = "result"  # job id → Stored | None
STATE: Final = "state"  # job id → Stored without its payload | None
RESULTS: Final = "results"  # (after id, limit) → [Stored, …], oldest first
SETTINGS: Final = "settings"  # changes → all settings, changed
OVERVIEW: Final = "overview"  # None → workers, links, counts, entries
JOBS: Final = "jobs"  # (selection, limit, whether with payloads) → ([Stored, …], what is left to look at | None)
RETRY: Final = "retry"  # [job id, …] → how many of those in error wait again
HASTEN: Final = "hasten"  # [job id, …] → how many of those waiting are due now
PURGE: Final = "purge"  # ([job id, …], statuses) → how many are removed
FIRE: Final = "fire"  # key of an entry → id of a job of it, beside its fire times

WAKING: Final = frozenset({RETRY, HASTEN, FIRE})  # jobs are due after the answer that were not before

# monitor → application
WELCOME: Final = "welcome"  # (settings, whether pickles are allowed)
REFUSED: Final = "refused"  # (path, reason): the database cannot be used
CHANGED: Final = "changed"  # (settings, whether payloads may be pickled)

# monitor → peer
REGISTERED: Final = "registered"  # (group,): these jobs are safe
UNSTORED: Final = "unstored"  # (group, whether for want of space, path, reason): keep these jobs
REPLY: Final = "reply"  # (request, answer)
FAILED: Final = "failed"  # (request, path, reason)

# monitor → worker
PREPARE: Final = "prepare"  # (spec, whether pickles are allowed): once, before the first job
RUN: Final = "run"  # ([job, …], [id of a job for which older workers were too old, …])
TAKE_BACK: Final = "take_back"  # (): give back what you have not begun
REFRESH: Final = "refresh"  # (): end before the next job if your code is stale
END: Final = "end"  # (): finish what you run, then exit
INTERRUPT: Final = "interrupt"  # (): the grace is over, stop what you run

# worker → monitor
READY: Final = "ready"  # (): I am up
DONE: Final = "done"  # (outcome,)
OUTDATED: Final = "outdated"  # (job id,): it fails here, but the files have changed; released next
RELEASED: Final = "released"  # ([job id, …]): not begun, or interrupted
RETIRED: Final = "retired"  # (): I take no further job
