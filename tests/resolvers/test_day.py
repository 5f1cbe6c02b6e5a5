"""A day is written in one form alone."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.day import read_day


@given(st.dates())
def test_a_day_is_read_as_it_is_written(day: date) -> None:
    assert read_day(day.isoformat()) == day


@pytest.mark.parametrize(
    "text",
    [
        *("20270331", "2027-W13-3", "2027W133", "2027-3-31", "2027-03-32", "2027-02-29", "2027/03/31", "0000-01-01"),
        *("2027-03-31T00:00", "２０２７-０３-３１", " 2027-03-31", "2027-03-31\n", "-027-03-31", "", "today"),
    ],
)
def test_a_day_in_another_form_is_none(text: str) -> None:
    assert read_day(text) is None
