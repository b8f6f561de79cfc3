"""Reading crontabs in both dialects, refusing what cannot fire, and telling them in words."""

from __future__ import annotations

import enum
import pickle
from typing import Any

import pytest

from autocron.crontab import Crontab
from autocron.errors import CrontabError


def refusal(text: Any, dialect: str = "autocron") -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is what the tests look at
        Crontab.parse(text, dialect)
    assert isinstance(caught.value, CrontabError)
    return str(caught.value)


# -- what is read --------------------------------------------------------------------------------------------


def test_order_of_fields() -> None:
    """Contract 2: five fields in the order minutes, hours, days-of-week, months, days-of-month."""
    crontab = Crontab.parse("1 2 3 4 5")
    assert crontab == Crontab((1,), (2,), (5,), (4,), (3,))


def test_order_of_fields_of_unix() -> None:
    """Contract 2: dialect "unix" has minute, hour, day-of-month, month, day-of-week, with Sunday 0 or 7."""
    crontab = Crontab.parse("1 2 3 4 5", dialect="unix")
    assert crontab == Crontab((1,), (2,), (3,), (4,), (4,))


@pytest.mark.parametrize(
    ("text", "days_of_week"),
    [
        ("0", (0,)),
        ("6", (6,)),
        ("mon", (0,)),
        ("SUN", (6,)),
        ("Mon-Fri", (0, 1, 2, 3, 4)),
        ("fri-sun", (4, 5, 6)),
        ("sat,sun", (5, 6)),
        ("*/2", (0, 2, 4, 6)),
        ("1/3", (1, 4)),
        ("tue/3", (1, 4)),
        ("0-6", (0, 1, 2, 3, 4, 5, 6)),
    ],
)
def test_monday_is_0(text: str, days_of_week: tuple[int, ...]) -> None:
    """Contract 2: Monday is 0, Sunday is 6; names such as `mon`."""
    assert Crontab.parse(f"0 0 {text} * *").days_of_week == days_of_week


@pytest.mark.parametrize(
    ("text", "days_of_week"),
    [
        ("0", (6,)),
        ("7", (6,)),
        ("1", (0,)),
        ("sun", (6,)),
        ("5-7", (4, 5, 6)),
        ("fri-sun", (4, 5, 6)),
        ("sun-tue", (0, 1, 6)),
        ("sun-sun", (6,)),
        ("0-7", (0, 1, 2, 3, 4, 5, 6)),
        ("*/2", (1, 3, 5, 6)),
        ("1/3", (0, 3, 6)),
        ("*/7", (6,)),
    ],
)
def test_sunday_is_0_or_7_in_unix(text: str, days_of_week: tuple[int, ...]) -> None:
    """Contract 2: in the dialect "unix" Sunday is 0 or 7."""
    assert Crontab.parse(f"0 0 * * {text}", "unix").days_of_week == days_of_week


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("7", (7,)),
        ("07", (7,)),
        ("5,3,3", (3, 5)),
        ("10-13", (10, 11, 12, 13)),
        ("10-10", (10,)),
        ("*/20", (0, 20, 40)),
        ("*/60", (0,)),
        ("10-50/20", (10, 30, 50)),
        ("50/3", (50, 53, 56, 59)),
        ("1,10-12,*/30", (0, 1, 10, 11, 12, 30)),
    ],
)
def test_forms_of_a_field(text: str, minutes: tuple[int, ...]) -> None:
    """Contract 2: integers, `*`, `,`, `-` and `/` steps."""
    assert Crontab.parse(f"{text} * * * *").minutes == minutes


def test_names_of_months() -> None:
    """Contract 2: names such as `apr`, in both dialects."""
    assert Crontab.parse("0 0 * Jan,apr-JUN *").months == (1, 4, 5, 6)
    assert Crontab.parse("0 0 * dec *", "unix").months == (12,)


def test_white_space_around_fields() -> None:
    """Contract 2: a crontab is a string of five fields."""
    assert Crontab.parse("  0\t9 *  * *\n") == Crontab.parse("0 9 * * *")


@pytest.mark.parametrize("dialect", ["autocron", "unix"])
@pytest.mark.parametrize(
    ("macro", "unix"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        (" @Daily ", "0 0 * * *"),
    ],
)
def test_macros(macro: str, unix: str, dialect: str) -> None:
    """Contract 2: `@hourly` … `@yearly` mean the same in both dialects."""
    assert Crontab.parse(macro, dialect) == Crontab.parse(unix, "unix")


def test_lists_say_the_same_as_the_string() -> None:
    """Contract 2: `"30 9 0,2 * *"` is the same as minutes=[30], hours=[9], days_of_week=[0, 2]."""
    assert Crontab.from_fields([30], [9], None, None, [0, 2]) == Crontab.parse("30 9 0,2 * *")


def test_lists_may_be_any_iterable_or_one_number() -> None:
    """Contract 2: keyword lists; None means every."""

    class Day(enum.IntEnum):
        SUNDAY = 6

    crontab = Crontab.from_fields(0, range(9, 12), (15, 1), iter([4]), {Day.SUNDAY})
    assert crontab == Crontab.parse("0 9-11 sun apr 1,15")
    assert type(crontab.days_of_week[0]) is int
    assert Crontab.from_fields() == Crontab.parse("* * * * *")


def test_a_list_of_everything_is_none() -> None:
    """Contract 2: None means every."""
    everything = Crontab.from_fields(range(60), range(24), range(1, 32), range(1, 13), range(7))
    assert everything == Crontab.from_fields() == Crontab.parse("0-59 0-23 0-6 1-12 1-31")


# -- which days ----------------------------------------------------------------------------------------------

MONDAYS, FIRST_WEEK = {1, 8, 15, 22, 29}, {1, 2, 3, 4, 5, 6, 7}  # of a month that begins on Monday
ODD = set(range(1, 32, 2))
ALL = set(range(1, 32))


@pytest.mark.parametrize(
    ("text", "dialect", "days"),
    [
        ("0 0 0 * *", "autocron", MONDAYS),
        ("0 0 * * 1-7", "autocron", FIRST_WEEK),
        ("0 0 0 * 1-7", "autocron", MONDAYS | FIRST_WEEK),
        ("0 0 0 * 1-31", "autocron", MONDAYS),  # 1-31 restricts nothing
        ("0 0 0-6 * 1-7", "autocron", FIRST_WEEK),
        ("0 0 0 * */2", "autocron", MONDAYS | ODD),  # a step restricts like any list
        ("0 0 &0 * 1-7", "autocron", MONDAYS & FIRST_WEEK),
        ("0 0 0 * &1-7", "autocron", MONDAYS & FIRST_WEEK),
        ("0 0 &0 * *", "autocron", MONDAYS),
        ("0 0 1-7 * 1", "unix", MONDAYS | FIRST_WEEK),
        ("0 0 1-31 * 1", "unix", ALL),  # as in cron: one of the two always matches
        ("0 0 1-7 * 0-6", "unix", ALL),
        ("0 0 */2 * 1", "unix", MONDAYS & ODD),  # as in cron: a field that begins with a star
        ("0 0 */31,1-7 * 1", "unix", MONDAYS & FIRST_WEEK),
        ("0 0 1-7 * */2", "unix", {2, 4, 6, 7}),  # Tuesday, Thursday, Saturday, Sunday
        ("0 0 1-7 * &1", "unix", MONDAYS & FIRST_WEEK),
        ("0 0 * * 1", "unix", MONDAYS),
        ("0 0 1-7 * *", "unix", FIRST_WEEK),
    ],
)
def test_either_day_field(text: str, dialect: str, days: set[int]) -> None:
    """Contract 2: if both day fields are restricted, a day matches when either does; if one is, it alone."""
    assert set(Crontab.parse(text, dialect).days_in(first_weekday=0, length=31)) == days


def test_days_in_a_short_month() -> None:
    """Contract 2: days 1-31; a month that has no such day is passed over."""
    crontab = Crontab.parse("0 0 * * 29-31")
    assert [crontab.days_in(3, length) for length in (28, 29, 30)] == [(), (29,), (29, 30)]


def test_wildcards_begin_with_a_star() -> None:
    """Design 6: wildcards follow the wall; `*` and `*/n` are wildcards, lists are fixed times."""
    assert [
        Crontab.parse(f"{text} 3 * * *").is_wildcard for text in ("*", "*/15", "*/30,5", "0-59", "0,15", "5,*/30")
    ] == [True, True, True, True, False, False]
    assert Crontab.parse("0 */2 * * *").hours_wildcard
    assert not Crontab.from_fields(minutes=[0, 30], hours=[3]).is_wildcard


# -- what is refused -----------------------------------------------------------------------------------------

REFUSALS = [
    ("60 * * * *", 'field "minutes": 60 is not allowed, only 0-59'),
    ("* 24 * * *", 'field "hours": 24 is not allowed, only 0-23'),
    ("* * 7 * *", 'field "days-of-week": 7 is not allowed, only 0-6 (Monday is 0) or mon-sun'),
    ("* * * 0 *", 'field "months": 0 is not allowed, only 1-12 or jan-dec'),
    ("* * * * 32", 'field "days-of-month": 32 is not allowed, only 1-31'),
    ("* * * * 0-5", 'field "days-of-month": 0 is not allowed, only 1-31'),
    ("* * foo * *", 'field "days-of-week": foo is not allowed, only 0-6 (Monday is 0) or mon-sun'),
    ("* * * monday *", 'field "months": monday is not allowed, only 1-12 or jan-dec'),
    ("mon * * * *", 'field "minutes": mon is not allowed, only 0-59'),
    ("5-1 * * * *", "'5-1' is in reverse order; to go past the end write \"5-59,0-1\", allowed are 0-59"),
    ("* * sat-mon * *", "'sat-mon' is in reverse order"),
    ("1,,2 * * * *", "field \"minutes\": a value is missing in '1,,2', allowed are 0-59"),
    (", * * * *", "a value is missing"),
    ("* * & * *", "a value is missing"),
    ("1- * * * *", "field \"minutes\": '1-' cannot be read, allowed are 0-59, the star"),
    ("-1 * * * *", "'-1' cannot be read"),
    ("1-2-3 * * * *", "'1-2-3' cannot be read"),
    ("*-5 * * * *", "'*-5' cannot be read"),
    ("1.5 * * * *", "'1.5' cannot be read"),
    ("+1 * * * *", "'+1' cannot be read"),
    ("&1 * * * *", "'&1' cannot be read"),
    ("5* * * * *", "'5*' cannot be read"),
    ("*/ * * * *", "'*/' cannot be read"),
    ("/5 * * * *", "'/5' cannot be read"),
    ("* * ? * *", "'?' cannot be read"),
    ("* * * * 15W", 'field "days-of-month": 15W is not allowed'),
    ("\u0663 * * * *", "'\u0663' cannot be read"),  # a digit, but not ours
    ("\u00b2 * * * *", "'\u00b2' cannot be read"),
    ("1_0 * * * *", "1_0 is not allowed"),
    ("9" * 5000 + " * * * *", "9 is not allowed, only 0-59"),
    ("*/0 * * * *", "field \"minutes\": step 0 in '*/0' is not allowed, only 1-60"),
    ("*/90 * * * *", "step 90 in '*/90' is not allowed, only 1-60"),
    ("*/x * * * *", "step x in '*/x' is not allowed, only 1-60"),
    ("* * */8 * *", "step 8 in '*/8' is not allowed, only 1-7"),
    ("", "0 fields, but 5 are needed: minutes hours days-of-week months days-of-month"),
    ("* * * *", "4 fields, but 5 are needed"),
    ("0 * * * * *", "6 fields, but 5 are needed: minutes hours days-of-week months days-of-month; seconds"),
    ("0 0 * 2 30", 'field "days-of-month": day 30 of February will never come, allowed are days up to 29'),
    (
        "0 0 * 4,6,9,11 31",
        "day 31 of April, June, September and November will never come, allowed are days up to 30",
    ),
    ("0 0 &0 2 30,31", "days 30 and 31 of February will never come"),
    ("@foo", 'crontab "@foo" is not known; known are @hourly, @daily, @midnight, @weekly, @monthly, @yearly'),
    ("@reboot", 'crontab "@reboot" is not supported'),
    (5, "crontab 5 is not a string of five fields"),
    (b"* * * * *", "is not a string of five fields"),
]


@pytest.mark.parametrize(("text", "message"), REFUSALS, ids=[str(text)[:20] for text, _ in REFUSALS])
def test_refusals(text: Any, message: str) -> None:
    """Contract 2: every invalid value → ValueError, naming the field, the value and what is allowed."""
    assert message in refusal(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("60 * * * *", 'field "minute": 60 is not allowed, only 0-59'),
        ("* * * * 8", 'field "day-of-week": 8 is not allowed, only 0-7 (Sunday is 0 or 7) or sun-sat'),
        ("* * 0 * *", 'field "day-of-month": 0 is not allowed, only 1-31'),
        ("* * * * sat-mon", "'sat-mon' is in reverse order"),
        ("* * * * 1/8", "step 8 in '1/8' is not allowed, only 1-7"),
        ("* * * *", "4 fields, but 5 are needed: minute hour day-of-month month day-of-week"),
        ("0 0 30 2 *", 'field "day-of-month": day 30 of February will never come'),
        ("0 0 30 2 */2", "day 30 of February will never come"),  # a day would have to match both
        ("@foo", "known are @hourly"),
    ],
)
def test_refusals_in_unix(text: str, message: str) -> None:
    """Contract 2: every invalid value → ValueError, in the dialect "unix" too."""
    assert message in refusal(text, "unix")


@pytest.mark.parametrize(
    ("text", "dialect", "hint"),
    [
        (
            "0 9 15 * *",
            "autocron",
            'in the dialect "unix" this string is valid (day-of-month 15): pass dialect="unix"',
        ),
        (
            "0 9 * * 0",
            "autocron",
            'in the dialect "unix" this string is valid (day-of-week 0): pass dialect="unix"',
        ),
        ("0 9 * * mon-fri", "autocron", "valid (day-of-week mon-fri)"),
        ("0 9 7 * *", "autocron", "valid (day-of-month 7)"),
        (
            "0 9 * * 15",
            "unix",
            'in the dialect "autocron" this string is valid (days-of-month 15): pass dialect',
        ),
        ("0 9 mon * *", "unix", "valid (days-of-week mon)"),
    ],
)
def test_hint_at_the_other_dialect(text: str, dialect: str, hint: str) -> None:
    """Contract 2: where the string would be valid in the other dialect, the message says so."""
    assert hint in refusal(text, dialect)


@pytest.mark.parametrize("text", ["60 * * * *", "* * * *", "0 9 99 * *", "* * foo * *", "@foo"])
def test_no_hint_where_neither_would_take_it(text: str) -> None:
    """Contract 2: only where the string would be valid in the other dialect, the message says so."""
    assert "dialect" not in refusal(text)
    assert "dialect" not in refusal(text, "unix")


def test_unknown_dialect() -> None:
    """Contract 2: `dialect="unix"` selects the other order; there is no third."""
    assert refusal("* * * * *", "posix") == 'dialect \'posix\' is not known, only "autocron" and "unix"'
    with pytest.raises(CrontabError, match="posix"):
        Crontab.parse("* * * * *").to_string("posix")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"minutes": [60]}, 'field "minutes": 60 is not allowed; allowed is a list of integers 0-59'),
        ({"minutes": [-1]}, 'field "minutes": -1 is not allowed'),
        ({"hours": [24]}, 'field "hours": 24 is not allowed; allowed is a list of integers 0-23'),
        ({"days": [0]}, 'field "days": 0 is not allowed; allowed is a list of integers 1-31'),
        ({"months": [13]}, 'field "months": 13 is not allowed; allowed is a list of integers 1-12'),
        (
            {"days_of_week": [7]},
            'field "days_of_week": 7 is not allowed; allowed is a list of integers 0-6 (Monday',
        ),
        ({"hours": []}, 'field "hours": an empty list never fires'),
        ({"hours": iter([])}, "an empty list never fires"),
        ({"hours": [True]}, "True is not allowed"),
        ({"hours": True}, "True is not a list"),
        ({"hours": [9.0]}, "9.0 is not allowed"),
        ({"hours": ["9"]}, "'9' is not allowed"),
        ({"hours": "9"}, "'9' is not a list"),
        ({"hours": 9.5}, "9.5 is not a list"),
        ({"hours": [None]}, "None is not allowed"),
        (
            {"days": [30], "months": [2]},
            'field "days": day 30 of February will never come, allowed are days up to 29',
        ),
        ({"days": [31], "months": [4, 6]}, "day 31 of April and June will never come"),
    ],
)
def test_refusals_of_lists(fields: dict[str, Any], message: str) -> None:
    """Contract 2: minutes 0–59, hours 0–23, days 1–31, months 1–12, days_of_week 0–6, else ValueError."""
    with pytest.raises(CrontabError) as caught:
        Crontab.from_fields(**fields)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["0 0 * 2 29", "0 0 * 2,3 30", "0 0 * 2 29-31", "0 0 0 2 30"])
def test_dates_that_come_at_last(text: str) -> None:
    """Contract 2: only a date that never comes is refused; beside a day of the week it adds nothing."""
    assert Crontab.parse(text).to_string() == text


# -- spelling and words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "autocron", "unix"),
    [
        ("30 9 2,0 * *", "30 9 0,2 * *", "30 9 * * 1,3"),
        ("* 9 mon apr,jul 10-15", "* 9 0 4,7 10-15", "* 9 10-15 4,7 1"),
        ("*/15,7 */1 sun * *", "*/15,7 * 6 * *", "*/15,7 * * * 0"),
        ("0-59 9-10 4-6 * *", "* 9,10 4-6 * *", "* 9,10 * * 0,5,6"),
        ("0 0 &0 * 1-7", "0 0 &0 * 1-7", "0 0 */31,2-7 * 1"),
        ("0 0 &6 * 8-14", "0 0 &6 * 8-14", "0 0 8-14 * */7"),
        ("0 0 &0 * 8-14", "0 0 &0 * 8-14", "0 0 8-14 * &1"),
        ("0 0 0 * */16", "0 0 0 * 1,17", "0 0 1,17 * 1"),
        ("*/60 * * * *", "*/60 * * * *", "*/60 * * * *"),
    ],
)
def test_canonical_strings(text: str, autocron: str, unix: str) -> None:
    """Design 6: an entry is stored as a string that means the same when it is read again."""
    crontab = Crontab.parse(text)
    assert (crontab.to_string(), crontab.to_string("unix")) == (autocron, unix)
    assert Crontab.parse(autocron) == Crontab.parse(unix, "unix") == crontab


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("0 * * * *", "every hour"),
        ("0 */6 * * *", "at 00:00, 06:00, 12:00 and 18:00 every day"),
        ("0 */2 * * *", "every 2 hours"),
        ("0 */2 5 * *", "every 2 hours on Saturday"),
        ("5 * * * *", "at minute 5 of every hour"),
        ("5 * * 1-3 *", "at minute 5 of every hour in January to March"),
        ("*/7 * * * *", "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ("15,30 7 * * *", "at 07:15 and 07:30 every day"),
        ("30 9 0,2 * *", "at 09:30 on Monday and Wednesday"),
        ("0 9-17 0-4 * *", "every hour from 09:00 to 17:00 on weekdays"),
        ("*/15 9-17 0-4 4,7 *", "every 15 minutes from 09:00 to 17:45 on weekdays in April and July"),
        ("*/15 9 * * *", "every 15 minutes from 09:00 to 09:45 every day"),
        ("* 9,11 5,6 * *", "every minute of hours 9 and 11 on weekends"),
        ("10-50 9 * * *", "at minutes 10 to 50 of hour 9 every day"),
        (
            "0,30 1 * * 1,2,3,11-13,21,22,31",
            "at 01:00 and 01:30 on the 1st to 3rd, 11th to 13th, 21st, 22nd and 31st",
        ),
        ("0,15,30,45 1 * * *", "every 15 minutes from 01:00 to 01:45 every day"),
        ("0 0 * 1 1", "at 00:00 on the 1st in January"),
        ("0 0 4-6 * *", "at 00:00 on Friday to Sunday"),
        (
            "* 9 0 4,7 10-15",
            "every minute from 09:00 to 09:59 on Monday and also on the 10th to 15th, only in April and July",
        ),
        ("0 9 &0 * 1-7", "at 09:00 on Monday, but only on the 1st to 7th"),
    ],
)
def test_words(text: str, words: str) -> None:
    """The words say the same as the crontab."""
    assert Crontab.parse(text).describe() == words


def test_crontabs_are_values() -> None:
    """Records are frozen: equal, hashable and picklable by what they contain."""
    crontab = Crontab.parse("@daily")
    assert pickle.loads(pickle.dumps(crontab)) == crontab
    assert hash(crontab) == hash(Crontab.parse("0 0 * * *"))
    with pytest.raises(AttributeError):
        crontab.minutes = (1,)  # type: ignore[misc]
