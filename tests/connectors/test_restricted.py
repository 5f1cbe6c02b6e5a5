"""Numbers that may not be kept are found in every spelling, and nothing else is touched."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.interface import SourceAuthority
from connectors.restricted import REMOVED, Incident, NumberKind, NumberWatch, is_my_number, scrub

MINE = frozenset({NumberKind.MY_NUMBER})


def _my_number(first_eleven: str) -> str:
    return next(first_eleven + str(check) for check in range(10) if is_my_number(first_eleven + str(check)))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("123456789018", REMOVED),
        ("個人番号123456789018確認済", f"個人番号{REMOVED}確認済"),
        ("１２３４５６７８９０１８", REMOVED),
        ("1234-5678-9018", REMOVED),
        ("1234 5678 9018", REMOVED),
        ("1234 - 5678 - 9018", REMOVED),
        ("１２３４　５６７８　９０１８", REMOVED),
        ("1234−5678―9018", REMOVED),
        ("1234\t5678\n9018", REMOVED),
        ("1234\u200b5678\u200b9018", REMOVED),
        ("1２3４5６7８9０1８", REMOVED),
        ("١٢٣٤٥٦٧٨٩٠١٨", REMOVED),
        ("①②③④⑤⑥⑦⑧⑨⓪①⑧", REMOVED),
        ("9999 1234 5678 9018", f"9999 {REMOVED}"),
        ("1234 5678 9018 9999", f"{REMOVED} 9999"),
        ("a123456789018b123456789018", f"a{REMOVED}b{REMOVED}"),
        ("−５１２３４５６７８９０１８", None),
        ("1234567890189", None),
        ("0123456789018", None),
    ],
)
def test_my_number_is_found_in_every_spelling(text: str, clean: str | None) -> None:
    assert scrub(text) == ((clean, MINE) if clean is not None else (text, frozenset()))


@pytest.mark.parametrize(
    "text",
    [
        "7999901000001",  # a corporate number has 13 digits
        "123456789012",  # the check digit is wrong
        "26112000001",  # an application number
        "東京支局-電-26-104417",
        "20241201-20291130",
        "2026/10/31",
        "242，000",
        "03-1234-5678",
        "令和８年１０月３１日",
        "ZZ20260001ZZ",
        "",
        "ｸﾞｴﾝ ﾃｲ ﾌｵﾝ",
    ],
)
def test_other_numbers_survive(text: str) -> None:
    assert scrub(text) == (text, frozenset())


@pytest.mark.parametrize(
    ("text", "clean", "kind"),
    [
        ("9901-000001", REMOVED, NumberKind.BASIC_PENSION),
        ("基礎年金番号９９０１－０００００１。", f"基礎年金番号{REMOVED}。", NumberKind.BASIC_PENSION),
        ("5001-202601-1", REMOVED, NumberKind.EMPLOYMENT_INSURANCE),
        ("雇保 ５００１ー２０２６０１ー１", f"雇保 {REMOVED}", NumberKind.EMPLOYMENT_INSURANCE),
    ],
)
def test_pension_and_employment_insurance_numbers_are_found(text: str, clean: str, kind: NumberKind) -> None:
    assert scrub(text) == (clean, frozenset({kind}))


def test_several_kinds_are_found_together() -> None:
    text, kinds = scrub("A 123456789018 B 9901-000001 C 5001-202601-1 D")
    assert text == f"A {REMOVED} B {REMOVED} C {REMOVED} D"
    assert kinds == frozenset(NumberKind)


@given(st.text(alphabet="0123456789", min_size=11, max_size=11), st.sampled_from(["", " ", "-", "　", "－"]))
def test_every_valid_number_is_found(first_eleven: str, gap: str) -> None:
    number = _my_number(first_eleven)
    written = gap.join((number[:4], number[4:8], number[8:]))
    assert scrub(f"番号{written}です") == (f"番号{REMOVED}です", MINE)


@given(st.text(max_size=60))
def test_text_around_is_unchanged_and_cleaning_twice_changes_nothing_more(text: str) -> None:
    clean, kinds = scrub(text)
    assert scrub(clean) == (clean, frozenset())
    assert (clean == text) == (not kinds)


def test_cleaning_takes_time_in_proportion() -> None:
    for hostile in ("1-" * 50_000, "1" * 100_000, "0000 " * 20_000, "1234-" * 20_000, "1" + "-" * 100_000):
        scrub(hostile)  # a quadratic search would run into the suite's time limit


def test_the_check_digit_is_that_of_the_law() -> None:
    assert is_my_number("123456789018")
    assert not is_my_number("123456789010")
    assert not is_my_number("12345678901")
    assert not is_my_number("１２３４５６７８９０１８")
    assert is_my_number("000000000000")  # remainder 0 gives check digit 0


def test_an_incident_is_told_once_even_when_reading_fails() -> None:
    told: list[Incident] = []
    with contextlib.suppress(ZeroDivisionError), NumberWatch(SourceAuthority.TAX, told.append) as watch:
        watch.clean("123456789018")
        watch.clean("123456789018")
        raise ZeroDivisionError
    assert told == [Incident(SourceAuthority.TAX, MINE)]


def test_nothing_found_is_nothing_told() -> None:
    told: list[Incident] = []
    with NumberWatch(SourceAuthority.TAX, told.append) as watch:
        assert watch.clean("7999901000001") == "7999901000001"
    assert told == []
