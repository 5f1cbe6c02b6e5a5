"""Months, birthdays and month ends as Japanese law counts them."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.months import add_months, birthday, end_of_month, first_of_month, months_between

days = st.dates(date(1930, 1, 1), date(2100, 12, 31))


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        pytest.param(date(2026, 11, 20), date(2027, 2, 20), 3, id="20 Nov to 20 Feb is three"),
        pytest.param(date(2026, 11, 20), date(2027, 2, 19), 2, id="20 Nov to 19 Feb is two"),
        pytest.param(date(2026, 11, 20), date(2027, 2, 21), 3, id="20 Nov to 21 Feb is still three"),
        pytest.param(date(2026, 11, 20), date(2026, 11, 20), 0, id="a day to itself is none"),
        pytest.param(date(2026, 11, 30), date(2027, 2, 28), 3, id="30 Nov to the end of a short February"),
        pytest.param(date(2026, 11, 30), date(2027, 2, 27), 2, id="30 Nov to a day before it"),
        pytest.param(date(2027, 11, 30), date(2028, 2, 28), 2, id="30 Nov to 28 Feb of a leap year"),
        pytest.param(date(2027, 11, 30), date(2028, 2, 29), 3, id="30 Nov to 29 Feb"),
        pytest.param(date(2026, 1, 31), date(2026, 2, 28), 1, id="31 Jan to the end of February"),
        pytest.param(date(2026, 1, 31), date(2026, 4, 30), 3, id="31 Jan to the end of April"),
        pytest.param(date(2026, 1, 31), date(2026, 4, 29), 2, id="31 Jan to a day before it"),
        pytest.param(date(2026, 2, 28), date(2026, 3, 28), 1, id="28 Feb to 28 March, not to its end"),
        pytest.param(date(2024, 2, 29), date(2025, 2, 28), 12, id="29 Feb to 28 Feb is a year"),
        pytest.param(date(2024, 2, 29), date(2025, 2, 27), 11, id="29 Feb to 27 Feb is not"),
        pytest.param(date(2026, 12, 31), date(2027, 1, 31), 1, id="over the end of the year"),
        pytest.param(date(2026, 11, 20), date(2026, 11, 19), -1, id="backwards"),
    ],
)
def test_months_between_two_days_are_whole_months(start: date, end: date, months: int) -> None:
    assert months_between(start, end) == months


@pytest.mark.parametrize(
    ("day", "months", "found"),
    [
        pytest.param(date(2026, 5, 28), 2, date(2026, 7, 28), id="the corresponding day"),
        pytest.param(date(2026, 12, 31), 2, date(2027, 2, 28), id="clamped to February"),
        pytest.param(date(2027, 12, 31), 2, date(2028, 2, 29), id="clamped to a leap February"),
        pytest.param(date(2026, 8, 31), 1, date(2026, 9, 30), id="clamped to 30 days"),
        pytest.param(date(2026, 10, 31), 2, date(2026, 12, 31), id="nothing to clamp"),
        pytest.param(date(2026, 11, 20), 0, date(2026, 11, 20), id="none"),
        pytest.param(date(2026, 1, 31), -2, date(2025, 11, 30), id="backwards over a year"),
    ],
)
def test_the_corresponding_day_is_clamped_to_the_end_of_the_month(day: date, months: int, found: date) -> None:
    assert add_months(day, months) == found


@pytest.mark.parametrize(
    ("born_on", "age", "found"),
    [
        pytest.param(date(2008, 2, 29), 18, date(2026, 2, 28), id="born on 29 February, 18 in a common year"),
        pytest.param(date(2008, 2, 29), 20, date(2028, 2, 29), id="born on 29 February, 20 in a leap year"),
        pytest.param(date(2007, 2, 28), 18, date(2025, 2, 28), id="born on 28 February"),
        pytest.param(date(2008, 3, 1), 18, date(2026, 3, 1), id="born on 1 March"),
        pytest.param(date(2008, 12, 31), 18, date(2026, 12, 31), id="born on the last day of a year"),
    ],
)
def test_a_birthday_on_29_february_falls_on_the_28th_in_other_years(born_on: date, age: int, found: date) -> None:
    assert birthday(born_on, age) == found


@given(start=days, end=days)
def test_months_between_are_the_largest_number_that_does_not_pass_the_end(start: date, end: date) -> None:
    months = months_between(start, end)
    assert add_months(start, months) <= end < add_months(start, months + 1)


@given(day=days)
def test_a_month_begins_on_its_first_day_and_ends_before_the_next(day: date) -> None:
    assert first_of_month(day).day == 1
    assert end_of_month(day) + timedelta(days=1) == add_months(first_of_month(day), 1)
    assert first_of_month(day) <= day <= end_of_month(day)
