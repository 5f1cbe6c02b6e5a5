"""Do the records belong to one person: per source, and over a purpose's sources. Specification 9.8, "Linkage"."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any  # a source's reply of any kind; what a claim tells

import pytest

from connectors.insurance.evidence import InsuranceEvidence, InsuredRecord
from connectors.interface import IdentityRecord, SourceAuthority
from resolvers.claim import Reason
from resolvers.facts import Facts
from resolvers.linkage import (
    ProbableRecord,
    RecordMatch,
    derive_record_match,
    employment_notices,
    insured_record,
    match_insured,
    match_notice,
    match_residence,
    match_tax,
    probable_records,
    residence_record,
    tax_reply,
)
from resolvers.record_confirmation import ConfirmedRecord, confirmed_record
from tests.builders import (
    DOWN,
    EMPLOYED,
    IS_DOWN,
    IS_SLOW,
    NOT_EMPLOYED,
    SLOW,
    SOMEBODY_ELSES,
    a_leaving,
    a_notice,
    a_residence_record,
    a_tax_record,
    an_identity,
    an_insured_record,
    facts_of,
    needs_evidence,
    told,
)

IMMIGRATION, LABOR = SourceAuthority.IMMIGRATION, SourceAuthority.LABOR
TAX, INSURANCE = SourceAuthority.TAX, SourceAuthority.INSURANCE
MATCHED, PROBABLE, UNRESOLVED = RecordMatch.MATCHED, RecordMatch.PROBABLE, RecordMatch.UNRESOLVED
SWAPPED = date(1990, 5, 4)
DOUBT = needs_evidence(Reason.IDENTITY_UNRESOLVED)
WITH_ALIAS = an_identity(alias="田中 まりあ", names_kana=("タナカ マリア", "ホシゾラ マリア"))
JOBLESS = an_identity(declared_employment=NOT_EMPLOYED)
SPECIAL_PERMANENT = a_residence_record(residence_status="特別永住者", stay_until=None)


@pytest.mark.parametrize(
    ("record", "match"),
    [
        pytest.param({}, MATCHED, id="all agree"),
        pytest.param({"name": "MARIA TANAKA"}, MATCHED, id="another order"),
        pytest.param({"name": "ｔａｎａｋａ　Ｍａｒｉａ"}, MATCHED, id="another width and case"),
        pytest.param({"card_number": "ｚｚ００００００01zz"}, MATCHED, id="card number in another width and case"),
        pytest.param({"card_number": "ZZ00000002ZZ"}, UNRESOLVED, id="another card"),
        pytest.param({"date_of_birth": date(1990, 4, 6)}, UNRESOLVED, id="another birth date"),
        pytest.param({"date_of_birth": SWAPPED}, UNRESOLVED, id="day and month swapped"),
        pytest.param({"name": "TANAKA"}, UNRESOLVED, id="a part of the name"),
        pytest.param({"name": "TANAKA MARIA ELENA"}, UNRESOLVED, id="more than the name"),
        pytest.param({"name": "田中 まりあ"}, UNRESOLVED, id="the alias is not on the card"),
    ],
)
def test_immigration_agrees_by_card_birth_date_and_whole_name(record: dict[str, Any], match: RecordMatch) -> None:
    assert match_residence(WITH_ALIAS, a_residence_record(**record)) is match


@pytest.mark.parametrize(
    ("notice", "match"),
    [
        pytest.param({}, MATCHED, id="all agree"),
        pytest.param({"name": "MARIA TANAKA"}, MATCHED, id="another order"),
        pytest.param({"name": "ＭＡＲＩＡ"}, MATCHED, id="a part of the name"),
        pytest.param({"name": "田中　まりあ"}, MATCHED, id="the alias"),
        pytest.param({"card_number": "zz00000001zz"}, MATCHED, id="card number in lower case"),
        pytest.param({"name": "TANAKA MARIA ELENA"}, UNRESOLVED, id="more than the name"),
        pytest.param({"name": "TANAKA ELENA"}, UNRESOLVED, id="half of another name"),
        pytest.param({"name": "田中"}, UNRESOLVED, id="a part of the alias"),
        pytest.param({"name": " "}, UNRESOLVED, id="no name"),
        pytest.param({"card_number": "ZZ00000002ZZ"}, UNRESOLVED, id="another card"),
        pytest.param({"date_of_birth": SWAPPED}, UNRESOLVED, id="day and month swapped"),
    ],
)
def test_labor_agrees_by_card_birth_date_and_a_part_of_the_name(notice: dict[str, Any], match: RecordMatch) -> None:
    assert match_notice(WITH_ALIAS, a_notice(**notice)) is match


@pytest.mark.parametrize(
    ("record", "match"),
    [
        pytest.param({}, MATCHED, id="all agree"),
        pytest.param({"name": "ＭＡＲＩＡ　ＴＡＮＡＫＡ"}, MATCHED, id="another order"),
        pytest.param({"name": "田中まりあ"}, MATCHED, id="the alias"),
        pytest.param({"date_of_birth": None}, MATCHED, id="no birth date stated"),
        pytest.param({"date_of_birth": SWAPPED}, UNRESOLVED, id="another birth date"),
        pytest.param({"name": "ＴＡＮＡＫＡ"}, UNRESOLVED, id="a part of the name"),
        pytest.param({"name": "ＴＡＮＡＫＡ　ＭＡＲＩＡ　ＥＬＥＮＡ"}, UNRESOLVED, id="more than the name"),
    ],
)
def test_tax_agrees_by_name_or_alias_and_the_birth_date_where_stated(
    record: dict[str, Any], match: RecordMatch
) -> None:
    assert match_tax(WITH_ALIAS, a_tax_record(**record)) is match


@pytest.mark.parametrize(
    ("identity", "record", "match"),
    [
        pytest.param({}, {}, MATCHED, id="all agree"),
        pytest.param({}, {"name_kana": "ﾀﾅｶﾏﾘｱ"}, MATCHED, id="spaces"),
        pytest.param({"names_kana": ("シュレスタ　ビノド",)}, {"name_kana": "ｼﾕﾚｽﾀ ﾋﾞﾉﾄﾞ"}, MATCHED, id="small kana"),
        pytest.param({"names_kana": ("ルーカス",)}, {"name_kana": "ﾙｶｽ"}, MATCHED, id="long vowel left out"),
        pytest.param({"names_kana": ("ルーカス",)}, {"name_kana": "ﾙ-ｶｽ"}, MATCHED, id="long vowel as a hyphen"),
        pytest.param({"names_kana": ("ホシゾラ", "タナカ マリア")}, {}, MATCHED, id="one of two names"),
        pytest.param({}, {"name_kana": "ﾀﾅｶ ﾏﾘﾔ"}, UNRESOLVED, id="another name, same birth date"),
        pytest.param({}, {"date_of_birth": date(1990, 4, 6)}, UNRESOLVED, id="another birth date, same name"),
        pytest.param({}, {"date_of_birth": SWAPPED}, PROBABLE, id="day and month swapped, same name"),
        pytest.param(
            {}, {"date_of_birth": SWAPPED, "name_kana": "ﾀﾅｶ ﾏﾘﾔ"}, PROBABLE, id="day and month swapped, similar name"
        ),
        pytest.param(
            {}, {"date_of_birth": SWAPPED, "name_kana": "ﾜﾀﾅﾍﾞ ｹﾝ"}, UNRESOLVED, id="day and month swapped, other name"
        ),
        pytest.param({}, {"date_of_birth": date(1991, 5, 4)}, UNRESOLVED, id="swapped, and another year"),
    ],
)
def test_insurance_agrees_by_birth_date_and_one_kana_name(
    identity: dict[str, Any], record: dict[str, Any], match: RecordMatch
) -> None:
    assert match_insured(an_identity(**identity), an_insured_record(**record)) is match


DUPONT = "DUPONT JEAN-PIERRE"


@pytest.mark.parametrize(
    ("own", "written", "is_same"),
    [
        pytest.param(DUPONT, "ＤＵＰＯＮＴ　ＪＥＡＮ‐ＰＩＥＲＲＥ", True, id="another hyphen"),
        pytest.param(DUPONT, "DUPONT JEAN―PIERRE", True, id="a dash"),
        pytest.param(DUPONT, "DUPONT JEANーPIERRE", True, id="a long vowel mark"),
        pytest.param("O'BRIEN ANN", "O’BRIEN ANN", True, id="another apostrophe"),
        pytest.param("KENNEDY JOHN F", "KENNEDY JOHN F.", True, id="an initial with a full stop"),
        pytest.param("MÜLLER JÖRG", "MUELLER JOERG", True, id="as its passport writes it"),
        pytest.param("WANG LI", "WANG LI 王麗", True, id="kanji beside it"),
        pytest.param("WANG LI 王麗", "WANG LI", True, id="kanji beside its own"),
        pytest.param("WANG LI 王麗", "王麗　WANG　LI", True, id="kanji beside both"),
        pytest.param("WANG LI 王麗", "WANG LI 王立", False, id="other kanji beside it"),
        pytest.param("WANG LI", "WANG LEI 王麗", False, id="another name with kanji beside it"),
        pytest.param("WANG LI", "王麗", False, id="kanji alone"),
        pytest.param("SUKARNO", "ＳＵＫＡＲＮＯ　健太", False, id="a given name in kanji beside a name of one part"),
        pytest.param("SUKARNO", "SUKARNO ケンタ", False, id="a given name in kana"),
        pytest.param("KIM", "KIM（金永秀）", False, id="kanji in brackets beside a name of one part"),
        pytest.param("WANG LI", "WANG LI ワン", False, id="kana beside it"),
        pytest.param("WANG LI", "WANG LI ワン 王麗", False, id="kana and kanji beside it"),
        pytest.param("WANG", "王 ワン WANG", False, id="one Latin part beside kana and kanji"),
        pytest.param("SUKARNO", "SUKARNO", True, id="a name of one part"),
        pytest.param("MULLER JORG", "MUELLER JOERG", False, id="no passport writes it so"),
        pytest.param(DUPONT, "DUPONT JEAN-PAUL", False, id="another name"),
    ],
)
def test_a_name_is_the_same_in_every_form_of_its_letters_and_only_then(own: str, written: str, is_same: bool) -> None:
    identity, match = an_identity(name=own), MATCHED if is_same else UNRESOLVED
    assert match_residence(identity, a_residence_record(name=written)) is match
    assert match_notice(identity, a_notice(name=written)) is match
    assert match_tax(identity, a_tax_record(name=written)) is match


@pytest.mark.parametrize(
    ("own", "written", "match"),
    [
        pytest.param("WANG LI", "ＷＡＮＧ　ＬＩ", MATCHED, id="the name in full"),
        pytest.param("WANG LI 王麗", "王麗　WANG　LI", MATCHED, id="the name in full, with its kanji"),
        pytest.param("WANG LI", "WANG LI 王麗", UNRESOLVED, id="kanji beside it"),
        pytest.param("WANG LI 王麗", "WANG LI", UNRESOLVED, id="kanji beside its own"),
        pytest.param("SUKARNO", "ＳＵＫＡＲＮＯ　健太", UNRESOLVED, id="a stranger of the same family name"),
        pytest.param("SUKARNO 健太", "SUKARNO", UNRESOLVED, id="one part of a name with kanji"),
    ],
)
def test_a_tax_record_without_a_birth_date_is_the_persons_by_the_name_in_full(
    own: str, written: str, match: RecordMatch
) -> None:
    assert match_tax(an_identity(name=own), a_tax_record(name=written, date_of_birth=None)) is match


def test_an_alias_is_the_same_with_a_middle_dot_or_a_space() -> None:
    identity = an_identity(alias="ジョン・スミス")
    assert match_tax(identity, a_tax_record(name="ジョン　スミス")) is MATCHED
    assert match_tax(identity, a_tax_record(name="ジョン　スミズ")) is UNRESOLVED


@pytest.mark.parametrize("nothing", ["", " ", "・", "()", "ー"])
def test_names_of_nothing_are_nobodys(nothing: str) -> None:
    nameless = an_identity(alias=nothing, names_kana=(nothing,))
    assert match_tax(nameless, a_tax_record(name="・")) is UNRESOLVED
    assert match_insured(nameless, an_insured_record(name_kana="ー")) is UNRESOLVED


def record_match(*sources: SourceAuthority, **facts: Any) -> Any:
    return told(derive_record_match(facts_of(match_over=sources or tuple(SourceAuthority), **facts)))


@pytest.mark.parametrize(
    "sources",
    [
        pytest.param((IMMIGRATION, LABOR), id="account opening"),
        pytest.param((IMMIGRATION,), id="account maintenance"),
        pytest.param((IMMIGRATION, LABOR, TAX), id="tenancy"),
        pytest.param((IMMIGRATION, LABOR, TAX, INSURANCE), id="lending"),
    ],
)
@pytest.mark.parametrize(
    ("doubtful", "facts"),
    [
        (IMMIGRATION, {"residence": a_residence_record(name="SOMEBODY ELSE")}),
        (LABOR, {"notices": (a_notice(date_of_birth=SWAPPED),)}),
        (TAX, {"tax": a_tax_record(name="ＳＯＭＥＢＯＤＹ")}),
        (INSURANCE, {"insured": (an_insured_record(name_kana="ｻﾄｳ"),)}),
    ],
    ids=["immigration", "labor", "tax", "insurance"],
)
def test_a_doubtful_record_counts_only_for_purposes_that_use_its_source(
    sources: tuple[SourceAuthority, ...], doubtful: SourceAuthority, facts: dict[str, Any]
) -> None:
    assert record_match(*sources) == MATCHED
    assert record_match(*sources, **facts) == (UNRESOLVED if doubtful in sources else MATCHED)


@pytest.mark.parametrize(
    ("facts", "match"),
    [
        pytest.param({"residence": None}, UNRESOLVED, id="immigration: always"),
        pytest.param({"insured": ()}, UNRESOLVED, id="insurance: always"),
        pytest.param({"insured": (), "identity": JOBLESS}, UNRESOLVED, id="insurance: also without a job"),
        pytest.param({"notices": ()}, UNRESOLVED, id="labor: nothing declared"),
        pytest.param(
            {"notices": (), "identity": an_identity(declared_employment=EMPLOYED)},
            UNRESOLVED,
            id="labor: a job declared",
        ),
        pytest.param({"notices": (), "identity": JOBLESS}, MATCHED, id="labor: declared not employed"),
        pytest.param(
            {"notices": (), "residence": SPECIAL_PERMANENT}, MATCHED, id="labor: special permanent resident"
        ),
        pytest.param(
            {"notices": (), "residence": a_residence_record(residence_status="永住者", stay_until=None)},
            UNRESOLVED,
            id="labor: a permanent resident is no special one",
        ),
        pytest.param(
            {
                "notices": (),
                "residence": a_residence_record(residence_status="特別永住者", stay_until=None, name="X"),
            },
            UNRESOLVED,
            id="labor: somebody else is a special permanent resident",
        ),
        pytest.param({"notices": (a_leaving(date(2026, 10, 20)),)}, MATCHED, id="labor: a leaving is a record"),
        pytest.param({"tax": None}, UNRESOLVED, id="tax: a resident for years"),
        pytest.param(
            {"tax": None, "residence": a_residence_record(landed_on=date(2026, 1, 1))},
            UNRESOLVED,
            id="tax: 1 January",
        ),
        pytest.param(
            {"tax": None, "residence": a_residence_record(landed_on=date(2026, 1, 2))}, MATCHED, id="tax: 2 January"
        ),
    ],
)
def test_a_record_must_be_there_unless_its_absence_is_lawful(facts: dict[str, Any], match: RecordMatch) -> None:
    assert record_match(**facts) == match


@pytest.mark.parametrize("silent", [DOWN, SLOW], ids=["down", "slow"])
@pytest.mark.parametrize("field", ["residence", "notices", "tax", "insured"])
def test_a_silent_source_is_left_out(field: str, silent: Any) -> None:
    assert record_match(**{field: silent}) == MATCHED


def test_the_others_still_count_when_one_is_silent() -> None:
    assert record_match(tax=DOWN, insured=()) == UNRESOLVED
    assert record_match(tax=DOWN, insured=(an_insured_record(date_of_birth=SWAPPED),)) == PROBABLE


def test_a_source_that_cannot_tell_whom_we_mean_is_not_silent() -> None:
    assert record_match(tax=SOMEBODY_ELSES) == UNRESOLVED


def test_while_all_sources_are_silent_so_is_the_match() -> None:
    assert record_match(IMMIGRATION, residence=DOWN) == IS_DOWN
    assert record_match(IMMIGRATION, LABOR, residence=SLOW, notices=SLOW) == IS_SLOW


@pytest.mark.parametrize(
    "missing",
    [pytest.param({"notices": ()}, id="no labor record"), pytest.param({"tax": None}, id="no tax record")],
)
def test_whether_a_missing_record_is_lawful_waits_for_immigration(missing: dict[str, Any]) -> None:
    assert record_match(residence=DOWN, **missing) == IS_DOWN
    assert record_match(residence=SLOW, **missing) == IS_SLOW


def test_the_worst_match_wins() -> None:
    probable = (an_insured_record(date_of_birth=SWAPPED),)
    assert record_match(insured=probable) == PROBABLE
    assert record_match(insured=probable, residence=None) == UNRESOLVED


@pytest.mark.parametrize(
    ("records", "match", "is_settled"),
    [
        pytest.param((an_insured_record(),), MATCHED, True, id="one"),
        pytest.param((an_insured_record(), an_insured_record()), UNRESOLVED, False, id="split enrolment"),
        pytest.param(
            (an_insured_record(), an_insured_record(name_kana="ｻﾄｳ")), MATCHED, True, id="one of two is own"
        ),
        pytest.param((an_insured_record(date_of_birth=SWAPPED),), PROBABLE, False, id="one, probable"),
        pytest.param((an_insured_record(name_kana="ｻﾄｳ"),), UNRESOLVED, False, id="one, somebody else's"),
    ],
)
def test_two_insurance_records_of_one_person_settle_nothing(
    records: tuple[InsuredRecord, ...], match: RecordMatch, is_settled: bool
) -> None:
    assert record_match(insured=records) == match
    claim = insured_record(facts_of(insured=records))
    assert claim.is_confirmed is is_settled
    assert is_settled or told(claim) == DOUBT


@pytest.mark.parametrize(
    ("linked", "facts", "found"),
    [
        pytest.param(residence_record, {"residence": a_residence_record(name="X")}, DOUBT, id="immigration: name"),
        pytest.param(
            residence_record,
            {"residence": None},
            needs_evidence(Reason.RECORD_NOT_FOUND_UNEXPECTED),
            id="immigration: none",
        ),
        pytest.param(
            employment_notices, {"notices": (a_notice(), a_notice(name="X"))}, DOUBT, id="labor: one of two"
        ),
        pytest.param(employment_notices, {"notices": ()}, (), id="labor: none is an answer"),
        pytest.param(tax_reply, {"tax": a_tax_record(name="X")}, DOUBT, id="tax: name"),
        pytest.param(
            insured_record, {"insured": ()}, needs_evidence(Reason.RECORD_NOT_FOUND_UNEXPECTED), id="insurance: none"
        ),
    ],
)
def test_a_record_that_disagrees_is_never_the_persons(linked: Any, facts: dict[str, Any], found: Any) -> None:
    assert told(linked(facts_of(**facts))) == found


def test_a_persons_own_records_are_linked() -> None:
    facts: Facts = facts_of()
    for linked in (residence_record, employment_notices, tax_reply, insured_record):
        assert linked(facts).is_confirmed


def test_a_correction_of_the_identity_record_settles_a_probable_match() -> None:
    corrected: IdentityRecord = an_identity(date_of_birth=SWAPPED)
    records = {
        "residence": a_residence_record(date_of_birth=SWAPPED),
        "notices": (a_notice(date_of_birth=SWAPPED),),
        "tax": a_tax_record(date_of_birth=SWAPPED),
        "insured": (an_insured_record(date_of_birth=SWAPPED),),
    }
    assert record_match(**records) == UNRESOLVED
    assert record_match(identity=corrected, **records) == MATCHED


def a_confirmation(
    name: str = "ﾀﾅｶ ﾏﾘﾔ", born_on: date = SWAPPED, source: SourceAuthority = INSURANCE, key: bytes = b"k" * 32
) -> ConfirmedRecord:
    return confirmed_record(source, name, born_on, key=key, confirmed_at=datetime(2026, 11, 20, tzinfo=UTC))


LIKE = an_insured_record(name_kana="ﾀﾅｶ ﾏﾘﾔ", date_of_birth=SWAPPED)


@pytest.mark.parametrize(
    ("record", "confirmation", "match"),
    [
        pytest.param(LIKE, a_confirmation(), MATCHED, id="the one that was confirmed"),
        pytest.param(LIKE, a_confirmation("タナカマリヤ"), MATCHED, id="its name in another width, without a space"),
        pytest.param(LIKE, a_confirmation("ﾀﾅｶ ﾏﾘﾊ"), PROBABLE, id="another name was confirmed"),
        pytest.param(LIKE, a_confirmation(born_on=date(1990, 4, 5)), PROBABLE, id="another birth date was confirmed"),
        pytest.param(LIKE, a_confirmation(source=TAX), PROBABLE, id="a record of another source was confirmed"),
        pytest.param(
            an_insured_record(name_kana="ﾜﾀﾅﾍﾞ ｹﾝ", date_of_birth=SWAPPED),
            a_confirmation("ﾜﾀﾅﾍﾞ ｹﾝ"),
            UNRESOLVED,
            id="no name like it, whatever was confirmed",
        ),
        pytest.param(
            an_insured_record(name_kana="ﾀﾅｶ ﾏﾘﾔ"),
            a_confirmation(born_on=date(1990, 4, 5)),
            UNRESOLVED,
            id="the name alone differs, whatever was confirmed",
        ),
    ],
)
def test_a_probable_record_and_no_other_is_the_persons_once_they_confirmed_it(
    record: InsuredRecord, confirmation: ConfirmedRecord, match: RecordMatch
) -> None:
    assert match_insured(an_identity(), record, (confirmation,)) is match


@pytest.mark.parametrize(
    ("records", "match", "is_settled"),
    [
        pytest.param((LIKE,), MATCHED, True, id="one, confirmed"),
        pytest.param((LIKE, LIKE), UNRESOLVED, False, id="two that look the same"),
        pytest.param((an_insured_record(), LIKE), UNRESOLVED, False, id="one that agrees anyway beside it"),
        pytest.param(
            (an_insured_record(date_of_birth=SWAPPED), LIKE), MATCHED, True, id="a probable one beside the confirmed"
        ),
    ],
)
def test_what_was_confirmed_counts_like_a_record_that_agrees(
    records: tuple[InsuredRecord, ...], match: RecordMatch, is_settled: bool
) -> None:
    facts = replace(facts_of(insured=records), confirmations=(a_confirmation(),))
    assert told(derive_record_match(facts)) == match
    assert insured_record(facts).is_confirmed is is_settled


@pytest.mark.parametrize(
    ("records", "offered"),
    [
        pytest.param((LIKE,), ["ﾀﾅｶ ﾏﾘﾔ"], id="a probable one"),
        pytest.param((LIKE, an_insured_record(date_of_birth=SWAPPED)), ["ﾀﾅｶ ﾏﾘﾔ", "ﾀﾅｶ ﾏﾘｱ"], id="two of two names"),
        pytest.param((LIKE, LIKE), [], id="two of one name: it could be either"),
        pytest.param((an_insured_record(), LIKE), [], id="one that agrees is there"),
        pytest.param((an_insured_record(name_kana="ｻﾄｳ"),), [], id="somebody else's"),
        pytest.param(
            (an_insured_record(name_kana="ﾀﾅｶ ﾏﾘ", date_of_birth=SWAPPED),),
            [],
            id="somebody's whose name is only alike",
        ),
        pytest.param((), [], id="none"),
    ],
)
def test_only_a_probable_record_can_be_confirmed_and_only_if_it_is_clear_which(
    records: tuple[InsuredRecord, ...], offered: list[str]
) -> None:
    evidence = InsuranceEvidence(observed_at=datetime(2026, 11, 20, tzinfo=UTC), as_of=None, records=records)
    assert probable_records(evidence, an_identity()) == [ProbableRecord(name, SWAPPED) for name in offered]
    taken = [a_confirmation(name) for name in offered[:1]]
    assert probable_records(evidence, an_identity(), taken) == [], "nor beside one that was confirmed"


def test_a_confirmation_tells_nothing_of_the_record_and_is_another_each_time() -> None:
    one, other = a_confirmation(), a_confirmation(key=b"l" * 32)
    assert one.digest != other.digest
    assert "ﾏﾘﾔ" not in f"{one}{one.digest}"
