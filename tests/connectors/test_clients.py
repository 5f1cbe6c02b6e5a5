"""What is particular to each connector: what it asks, what it reads, and its own ways of saying no."""

from dataclasses import replace
from datetime import date
from typing import Any  # any field of a record
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from connectors.errors import EvidenceInvalidError, SourceUnavailableError, SubjectUnmatchedError
from connectors.immigration.evidence import (
    Application,
    DesignatedOrganisation,
    ImmigrationEvidence,
    OtherActivity,
    ResidenceRecord,
)
from connectors.insurance.evidence import InsuranceEvidence, InsuredRecord
from connectors.labor.evidence import EmploymentNotice, LaborEvidence, NoticeKind
from connectors.tax.evidence import Instalment, TaxEvidence, TaxRecord
from tests.connectors.scripted import reply, scripted
from tests.connectors.sources import (
    APPLICATION,
    IMMIGRATION,
    INSURANCE,
    LABOR,
    LABOR_LEFT_ROW,
    LABOR_ROW,
    MY_NUMBER,
    NOW,
    PERSON,
    TAX,
    TAX_ACCEPTED,
    ask,
)

FAULT = "<Envelope><Body><Fault><Code>{}</Code></Fault></Body></Envelope>"
JSON = "application/json"


def _body_of(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]


def _target_of(request: bytes) -> tuple[str, str, list[tuple[str, str]]]:
    method, target, _ = request.split(b"\r\n")[0].decode().split(" ")
    return method, urlsplit(target).path, parse_qsl(urlsplit(target).query)


# Immigration


async def test_immigration_is_asked_by_the_card_number_in_full_width_and_nothing_else() -> None:
    async with scripted(*IMMIGRATION.good()) as server:
        await ask(IMMIGRATION, server.base_url, identity=replace(PERSON, residence_card_number="zz20260001zz"))
    body = _body_of(server.requests[0]).decode()
    assert _target_of(server.requests[0]) == ("POST", "/zairyu", [])
    assert (
        "<Envelope><Body><ZairyuShokai><CardNo>ＺＺ２０２６０００１ＺＺ</CardNo></ZairyuShokai></Body></Envelope>"
        in body
    )
    assert "NGUYEN" not in body


async def test_a_residence_record_is_read_whole() -> None:
    async with scripted(*IMMIGRATION.good()) as server:
        asked = await ask(IMMIGRATION, server.base_url)
    assert asked.evidence == ImmigrationEvidence(
        observed_at=NOW,
        as_of=date(2026, 11, 19),
        record=ResidenceRecord(
            card_number="ZZ20260001ZZ",
            card_valid_until=date(2027, 9, 30),
            card_revoked=False,
            name="NGUYEN THI HUONG",
            date_of_birth=date(1997, 5, 21),
            residence_status="特定技能1号",
            stay_until=date(2027, 9, 30),
            landed_on=date(2021, 10, 4),
            other_activity=OtherActivity.NOT_PERMITTED,
            address="埼玉県川口市",
            applications=(Application("在留期間更新", date(2026, 10, 5), ""),),
            designated_organisation=DesignatedOrganisation("みらい食品株式会社", "7999901000001"),
        ),
    )


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_no_such_card_is_evidence_without_a_record_whatever_status_the_fault_has(status: int) -> None:
    async with scripted(*IMMIGRATION.answer(FAULT.format("ZE0012"), status=status)) as server:
        asked = await ask(IMMIGRATION, server.base_url)
    assert asked.evidence == ImmigrationEvidence(observed_at=NOW, as_of=None, record=None)


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_a_temporary_fault_is_unavailable(status: int) -> None:
    async with scripted(*IMMIGRATION.answer(FAULT.format("ZE9001"), status=status)) as server:
        asked = await ask(IMMIGRATION, server.base_url)
    assert isinstance(asked.error, SourceUnavailableError)


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param("ZE0012", id="text"),
        pytest.param(FAULT.format("ZE5555"), id="another fault"),
        pytest.param(IMMIGRATION.body, id="a record"),
        pytest.param(
            IMMIGRATION.changed("<ZairyuKekka>", "<Fault><Code>ZE0012</Code></Fault><ZairyuKekka>"), id="a record too"
        ),
        pytest.param(f"<html>{FAULT.format('ZE0012')}</html>", id="a page"),
    ],
)
async def test_an_error_without_that_fault_is_unavailable_and_not_absence(body: str, status: int) -> None:
    async with scripted(*IMMIGRATION.answer(body, status=status)) as server:
        asked = await ask(IMMIGRATION, server.base_url)
    assert isinstance(asked.error, SourceUnavailableError)


@pytest.mark.parametrize("asterisks", ["********", "＊＊＊＊＊＊＊＊"])
async def test_eight_asterisks_mean_a_stay_without_a_period(asterisks: str) -> None:
    async with scripted(*IMMIGRATION.answer(IMMIGRATION.changed("令和９年９月３０日", asterisks))) as server:
        asked = await ask(IMMIGRATION, server.base_url)
    assert isinstance(asked.evidence, ImmigrationEvidence)
    assert asked.evidence.record is not None
    assert asked.evidence.record.stay_until is None


async def test_an_empty_application_is_none_and_several_are_kept_in_order() -> None:
    second = (
        "<Shinsei><Shubetsu>在留資格変更</Shubetsu><UketsukeYmd>R8/11/1</UketsukeYmd><Kekka>許可</Kekka></Shinsei>"
    )
    start, end = IMMIGRATION.body.index("<Shinsei>"), IMMIGRATION.body.index("<ShiteiKikan>")
    none = IMMIGRATION.body[:start] + "<Shinsei/>" + IMMIGRATION.body[end:]
    several = IMMIGRATION.changed("<ShiteiKikan>", f"{second}<Shinsei/><ShiteiKikan>")
    async with scripted(*IMMIGRATION.answer(none), *IMMIGRATION.answer(several)) as server:
        without = (await ask(IMMIGRATION, server.base_url)).evidence
        with_two = (await ask(IMMIGRATION, server.base_url)).evidence
    assert isinstance(without, ImmigrationEvidence)
    assert isinstance(with_two, ImmigrationEvidence)
    assert without.record is not None
    assert without.record.applications == ()
    assert with_two.record is not None
    assert [application.result for application in with_two.record.applications] == ["", "許可"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("無", OtherActivity.NOT_PERMITTED),
        ("許可：原則週28時間以内", OtherActivity.COMPREHENSIVE),
        ("有", OtherActivity.COMPREHENSIVE),
        ("許可：資格外活動許可書に記載された範囲内の活動", OtherActivity.INDIVIDUAL),
        ("無し", OtherActivity.NOT_PERMITTED),
        ("なし", OtherActivity.NOT_PERMITTED),
        *(
            (none, OtherActivity.NOT_PERMITTED)
            for none in (
                "許可なし",
                "許可無",
                "許可：なし",
                "許可　なし",
                "許可されていない",
                "有効な許可なし",
                "不許可",
            )
        ),
        *((bare, OtherActivity.COMPREHENSIVE) for bare in ("許可", "許可あり", "有：許可", "許可 週28時間以内")),
        ("許可（原則週２８時間以内・風俗営業等の従事を除く）", OtherActivity.COMPREHENSIVE),
        ("許可（資格外活動許可書に記載された範囲内の活動）", OtherActivity.INDIVIDUAL),
        *(
            (doubtful, None)
            for doubtful in (
                "許可（失効）",
                "許可取消",
                "許可（期限切れ）",
                "許可：原則週28時間以内（失効）",
                "有効な許可",
            )
        ),
        *((doubtful, None) for doubtful in ("許可申請中", "許可（予定）", "許可（個別）", "許可待ち", "有無不明")),
        ("", None),
        ("＊＊＊", None),
        ("不明", None),
    ],
)
async def test_permission_for_other_activity_is_read(text: str, found: OtherActivity | None) -> None:
    async with scripted(*IMMIGRATION.answer(IMMIGRATION.changed("Kyoka>無", f"Kyoka>{text}"))) as server:
        asked = await ask(IMMIGRATION, server.base_url)
    assert isinstance(asked.evidence, ImmigrationEvidence)
    assert asked.evidence.record is not None
    assert asked.evidence.record.other_activity is found


APPLICATION_ELEMENT = IMMIGRATION.body[IMMIGRATION.body.index("<Shinsei>") : IMMIGRATION.body.index("<ShiteiKikan>")]


@pytest.mark.parametrize(
    ("old", "new", "field", "left"),
    [
        ("<JukyochiMei>埼玉県川口市</JukyochiMei>", "", "address", ""),
        ("<JukyochiMei>埼玉県川口市", "<JukyochiMei>　", "address", ""),
        ("<JukyochiMei>埼玉県川口市", "<JukyochiMei>＊＊＊＊＊", "address", ""),
        ("<JorikuYmd>2021/10/04</JorikuYmd>", "", "landed_on", None),
        ("2021/10/04", "", "landed_on", None),
        ("2021/10/04", "********", "landed_on", None),
        ("2021/10/04", "出生", "landed_on", None),
        ("2021/10/04", "2027/10/04", "landed_on", date(2027, 10, 4)),
        ("<ShikakugaiKyoka>無</ShikakugaiKyoka>", "", "other_activity", None),
        ("みらい食品株式会社", "", "designated_organisation", DesignatedOrganisation("", "7999901000001")),
        ("7999901000001", "", "designated_organisation", DesignatedOrganisation("みらい食品株式会社", "")),
        ("7999901000001", "79999", "designated_organisation", DesignatedOrganisation("みらい食品株式会社", "")),
        (
            "<Meisho>みらい食品株式会社</Meisho><HojinNo>7999901000001</HojinNo>",
            "<Meisho></Meisho><HojinNo> </HojinNo>",
            "designated_organisation",
            None,
        ),
        (">在留期間更新<", "><", "applications", (Application("", date(2026, 10, 5), ""),)),
        ("R08.10.05", "", "applications", (Application("在留期間更新", None, ""),)),
        ("R08.10.05", "R08.13.05", "applications", (Application("在留期間更新", None, ""),)),
        (
            APPLICATION_ELEMENT,
            "<Shinsei><Shubetsu/><UketsukeYmd> </UketsukeYmd><Kekka></Kekka></Shinsei>",
            "applications",
            (),
        ),
    ],
)
async def test_a_residence_record_that_lacks_a_field_is_read_but_for_it(
    old: str, new: str, field: str, left: Any
) -> None:
    async with scripted(*IMMIGRATION.good(), *IMMIGRATION.answer(IMMIGRATION.changed(old, new))) as server:
        whole, lacking = [(await ask(IMMIGRATION, server.base_url)).evidence for _ in range(2)]
    assert isinstance(whole, ImmigrationEvidence)
    assert isinstance(lacking, ImmigrationEvidence)
    assert whole.record is not None
    assert lacking.record == replace(whole.record, **{field: left})


@pytest.mark.parametrize("as_of", ["", "<DataJiten/>", "<DataJiten>＊＊＊</DataJiten>"])
async def test_immigration_need_not_say_for_which_day_it_stands(as_of: str) -> None:
    changed = IMMIGRATION.changed("<DataJiten>R08.11.19</DataJiten>", as_of)
    async with scripted(*IMMIGRATION.answer(changed)) as server:
        asked = await ask(IMMIGRATION, server.base_url)
    assert isinstance(asked.evidence, ImmigrationEvidence)
    assert asked.evidence.record is not None
    assert asked.evidence.as_of is None


# Labor


async def test_labor_is_asked_by_the_card_number_alone() -> None:
    async with scripted(*LABOR.good()) as server:
        await ask(LABOR, server.base_url, identity=replace(PERSON, residence_card_number="ｚｚ20260001ZZ"))
    assert _target_of(server.requests[0]) == ("GET", "/todokede", [("zairyuCardNo", "ZZ20260001ZZ")])


async def test_notifications_are_read_whole_and_dated_by_the_oldest() -> None:
    async with scripted(*LABOR.good()) as server:
        asked = await ask(LABOR, server.base_url)
    born_on = date(1997, 5, 21)
    hired = EmploymentNotice(
        kind=NoticeKind.HIRED,
        name="HUONG NGUYEN THI",
        date_of_birth=born_on,
        card_number="ZZ20260001ZZ",
        employer_name="みらい食品株式会社",
        corporate_number="7999901000001",
        hired_on=date(2024, 9, 17),
        left_on=None,
        weekly_hours=40.0,
        employment_type="有期",
        monthly_wage_yen=242_000,
        employment_insured=False,
        as_of=date(2026, 10, 31),
    )
    left = replace(
        hired,
        kind=NoticeKind.LEFT,
        employer_name="株式会社北斗精機",
        corporate_number="8999901000009",
        hired_on=date(2022, 4, 1),
        left_on=date(2024, 8, 31),
        weekly_hours=38.5,
        employment_type="無期",
        monthly_wage_yen=None,
        as_of=date(2026, 10, 15),
    )
    assert asked.evidence == LaborEvidence(observed_at=NOW, as_of=date(2026, 10, 15), notices=(hired, left))


async def test_no_notification_is_a_lawful_reply() -> None:
    body = LABOR.body.replace(LABOR_ROW + "\r\n", "").replace(LABOR_LEFT_ROW + "\r\n", "")
    async with scripted(*LABOR.answer(body)) as server:
        asked = await ask(LABOR, server.base_url)
    assert asked.evidence == LaborEvidence(observed_at=NOW, as_of=None, notices=())


async def test_of_the_insured_number_only_that_there_is_one_is_kept() -> None:
    async with scripted(*LABOR.answer(LABOR.changed("ZZ,2,,", "ZZ,2,5001-202601-1,"))) as server:
        asked = await ask(LABOR, server.base_url)
    assert isinstance(asked.evidence, LaborEvidence)
    assert [notice.employment_insured for notice in asked.evidence.notices] == [True, False]


@pytest.mark.parametrize(
    ("cell", "is_insured"),
    [
        *((none, False) for none in ("なし", "－", "-", "無", "未加入", "＊＊＊＊", "　")),
        *((number, True) for number in ("5001-202601-1", "５００１－２０２６０１－１", "50012026011", MY_NUMBER)),
    ],
)
async def test_a_cell_without_a_number_names_no_insured_person(cell: str, is_insured: bool) -> None:
    async with scripted(*LABOR.answer(LABOR.changed("ZZ,2,,", f"ZZ,2,{cell},"))) as server:
        asked = await ask(LABOR, server.base_url)
    assert isinstance(asked.evidence, LaborEvidence)
    assert asked.evidence.notices[0].employment_insured is is_insured
    assert bool(asked.incidents) is is_insured


@pytest.mark.parametrize("body", [LABOR.body, LABOR.body[: LABOR.body.index("雇入,")]], ids=["rows", "no rows"])
async def test_one_blank_line_may_follow_the_last_row(body: str) -> None:
    async with scripted(*LABOR.answer(body), *LABOR.answer(body + "\r\n")) as server:
        plain, with_blank = await ask(LABOR, server.base_url), await ask(LABOR, server.base_url)
    assert with_blank.error is None
    assert with_blank.evidence == plain.evidence


async def test_cells_may_be_quoted_and_characters_beyond_shift_jis_are_read() -> None:
    changed = LABOR.changed("みらい食品株式会社", '"髙﨑,食品①"')
    async with scripted(*LABOR.answer(changed)) as server:
        asked = await ask(LABOR, server.base_url)
    assert isinstance(asked.evidence, LaborEvidence)
    assert asked.evidence.notices[0].employer_name == "髙﨑,食品①"


async def test_a_missing_file_is_unavailable() -> None:
    async with scripted(reply(b"", "text/csv", status=404)) as server:
        asked = await ask(LABOR, server.base_url)
    assert isinstance(asked.error, SourceUnavailableError)


# Tax


async def test_tax_is_applied_for_by_name_birth_date_and_municipality() -> None:
    async with scripted(*TAX.good()) as server:
        await ask(TAX, server.base_url, identity=replace(PERSON, alias="金田 芳子"))
    application, poll = server.requests
    assert _target_of(application) == ("POST", "/shinsei", [])
    assert _target_of(poll) == ("GET", f"/shinsei/{APPLICATION}", [])
    assert orjson.loads(_body_of(application)) == {
        "氏名": "ＮＧＵＹＥＮ　ＴＨＩ　ＨＵＯＮＧ",
        "通称": "金田　芳子",
        "生年月日": "平成9年5月21日",
        "市区町村": "埼玉県川口市",
    }


async def test_a_tax_record_is_read_whole() -> None:
    async with scripted(*TAX.good()) as server:
        asked = await ask(TAX, server.base_url)
    record = TaxRecord(
        income_year=2025,
        name="ＮＧＵＹＥＮ　ＴＨＩ　ＨＵＯＮＧ",
        date_of_birth=date(1997, 5, 21),
        address="埼玉県川口市",
        salary_income_yen=2_904_000,
        collection="普通徴収",
        unpaid_yen=88_600,
        remarks="国内払給与のみ",
        instalments=(Instalment(1, date(2026, 6, 30), "未納"), Instalment(2, date(2026, 8, 31), "納付済")),
    )
    assert asked.evidence == TaxEvidence(observed_at=NOW, as_of=None, levy_year=2026, record=record)


async def test_polling_goes_on_until_the_result_is_there() -> None:
    waiting = reply(TAX.changed("完了", "処理中").encode(), JSON)
    async with scripted(*TAX.first, waiting, waiting, waiting, *TAX.good()[1:]) as server:
        asked = await ask(TAX, server.base_url)
    assert asked.error is None
    assert len(server.requests) == 5


async def test_polling_stops_at_the_deadline() -> None:
    waiting = reply(TAX.changed("完了", "処理中").encode(), JSON)
    async with scripted(*TAX.first, waiting) as server:
        asked = await ask(TAX, server.base_url, deadline_seconds=0.2)
    assert isinstance(asked.error, SourceUnavailableError)
    assert asked.error.fault == "UPSTREAM_TIMEOUT"
    assert 2 < len(server.requests) < 25


async def test_no_record_here_is_evidence_of_the_levy_year_alone() -> None:
    body = orjson.dumps({"受付番号": APPLICATION, "状態": "該当なし", "課税年度": "令和８年度", "理由": "x"})
    async with scripted(*TAX.steps(reply(body, JSON))) as server:
        asked = await ask(TAX, server.base_url)
    assert asked.evidence == TaxEvidence(observed_at=NOW, as_of=None, levy_year=2026, record=None)


async def test_asterisks_and_a_missing_birth_date_are_not_stated() -> None:
    body = TAX.changed("２，９０４，０００", "＊＊＊＊＊").replace('"生年月日": "平成9年5月21日", ', "")
    async with scripted(*TAX.answer(body)) as server:
        asked = await ask(TAX, server.base_url)
    assert isinstance(asked.evidence, TaxEvidence)
    assert asked.evidence.record is not None
    assert asked.evidence.record.salary_income_yen is None
    assert asked.evidence.record.date_of_birth is None


@pytest.mark.parametrize(
    "number",
    [
        *("../admin", "1/2", "1?x=1", "", "%2e%2e", "1" * 65, "..", ".", "-", "a b", "a#b", "a\\b", "a_b", "１／２"),
        *(True, -1, 1.5, None, ["1"]),
    ],
    ids=str,
)
async def test_an_application_number_that_is_no_letters_and_digits_is_never_put_into_a_path(number: object) -> None:
    accepted = orjson.dumps({"受付番号": number, "状態": "受付"})
    async with scripted(reply(accepted, JSON, status=202)) as server:
        asked = await ask(TAX, server.base_url)
    assert isinstance(asked.error, EvidenceInvalidError)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("number", "path"),
    [
        (26112000001, "/shinsei/26112000001"),
        ("R8-0001", "/shinsei/R8-0001"),
        ("令8川口-1", "/shinsei/%E4%BB%A48%E5%B7%9D%E5%8F%A3-1"),
        ("１２", "/shinsei/%EF%BC%91%EF%BC%92"),
        ("0b7c1f5e-1d7a-4a57-9a50-8a3c2f1f0c1d", "/shinsei/0b7c1f5e-1d7a-4a57-9a50-8a3c2f1f0c1d"),
    ],
)
@pytest.mark.parametrize("state", ["受付", "受理", None])
async def test_an_application_is_followed_by_its_number_whatever_its_form(
    number: object, path: str, state: str | None
) -> None:
    accepted = {"受付番号": number} | ({"状態": state} if state else {})
    result = orjson.loads(TAX.body) | {"受付番号": number}
    steps = reply(orjson.dumps(accepted), JSON, status=202), reply(orjson.dumps(result), JSON)
    async with scripted(*steps) as server:
        asked = await ask(TAX, server.base_url)
    assert isinstance(asked.evidence, TaxEvidence)
    assert _target_of(server.requests[1])[1] == path


@pytest.mark.parametrize("state", ["審査中", "受付済", "照会中", "却下"])
async def test_a_state_that_is_no_result_is_asked_about_again_until_the_deadline(state: str) -> None:
    waiting = reply(TAX.changed("完了", state).encode(), JSON)
    async with scripted(*TAX.first, waiting, waiting, *TAX.good()[1:]) as server:
        asked = await ask(TAX, server.base_url)
    assert isinstance(asked.evidence, TaxEvidence)
    async with scripted(*TAX.first, waiting) as server:
        asked = await ask(TAX, server.base_url, deadline_seconds=0.1)
    assert isinstance(asked.error, SourceUnavailableError)
    assert asked.error.fault == "UPSTREAM_TIMEOUT"


@pytest.mark.parametrize(
    ("changes", "has_record", "levy_year"),
    [
        pytest.param({"受付番号": ...}, True, 2026, id="done, without its number"),
        pytest.param({"受付番号": "２６１１２００００01"}, True, 2026, id="done, the number in full width"),
        pytest.param({"課税年度": ...}, True, None, id="done, without the levy year"),
        pytest.param({"課税年度": "2026年度"}, True, None, id="done, the levy year in another form"),
        pytest.param({"課税年度": "令和８年分"}, True, None, id="done, an income year for the levy year"),
        pytest.param({"課税年度": 2026}, True, None, id="done, the levy year as a number"),
        pytest.param({"状態": "該当なし", "課税年度": ...}, False, None, id="no record, without the levy year"),
        pytest.param({"状態": "該当なし", "受付番号": ...}, False, 2026, id="no record, without its number"),
    ],
)
async def test_a_result_may_leave_out_its_number_and_the_levy_year(
    changes: dict[str, object], has_record: bool, levy_year: int | None
) -> None:
    answer = {name: value for name, value in (orjson.loads(TAX.body) | changes).items() if value is not ...}
    async with scripted(*TAX.steps(reply(orjson.dumps(answer), JSON))) as server:
        asked = await ask(TAX, server.base_url)
    assert isinstance(asked.evidence, TaxEvidence)
    assert (asked.evidence.record is not None, asked.evidence.levy_year) == (has_record, levy_year)


@pytest.mark.parametrize("birth", ["＊＊＊＊＊", "*****", "", None, ...], ids=str)
async def test_a_birth_date_that_is_not_stated_leaves_the_record_readable(birth: object) -> None:
    answer = {n: value for n, value in (orjson.loads(TAX.body) | {"生年月日": birth}).items() if value is not ...}
    async with scripted(*TAX.steps(reply(orjson.dumps(answer), JSON))) as server:
        asked = await ask(TAX, server.base_url)
    assert isinstance(asked.evidence, TaxEvidence)
    assert asked.evidence.record is not None
    assert asked.evidence.record.date_of_birth is None


ODD_TAX_VALUES: list[tuple[dict[str, object], dict[str, object]]] = [
    ({"徴収区分": "未申告", "給与収入": "＊＊＊＊＊"}, {"collection": "未申告", "salary_income_yen": None}),
    ({"徴収区分": "公的年金特別徴収"}, {"collection": "公的年金特別徴収"}),
    ({"徴収区分": None}, {"collection": ""}),
    ({"徴収区分": 8}, {"collection": ""}),
    ({"摘要": None}, {"remarks": ""}),
    ({"期別": None}, {"instalments": ()}),
    ({"期別": [{"期": "１", "納期限": "令和8年6月30日", "状態": "督促中"}]}, {"instalments": ()}),
    ({"期別": [{"期": "０", "納期限": "令和8年6月30日", "状態": "未納"}]}, {"instalments": ()}),
    ({"期別": ["１"]}, {"instalments": ()}),
    ({"未納額": 88600}, {"unpaid_yen": 88_600}),
    ({"未納額": 88600.0}, {"unpaid_yen": 88_600}),
    ({"未納額": "８８，６００円"}, {"unpaid_yen": 88_600}),
    ({"未納額": None}, {"unpaid_yen": None}),
    ({"未納額": "確認中"}, {"unpaid_yen": None}),
    ({"未納額": -1}, {"unpaid_yen": None}),
    ({"給与収入": 2904000}, {"salary_income_yen": 2_904_000}),
    ({"給与収入": "２，９０４，０００円"}, {"salary_income_yen": 2_904_000}),
]


@pytest.mark.parametrize(("odd", "read"), ODD_TAX_VALUES, ids=lambda value: str(value)[:50])
async def test_an_odd_value_leaves_the_rest_of_a_tax_record_readable(
    odd: dict[str, object], read: dict[str, object]
) -> None:
    async with scripted(*TAX.steps(reply(orjson.dumps(orjson.loads(TAX.body) | odd), JSON))) as server:
        asked = await ask(TAX, server.base_url)
    assert isinstance(asked.evidence, TaxEvidence)
    assert asked.evidence.record is not None
    assert {name: getattr(asked.evidence.record, name) for name in read} == read


@pytest.mark.parametrize(
    ("sent", "codes"),
    [
        pytest.param("..Y2222222222222222L22*-", "..Y2222222222222222L22*-", id="a code that is not documented"),
        pytest.param("．．Ａ2222222222222222L22＊－", "..A2222222222222222L22*-", id="full width"),
    ],
)
async def test_an_odd_month_code_leaves_the_rest_of_an_insured_record_readable(sent: str, codes: str) -> None:
    async with scripted(*INSURANCE.answer(INSURANCE.changed("..A2222222222222222L22*-", sent))) as server:
        asked = await ask(INSURANCE, server.base_url)
    assert isinstance(asked.evidence, InsuranceEvidence)
    assert [record.month_codes for record in asked.evidence.records] == [codes]


async def test_an_application_answered_at_once_with_200_is_no_answer() -> None:
    async with scripted(reply(TAX_ACCEPTED.encode(), JSON)) as server:
        asked = await ask(TAX, server.base_url)
    assert isinstance(asked.error, SourceUnavailableError)


# Insurance


async def test_insurance_is_asked_by_kana_names_and_birth_date() -> None:
    async with scripted(*INSURANCE.good()) as server:
        await ask(INSURANCE, server.base_url)
    names = [("shimei", "ｸﾞｴﾝ ﾃｲ ﾌｵﾝ"), ("shimei", "ﾎｳ ｸﾞｴﾝﾃｲ")]
    assert _target_of(server.requests[0]) == ("GET", "/hihokensha", [*names, ("seinen", "7090521")])


async def test_an_insured_record_is_read_whole() -> None:
    async with scripted(*INSURANCE.good()) as server:
        asked = await ask(INSURANCE, server.base_url)
    record = InsuredRecord(
        name_kana="ｸﾞｴﾝ ﾃｲ ﾌｵﾝ",
        date_of_birth=date(1997, 5, 21),
        health_scheme="協会けんぽ",
        first_month=date(2024, 11, 1),
        month_codes="..A2222222222222222L22*-",
        lost_on=date(2026, 10, 21),
        employer_late_months=(date(2026, 6, 1),),
    )
    assert asked.evidence == InsuranceEvidence(observed_at=NOW, as_of=None, records=(record,))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param("<List/>", "application/xml", id="the empty list"),
        pytest.param("<?xml version='1.0'?>\n<List></List>\n", "application/xml", id="the empty list, declared"),
        pytest.param("", "application/xml", id="nothing"),
        pytest.param("該当なし", "text/plain; charset=utf-8", id="text"),
        pytest.param("{}", JSON, id="JSON"),
        pytest.param("<Error>none</Error>", "application/xml", id="other XML"),
    ],
)
async def test_none_found_is_404_whatever_its_body_says(body: str, content_type: str) -> None:
    async with scripted(reply(body.encode(), content_type, status=404)) as server:
        asked = await ask(INSURANCE, server.base_url)
    assert asked.evidence == InsuranceEvidence(observed_at=NOW, as_of=None, records=())


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param("<html><body>Not Found</body></html>", "application/xml", id="a page"),
        pytest.param("ただいま停止しています", "text/html; charset=utf-8", id="text labelled as a page"),
        pytest.param(INSURANCE.body, "application/xml", id="a record after all"),
        pytest.param("<Hihokensha/>", "application/xml", id="a record without its list"),
        pytest.param("<List>", "application/xml", id="a list that was cut off"),
        pytest.param("\ufeff\n<?xml vers", "text/plain", id="XML that was cut off, whatever it is labelled"),
        pytest.param(INSURANCE.body[: len(INSURANCE.body) // 2], "application/xml", id="a record that was cut off"),
        pytest.param("found: <Hihokensha>", "text/plain", id="text with a record"),
    ],
)
async def test_a_page_a_record_or_half_of_one_with_404_is_unavailable_and_not_absence(
    body: str, content_type: str
) -> None:
    async with scripted(reply(body.encode(), content_type, status=404)) as server:
        asked = await ask(INSURANCE, server.base_url)
    assert isinstance(asked.error, SourceUnavailableError)


async def test_day_and_month_swapped_is_left_to_linkage() -> None:
    identity = replace(PERSON, date_of_birth=date(1990, 4, 5))
    async with scripted(*INSURANCE.answer(INSURANCE.changed("7090521", "7020504"))) as server:
        asked = await ask(INSURANCE, server.base_url, identity=identity)
    assert isinstance(asked.evidence, InsuranceEvidence)
    assert [record.date_of_birth for record in asked.evidence.records] == [date(1990, 5, 4)]


async def test_without_a_kana_name_insurance_cannot_be_asked() -> None:
    async with scripted(*INSURANCE.good()) as server:
        asked = await ask(INSURANCE, server.base_url, identity=replace(PERSON, names_kana=()))
    assert isinstance(asked.error, SubjectUnmatchedError)
    assert server.requests == []


@pytest.mark.parametrize("source", [TAX, INSURANCE], ids=str)
async def test_a_birth_date_before_the_dialects_eras_cannot_be_asked(source: object) -> None:
    chosen = TAX if source is TAX else INSURANCE
    async with scripted(*chosen.good()) as server:
        asked = await ask(chosen, server.base_url, identity=replace(PERSON, date_of_birth=date(1900, 1, 1)))
    assert isinstance(asked.error, SubjectUnmatchedError)
    assert server.requests == []
