"""A backend for `django.tasks`, Django 6.

    TASKS = {"default": {"BACKEND": "autocron.contrib.django.backend.AutocronBackend"}}

A job is a call of `run`, under a name of the task: `shop.tasks:pay.run`. It carries what Django wants to know of the
task beside the arguments; what comes of it, in error too, is a report with all that Django wants to know of the run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.conf import settings
from django.tasks import Task, TaskContext, TaskResult, TaskResultStatus
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.base import TaskError
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
from django.tasks.signals import task_enqueued, task_finished, task_started
from django.utils import timezone
from django.utils.json import normalize_json
from django.utils.module_loading import import_string

from ... import payload
from ...decorators import epoch
from ...engine import current
from ...errors import AutocronError, PayloadError
from ...job import Status, Stored
from ...naming import defined_at
from ...registry import registry
from ...run import Ended, Interrupted, attempt, message_of, report_of

# The ids of workers that have left no other.
DIED: Final = "died"
RUNNING: Final = "running"
STATUSES: Final = {
    Status.WAITING: TaskResultStatus.READY,
    Status.PROCESSING: TaskResultStatus.RUNNING,
    Status.READY: TaskResultStatus.SUCCESSFUL,
    Status.ERROR: TaskResultStatus.FAILED,
}


def run(args: list[Any], kwargs: dict[str, Any], about: dict[str, Any]) -> Ended:
    """What a worker calls in place of the function of any task: it keeps Django's signals and context."""
    return _run(_as_enqueued(args, kwargs, about), attempt.get())


registry.add_task(defined_at(run), run)


class AutocronTask(Task):  # type: ignore[misc]  # Django is not typed
    """A task with something under its own name that a worker can call, whatever else its function is used for."""

    __slots__ = ()
    __wrapped__ = run = staticmethod(run)  # the former for jobs that were registered without `.run`

    @property
    def address(self) -> str:
        """Where a worker finds `run`."""
        return f"{defined_at(self.func)}.run"


class AutocronBackend(BaseTaskBackend):  # type: ignore[misc]  # as above
    """Enqueues tasks for the workers of autocron."""

    task_class = AutocronTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def validate_task(self, task: Task) -> None:
        """See Django. Whatever can be enqueued here can be found by a worker."""
        super().validate_task(task)
        if "<" in task.func.__qualname__:
            raise InvalidTask("A worker cannot find a lambda.")
        if isinstance(task, AutocronTask):  # and not of another backend, and sent here by `using`
            registry.add_task(task.address, run)

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """See Django. TypeError for arguments that are not JSON."""
        self.validate_task(task)
        engine = current()
        now = timezone.now().timestamp()
        id = engine.new_id(now)
        about = {
            "task": task.module_path,
            "takes_context": task.takes_context,
            "id": id.hex(),
            "backend": self.alias,
            "enqueued_at": now,
            "priority": task.priority,
            "queue_name": task.queue_name,
            "run_after": None if task.run_after is None else epoch(task.run_after),
        }
        args, kwargs, about = _plain([args, kwargs, about])
        result = _result(task, args, kwargs, about)

        def run_here(*_: object) -> Ended:
            task_enqueued.send_robust(type(self), task_result=result)
            return _run(result)

        job = engine.register(
            run_here,
            _address(task),
            (args, kwargs, about),
            {},
            due=about["run_after"],
            priority=-int(about["priority"]),
            queue=about["queue_name"],
            id=id,
            blocking=True,  # the next request, in another process, may ask for the result
        )
        if job.uuid:
            task_enqueued.send_robust(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> TaskResult:
        """See Django. AutocronError if nobody answers."""
        engine = current()
        try:
            stored, _ = engine.look_up(bytes.fromhex(result_id))
            if stored is not None and (result := self._from_stored(stored)) is not None:
                return result
        except (ValueError, TypeError, PayloadError, ImportError) as error:  # no id; another kind of job; no task
            raise TaskResultDoesNotExist(result_id) from error
        except AutocronError:
            if engine.active:
                raise
        raise TaskResultDoesNotExist(result_id)

    def _from_stored(self, stored: Stored) -> TaskResult | None:
        """The result of a job; None if it is none of this backend."""
        match payload.decode_call(stored.payload):
            case ((args, kwargs, {"backend": self.alias, "enqueued_at": _} as about), _):
                result = _as_enqueued(args, kwargs, about)
            case _:
                return None
        report: dict[str, Any] = {"worker_ids": [DIED] * stored.deaths}
        if stored.result:
            report = payload.decode(stored.result)
        elif stored.error:  # its worker has died, or found no such task
            report["errors"] = [[_path_of(AutocronError), stored.error]]
        elif stored.status == Status.PROCESSING:
            report["worker_ids"].append(RUNNING)
        _update(result, STATUSES[Status(stored.status)], **report)
        return result


def _address(task: Task) -> str:
    """Where a worker finds it: under its own name, if that leads to a task for this backend; else `about` names it."""
    named = import_string(task.module_path)
    return named.address if isinstance(named, AutocronTask) else defined_at(run)


def _as_enqueued(args: list[Any], kwargs: dict[str, Any], about: Mapping[str, Any]) -> TaskResult:
    """The result of a job as it was before anything came of it."""
    declared = import_string(about["task"])
    is_task = isinstance(declared, Task)  # else the task goes by another name than its function
    task = object.__new__(type(declared) if is_task else AutocronTask)  # unchecked: its queue may be gone meanwhile
    _set(
        task,
        func=declared.func if is_task else declared,
        priority=about["priority"],
        backend=about["backend"],
        queue_name=about["queue_name"],
        run_after=_moment(about["run_after"]),
        takes_context=declared.takes_context if is_task else about["takes_context"],
    )
    return _result(task, args, kwargs, about)


def _result(task: Task, args: Sequence[Any], kwargs: Mapping[str, Any], about: Mapping[str, Any]) -> TaskResult:
    return TaskResult(
        task=task,
        id=about["id"],
        status=TaskResultStatus.READY,
        enqueued_at=_moment(about["enqueued_at"]),
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=args,
        kwargs=kwargs,
        backend=about["backend"],
        errors=[],
        worker_ids=[],
    )


def _run(result: TaskResult, number: int = 1) -> Ended:
    """Run the task of a result for the n-th time. The result is told of it, and so is who asks for it later."""
    report: dict[str, Any] = {
        "started_at": timezone.now().timestamp(),
        "worker_ids": [DIED] * (number - 1) + [str(os.getpid())],
    }
    _update(result, TaskResultStatus.RUNNING, **report)
    task_started.send_robust(type(result.task.get_backend()), task_result=result)
    try:
        context = [TaskContext(task_result=result)] if result.task.takes_context else []
        report["return_value"] = _plain(result.task.call(*context, *result.args, **result.kwargs))
    except Interrupted:
        raise
    except BaseException as error:
        report["errors"] = [[_path_of(type(error)), report_of(error)]]
        _finish(result, TaskResultStatus.FAILED, report)
        return Ended(report, message_of(error), error)
    _finish(result, TaskResultStatus.SUCCESSFUL, report)
    return Ended(report, "")


def _finish(result: TaskResult, status: TaskResultStatus, report: dict[str, Any]) -> None:
    report["finished_at"] = timezone.now().timestamp()
    _update(result, status, **report)
    task_finished.send_robust(type(result.task.get_backend()), task_result=result)


def _update(
    result: TaskResult,
    status: TaskResultStatus,
    *,
    worker_ids: Sequence[str],
    started_at: float | None = None,
    finished_at: float | None = None,
    errors: Sequence[Sequence[str]] = (),
    return_value: Any = None,
) -> None:
    """Tell a result what a report says."""
    _set(
        result,
        status=status,
        started_at=_moment(started_at),
        last_attempted_at=_moment(started_at),
        finished_at=_moment(finished_at),
        worker_ids=list(worker_ids),
        errors=[TaskError(exception_class_path=kind, traceback=text) for kind, text in errors],
        _return_value=return_value,
    )


def _set(frozen: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(frozen, name, value)


def _plain(value: Any) -> Any:
    """What JSON makes of it: a subclass of str or float would need pickle to come back."""
    return json.loads(json.dumps(normalize_json(value)))


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC if settings.USE_TZ else None)


def _path_of(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
