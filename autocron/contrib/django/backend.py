"""A backend for `django.tasks`, Django 6.

    TASKS = {"default": {"BACKEND": "autocron.contrib.django.backend.AutocronBackend"}}

A job carries what Django wants to know of it beside the arguments; its outcome carries when and by whom it was run.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.tasks import Task, TaskContext, TaskResult, TaskResultStatus
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.base import TaskError
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
from django.tasks.signals import task_enqueued, task_finished, task_started
from django.utils import timezone
from django.utils.json import normalize_json
from django.utils.module_loading import import_string

from ... import payload
from ...decorators import address_of
from ...engine import current
from ...errors import AutocronError
from ...job import Status, Stored
from ...registry import registry
from ...run import Interrupted

REPORT: Final = "autocron report: "  # what a failed task adds to its error for `get_result`
STATUSES: Final = {
    Status.WAITING: TaskResultStatus.READY,
    Status.PROCESSING: TaskResultStatus.RUNNING,
    Status.READY: TaskResultStatus.SUCCESSFUL,
    Status.ERROR: TaskResultStatus.FAILED,
}


class AutocronBackend(BaseTaskBackend):  # type: ignore[misc]  # Django is not typed
    """Enqueues tasks for the workers of autocron."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def validate_task(self, task: Task) -> None:
        """See Django. Whatever can be enqueued here can be found by a worker."""
        super().validate_task(task)
        if "<" in task.func.__qualname__:
            raise InvalidTask("A worker cannot find a lambda.")
        registry.add_task(address_of(task.func), run)

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """See Django. TypeError for arguments that are not JSON."""
        self.validate_task(task)
        engine = current()
        now = timezone.now()
        id = engine.new_id(now.timestamp())
        result = self._result(task, id.hex(), now, args, kwargs)
        about = {
            "task": task.module_path,
            "id": result.id,
            "backend": self.alias,
            "enqueued_at": now.timestamp(),
            "priority": task.priority,
            "queue_name": task.queue_name,
            "run_after": task.run_after and task.run_after.timestamp(),
        }
        runs_here = not engine.active
        if runs_here:
            task_enqueued.send(type(self), task_result=result)
        job = engine.register(
            run,
            self._address(task),
            (result.args, result.kwargs, about),
            {},
            due=about["run_after"],
            priority=-int(task.priority),
            queue=task.queue_name,
            id=id,
            blocking=True,  # the next request, in another process, may ask for the result
        )
        if not runs_here:
            task_enqueued.send(type(self), task_result=result)
        elif not job.uuid:
            _conclude(result, Status(job.status), job.function_result, job.error_message, 0)
        return result

    def get_result(self, result_id: str) -> TaskResult:
        """See Django."""
        try:
            stored, _ = current().look_up(bytes.fromhex(result_id))
            if stored is None or not stored.task:
                raise TaskResultDoesNotExist(result_id)
            return self._from_stored(stored)
        except (ValueError, TypeError, AutocronError, ImportError) as error:
            raise TaskResultDoesNotExist(result_id) from error

    def _address(self, task: Task) -> str:
        """Where a worker finds it: under its own name, if importing its module makes it one of autocron's."""
        declared = import_string(task.module_path)
        return address_of(task.func if isinstance(declared.get_backend(), AutocronBackend) else run)

    def _from_stored(self, stored: Stored) -> TaskResult:
        (args, kwargs, about), _ = payload.decode_call(stored.payload, allow_pickle=False)
        if about["backend"] != self.alias:
            raise TaskResultDoesNotExist(stored.id.hex())
        task = _as_enqueued(about)
        result = self._result(task, about["id"], _moment(about["enqueued_at"]), args, kwargs)
        value = payload.decode(stored.result, allow_pickle=False) if stored.result else None
        _conclude(result, Status(stored.status), value, stored.error, stored.deaths)
        return result

    def _result(
        self, task: Task, id: str, enqueued_at: datetime, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult:
        return TaskResult(
            task=task,
            id=id,
            status=TaskResultStatus.READY,
            enqueued_at=enqueued_at,
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=list(args),
            kwargs=dict(kwargs),
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )


def run(args: list[Any], kwargs: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """What a worker calls in place of the function of any task: it keeps Django's signals and context."""
    task = _as_enqueued(about)
    backend = task.get_backend()
    result = backend._result(task, about["id"], _moment(about["enqueued_at"]), args, kwargs)
    now = timezone.now()
    _set(result, status=TaskResultStatus.RUNNING, started_at=now, last_attempted_at=now)
    result.worker_ids.append(str(os.getpid()))
    task_started.send(type(backend), task_result=result)
    try:
        context = [TaskContext(task_result=result)] if task.takes_context else []
        value = normalize_json(task.call(*context, *result.args, **result.kwargs))
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:
        report = {"error": _path_of(type(error)), **_report(result)}
        text = "".join(traceback.format_exception(error))
        error.add_note(f"{REPORT}{report!r}\n{text}")
        _set(result, status=TaskResultStatus.FAILED)
        result.errors.append(TaskError(exception_class_path=report["error"], traceback=text))
        task_finished.send(type(backend), task_result=result)
        raise
    report = {"return_value": value, **_report(result)}
    _set(result, status=TaskResultStatus.SUCCESSFUL, _return_value=value)
    task_finished.send(type(backend), task_result=result)
    return report


registry.add_task(address_of(run), run)


def _report(result: TaskResult) -> dict[str, Any]:
    """When and by whom it was run; it ends now."""
    _set(result, finished_at=timezone.now())
    return {
        "started_at": result.started_at.timestamp(),
        "finished_at": result.finished_at.timestamp(),
        "worker_id": result.worker_ids[-1],
    }


def _conclude(result: TaskResult, status: Status, value: Any, error: str, deaths: int) -> None:
    """Give a result the state of its job."""
    _set(result, status=STATUSES[status])
    result.worker_ids.extend(["died"] * deaths)
    report: dict[str, Any] = value if status is Status.READY else {}
    if status is Status.ERROR:
        report, text = _read_report(error)
        result.errors.append(TaskError(exception_class_path=report["error"], traceback=text))
    if "started_at" in report:
        started = _moment(report["started_at"])
        _set(result, started_at=started, last_attempted_at=started, finished_at=_moment(report["finished_at"]))
        result.worker_ids.append(report["worker_id"])
    if status is Status.READY:
        _set(result, _return_value=report["return_value"])


def _read_report(error: str) -> tuple[dict[str, Any], str]:
    """What the task said of its failure; else the worker did: it has died, or found no such function."""
    import ast  # noqa: PLC0415 - for failures only

    found = re.search(rf"^{REPORT}(.*)\n", error, re.MULTILINE)
    if found is None:
        return {"error": _path_of(AutocronError)}, error
    return ast.literal_eval(found.group(1)), error[found.end() :] + "\n"


def _as_enqueued(about: Mapping[str, Any]) -> Task:
    task = import_string(about["task"])
    run_after = None if about["run_after"] is None else _moment(about["run_after"])
    return task.using(
        priority=about["priority"], queue_name=about["queue_name"], run_after=run_after, backend=about["backend"]
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _path_of(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _set(result: TaskResult, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(result, name, value)
