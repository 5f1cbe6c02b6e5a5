"""Whether two Japanese addresses name the same place, at municipality and block.

Source: domain notes, parsing rule 6: the prefecture may be left out, `１－２－３` stands for `1丁目2番3号`,
and nothing after the block (building, room) is compared.
"""

import re
import unicodedata

_PREFECTURE = re.compile(r"^(東京都|北海道|京都府|大阪府|[^市区町村]{2,3}県)")
_KANJI_NUMBER = re.compile(r"([一二三四五六七八九十]+)(?=丁目|条)")
_SPELT_ALIKE = (
    (re.compile(r"(?<=[一-龠々])[ヶケヵカがガ](?=[一-龠々])"), "ケ"),
    (re.compile(r"(?<=[一-龠々])[のノ之](?=[一-龠々])"), "ノ"),
    (re.compile(r"(?<=[一-龠々])[ツッつっ](?=[一-龠々])"), "ツ"),
    (re.compile(r"大字|(?<=[市区町村])字"), ""),
)
"""The same name of a place in several spellings: 龍ケ崎 and 龍ヶ崎, 三の丸 and 三ノ丸, with 大字 or without.
Of these no difference tells two places apart: UNKNOWN never becomes FALSE (domain notes 7)."""
_NUMBER_WORDS = re.compile(r"(?<=\d)(?:丁目|番地の?|番町?|号)")
_BLOCK = re.compile(r"(?<!\d)\d+(?!\d|条)(?:-\d+){0,2}")
"""The numbers of chome, block and house; the number of a street (北1条) belongs to the area."""
_DIGITS = {digit: value for value, digit in enumerate("一二三四五六七八九", start=1)}


def same_address(one: str, other: str) -> bool | None:
    """True or False where both state enough; None where either is empty or stops short of the other."""
    prefecture, area, block = _parts(one)
    other_prefecture, other_area, other_block = _parts(other)
    if not area or not other_area:
        return None
    if prefecture and other_prefecture and prefecture != other_prefecture:
        return False
    if area != other_area:
        shorter, longer = sorted((area, other_area), key=len)
        return None if longer.startswith(shorter) and _lacks_block(one, other, shorter) else False
    if bool(block) != bool(other_block):
        return None
    if block != other_block and (
        f"{block}-".startswith(f"{other_block}-") or f"{other_block}-".startswith(f"{block}-")
    ):
        return None  # one stops at the chome, the other goes on to the house
    return block == other_block


def _lacks_block(one: str, other: str, shorter: str) -> bool:
    """Whether the address with the shorter area ends there: a municipality alone, not another place."""
    return any(_parts(text)[1] == shorter and not _parts(text)[2] for text in (one, other))


def _parts(text: str) -> tuple[str, str, str]:
    """(prefecture, area up to the block, block), each normalised and possibly empty."""
    plain = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", unicodedata.normalize("NFKC", text).strip())
    plain = _KANJI_NUMBER.sub(lambda found: str(_kanji_number(found[1])), plain)
    for spelling, one in _SPELT_ALIKE:
        plain = spelling.sub(one, plain)
    plain = _NUMBER_WORDS.sub("-", plain)
    plain = re.sub(r"(?<=\d)[‐‑‒–—―−ーの](?=\d)", "-", plain)
    prefecture = _PREFECTURE.match(plain)
    rest = plain[prefecture.end() :] if prefecture else plain
    found = _BLOCK.search(rest)
    area = rest[: found.start()] if found else rest
    return (prefecture[0] if prefecture else "", area, found[0] if found else "")


def _kanji_number(text: str) -> int:
    """A number up to 99 in kanji numerals. Example: _kanji_number("二十三") == 23"""
    if "十" not in text:
        return int("".join(str(_DIGITS[digit]) for digit in text))
    tens, _, ones = text.partition("十")
    return 10 * _DIGITS.get(tens, 1) + _DIGITS.get(ones, 0)
