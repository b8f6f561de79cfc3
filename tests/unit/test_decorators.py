"""@delay and @cron without an engine: contract 2 and 3, as far as nothing is started."""

from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import autocron
from autocron.decorators import Task
from autocron.engine import current
from autocron.errors import TaskError
from autocron.registry import registry
from autocron.testing import fake_engine

# RFC 8536: no transitions, one type, called UTC.
UTC_FILE = b"TZif" + bytes(16) + bytes([0, 0, 0, 0] * 4 + [0, 0, 0, 1, 0, 0, 0, 4]) + bytes(6) + b"UTC\0"

DECORATORS = """
import autocron, functools

class Mail:
    def send(self): ...

def loud(f):
    @functools.wraps(f)
    def call(): f()
    return call

def silent(f):
    @functools.wraps(f)
    def call(): f()
    return call

def counted(f):
    @functools.wraps(f)
    def call():
        call.number += 1
        f()
    call.number = 0
    return call

"""


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    """What a test decorates is gone after it."""
    before = dict(registry.tasks), dict(registry.entries), dict(registry.decorated)
    yield
    registry.tasks, registry.entries, registry.decorated = before


@autocron.delay
def add(a: int, b: int = 0, *, c: int = 0) -> int:
    """Adds."""
    return a + b + c


def nightly() -> str:
    return "done"


def entries_of(function: object) -> list[str]:
    return [entry.crontab for key, entry in registry.entries.items() if registry.decorated[key] is function]


class TestDelay:
    def test_inactive_the_function_runs_in_the_caller_and_the_result_is_ready(self) -> None:
        """contract 3: Autocron inactive: the function runs in the caller, and the Result is ready."""
        result = add(1, b=2)
        assert result.is_ready()
        assert (result.result, result.has_error, result.error_message, result.status) == (3, False, "", 3)

    def test_inactive_an_exception_is_in_the_result_and_not_raised(self) -> None:
        """contract 3: an exception in the function is in the Result, not raised."""

        @autocron.delay
        def fails() -> None:
            raise ValueError("boom")

        result = fails()
        assert result.is_ready()
        assert result.has_error
        assert result.error_message == "ValueError: boom"
        assert result.status == 4

    def test_an_exception_without_words_is_an_error_all_the_same(self) -> None:
        """contract 4: error_message is '' when there is none, so an error is never ''."""

        @autocron.delay
        def fails() -> None:
            raise AssertionError

        assert fails().error_message == "AssertionError"

    def test_system_exit_is_in_the_result_and_an_interrupt_is_the_applications(self) -> None:
        """contract 3: whatever ends the function ends in the Result: SystemExit."""

        @autocron.delay
        def leaves() -> None:
            raise SystemExit(3)

        @autocron.delay
        def interrupted() -> None:
            raise KeyboardInterrupt

        assert leaves().error_message == "SystemExit: 3"
        with pytest.raises(KeyboardInterrupt):
            interrupted()

    def test_a_coroutine_function_is_run_to_its_end(self) -> None:
        """contract 3: the Result is ready."""

        @autocron.delay
        async def answer() -> int:
            return 42

        assert answer().result == 42

    def test_the_original_its_name_and_its_docstring_are_kept(self) -> None:
        """contract 3: the original is reachable (`__wrapped__`), name and docstring are kept."""
        assert add.__wrapped__(1, 2) == 3
        assert add.__name__ == "add"
        assert add.__doc__ == "Adds."
        assert list(inspect.signature(add).parameters) == ["a", "b", "c"]
        assert pickle.loads(pickle.dumps(add)) is add

    @pytest.mark.parametrize("call", [(), (1, 2, 3), ("x", 1, 2, 3)])
    def test_wrong_arguments_are_refused_at_the_call(self, call: tuple[object, ...]) -> None:
        """contract 3: wrong arguments for the signature are refused at the call."""
        with pytest.raises(TypeError, match=r"test_decorators:add: .*argument"):
            add(*call)  # type: ignore[arg-type]

    def test_an_unknown_keyword_is_refused_at_the_call(self) -> None:
        """contract 3: wrong arguments for the signature are refused at the call."""
        with pytest.raises(TypeError, match="'d'"):
            add(1, d=1)  # type: ignore[call-arg]

    @pytest.mark.parametrize("thing", [3, "0 0 * * *", None, [1]])
    def test_a_positional_non_callable_is_a_type_error(self, thing: object) -> None:
        """contract 3: arguments of delay itself are keyword-only; a positional non-callable → TypeError."""
        if thing is None:
            return  # @delay(None) is @delay()
        with pytest.raises(TypeError, match="keywords"):
            autocron.delay(thing)  # type: ignore[call-overload]
        with pytest.raises(TypeError):
            autocron.delay(1, 2)  # type: ignore[call-overload]

    def test_what_has_no_name_is_refused_at_the_decoration(self) -> None:
        """contract 3: what cannot work is refused at the call or decoration."""
        with pytest.raises(autocron.TaskError, match="name"):
            autocron.delay(functools.partial(nightly))
        with pytest.raises(autocron.TaskError, match="name"):
            autocron.delay(int)

    @pytest.mark.parametrize(
        ("argument", "error"),
        [
            ({"days": -1}, ValueError),
            ({"days": float("nan")}, ValueError),
            ({"hours": float("inf")}, ValueError),
            ({"minutes": True}, TypeError),
            ({"weeks": "2"}, TypeError),
            ({"schedule": "tomorrow"}, TypeError),
        ],
    )
    def test_unusable_delays_are_refused_by_name_and_value(
        self, argument: dict[str, object], error: type[Exception]
    ) -> None:
        """contract 3: refused at the decoration; style: an error names the thing and the value."""
        ((name, value),) = argument.items()
        with pytest.raises(error, match=f"{name}={value!r}"):
            autocron.delay(**argument)  # type: ignore[call-overload]

    def test_with_and_without_brackets(self) -> None:
        """contract 3: @delay, @delay(…)."""
        for decorate in (
            autocron.delay,
            autocron.delay(),
            autocron.delay(days=1),
            autocron.delay(schedule=datetime(2027, 1, 1)),
        ):
            assert decorate(nightly)().result == "done"  # type: ignore[operator]

    def test_methods_can_be_tasks(self) -> None:
        """contract 3: calling the decorated function returns a Result; of a class, too."""

        class Shop:
            @autocron.delay
            @staticmethod
            def open_at(hour: int) -> int:
                return hour

            @autocron.delay
            def close(self, hour: int) -> int:
                return hour

        assert Shop.open_at(9).result == 9
        assert Shop().close(18).result == 18

    def test_importing_and_decorating_starts_nothing(self) -> None:
        """contract 1: `import autocron` has no side effects."""
        assert not current().active

    def test_generators_are_refused_at_the_decoration(self) -> None:
        """contract 3: what cannot work is refused at the call or decoration: a generator would run nothing."""

        def yields() -> Iterator[int]:
            yield 1

        async def yields_later() -> AsyncIterator[int]:
            yield 1

        for generator in (yields, yields_later):
            with pytest.raises(autocron.TaskError, match=f"{generator.__name__}: .* generator; return a list"):
                autocron.delay(generator)
            with pytest.raises(autocron.TaskError, match="generator"):
                autocron.cron("@daily")(generator)

    def test_static_methods_are_tasks_in_either_order(self) -> None:
        """contract 3: calling the decorated function calls the function: with the same arguments."""

        class Shop:
            @autocron.delay
            @staticmethod
            def opens(hour: int) -> int:
                return hour

            @autocron.delay(minutes=5)
            @staticmethod
            @autocron.delay
            def closes(hour: int) -> int:
                return hour

        assert Shop.opens(8).result == Shop().opens(8).result == 8
        assert Shop.closes(20).result == Shop().closes(20).result == 20
        assert isinstance(Shop().opens, Task)

    def test_class_methods_are_tasks_in_one_order_and_the_other_one_says_so(self) -> None:
        """contract 3: refused at the decoration; style 10: the way out."""

        class Shop:
            @classmethod
            @autocron.delay
            def name(cls, suffix: str) -> str:
                return cls.__name__ + suffix

        assert Shop.name("!").result == "Shop!"
        with pytest.raises(autocron.TaskError, match=r"a classmethod cannot be a task; .* @classmethod on top"):
            autocron.delay(classmethod(lambda cls: None))  # type: ignore[call-overload]

    def test_a_task_decorated_again_is_the_same_task_called_in_another_way(self) -> None:
        """contract 3: calling the decorated function calls the function later, once, whatever is around it."""
        later = autocron.delay(days=2)(add)
        assert later.address == add.address
        assert later.__wrapped__ is add.__wrapped__
        assert registry.tasks[add.address] is add.__wrapped__
        assert later(1, 2).result == 3

    def test_cron_on_a_task_and_delay_on_a_cron_function_are_one_task(self) -> None:
        """contract 2 and 3: both decorators on one function, in either order; cron returns it unchanged."""

        def both() -> str:
            return "both"

        in_process = current()
        with fake_engine():
            task = autocron.cron("@daily")(autocron.delay(both))
            assert isinstance(task, Task)
            assert autocron.delay(autocron.cron("@hourly")(both)).address == task.address
            assert {each.task for each in registry.entries.values() if each.task == task.address} == {task.address}
        assert current() is in_process

    def test_a_function_of_another_module_is_found_by_the_module_that_decorates_it(self) -> None:
        """contract 3: nothing is lost later: a worker that imports `app.later` has decorated what it looks for."""
        names: dict[str, Any] = {"__name__": "app.later", "nightly": nightly, "add": add}
        exec("import autocron\nlater = autocron.delay(nightly)\nautocron.cron('@daily')(nightly)", names)
        address = f"app.later:{__name__}.nightly"
        assert names["later"].address == address
        assert address in registry.tasks
        assert registry.entries[f"{address}#0"].task == address
        exec("soon = autocron.delay(add)\ndef make():\n    return autocron.delay(nightly)\nmade = make()", names)
        assert names["soon"].address == add.address  # it is a task of its own module already
        assert names["made"].address == f"{__name__}:nightly"
        exec("class Jobs:\n    later = autocron.delay(nightly)", names)
        assert names["Jobs"].later.address == address

    def test_functions_of_one_name_from_two_modules_are_two_tasks(self) -> None:
        """contract 3: nothing is lost later: `mail.send` and `sms.send` in one module of tasks."""
        code = "import autocron\ndef send(): ..."
        mail: dict[str, Any] = {"__name__": "mail"}
        sms: dict[str, Any] = {"__name__": "sms"}
        exec(code, mail)
        exec(code, sms)
        names: dict[str, Any] = {"__name__": "app.tasks", "mail": mail["send"], "sms": sms["send"]}
        exec("from autocron import delay\none, two, later = delay(mail), delay(sms), delay(minutes=1)(mail)", names)
        assert names["one"].address == names["later"].address == "app.tasks:mail.send"
        assert names["two"].address == "app.tasks:sms.send"

    @pytest.mark.parametrize(
        "second",
        [
            "@autocron.delay\ndef send(): ...",
            "@autocron.cron('@daily')\ndef send(): ...",
            "autocron.delay(Mail().send)\nautocron.delay(Mail().send)",
            "autocron.delay(loud(send.__wrapped__))\nautocron.delay(silent(send.__wrapped__))",
        ],
    )
    def test_two_functions_of_one_name_in_a_module_are_refused(self, second: str) -> None:
        """contract 3: refused at the decoration: a worker could not tell which one is meant."""
        with pytest.raises(TaskError, match=r"app\.tasks:(Mail\.)?send is the address of two functions"):
            exec(f"{DECORATORS}@autocron.delay\ndef send(): ...\n{second}", {"__name__": "app.tasks"})

    @pytest.mark.parametrize(
        "again",
        [
            "autocron.cron('@daily')(send)",
            "autocron.delay(loud(send)); autocron.delay(minutes=1)(loud(send))",
            "autocron.delay(loud(send)); autocron.delay(loud(loud(send)))",
            "autocron.delay(counted(send)); autocron.delay(minutes=1)(counted(send))",
            "m = Mail(); autocron.delay(m.send); autocron.cron('@daily')(m.send); autocron.cron('@hourly')(m.send)",
        ],
    )
    def test_one_function_may_be_decorated_again(self, again: str) -> None:
        """contract 2 and 3: with another delay, with a decorator more, and when a module is reloaded."""
        for _ in range(2):
            exec(f"{DECORATORS}def send(): ...\nautocron.delay(send)\n{again}", {"__name__": "app.again"})
        assert len([each for each in registry.entries if each.startswith("app.again:Mail")]) in (0, 2)

    def test_a_module_whose_code_is_executed_again_brings_the_same_tasks(self) -> None:
        """contract 3: some hosts compile once and execute again, in a new namespace or in the same one."""
        code = compile("import autocron\n@autocron.delay\n@autocron.cron\ndef rerun(): ...", "app.py", "exec")
        names: dict[str, Any] = {"__name__": "app.rerun"}
        for each in (names, names, dict(names)):
            exec(code, each)
        assert [each for each in registry.entries if "rerun" in each] == ["app.rerun:rerun#0"]

    def test_what_a_decorator_was_given_makes_another_function(self) -> None:
        """contract 3: refused at the decoration: `retries(3)` and `retries(5)` of one function are two."""
        code = (
            "import autocron, functools\n"
            "def retries(n):\n"
            "    def decorate(f):\n"
            "        @functools.wraps(f)\n        def call(): return n, f()\n        return call\n"
            "    return decorate\n"
            "def send(): ...\nautocron.delay(retries(3)(send))\n"
        )
        exec(f"{code}autocron.delay(retries(3)(send))", {"__name__": "app.tasks"})
        with pytest.raises(TaskError, match="is the address of two functions"):
            exec(f"{code}autocron.delay(retries(5)(send))", {"__name__": "app.tasks"})

    def test_comprehensions_belong_to_the_module_around_them(self) -> None:
        """contract 3: a worker that imports the module runs them again."""
        names: dict[str, Any] = {"__name__": "app.many", "nightly": nightly}
        exec("import autocron\nfound = [autocron.delay(f) for f in (nightly,)]", names)
        exec("found += list(autocron.delay(minutes=1)(f) for f in (nightly,))", names)
        assert {each.address for each in names["found"]} == {f"app.many:{__name__}.nightly"}

    def test_a_function_that_wraps_itself(self) -> None:
        """contract 3: odd, and no reason to hang."""

        def odd() -> None: ...

        odd.__wrapped__ = odd  # type: ignore[attr-defined]
        assert autocron.delay(odd).address.endswith("odd")

    def test_a_task_below_another_decorator_is_refused(self) -> None:
        """contract 3: a worker that calls it would register it again, for ever."""
        with pytest.raises(TaskError, match="@cron add: its call would only register another one"):
            autocron.cron("@daily")(functools.wraps(add)(lambda: add(1, 2)))

    @pytest.mark.parametrize(
        ("argument", "after"),
        [
            ({}, timedelta()),
            ({"minutes": 1.5}, timedelta(seconds=90)),
            ({"weeks": 1, "days": 1, "hours": 1, "minutes": 1}, timedelta(days=8, hours=1, minutes=1)),
        ],
    )
    def test_a_call_is_due_as_soon_as_possible_or_after_the_given_delay(
        self, argument: dict[str, Any], after: timedelta
    ) -> None:
        """contract 3: a worker process calls the function later: as soon as possible, after the given delay."""
        with fake_engine() as engine:
            task = autocron.delay(**argument)(nightly)
            result = task()
            assert result.status == 1
            (job,) = engine.pending()
            assert job.due == engine.now() + after
            assert engine.fast_forward(after).results == ["done"]
            assert result.is_ready()

    @pytest.mark.parametrize(
        ("moment", "due"),
        [
            (datetime(2027, 1, 1, 12), datetime(2027, 1, 1, 11, tzinfo=UTC)),  # the wall of Berlin
            (datetime(2027, 7, 1, 12), datetime(2027, 7, 1, 10, tzinfo=UTC)),
            (datetime(2027, 1, 1, 12, tzinfo=UTC), datetime(2027, 1, 1, 12, tzinfo=UTC)),
            (datetime(2027, 1, 1, 12, tzinfo=ZoneInfo("Asia/Tokyo")), datetime(2027, 1, 1, 3, tzinfo=UTC)),
        ],
    )
    def test_a_call_is_due_at_its_schedule(self, moment: datetime, due: datetime) -> None:
        """contract 3: at `schedule` (naive means local time; if given, the other arguments are ignored)."""
        with fake_engine(start="2026-12-01T00:00Z", tz="Europe/Berlin") as engine:
            autocron.delay(days=100, schedule=moment)(nightly)()
            (job,) = engine.pending()
            assert job.due == due

    def test_a_schedule_in_the_past_means_now(self) -> None:
        """contract 3: in the past means now."""
        with fake_engine(start="2027-01-01T00:00Z") as engine:
            autocron.delay(schedule=datetime(2026, 12, 31, 12, tzinfo=UTC))(nightly)()
            assert engine.run_pending().results == ["done"]

    @pytest.mark.parametrize("moment", [datetime.min, datetime.max, datetime.min.replace(tzinfo=UTC)])
    def test_the_ends_of_the_calendar_are_moments_too(self, moment: datetime) -> None:
        """contract 3: `schedule`, a datetime; in the past means now."""
        with fake_engine() as engine:
            autocron.delay(schedule=moment)(nightly)()
            (job,) = engine.pending()
            assert (job.due < engine.now()) is (moment.year == 1)
            if moment.year == 1:
                assert engine.run_pending().results == ["done"]

    def test_the_longest_delay_has_a_date(self) -> None:
        """contract 3: after the given delay: whatever it is, it can be shown."""
        with fake_engine() as engine:
            autocron.delay(weeks=1e9)(nightly)()
            autocron.delay(weeks=1e300)(nightly)()
            assert {job.due.year for job in engine.pending()} <= set(range(2999, 3100))

    def test_a_keyword_may_have_any_name(self) -> None:
        """contract 3: what the function takes, its task takes."""

        @autocron.delay
        def collect(**fields: str) -> dict[str, str]:
            return fields

        named = dict.fromkeys(("self", "function", "address", "args", "kwargs", "names", "id", "blocking"), "it")
        assert collect(**named).result == named
        with fake_engine() as engine:
            collect(**named)
            assert engine.run_pending().results == [named]

    def test_every_kind_of_parameter(self) -> None:
        """contract 3: wrong arguments for the signature are refused at the call, right ones of any kind are taken."""

        @autocron.delay
        def kinds(a: int, /, b: int = 2, *rest: int, c: int, d: int = 4, **more: int) -> list[object]:
            return [a, b, rest, c, d, more]

        with fake_engine() as engine:
            kinds(1, c=3)
            kinds(1, 2, 3, c=4, e=5)
            for wrong in ({"a": 1, "c": 2}, {"b": 1}):
                with pytest.raises(TypeError, match="kinds: "):
                    kinds(**wrong)
            with pytest.raises(TypeError, match="kinds: "):
                kinds(1, 2, 3)  # type: ignore[call-arg]
            assert engine.run_pending().results == [[1, 2, (), 3, 4, {}], [1, 2, (3,), 4, 4, {"e": 5}]]

    def test_a_decorator_below_may_give_arguments_and_take_others(self) -> None:
        """contract 3: wrong arguments for the signature are refused: for that of what is called."""

        def with_session(function: Any) -> Any:
            @functools.wraps(function)
            def call(number: int, *, verbose: bool = False) -> object:
                return function("session", number), verbose

            return call

        @autocron.delay
        @with_session
        def save(session: str, number: int) -> tuple[str, int]:
            return session, number

        assert save(1, verbose=True).result == (("session", 1), True)
        with pytest.raises(TypeError, match=r"save: .*argument"):
            save("session", 1)

    def test_a_decorator_written_in_c_takes_what_its_function_takes(self) -> None:
        """contract 3: wrong arguments for the signature are refused at the call."""
        halve = autocron.delay(functools.cache(lambda number: number / 2))
        assert halve(4).result == 2
        with pytest.raises(TypeError, match="argument"):
            halve(4, 2)

    def test_an_argument_without_a_name_is_told_by_its_number(self) -> None:
        """contract 3: arguments that cannot be serialised: the message names the argument."""

        @autocron.delay
        def anything(first: object, *others: object, **options: object) -> None: ...

        with fake_engine(), open(__file__) as thing:
            for call, name in (((thing, 0), "'first'"), ((0, thing), "2"), ((0, 0, thing), "3")):
                with pytest.raises(TypeError, match=f"argument {name}: "):
                    anything(*call)

    def test_a_function_whose_arguments_nobody_knows_is_refused_at_the_decoration(self) -> None:
        """contract 3: what cannot work is refused at the call or decoration; style: with the way out."""
        with pytest.raises(autocron.TaskError, match=r"max: .*a function that calls it"):
            autocron.delay(max)


class TestCron:
    def test_the_function_is_returned_unchanged(self) -> None:
        """contract 2: the decorated function itself is returned unchanged."""
        assert autocron.cron("0 3 * * *")(nightly) is nightly
        assert autocron.cron(nightly) is nightly
        assert nightly() == "done"

    @pytest.mark.parametrize("decorate", [autocron.cron, autocron.cron(), autocron.cron("* * * * *")])
    def test_no_argument_means_every_minute(self, decorate: object) -> None:
        """contract 2: @cron, @cron() → every minute."""
        decorate(nightly)  # type: ignore[operator]
        assert entries_of(nightly) == ["* * * * *"]

    def test_if_a_crontab_is_given_the_other_arguments_are_ignored(self) -> None:
        """contract 2: if `crontab` is given the other arguments are ignored."""
        autocron.cron("0 3 * * *", minutes=[1], hours=[2])(nightly)
        assert entries_of(nightly) == ["0 3 * * *"]

    def test_positional_lists_in_the_order_of_the_contract(self) -> None:
        """contract 2: cron(crontab, minutes, hours, days, months, days_of_week)."""
        autocron.cron(None, [30], [9], None, None, [0, 2])(nightly)
        assert entries_of(nightly) == ["30 9 0,2 * *"]

    def test_dow_is_another_spelling(self) -> None:
        """contract 2: also spelled `dow=[0, 2]`."""
        autocron.cron(minutes=[30], hours=[9], dow=[0, 2])(nightly)
        assert entries_of(nightly) == ["30 9 0,2 * *"]

    def test_a_function_decorated_twice_has_two_entries(self) -> None:
        """design 6: an entry is known by module, qualified name and ordinal."""
        autocron.cron("0 3 * * *")(autocron.cron("0 4 * * *")(nightly))
        assert sorted(entries_of(nightly)) == ["0 3 * * *", "0 4 * * *"]
        assert {key.rpartition("#")[2] for key in registry.entries if "nightly" in key} == {"0", "1"}

    def test_a_module_that_is_loaded_again_replaces_its_entries(self) -> None:
        """design 6: reloads."""
        source = "import autocron\n@autocron.cron('{} 3 * * *')\ndef job(): ...\n"
        for minute in (1, 2):
            exec(source.format(minute), {"__name__": "reloaded"})
        assert [each.crontab for key, each in registry.entries.items() if key.startswith("reloaded:")] == ["2 3 * * *"]

    def test_unix_dialect_by_keyword(self) -> None:
        """contract 2: `dialect="unix"` (keyword …)."""
        autocron.cron("30 9 * * mon", dialect="unix")(nightly)
        assert entries_of(nightly) == ["30 9 0 * *"]

    def test_unix_dialect_once_for_an_application(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """contract 2: also settable once for an application; a keyword still decides for its own entry."""
        monkeypatch.setattr(registry, "dialect", "autocron")
        autocron.use_dialect("unix")
        autocron.cron("30 9 * * 1")(autocron.cron("30 9 1 * *", dialect="autocron")(nightly))
        assert sorted(entries_of(nightly)) == ["30 9 0 * *", "30 9 1 * *"]
        with pytest.raises(ValueError, match="cron5"):
            autocron.use_dialect("cron5")
        assert registry.dialect == "unix"

    def test_a_function_with_needed_arguments_is_refused(self) -> None:
        """contract 2: registers a function without arguments."""

        def needs(a: int, b: int = 1) -> None: ...

        with pytest.raises(TypeError, match="needs a"):
            autocron.cron("0 3 * * *")(needs)

    def test_nested_functions_and_lambdas_are_refused_at_the_decoration(self) -> None:
        """contract 3: lambdas, nested functions."""

        def nested() -> None: ...

        with pytest.raises(autocron.TaskError, match="module level"):
            autocron.cron(nested)
        with pytest.raises(autocron.TaskError, match="module level"):
            autocron.cron("@daily")(lambda: None)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"crontab": "61 * * * *"}, "minutes"),
            ({"minutes": []}, "minutes"),
            ({"days": [30], "months": [2]}, "never"),
            ({"tz": "Europe/Berln"}, "Europe/Berln"),
            ({"overlap": "twice"}, "overlap='twice'"),
            ({"catch_up": -1}, "catch_up=-1"),
            ({"catch_up": float("nan")}, "catch_up=nan"),
            ({"catch_up": True}, "catch_up=True"),
            ({"dialect": ""}, "dialect ''"),
            ({"minutes": [5], "dialect": "quartz"}, "dialect 'quartz'"),
        ],
    )
    def test_invalid_values_are_value_errors_at_decoration(self, arguments: dict[str, object], words: str) -> None:
        """contract 2: every invalid value → ValueError at decoration."""
        with pytest.raises(ValueError, match=words):
            autocron.cron(**arguments)  # type: ignore[call-overload]

    def test_a_zone_that_no_other_process_knows_is_refused_at_decoration(self) -> None:
        """contract 2: every invalid value → ValueError at decoration: the monitor knows a zone by its name."""
        mine = ZoneInfo.from_file(BytesIO(UTC_FILE), key="My/Zone")
        with pytest.raises(ValueError, match="tz='My/Zone' is not a known time zone"):
            autocron.cron("@daily", tz=mine)(nightly)

    def test_nothing_that_is_given_beside_the_function_is_ignored(self) -> None:
        """contract 2: `cron` may be called with the function as well."""
        with pytest.raises(ValueError, match="overlap='never'"):
            autocron.cron(nightly, overlap="never")  # type: ignore[call-overload]
        autocron.cron(nightly, minutes=[5], catch_up=10**400)  # type: ignore[call-overload]
        (entry,) = [each for key, each in registry.entries.items() if registry.decorated[key] is nightly]
        assert (entry.crontab, entry.catch_up_s) == ("5 * * * *", float("inf"))

    def test_what_is_told_to_the_monitor_is_plain(self) -> None:
        """contract 2: an enum of the application that equals "skip", a float of its own class, are as good."""

        class Policy(StrEnum):
            QUEUE = "queue"

        class Seconds(float):
            pass

        autocron.cron("@daily", overlap=Policy.QUEUE, catch_up=Seconds(60))(nightly)
        (entry,) = [each for key, each in registry.entries.items() if registry.decorated[key] is nightly]
        assert (type(entry.overlap), entry.overlap) == (str, "queue")
        assert (type(entry.catch_up_s), entry.catch_up_s) == (float, 60.0)
