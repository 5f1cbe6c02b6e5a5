"""Other people are swapped in by a folder: what may be left out there, and how what is wrong is told."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway.asking import missing_ask
from gateway.errors import ConfigurationError
from gateway.matrix import NOT_ASKED, matrix_table
from gateway.sandbox import read_people
from resolvers.catalogue import Purpose

PERSON: dict[str, Any] = {
    "id": "X1",
    "name": "TESTER ONE",
    "names_kana": ["テスター ワン"],
    "alias": None,
    "date_of_birth": "1990-05-15",
    "residence_card_number": "ZZ20260001ZZ",
    "card_expiry_on": None,
    "address_given": None,
    "tax_municipality": None,
    "identity_binding_level": "IC_VERIFIED",
    "declared_employment": None,
    "asks": {"tenancy": {"rent_jpy_per_month": 100_000}, "lending": None},
}
CLOCK = "2026-11-20T10:00:00+09:00"


def folder_with(tmp_path: Path, *people: Any, clock: Any = CLOCK) -> Path:
    content = json.dumps({"clock": clock, "people": people}, ensure_ascii=False)
    (tmp_path / "people.json").write_text(content, encoding="utf-8")
    return tmp_path


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in PERSON.items() if name not in names}


OPTIONAL = ("alias", "card_expiry_on", "address_given", "tax_municipality", "declared_employment", "asks")


@pytest.mark.parametrize("absent", [*((name,) for name in OPTIONAL), OPTIONAL])
def test_what_may_be_null_may_be_left_out(tmp_path: Path, absent: tuple[str, ...]) -> None:
    null = read_people(folder_with(tmp_path, PERSON | dict.fromkeys(absent)))
    assert read_people(folder_with(tmp_path, without(*absent))) == null


@pytest.mark.parametrize(
    ("clock", "day"),
    [
        (CLOCK, date(2026, 11, 20)),
        ("2026-11-19T16:00:00Z", date(2026, 11, 20)),
        ("2026-11-20T00:30:00", date(2026, 11, 20)),
    ],
)
def test_the_clock_names_a_day_in_japan(tmp_path: Path, clock: str, day: date) -> None:
    assert read_people(folder_with(tmp_path, PERSON, clock=clock)).clock_on == day


@pytest.mark.parametrize(
    ("people", "says"),
    [
        ([without("name")], "X1: name: it is missing"),
        ([without("names_kana")], "X1: names_kana: it is missing"),
        ([PERSON | {"names_kana": "テスター"}], "X1: names_kana: not a list"),
        ([PERSON | {"date_of_birth": "1990/05/15"}], "X1: date_of_birth: not valid; a date is written YYYY-MM-DD"),
        ([PERSON | {"card_expiry_on": "soon"}], "X1: card_expiry_on: not valid; a date is written YYYY-MM-DD"),
        ([PERSON | {"identity_binding_level": "jpki"}], "X1: identity_binding_level: not valid; it is one of NONE,"),
        ([PERSON | {"declared_employment": {}}], "X1: declared_employment.employed: it is missing"),
        ([PERSON, without("id")], "person 2: id: it is missing"),
        ([PERSON, PERSON], "X1: id: it is there twice"),
        ([PERSON | {"asks": []}], "X1: asks: not a table"),
        (
            [PERSON | {"asks": {"tenancy": {"rent_jpy_per_month": "62000"}}}],
            "X1: asks.tenancy.rent_jpy_per_month: not a",
        ),
        (
            [PERSON | {"asks": {"lending": {"product": "BOAT"}}}],
            "X1: asks.lending.product: not valid; it is one of CON",
        ),
        ([PERSON | {"guardian": "X9"}], "X1: guardian: it has to be the id of somebody else"),
        (["X1"], "person 1: not a table"),
    ],
)
def test_what_is_wrong_with_a_person_names_the_file_the_person_and_the_field(
    tmp_path: Path, people: list[Any], says: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_people(folder_with(tmp_path, *people))
    assert refused.value.detail.startswith(f"people.json: {says}")
    for never in ("62000", "1990/05/15", "soon", "BOAT", "jpki", "X9"):
        assert never not in refused.value.detail


def without_clock(text: bytes) -> bytes:
    return json.dumps({"people": json.loads(text)["people"]}).encode()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(without_clock, "clock: it is missing", id="no clock"),
        pytest.param(
            lambda _: b"[]", "it has to hold an object with a clock and a list of people", id="a list alone"
        ),
        pytest.param(lambda text: text + b"}", "line 1: not JSON", id="not JSON"),
        pytest.param(lambda _: b"{\n\n,}", "line 3: not JSON", id="not JSON in its third line"),
        pytest.param(lambda text: text + "日".encode("cp932"), "not UTF-8 at byte", id="another encoding"),
    ],
)
def test_what_is_wrong_with_the_file_names_its_line_or_its_key(
    tmp_path: Path, spoil: Callable[[bytes], bytes], says: str
) -> None:
    path = folder_with(tmp_path, PERSON) / "people.json"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ConfigurationError) as refused:
        read_people(tmp_path)
    assert refused.value.detail.startswith(f"people.json: {says}")


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    plain = read_people(folder_with(tmp_path, PERSON))
    path = tmp_path / "people.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_people(tmp_path) == plain


@pytest.mark.parametrize(
    ("asks", "missing"),
    [
        (None, "asks.lending.product"),
        ({"tenancy": {"rent_jpy_per_month": 1}}, "asks.lending.product"),
        ({"lending": {"product": "CONSUMER", "amount_jpy": None, "term_months": 24}}, "asks.lending.amount_jpy"),
        ({"lending": {"product": "CONSUMER", "amount_jpy": 1, "term_months": 24}}, None),
    ],
)
def test_whoever_asks_for_nothing_is_not_asked_and_the_table_says_what_is_missing(
    tmp_path: Path, asks: Any, missing: str | None
) -> None:
    read = read_people(folder_with(tmp_path, PERSON | {"asks": asks}))
    assert missing_ask(Purpose.LENDING, read.asks["X1"]) == missing
    assert missing_ask(Purpose.ACCOUNT_OPENING, read.asks["X1"]) is None
    row = {"outcome": NOT_ASKED, "rules": {}, "missing": "asks.lending.product"}
    table = matrix_table({"X1": {"LENDING": row}})
    assert [list(column.cells) for column in table.columns][1] == ["NOT_ASKED\nasks.lending.product"]
