"""Remarks on a tax certificate: whether they say that pay abroad is not in the figure. Specification 9.8, income."""

import pytest

from resolvers.remarks import leaves_out_pay_abroad

LEFT_OUT = (
    "国内払給与のみ。国外払分は確定申告（未反映）",
    "国内払給与のみ",
    "国内払のみ",
    "国内支払分のみ",
    "日本払い分のみ",
    "国外払給与は含まない",
    "国外払給与は含まれておりません",
    "国外払給与を含みません",
    "国外払の給与は含んでいません",
    "国外払分は含めていない",
    "国外払給与は合算していない",
    "国外払給与は合算されていません",
    "国外払",
    "国外分未反映",
    "国外源泉所得は含まない",
    "海外払給与を除く",
    "海外給与",
    "海外支給分は含まれていない",
    "海外赴任中の給与を除く",
    "外国払給与は含まれていません",
    "外国払い",
    "外国法人からの給与は含まない",
    "本国払い給与あり",
    "本国払いは含まず",
    "母国払",
    "母国での給与を除く",
    "現地払給与は別途申告",
    "現地支給分",
    "在外手当は含まれておりません",
    "在外払給与　未反映",
    "国外居住親族あり。国外払給与は含まない",
    "国外転出予定。給与は国内払のみ",
    "国外在住期間の収入は含まない",
    "国外居住期間の所得は含まない",
)

NOT_LEFT_OUT = (
    "国外払給与を含む",
    "国外払給与を含む。国外扶養親族１名",
    "国外払給与を含む。１６歳未満扶養は控除対象外",
    "国外払給与あり、合算済",
    "国外払分も含まれています",
    "国外払分は合算済",
    "国内・国外払給与を含む",
    "本国払給与を含む",
    "海外出張手当を含む",
    "国外居住親族に係る扶養控除あり",
    "国外居住親族への送金関係書類・支払書類あり",
    "国外居住親族への支払（送金）あり",
    "国外居住親族の所得48万円以下",
    "国外扶養親族1名",
    "国外扶養親族１名、国外転出予定",
    "国外扶養親族（送金関係書類あり）",
    "給与所得者の扶養控除等申告書（国外居住親族）",
    "海外在住の扶養親族あり",
    "海外居住の配偶者あり",
    "国外転出予定",
    "国外転出予定のため普通徴収",
    "国外転出（令和８年１２月）",
    "外国税額控除あり",
    "外国人",
    "在外選挙",
    "現地法人に出向",
    "日本国内に住所あり",
    "住宅借入金等特別控除あり",
    "分離課税あり",
)


@pytest.mark.parametrize("remarks", LEFT_OUT)
def test_pay_abroad_is_left_out_unless_the_remark_says_that_it_is_included(remarks: str) -> None:
    assert leaves_out_pay_abroad(remarks)


@pytest.mark.parametrize("remarks", [*NOT_LEFT_OUT])
def test_pay_abroad_that_is_included_relatives_abroad_and_moves_leave_nothing_out(remarks: str) -> None:
    assert not leaves_out_pay_abroad(remarks)
