"""Whether two Japanese addresses name the same place, at municipality and block.

Source: domain notes, parsing rule 6: the prefecture may be left out, `１－２－３` stands for `1丁目2番3号`,
and nothing after the block (building, room) is compared. What cannot be compared is doubt (domain notes 7).
"""

import re
import unicodedata
from typing import NamedTuple

_MAX_CHARACTERS = 200
"""No address is longer; nothing is concluded from one that is (project parameter)."""
_OLD_FORMS = str.maketrans(
    "區縣國學廣澤濱邊邉齋齊櫻眞條髙﨑槇瀧龜萬惠曾冨靜臺驛號壹貳鹽淵灣圓礒檜舘繩籠龍嶋壽榮彌應",
    "区県国学広沢浜辺辺斎斉桜真条高崎槙滝亀万恵曽富静台駅号一二塩渕湾円磯桧館縄篭竜島寿栄弥応",
)
"""Old forms in names of places, with the forms of the Joyo kanji table (Cabinet notice 2 of 2010) or those in use."""
_VARIANT_MARKS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_NOT_KNOWN = re.compile(r"未定|未届|未登録|未設定|不明(?!門)|不詳|不定|\*")
_BEFORE_IT = re.compile(
    r"^\s*(?:〒\s*\d{3}\D?\d{4}|\d{3}[-‐−―ー]\d{4})?(?!\d)\s*(?:日本国?(?:[\s、,]+|(?=..?.?.?[都道府県])))?"
)
"""A postal code, and the country."""
_PREFECTURE = re.compile(r"^(東京都|北海道|京都府|大阪府|[^市区町村]{2,3}県)")
_COUNTY = re.compile(r"^[^市区町村]{1,5}?郡(?=[^市区]{1,7}?[町村])")
_STREETS = re.compile(r"(?<=区).+(?:[上下][ルるガが]る?|[東西南北]入[ルるリり]?)")
"""How Kyoto finds a place: 烏丸通御池上る. Of several towns of one name in a ward only they tell which is meant."""
_HYPHENS = "-‐‑‒–—―−ー"
_NUMERALS = "[一二三四五六七八九十]+"
_KANJI_NUMBERS = (
    re.compile(f"{_NUMERALS}(?=丁目|条|線|地割|番|号[東西南北])"),
    re.compile(f"(?<=番){_NUMERALS}(?=号)|{_NUMERALS}(?=[{_HYPHENS}](?:{_NUMERALS}|\\d))"),
    re.compile(f"(?<=\\d[{_HYPHENS}]){_NUMERALS}"),
)
"""Where kanji numerals number a place as digits do (三丁目, 二番一号); elsewhere they belong to a name (三の丸).
Source: Act on Indication of Residential Address, art. 2; domain notes 6, rule 6."""
_SPELT_ALIKE = (
    (re.compile(r"(?<=[一-龠々])[ヶケヵカがガ](?=[一-龠々])"), "ケ"),
    (re.compile(r"(?<=[一-龠々])[のノ之](?=[一-龠々])"), "ノ"),
    (re.compile(r"(?<=[一-龠々])[ツッつっ](?=[一-龠々])"), "ツ"),
    (re.compile(r"大字|(?<=[市区町村])字|第(?=\d+地割)"), ""),
)
"""The same name of a place in several spellings: 龍ケ崎 and 龍ヶ崎, 三の丸 and 三ノ丸, with 大字 or without.
Of these no difference tells two places apart: UNKNOWN never becomes FALSE (domain notes 7)."""
_NUMBER_WORDS = re.compile(r"(?<=\d)(?:丁目|番地の?|番(?!町)|号(?![東西南北]\d))")
_BLOCK = re.compile(r"(?<!\d)\d+(?!\d|条|線|地割|番町|号[東西南北]\d)(?:-\d+){0,2}")
"""The numbers of chome, block and house. Those of a street (北1条), a line (西10号北), a 地割 belong to the area."""
_LEFT_OUT = re.compile(r".*(?:[市区郡町村]|[上下][ルる]|[東西南北]入[ルるリり]?)")
_DIGITS = {digit: value for value, digit in enumerate("一二三四五六七八九", start=1)}


class _Place(NamedTuple):
    """The parts of an address, each normalised and possibly empty; `area` goes up to the block."""

    prefecture: str
    area: str
    block: str


def same_address(one: str, other: str) -> bool | None:
    """True or False where both state enough; None where one is empty, stops short, or cannot be compared."""
    here, there = _read(one), _read(other)
    if not here.area or not there.area:
        return None
    if here.prefecture and there.prefecture and here.prefecture != there.prefecture:
        return None if _is_unreadable(here.area) or _is_unreadable(there.area) else False
    is_same_area = _same_area(here, there)
    return _same_block(here.block, there.block) if is_same_area else is_same_area


def _same_area(here: _Place, there: _Place) -> bool | None:
    one, other = here.area, there.area
    if not (_COUNTY.match(one) and _COUNTY.match(other)):
        is_left_out = one != other
        one, other = _COUNTY.sub("", one), _COUNTY.sub("", other)
        if is_left_out and one == other and not (here.prefecture and there.prefecture):
            return None  # the name of a town is one of its kind in a prefecture, and not in the country
    if one == other:
        return True
    shorter, longer = sorted((one, other), key=len)
    lacks_block = any(not place.block and place.area.endswith(shorter) for place in (here, there))
    cannot_tell = (
        _is_unreadable(one)
        or _is_unreadable(other)
        or (longer.startswith(shorter) and (lacks_block or "地割" in longer[len(shorter) :]))
        or _leaves_out(shorter, longer)
        or _STREETS.sub("", one) == _STREETS.sub("", other)
    )
    return None if cannot_tell else False


def _is_unreadable(area: str) -> bool:
    """Written as it sounds, in Latin letters or kana alone: no register keeps it so."""
    return re.search("[A-Za-z]", area) is not None or re.search("[一-龠々]", area) is None


def _leaves_out(shorter: str, longer: str) -> bool:
    """Whether the shorter one is the longer without its municipality, a ward, or whatever else stands between."""
    for length in range(len(shorter)):
        gap = longer[length : length + len(longer) - len(shorter)]
        if shorter == longer[:length] + longer[length + len(gap) :] and _LEFT_OUT.fullmatch(gap):
            return True
    return False


def _same_block(one: str, other: str) -> bool | None:
    if one == other:
        return True
    if f"{one}-".startswith(f"{other}-") or f"{other}-".startswith(f"{one}-") or not (one and other):
        return None  # one stops before the block, or at the chome, and the other goes on to the house
    return False


def _read(text: str) -> _Place:
    plain = _VARIANT_MARKS.sub("", unicodedata.normalize("NFKC", text)).translate(_OLD_FORMS)
    if _NOT_KNOWN.search(plain) or len(plain) > _MAX_CHARACTERS:
        return _Place("", "", "")
    plain = re.sub(r"(?<!\d)(\d+)\s*[、,]\s*(\d+)\s*[、,]\s*(\d+)", r"\1-\2-\3", plain)
    plain = re.sub(r"(?<!\d)[\s、,]+|[\s、,]+(?!\d)", "", _BEFORE_IT.sub("", plain))
    for numeral in _KANJI_NUMBERS:
        plain = numeral.sub(lambda found: str(_kanji_number(found[0])), plain)
    for spelling, one in _SPELT_ALIKE:
        plain = spelling.sub(one, plain)
    plain = _NUMBER_WORDS.sub("-", plain)
    plain = re.sub(rf"(?<=\d)[{_HYPHENS}の](?=\d)", "-", plain)
    prefecture = _PREFECTURE.match(plain)
    rest = plain[prefecture.end() :] if prefecture else plain
    found = _BLOCK.search(rest)
    area = rest[: found.start()] if found else rest
    return _Place(prefecture[0] if prefecture else "", area, found[0] if found else "")


def _kanji_number(text: str) -> int:
    """A number up to 99 in kanji numerals. Example: _kanji_number("二十三") == 23"""
    if "十" not in text:
        return int("".join(str(_DIGITS[digit]) for digit in text))
    tens, _, ones = text.partition("十")
    return 10 * _DIGITS.get(tens, 1) + _DIGITS.get(ones, 0)
