"""autocron.monitor.ready: jobs that are claimed and not dispatched, compared with a list that is sorted each time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from small import job_of

from autocron.job import Job
from autocron.monitor.ready import Ready

ACTIONS = st.sampled_from(["append", "appendleft", "extend", "popleft", "clear"])
PRIORITIES = st.integers(-2, 2) | st.sampled_from([-(1 << 63), (1 << 63) - 1])


@given(st.lists(st.tuples(ACTIONS, st.lists(PRIORITIES, min_size=1, max_size=4)), max_size=60))
@settings(max_examples=300, deadline=None, database=None)
def test_the_order_is_that_of_a_sorted_list(steps: list[tuple[str, list[int]]]) -> None:
    """design 2: the urgent first, equals in the order in which they came, what comes back before its equals."""
    ready, oracle, number = Ready(), list[Job](), 0
    for action, priorities in steps:
        jobs = [job_of(number=number + n, priority=priority) for n, priority in enumerate(priorities)]
        number += len(jobs)
        if action == "append":
            ready.append(jobs[0])
            oracle = [*oracle, jobs[0]]
        elif action == "appendleft":
            ready.appendleft(jobs[0])
            oracle = [jobs[0], *oracle]
        elif action == "extend":
            ready.extend(jobs)
            oracle = [*oracle, *jobs]
        elif action == "popleft" and oracle:
            assert ready.popleft() is oracle.pop(0)
        elif action == "clear":
            ready.clear()
            oracle = []
        oracle.sort(key=lambda job: job.priority)
        assert list(ready) == oracle
        assert (len(ready), bool(ready)) == (len(oracle), bool(oracle))
        if oracle:
            assert ready.first is oracle[0]
            assert ready.least == oracle[-1].priority
