"""Records that an operator writes down at the counter: what cannot be true, and what is somebody else's."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from connectors.interface import BindingLevel, IdentityRecord
from gateway.errors import ConfigurationError
from gateway.identity.counter_record import changed_fields, is_card_long_over, is_somebody_else, read_record
from gateway.operator_cli import record_words

TODAY = date(2026, 11, 20)
GIVEN: dict[str, Any] = {
    "name": "KIM MINJI",
    "names_kana": ["キム ミンジ"],
    "alias": None,
    "date_of_birth": "1998-02-03",
    "residence_card_number": "AB12345678CD",
    "card_expiry_on": None,
    "address_given": None,
    "tax_municipality": None,
    "identity_binding_level": "CARD_FACE",
}


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("date_of_birth", "2026-11-21", "it is in the future"),
        ("date_of_birth", "9999-12-31", "it is in the future"),
        ("date_of_birth", "1896-11-19", "it is more than 130 years ago"),
        ("date_of_birth", "0001-01-01", "it is more than 130 years ago"),
        ("name", "", "it is empty"),
        ("name", " \u3000", "it is empty"),
        ("name", "-", "it is empty"),
        ("names_kana", ["KIM MINJI"], "each has to be a name in kana"),
        ("names_kana", ["キム ミンジ", "金 敏智"], "each has to be a name in kana"),
        ("names_kana", ["キム Minji"], "each has to be a name in kana"),
        ("names_kana", ["キム2"], "each has to be a name in kana"),
        ("names_kana", [""], "each has to be a name in kana"),
        ("names_kana", ["・"], "each has to be a name in kana"),
    ],
)
def test_a_record_that_cannot_be_true_is_refused_by_its_field(field: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_record(GIVEN | {field: value}, today=TODAY)
    assert refused.value.detail == f"identity: {field}: {says}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("date_of_birth", "2026-11-20"),
        ("date_of_birth", "1896-11-20"),
        ("name", "金 敏智"),
        ("name", "Ö"),
        ("names_kana", []),
        ("names_kana", ["ｷﾑ ﾐﾝｼﾞ", "きむ　みんじ", "ジョン・スミス＝ヴェーバー", "シルバ（ルーカス）"]),
    ],
)
def test_a_record_that_may_be_true_is_read(field: str, value: Any) -> None:
    assert read_record(GIVEN | {field: value}, today=TODAY)


def record(**different: Any) -> IdentityRecord:
    known = IdentityRecord(
        "KIM MINJI", (), None, date(1998, 2, 3), "AB12345678CD", None, None, None, BindingLevel.CARD_FACE
    )
    return replace(known, **different)


@pytest.mark.parametrize(
    ("different", "is_another"),
    [
        ({}, False),
        ({"residence_card_number": "AB12345679CD"}, False),
        ({"name": "TRAN HUONG"}, False),
        ({"date_of_birth": date(1997, 5, 21)}, False),
        ({"name": "Ｋｉｍ  minji", "date_of_birth": date(1997, 5, 21)}, False),
        ({"name": "TRAN HUONG", "date_of_birth": date(1997, 5, 21)}, True),
    ],
)
def test_a_record_of_another_name_and_another_birth_is_somebody_elses(
    different: dict[str, Any], is_another: bool
) -> None:
    assert is_somebody_else(record(), record(**different)) is is_another


@pytest.mark.parametrize(
    ("expiry_on", "is_over"),
    [(None, False), (date(2027, 1, 1), False), (date(2026, 9, 20), False), (date(2026, 9, 19), True)],
)
def test_a_card_is_long_over_once_no_application_keeps_the_stay_alive(expiry_on: date | None, is_over: bool) -> None:
    assert is_card_long_over(record(card_expiry_on=expiry_on), TODAY) is is_over


@pytest.mark.parametrize(
    ("is_new", "different", "said"),
    [
        (True, {}, "kim-1 is enrolled."),
        (False, {}, "The record of kim-1 stands as it was."),
        (False, {"name": "KIM MIN", "alias": "Min"}, "The record of kim-1 is corrected: name, alias."),
    ],
)
def test_what_became_of_a_record_is_told_by_its_fields_and_without_what_they_hold(
    is_new: bool, different: dict[str, Any], said: str
) -> None:
    corrected = changed_fields(record(), record(**different))
    assert record_words("kim-1", is_new=is_new, corrected=corrected) == said
