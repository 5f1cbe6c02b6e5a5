"""What the authorities hold: in plain words, for its person alone; a silent source is no no."""

import asyncio
import dataclasses
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from connectors.immigration.evidence import Application, DesignatedOrganisation, OtherActivity, ResidenceRecord
from connectors.insurance.evidence import InsuranceEvidence, InsuredRecord
from connectors.interface import SourceAuthority
from connectors.labor.evidence import EmploymentNotice, NoticeKind
from connectors.profile import Behaviour
from connectors.tax import record as tax_record
from connectors.tax.evidence import Instalment, TaxRecord
from gateway.own_view import OWN_CLAIMS
from gateway.portal import record_terms, record_words
from gateway.views import record_view
from resolvers import jobs, labor, residence_status, tax
from resolvers.employment import KNOWN_CODES
from resolvers.facts import Arrived
from resolvers.linkage import RecordMatch, match_insured
from tests.conftest import Caller
from tests.gateway.sandboxes import difference, own_sandbox, settings_for
from tests.portal.consenting import GUARDIAN, HUONG, MINOR, STRANGER, visited
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock
from tests.portal.own_pages import disputed, people_with
from tests.portal.readable import readable
from tests.portal.stage import Visitor

RECORDS = "{ me { records(source: LABOR) { entries { fields { name value } } unresolved } } }"
NO_NO = "That is not a no: nothing is concluded from it."
WITHHELD = "You have disputed this. Until that is settled, it is answered to nobody."


async def records_of(visitor: Visitor, place: str = "/records") -> str:
    shown = await visitor.get(place)
    assert shown.status_code == 200, shown.text
    return shown.text


def section(page: str, source: str) -> str:
    """What the page says of one source's records."""
    begun = page.partition(f'<section aria-labelledby="source-{source}">')[2]
    return readable(f"<main>{begun.partition('</section>')[0]}</main>")


def answer(page: str, coordinate: str) -> str:
    """What the page says of one claim."""
    row = page.partition(f'id="{coordinate.replace(".", "-")}">')[2].partition("</tr>")[0]
    return " ".join(re.sub("<[^>]*>", " ", row).split())


async def test_each_source_is_shown_with_its_records_in_plain_words_and_when_it_answered(caller: Caller) -> None:
    page = await records_of(await visited(caller, HUONG))
    stay = section(page, "immigration")
    for words in (
        "It answered on",
        "Its records stand for 19 November 2026.",
        "Period of stay until\n    30 September 2027",
    ):
        assert words in stay
    for words in (
        "What the employer notified\n    A hiring",
        "Monthly wage\n    242,000 yen",
        "Hours contracted a week\n    40\n",
    ):
        assert words in section(page, "labor")
    assert "Salary\n    2,904,000 yen" in section(page, "tax")
    assert "November 2024 – September 2026: Employees' pension" in section(page, "insurance")
    for code in ("card_number", "HIRED", "NOT_PERMITTED", "CONFIRMED", "2222"):
        assert code not in readable(page)


async def test_every_claim_that_needs_no_amount_and_no_day_stands_there_with_its_answer(caller: Caller) -> None:
    page = await records_of(await visited(caller, HUONG))
    for coordinate, attribute in OWN_CLAIMS.items():
        asked = f'id="{coordinate.replace(".", "-")}">{attribute.text.en}'
        assert asked in page.replace("&#39;", "'")
        assert f'href="/disputes/new?claim={coordinate}"' in page
    assert "Yes" in answer(page, "Immigration.statusLawful")
    assert "2 to under 3 million yen." in answer(page, "Tax.income")
    assert "The source that could tell is not connected." in answer(page, "Tax.nationalTaxClear")


async def test_in_japanese_everything_is_in_japanese_but_what_the_records_say(caller: Caller) -> None:
    page = await records_of(await visited(caller, HUONG, language="ja"))
    assert "在留期間の満了日\n    2027年9月30日" in section(page, "immigration")
    assert "月額賃金\n    242,000円" in section(page, "labor")
    english = set(re.findall(r"[A-Za-z]{4,}", readable(page)))
    assert english <= {"NGUYEN", "HUONG"} | {"ZZ20260001ZZ"}


async def test_reloading_asks_no_source_again_at_once(caller: Caller) -> None:
    visitor = await visited(caller, "P06")
    before = await caller.calls()
    await asyncio.gather(*(records_of(visitor) for _ in range(5)))
    first = difference(before, await caller.calls())
    assert set(first) == set(SourceAuthority)
    assert first["IMMIGRATION"] == first["LABOR"] == first["INSURANCE"] == 1
    for _ in range(3):
        await records_of(visitor)
    assert difference(before, await caller.calls()) == first


async def test_a_source_that_is_down_costs_its_own_part_and_is_no_no(tmp_path: Path) -> None:
    down = {SourceAuthority.TAX: "http://127.0.0.1:9"}
    async with own_sandbox(settings_for(tmp_path), elsewhere=down) as caller:
        page = await records_of(await visited(caller, HUONG))
    said = section(page, "tax")
    assert f"It did not answer. {NO_NO} Asking again may help from " in said
    assert "holds no record" not in said
    assert answer(page, "Tax.income").count("The source is down.") == 1
    assert "Yes" in answer(page, "Immigration.statusLawful")
    assert "Monthly wage" in section(page, "labor")


async def test_while_every_source_is_down_there_is_a_page_still(tmp_path: Path) -> None:
    down = dict.fromkeys(SourceAuthority, "http://127.0.0.1:9")
    async with own_sandbox(settings_for(tmp_path), elsewhere=down) as caller:
        assert (await records_of(await visited(caller, HUONG))).count(NO_NO) == len(SourceAuthority)


async def test_slow_sources_are_asked_at_once_and_waited_for_together(tmp_path: Path) -> None:
    slow = dict.fromkeys(SourceAuthority, Behaviour(latency_ms=(60_000, 60_000), poll_seconds=0.01))
    settings = settings_for(tmp_path, deadline_seconds=0.6, behaviours=slow)
    async with own_sandbox(settings) as caller:
        visitor = await visited(caller, HUONG)
        async with asyncio.timeout(2):  # one after the other it would be four times as long
            page = await records_of(visitor)
    assert page.count(f"It has not answered yet. {NO_NO}") == len(SourceAuthority)


@pytest.mark.parametrize("markup", ["<script>alert(1)</script>", "{{1234*4321}}", "\"'><img src=x onerror=alert(1)>"])
async def test_markup_in_a_record_is_shown_as_text(tmp_path: Path, markup: str) -> None:
    people = people_with(tmp_path, "labor.csv", "cp932", "みらい食品株式会社", markup.replace('"', ""))
    async with own_sandbox(settings_for(tmp_path), people=people) as caller:
        page = await records_of(await visited(caller, HUONG))
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "5332114" not in page
    assert markup.replace('"', "").replace("'", "&#39;").replace("<", "&lt;").replace(">", "&gt;") in page


async def test_what_is_only_probably_ones_own_record_is_not_shown_either(caller: Caller) -> None:
    """Day and month of birth swapped, and a similar name: that fits others too."""
    person = await caller.running.gateway.stores.people.find("P02")
    assert person
    born = person.identity.date_of_birth
    probable = InsuredRecord(
        name_kana="ﾗﾏﾝ ｴﾑﾃﾞｲ ｶﾘﾑ",
        date_of_birth=born.replace(month=born.day, day=born.month),
        health_scheme="協会けんぽ",
        first_month=date(2024, 11, 1),
        month_codes="2",
        lost_on=None,
        employer_late_months=(),
    )
    assert match_insured(person.identity, probable) is RecordMatch.PROBABLE
    evidence = InsuranceEvidence(observed_at=datetime.now(UTC), as_of=None, records=(probable,))
    shown = record_view(SourceAuthority.INSURANCE, Arrived(evidence), person)
    assert (shown.entries, shown.unresolved) == ([], 1)


async def test_what_may_be_somebody_elses_record_is_not_shown_and_told_as_that(tmp_path: Path) -> None:
    people = people_with(tmp_path, "labor.csv", "cp932", "HUONG NGUYEN THI", "SOMEBODY ELSE")
    async with own_sandbox(settings_for(tmp_path), people=people) as caller:
        page = await records_of(await visited(caller, HUONG))
        by_graphql = await caller.as_person(HUONG, RECORDS)
    said = section(page, "labor")
    assert "Records that could not be joined to you: 1." in said
    assert by_graphql["data"]["me"]["records"] == [{"entries": [], "unresolved": 1}]
    assert "holds no record" not in said
    for never in ("SOMEBODY", "242,000", "みらい食品", "Monthly wage"):
        assert never not in said
    assert "SOMEBODY" not in page


async def test_what_is_disputed_says_so_there_and_keeps_its_value_for_the_person(caller: Caller) -> None:
    visitor = await visited(caller, "P10")
    await disputed(visitor, claim="Tax.income")
    page = await records_of(visitor)
    assert WITHHELD in answer(page, "Tax.income")
    assert "million yen" in answer(page, "Tax.income")
    assert WITHHELD not in answer(page, "Tax.incomeBasis")
    await disputed(visitor, record="TAX")
    page = await records_of(visitor)
    assert WITHHELD in section(page, "tax")
    assert WITHHELD in answer(page, "Tax.incomeBasis")
    assert WITHHELD in answer(page, "Subject.recordMatch")
    assert WITHHELD not in answer(page, "Immigration.statusLawful")


async def test_all_that_an_authority_holds_is_disputed_only_where_it_holds_something(caller: Caller) -> None:
    page = await records_of(await visited(caller, "P12"))
    none = {one for one in SourceAuthority if "It holds no record about you." in section(page, one.lower())}
    offered = {one for one in SourceAuthority if f'"/disputes/new?record={one}"' in page}
    assert none
    assert offered == set(SourceAuthority) - none
    assert '"/disputes/new?claim=Labor.employed"' in page, "what is concluded from none can be"


async def test_an_answer_about_an_authority_without_a_record_says_that_it_comes_from_elsewhere(
    caller: Caller,
) -> None:
    page = await records_of(await visited(caller, "P06"))
    assert "It holds no record about you." in section(page, "tax")
    concluded = page.partition('id="concluded"')[2]
    assert concluded.count("That is not a no: no answer here comes from there.") == 1
    income = answer(page, "Tax.income")
    assert "4 to under 6 million yen. Not from this authority, which holds no record." in income
    assert "as of" not in income
    for elsewhere in ("Tax.nationalTaxClear", "Labor.employed", "Immigration.statusLawful"):
        assert "Not from this authority" not in answer(page, elsewhere)
    assert "as of" in answer(page, "Labor.employed")


async def test_a_guardian_sees_the_wards_records_and_a_stranger_does_not(caller: Caller) -> None:
    guardian = await visited(caller, GUARDIAN)
    assert f'href="/records?for={MINOR}"' in await records_of(guardian)
    page = await records_of(guardian, f"/records?for={MINOR}")
    assert "REYES ANGELA MAE" in section(page, "immigration")
    assert f"/disputes/new?record=TAX&amp;for={MINOR}" in page
    assert f"/disputes/new?claim=Tax.income&amp;for={MINOR}" in page
    minor = await visited(caller, MINOR)
    assert "REYES ANGELA MAE" in section(await records_of(minor), "immigration")
    assert (await (await visited(caller, STRANGER)).get(f"/records?for={MINOR}")).status_code == 404


@pytest.mark.parametrize("place", ["/records", "/disputes", "/disputes/new?claim=Tax.income", "/my-data"])
async def test_who_is_not_signed_in_as_a_person_sees_nothing_of_anybody(caller: Caller, place: str) -> None:
    visitor = Visitor(caller.running.url, caller.http)
    for _ in ("nobody", "staff"):
        led = await visitor.get(place)
        assert (led.status_code, led.headers["location"].partition("?")[0]) == (303, "/sign-in")
        await visitor.get("/sign-in")
        await visitor.post("/sign-in/sandbox", {"staff_of": "bank"})


def fields_of(record: type, prefix: str = "") -> Iterator[str]:
    nested = {
        "applications": Application,
        "designated_organisation": DesignatedOrganisation,
        "instalments": Instalment,
    }
    for field in dataclasses.fields(record):
        if field.name in nested:
            yield from fields_of(nested[field.name], f"{field.name}.")
        else:
            yield prefix + field.name


def test_every_field_and_every_code_of_a_record_has_words() -> None:
    kinds = (ResidenceRecord, EmploymentNotice, TaxRecord, InsuredRecord)
    named = {name for kind in kinds for name in fields_of(kind)} - {"first_month"}
    assert named == set(record_words._NAMES)
    assert set(record_words._CODES["kind"]) == set(NoticeKind)
    assert set(record_words._CODES["other_activity"]) == set(OtherActivity)
    assert set(record_words._OF_MONTH) == KNOWN_CODES
    assert [run.text for run in record_words._runs(date(2026, 9, 1), "2Y")] == [
        record_words._OF_MONTH["2"],
        record_words._NO_KNOWN_CODE,
    ]


def test_every_term_that_is_known_has_english() -> None:
    for name, kind in residence_status._BY_NAME.items():
        assert record_terms.in_english("residence_status", name) == record_terms.STATUSES[kind.code]
    assert set(record_terms.STATUSES) == {kind.code for kind in residence_status._BY_NAME.values()}
    assert list(record_terms.PARTS["employment_type"]) == [*labor._KINDS, *jobs._NO_EMPLOYMENT]
    assert set(record_terms.WHOLE["instalments.status"]) == tax_record._INSTALMENT_STATES
    assert set(record_terms.PARTS["collection"]) == {
        *(*tax.COLLECTED, tax.NOT_TAXED, tax.INSTALMENTS_AGREED),
        *("年金", "未申告"),
    }
    assert {*record_terms.WHOLE, *record_terms.PARTS, "residence_status"} <= set(record_words._NAMES)


@pytest.mark.parametrize(
    ("field", "value", "english"),
    [
        ("residence_status", "特定活動（就職活動）", "Designated Activities"),
        ("residence_status", "仮放免", ""),
        ("employment_type", "嘱託", ""),
        ("employment_type", "ﾊﾟｰﾄ・ｱﾙﾊﾞｲﾄ", "Part-time"),
        ("employment_type", "無期雇用", "Without a fixed term"),
        ("collection", "普通徴収（分納）", "Paid directly, in agreed instalments"),
        ("collection", "公的年金特別徴収", "Withheld from the pension"),
        ("collection", "未申告", "No income was declared"),
        ("health_scheme", "東京都食品健康保険組合", "Employees' insurance of a society"),
        ("health_scheme", "全国土木建築国保組合", "National health insurance"),
        ("health_scheme", "船員保険", ""),
        ("remarks", "分納", ""),
        ("employer_name", "協会けんぽ", ""),
    ],
)
def test_a_term_is_read_in_its_own_field_alone(field: str, value: str, english: str) -> None:
    assert record_terms.in_english(field, value) == english


async def test_english_pages_show_a_term_in_english_beside_the_japanese(caller: Caller) -> None:
    english = await records_of(await visited(caller, HUONG))
    japanese = await records_of(await visited(caller, HUONG, language="ja"))
    for source, said, printed in (
        ("immigration", "Specified Skilled Worker (i)", "特定技能1号"),
        ("labor", "For a fixed term", "有期"),
        ("tax", "Withheld from pay by the employer", "特別徴収"),
        ("insurance", "Employees' insurance of the national association", "協会けんぽ"),
    ):
        assert f"{said} ({printed})" in section(english, source)
        assert f"    {printed}\n" in section(japanese, source)
        assert said not in japanese
