"""Dates, names and amounts as Japanese registers write them."""

import contextlib
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.japan import (
    card_number,
    fold_kana,
    format_era_text,
    format_labor_date,
    format_pension_date,
    fullwidth_capitals,
    halfwidth_kana,
    is_not_stated,
    name_tokens,
    parse_amount,
    parse_compact_date,
    parse_compact_month,
    parse_era_text,
    parse_era_year,
    parse_labor_date,
    parse_pension_date,
    parse_written_date,
    read_card_number,
)

OCTOBER_31 = date(2026, 10, 31)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("令和８年１０月３１日", OCTOBER_31),
        ("令和8年10月31日", OCTOBER_31),
        ("令和08年10月31日", OCTOBER_31),
        (" 令和８年１０月３１日　", OCTOBER_31),
        ("R08.10.31", OCTOBER_31),
        ("Ｒ０８．１０．３１", OCTOBER_31),
        ("R8/10/31", OCTOBER_31),
        ("令和元年5月1日", date(2019, 5, 1)),
        ("R01.05.01", date(2019, 5, 1)),
        ("平成元年9月19日", date(1989, 9, 19)),
        ("平成9年5月21日", date(1997, 5, 21)),
        ("H31.04.30", date(2019, 4, 30)),
        ("S63.12.30", date(1988, 12, 30)),
        ("昭和64年1月7日", date(1989, 1, 7)),
        ("大正15年12月24日", date(1926, 12, 24)),
        ("T01.07.30", date(1912, 7, 30)),
        # Beyond the era's end: old records are converted arithmetically.
        ("平成35年8月1日", date(2023, 8, 1)),
        ("昭和70年1月1日", date(1995, 1, 1)),
        ("H00000035.08.01", None),
    ],
)
def test_a_date_with_an_era_is_read_in_every_form(text: str, day: date | None) -> None:
    if day is None:
        with pytest.raises(ValueError, match="era"):
            parse_era_text(text)
    else:
        assert parse_era_text(text) == day
        assert parse_written_date(text) == day


@pytest.mark.parametrize("text", ["20261031", "２０２６１０３１", "2026/10/31"])
def test_a_western_date_is_read_where_any_written_form_may_stand(text: str) -> None:
    assert parse_written_date(text) == OCTOBER_31


def test_the_digit_five_is_showa_for_pensions_and_reiwa_for_employment_insurance() -> None:
    assert parse_pension_date("5081031") == date(1933, 10, 31)
    assert parse_labor_date("5-081031") == OCTOBER_31


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("9081031", OCTOBER_31),
        ("９０８１０３１", OCTOBER_31),
        ("7090521", date(1997, 5, 21)),
        ("5540625", date(1979, 6, 25)),
        ("7350801", date(2023, 8, 1)),
    ],
)
def test_a_pension_date_is_read_by_its_own_digits(text: str, day: date) -> None:
    assert parse_pension_date(text) == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("5-081031", OCTOBER_31),
        ("５－０８１０３１", OCTOBER_31),
        ("4-090521", date(1997, 5, 21)),
        ("3-631230", date(1988, 12, 30)),
        ("4-350801", date(2023, 8, 1)),
    ],
)
def test_a_labor_date_is_read_by_its_own_digits(text: str, day: date) -> None:
    assert parse_labor_date(text) == day


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((parse_pension_date, text) for text in ("5-081031", "4081031", "3631230", "908103", "90810311", "9081032")),
        *((parse_pension_date, text) for text in ("9000101", "", "R08.10.31", "20261031", "九081031", "9081031x")),
        *((parse_labor_date, text) for text in ("5081031", "9-081031", "7-090521", "5-8-10-31", "5-081131", "")),
        *(
            (parse_era_text, text)
            for text in ("令和0年1月1日", "令和8年2月29日", "2026/10/31", "5-081031", "9081031")
        ),
        *(
            (parse_era_text, text)
            for text in ("R08.10/31", "M45.07.29", "r08.10.31", "令和８年１０月", "", "R100.1.1")
        ),
        *((parse_written_date, text) for text in ("9081031", "5-081031", "2026-10-31", "20261301", "2026/2/30", "")),
        *((parse_compact_date, text) for text in ("2026/10/31", "2026103", "202610311", "20260231", "")),
        *((parse_compact_month, text) for text in ("2026", "202613", "202600", "2026-10", "20261031", "")),
    ],
)
def test_a_date_in_another_dialect_or_of_no_calendar_is_refused(parse: Callable[[str], date], text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the message differs by what is wrong
        parse(text)


def test_an_era_year_is_told_apart_by_its_suffix() -> None:
    assert parse_era_year("令和８年度", suffix="年度") == 2026
    assert parse_era_year("令和７年分", suffix="年分") == 2025
    assert parse_era_year("令和元年度", suffix="年度") == 2019
    for text, suffix in (("令和８年度", "年分"), ("令和0年度", "年度"), ("2026年度", "年度"), ("令和８年", "年度")):
        with pytest.raises(ValueError, match="year of an era"):
            parse_era_year(text, suffix=suffix)


def test_a_month_of_six_digits_is_its_first_day() -> None:
    assert parse_compact_month("202411") == date(2024, 11, 1)


@given(st.dates(min_value=date(1926, 12, 25), max_value=date(2117, 12, 31)))
def test_digit_dates_survive_the_way_there_and_back(day: date) -> None:
    assert parse_pension_date(format_pension_date(day)) == day
    assert parse_labor_date(format_labor_date(day)) == day


@given(st.dates(min_value=date(1912, 7, 30), max_value=date(2117, 12, 31)))
def test_era_dates_survive_the_way_there_and_back(day: date) -> None:
    assert parse_era_text(format_era_text(day)) == day


@given(st.text(max_size=12))
def test_no_text_breaks_a_date_parser_otherwise_than_by_value_error(text: str) -> None:
    for parse in (parse_era_text, parse_written_date, parse_pension_date, parse_labor_date, parse_compact_month):
        with contextlib.suppress(ValueError):
            assert isinstance(parse(text), date)


def test_a_day_before_the_first_era_cannot_be_written() -> None:
    for write in (format_era_text, format_pension_date, format_labor_date):
        with pytest.raises(ValueError, match="Taish"):
            write(date(1912, 7, 29))
    with pytest.raises(ValueError, match="no digit"):
        format_pension_date(date(1926, 12, 24))


def test_dates_are_written_as_the_sources_write_them() -> None:
    assert format_era_text(date(1997, 5, 21)) == "平成9年5月21日"
    assert format_era_text(date(2019, 5, 1)) == "令和元年5月1日"
    assert format_era_text(date(2019, 4, 30)) == "平成31年4月30日"
    assert format_pension_date(date(1997, 5, 21)) == "7090521"
    assert format_labor_date(date(1997, 5, 21)) == "4-090521"


@pytest.mark.parametrize(
    "text", ["HUONG NGUYEN THI", "ＮＧＵＹＥＮ　ＴＨＩ　ＨＵＯＮＧ", "Nguyen,Thi Huong", " nguyen\u00a0thi  huong "]
)
def test_name_tokens_do_not_know_width_case_or_order(text: str) -> None:
    assert name_tokens(text) == {"NGUYEN", "THI", "HUONG"}


def test_a_hyphen_stays_inside_a_name() -> None:
    assert name_tokens("SMITH-JONES ANN") == {"SMITH-JONES", "ANN"}


@pytest.mark.parametrize("hyphen", "-－‐‑‒–—―−ｰー﹣")
def test_every_hyphen_in_a_name_is_one(hyphen: str) -> None:
    assert name_tokens(f"ＤＵＰＯＮＴ　Jean{hyphen}Pierre") == {"DUPONT", "JEAN-PIERRE"}
    assert fullwidth_capitals(f"Dupont Jean{hyphen}Pierre") == "ＤＵＰＯＮＴ　ＪＥＡＮ－ＰＩＥＲＲＥ"


def test_a_long_vowel_mark_among_kana_is_sent_as_it_is() -> None:
    assert fullwidth_capitals("ミュラー アンナ") == "ミュラー　アンナ"


@pytest.mark.parametrize("apostrophe", "'’‘ʼ＇`´′")
def test_every_apostrophe_in_a_name_is_one(apostrophe: str) -> None:
    assert name_tokens(f"O{apostrophe}Brien Ann") == {"O'BRIEN", "ANN"}
    assert fullwidth_capitals(f"O{apostrophe}Brien") == "Ｏ＇ＢＲＩＥＮ"


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        ("SMITH JOHN F.", {"SMITH", "JOHN", "F"}),
        ("SMITH・JOHN", {"SMITH", "JOHN"}),
        ("ジョン･スミス", {"ジョン", "スミス"}),
        ("WANG LI（王麗）", {"WANG", "LI", "王麗"}),
        ("Müller Jörg", {"MUELLER", "JOERG"}),
        ("MU\u0308LLER JO\u0308RG", {"MUELLER", "JOERG"}),
        ("Groß Åsa Sørensen", {"GROSS", "AASA", "SOERENSEN"}),
        ("José Peña Łukasz", {"JOSE", "PENA", "LUKASZ"}),
        ("Nguyễn Thị Đào", {"NGUYEN", "THI", "DAO"}),
        ("ガルシア パブロ", {"ガルシア", "パブロ"}),
        ("Йосиф", {"ЙОСИФ"}),
    ],
)
def test_a_name_is_compared_as_a_passports_machine_readable_lines_write_it(written: str, tokens: set[str]) -> None:
    assert name_tokens(written) == tokens


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("MUELLER", "MULLER"),
        ("JEAN-PIERRE", "JEANPIERRE"),
        ("JEAN-PIERRE", "JEAN PIERRE"),
        ("O'BRIEN", "OBRIEN"),
        ("ガ", "カ"),
        ("Й", "И"),
    ],
)
def test_names_that_differ_by_more_than_a_form_stay_apart(one: str, other: str) -> None:
    assert name_tokens(one) != name_tokens(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("デュポン・ジャン＝ピエール", "ﾃﾞﾕﾎﾟﾝ ｼﾞﾔﾝ ﾋﾟｴ-ﾙ"),
        ("ﾃﾞｭﾎﾟﾝ･ｼﾞｬﾝ", "デュポン ジャン"),
        ("ｼﾕﾚｽﾀ ﾋﾞﾉﾄﾞ", "シュレスタ　ビノド"),
        ("ｾﾃｲｱﾜﾝ ﾌﾞﾃﾞｲ", "セティアワン ブディ"),
        ("ﾐﾕﾗｰ ｱﾝﾅ", "ミュラ アンナ"),
        ("ﾐｭﾗ- ｱﾝﾅ", "ミュラー アンナ"),
        ("ミュラ― アンナ", "ミュラ‐アンナ"),
        ("ｳﾞｧﾝ", "ヴアン"),
        ("ﾊﾟｸ ｼﾞﾌﾝ", "パクジフン"),
        ("ヵヶヮ", "カケワ"),
        ("かねだ よしこ", "ｶﾈﾀﾞ ﾖｼｺ"),
    ],
)
def test_kana_names_are_equal_after_folding(one: str, other: str) -> None:
    assert fold_kana(one) == fold_kana(other)


def test_folding_keeps_different_names_apart() -> None:
    assert fold_kana("ラマン") != fold_kana("ラハマン")
    assert fold_kana("バン") != fold_kana("パン")


@given(st.text(alphabet=st.characters(min_codepoint=0x30A1, max_codepoint=0x30FA), max_size=20))
def test_half_width_kana_fold_to_the_same_name(text: str) -> None:
    assert fold_kana(halfwidth_kana(text)) == fold_kana(text)
    assert fold_kana(fold_kana(text)) == fold_kana(text)


def test_kana_are_sent_as_the_source_keeps_them() -> None:
    assert halfwidth_kana("シュレスタ　ビノド") == "ｼﾕﾚｽﾀ ﾋﾞﾉﾄﾞ"
    assert halfwidth_kana("ヴァン  ポール") == "ｳﾞｱﾝ ﾎﾟｰﾙ"
    assert halfwidth_kana("ジャン・ポール") == "ｼﾞﾔﾝ ﾎﾟｰﾙ"


def test_capitals_are_sent_in_full_width() -> None:
    assert fullwidth_capitals("Nguyen Thi-Huong") == "ＮＧＵＹＥＮ　ＴＨＩ－ＨＵＯＮＧ"
    assert fullwidth_capitals("金田 芳子") == "金田　芳子"
    assert fullwidth_capitals("ZZ20260001ZZ") == "ＺＺ２０２６０００１ＺＺ"


@pytest.mark.parametrize(
    "text",
    [
        "ZZ20260001ZZ",
        "zz20260001zz",
        "ＺＺ２０２６０００１ＺＺ",
        " ｚｚ20260001ＺＺ ",
        "ZZ 2026 0001 ZZ",
        "zz－20260001-ZZ",
    ],
)
def test_a_card_number_does_not_know_width_case_spaces_or_hyphens(text: str) -> None:
    assert card_number(text) == read_card_number(text) == "ZZ20260001ZZ"


@pytest.mark.parametrize("text", ["", "1234", "ZZ2026000ZZ", "ZZ202600011ZZ", "Z120260001ZZ", "ZZ20260001Z9"])
def test_what_is_no_card_number_is_not_read_as_one(text: str) -> None:
    assert read_card_number(text) is None


@pytest.mark.parametrize(
    ("text", "yen"),
    [
        ("２，９０４，０００", 2_904_000),
        ("2,904,000", 2_904_000),
        ("242，000", 242_000),
        ("88600", 88_600),
        ("２，９０４，０００円", 2_904_000),
        ("￥400，000", 400_000),
        ("¥ 400,000", 400_000),
        ("０", 0),
        ("＊＊＊＊＊", None),
        ("*****", None),
        ("＊", None),
    ],
)
def test_an_amount_is_read_in_either_width_and_asterisks_are_not_zero(text: str, yen: int | None) -> None:
    assert parse_amount(text) == yen


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "－１",
        "1.5",
        "2,90",
        "24,2000",
        ",100",
        "100,",
        "1万円",
        "円",
        "¥",
        "1円2",
        "二百",
        "1e6",
        "0x10",
        "＊1",
        "9" * 14,
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        parse_amount(text)


def test_an_empty_amount_is_not_stated_only_where_that_is_allowed() -> None:
    assert parse_amount("", may_be_empty=True) is None


@given(st.integers(min_value=0, max_value=10**12))
def test_amounts_survive_the_way_there_and_back(yen: int) -> None:
    assert parse_amount(f"{yen:,}") == yen
    assert parse_amount(fullwidth_capitals(f"{yen:,}")) == yen


def test_only_asterisks_mean_not_stated() -> None:
    assert is_not_stated("********")
    assert is_not_stated("＊＊")
    assert not is_not_stated("")
    assert not is_not_stated("＊ 1")
