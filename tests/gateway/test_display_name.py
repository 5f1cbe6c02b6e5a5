"""The name that a person sees when asked for consent is what it seems to be, and nobody else's."""

import tomllib
from dataclasses import dataclass

import pytest

from gateway.identity.display_name import (
    MAX_CHARACTERS,
    DisplayNameError,
    check_display_name,
    check_not_confusable,
    skeleton,
)
from tests.conftest import ROOT


@dataclass(frozen=True, slots=True)
class Spoof:
    """A name that is refused by itself, and the rule that says so."""

    rule: str
    text: str
    language: str = "en"


SPOOFS = {
    "Cyrillic а in a Latin name": Spoof("script", "Hik\u0430ri Bank"),
    "a whole name in Cyrillic": Spoof("script", "\u041d\u0406\u041a\u0410\u0420\u0406"),
    "Greek omicron": Spoof("script", "T\u03bfkyo Bank"),
    "Armenian oh": Spoof("script", "T\u0585kyo Bank"),
    "Cherokee letters": Spoof("script", "\u13a1\u13a1\u13d3 Bank"),
    "IPA g": Spoof("script", "Mort\u0261age Bank"),
    "dotless i": Spoof("script", "H\u0131kari Bank"),
    "long s": Spoof("form", "\u017fumai Rentals"),
    "kra for k": Spoof("script", "Hi\u0138ari Bank"),
    "a Roman numeral": Spoof("form", "Bank \u2160"),
    "mathematical bold": Spoof("form", "\U0001d401ank"),
    "a ligature": Spoof("form", "\ufb01nance"),
    "an l with a middle dot": Spoof("form", "Co\u0140aborate"),
    "a letter and its accent apart": Spoof("form", "Cafe\u0301"),
    "right-to-left override": Spoof("invisible", "Bank \u202eknaB"),
    "right-to-left embedding": Spoof("invisible", "Bank \u202b1"),
    "an isolate": Spoof("invisible", "Hikari\u2066 Bank\u2069"),
    "a right-to-left mark": Spoof("invisible", "Hikari\u200f Bank"),
    "zero-width space": Spoof("invisible", "Hikari\u200bBank"),
    "zero-width joiner": Spoof("invisible", "Hika\u200dri"),
    "an emoji of three people": Spoof("invisible", "\U0001f468\u200d\U0001f469\u200d\U0001f467 Homes"),
    "an emoji": Spoof("script", "\U0001f3e6 Bank"),
    "soft hyphen": Spoof("invisible", "Hi\u00adkari"),
    "word joiner": Spoof("invisible", "Hi\u2060kari"),
    "byte-order mark": Spoof("invisible", "\ufeffHikari"),
    "NUL": Spoof("invisible", "Hikari\x00 Bank"),
    "a line": Spoof("invisible", "Hikari\nVerified by the authority"),
    "a line separator": Spoof("spaces", "Hikari\u2028Verified"),
    "an escape sequence": Spoof("invisible", "\x1b[2KHikari"),
    "tag characters": Spoof("invisible", "Hikari\U000e0068\U000e0069"),
    "a private-use logo": Spoof("invisible", "\uf8ff Bank"),
    "half a surrogate pair": Spoof("invisible", "Hikari\ud83d"),
    "an unassigned character": Spoof("invisible", "Hikari\u0378"),
    "full-width letters": Spoof("width", "ＨＩＫＡＲＩ", "ja"),
    "full-width digits": Spoof("width", "ひかり７７銀行", "ja"),
    "half-width katakana": Spoof("form", "ﾋｶﾘ銀行", "ja"),
    "a company mark": Spoof("form", "\u3231ひかり", "ja"),
    "a compatibility ideograph": Spoof("form", "\uf907銀行", "ja"),
    "an ideographic space": Spoof("spaces", "ひかり\u3000銀行", "ja"),
    "a no-break space": Spoof("spaces", "Hikari\u00a0Bank"),
    "a Hangul filler": Spoof("form", "히카리\u3164", "ko"),
    "katakana in a Chinese name": Spoof("script", "中国人口ロ银行", "zh"),
    "Cyrillic in a Japanese name": Spoof("script", "ひかり\u0410銀行", "ja"),
    "Latin in a Thai name": Spoof("script", "ธนาคารo", "th"),
    "Thai digits": Spoof("script", "ธนาคาร ๑", "th"),
    "Arabic digits": Spoof("script", "Bank \u0661"),
    "marks that pile up": Spoof("marks", "Hi\u0336\u0337\u0338kari"),
    "an exclamation for an l": Spoof("script", "Hikar! Bank"),
    "one mark that Latin does not compose": Spoof("marks", "Hik\u0336ari"),
    "an enclosing circle": Spoof("marks", "Hikari\u20dd"),
    "marks that pile up in Thai": Spoof("marks", "ก\u0e47\u0e48\u0e49", "th"),
    "one mark twice in Thai": Spoof("marks", "ก\u0e48\u0e48", "th"),
    "markup": Spoof("markup", "<script>alert(1)</script>"),
    "a template": Spoof("markup", "{{7*7}}"),
    "a backslash": Spoof("markup", "Hikari\\Bank"),
    "a modifier colon for an address": Spoof("script", "https\ua789//hikari"),
    "a fraction slash": Spoof("script", "hikari\u2044bank"),
    "nothing": Spoof("length", ""),
    "a name of a million": Spoof("length", "a" * 1_000_000),
    "a space": Spoof("spaces", " "),
    "a space in front": Spoof("spaces", " Hikari"),
    "a space at the end": Spoof("spaces", "Hikari "),
    "two spaces": Spoof("spaces", "Hikari  Bank"),
    "no letter": Spoof("letters", "--- 24/7 ---"),
    "a language that is not written here": Spoof("language", "Hikari", "xx"),
    "no language": Spoof("language", "Hikari", ""),
}


@pytest.mark.parametrize("name", SPOOFS)
def test_a_name_that_could_show_as_something_else_is_refused(name: str) -> None:
    spoof = SPOOFS[name]
    with pytest.raises(DisplayNameError) as refused:
        check_display_name(spoof.text, spoof.language)
    assert str(refused.value).startswith(f"{spoof.rule}:")
    assert len(spoof.text) < 3 or spoof.text not in str(refused.value), "it names the rule, never the name"


HONEST = (
    ("三菱ＵＦＪ銀行".translate({ord(c): chr(ord(c) - 0xFEE0) for c in "ＵＦＪ"}), "ja"),
    ("株式会社ひかり銀行（サンドボックス）", "ja"),
    ("株式会社吉野家ホールディングス", "ja"),
    ("𠮷野・髙﨑不動産 関ヶ原店", "ja"),
    ("佐々木ハウジング「みどり」", "ja"),
    ("Mitsubishi UFJ Bank, Ltd.", "en"),
    ("Café & Co.", "en"),
    ("O'Neill Homes", "en"),
    ("O’Neill Homes 24/7", "en"),
    ("Ngân hàng Thương mại Phương Đông", "vi"),
    ("Bất động sản Nguyễn Thị Thuỷ", "vi"),
    ("Construções São João S/A", "pt"),
    ("Préstamos Peñón, S.L.", "es"),
    ("Bahay Niño Rentals", "tl"),
    ("PT Bank Sinar Mas", "id"),
    ("花旗银行（中国）有限公司", "zh-Hans"),
    ("히카리 은행 KB", "ko"),
    ("บริษัท ที่ดินน้ำใจ จำกัด", "th"),
    ("ທະນາຄານ ລາວ", "lo"),
    ("မြန်မာတို့ ဘဏ် 1", "my"),
    ("ធនាគារខ្មែរ", "km"),
    ("सिद्धार्थ बैंक", "ne"),
    ("ঢাকা ব্যাংক", "bn"),
    ("தமிழ் வங்கி", "ta"),
    ("a" * MAX_CHARACTERS, "en"),
)


@pytest.mark.parametrize(("text", "language"), HONEST)
def test_an_honest_name_is_accepted(text: str, language: str) -> None:
    check_display_name(text, language)


def registered() -> list[tuple[str, dict[str, str]]]:
    """Sector and names of those in the configuration."""
    read = tomllib.loads((ROOT / "config/relying_parties.toml").read_text(encoding="utf-8"))
    return [(party["sector"], party["name"]) for party in read.values()]


def test_the_configured_names_are_accepted_and_look_like_no_other() -> None:
    parties = registered()
    assert parties
    for sector, names in parties:
        for language, text in names.items():
            check_display_name(text, language)
        check_not_confusable(names, parties, sector=sector)


LOOK_ALIKES = (
    ("Hikari Bank", "HIKARI  BANK."),
    ("Hikari Bank", "H1kari Bank"),
    ("Hikari Bank", "Hlkarl Bank"),
    ("Hikari Bank", "Híkàri-Bänk"),
    ("Hikari Bank", "Hi-kari Bank"),
    ("Tokyo Loans", "T0kyo L0an5"),
    ("Modern Homes", "Modem Homes"),
    ("Willow Rent", "VVillow Rent"),
    ("Đông Á", "Dong A"),
    ("ロイヤル銀行", "口イヤル銀行"),
    ("ニコニコ不動産", "二コ二コ不動産"),
    ("エトワール", "工卜ワ一ル"),
    ("ハタカ商会", "八夕力商会"),
    ("スーパー住宅", "ス一パ一住宅"),
    ("スーパー住宅", "ス-パ-住宅"),
    ("スーパー住宅", "スーパ一住宅"),
    ("へいわ銀行", "ヘいわ銀行"),
    ("ひかり銀行", "ヒカリ銀行"),
    ("キャピタル", "キヤピタル"),
    ("関ヶ原不動産", "関ケ原不動産"),
    ("バンク東京", "パンク東京"),
    ("髙島銀行", "高島銀行"),
    ("土屋銀行", "士屋銀行"),
    ("ひかり・銀行", "ひかり「銀行」"),
)


@pytest.mark.parametrize(("real", "spoof"), LOOK_ALIKES)
def test_a_name_that_looks_like_that_of_another_sector_is_refused(real: str, spoof: str) -> None:
    taken = [("other", {"en": "Something else"}), ("theirs", {"en": "Else", "ja": real})]
    with pytest.raises(DisplayNameError, match="confusable") as refused:
        check_not_confusable({"en": "Mine", "vi": spoof}, taken, sector="mine")
    assert real not in str(refused.value)
    check_not_confusable({"vi": spoof}, taken, sector="theirs")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hikari Bank", "Hikaru Bank"),
        ("ひかり銀行", "みなと銀行"),
        ("三井住宅", "三好住宅"),
        ("第一銀行", "第二銀行"),
        ("Ngân hàng Đông", "Ngân hàng Tây"),
        ("...", "---"),
    ],
)
def test_names_that_differ_do_not_stand_in_each_others_way(one: str, other: str) -> None:
    check_not_confusable({"en": one}, [("theirs", {"en": other})], sector="mine")


@pytest.mark.parametrize(("text", "language"), HONEST)
def test_a_skeleton_of_a_skeleton_is_itself(text: str, language: str) -> None:
    assert skeleton(text)
    assert skeleton(skeleton(text)) == skeleton(text)
