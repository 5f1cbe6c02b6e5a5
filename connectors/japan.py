"""How Japanese registers write names, widths and amounts. Dates are in `connectors/japanese_dates.py`.

Everything that reads a reply is strict: text that is not in the documented form raises ValueError.
"""

import re
import unicodedata

import jaconv

from connectors.japanese_dates import (
    format_era_text,
    format_labor_date,
    format_pension_date,
    parse_compact_date,
    parse_compact_month,
    parse_era_text,
    parse_era_year,
    parse_labor_date,
    parse_pension_date,
    parse_written_date,
)

__all__ = [
    "card_number",
    "fold_kana",
    "format_era_text",
    "format_labor_date",
    "format_pension_date",
    "fullwidth_capitals",
    "halfwidth_kana",
    "is_not_stated",
    "name_tokens",
    "parse_amount",
    "parse_compact_date",
    "parse_compact_month",
    "parse_era_text",
    "parse_era_year",
    "parse_labor_date",
    "parse_pension_date",
    "parse_written_date",
    "plain_name",
    "read_card_number",
    "squashed_name",
]

MAX_AMOUNT_YEN = 10**12
"""Larger than any person's income: a larger number is a broken reply, not wealth (project parameter)."""

_SMALL_KANA = "ァィゥェォッャュョヮヵヶ"
_LARGE_KANA = "アイウエオツヤユヨワカケ"
_TO_LARGE_KANA = str.maketrans(_SMALL_KANA, _LARGE_KANA)
_LONG_VOWEL_MARKS = "ー－‐‑‒–—―−-"
_KANA_SEPARATORS = "・·=゠"
_DROP_LONG_VOWEL = str.maketrans("", "", _LONG_VOWEL_MARKS + _KANA_SEPARATORS)
_PART_KANA = str.maketrans(dict.fromkeys(_KANA_SEPARATORS, " "))
_TO_APOSTROPHE = str.maketrans(dict.fromkeys("’‘ʼʻ‛′´`｀", "'"))  # before NFKC, which takes some apart
_TO_HYPHEN = str.maketrans(dict.fromkeys(_LONG_VOWEL_MARKS, "-"))
_LATIN_HYPHEN = re.compile(f"(?<=[A-Z])[{_LONG_VOWEL_MARKS}](?=[A-Z])")
_PART_NAMES = str.maketrans(dict.fromkeys(",.・·()", " "))
_LETTERS = "Ä:AE Ö:OE Ü:UE ẞ:SS Ø:OE Å:AA Æ:AE Œ:OE Þ:TH Ð:D Đ:D Ł:L Ħ:H Ŋ:N"
"""What a passport writes in plain letters; others lose their mark. Source: ICAO Doc 9303 part 3, section 6."""
_TRANSLITERATED = str.maketrans(dict(letter.split(":") for letter in _LETTERS.split()))
_MARKS = re.compile("(?<=[A-Z])[\u0300-\u036f]+")
_HIRAGANA_TO_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}
_AMOUNT = re.compile(r"[¥\\]?\s?([0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,15})\s?円?")
_CARD_NUMBER = re.compile(r"[A-Z]{2}[0-9]{8}[A-Z]{2}")
"""Source: Immigration Control Act Enforcement Regulations art. 19-6 (form of the residence card)."""


def plain_name(text: str) -> str:
    """A name without width, case and the many forms of hyphen and apostrophe, its parts apart by one space.

    A hyphen stays inside its part; a comma, a full stop, a middle dot and brackets part. Letters with a mark are
    written as a passport's machine-readable lines write them.
    Example: plain_name("Müller，Jean―Ｐ．") == "MUELLER JEAN-P"
    """
    plain = unicodedata.normalize("NFKC", text).upper()
    if plain.isascii() and plain.replace(" ", "").isalpha():  # as most are: nothing else can stand there
        return " ".join(plain.split())
    capitals = unicodedata.normalize("NFKC", text.translate(_TO_APOSTROPHE)).upper().translate(_TRANSLITERATED)
    plain = unicodedata.normalize("NFKC", _MARKS.sub("", unicodedata.normalize("NFKD", capitals)))
    return " ".join(plain.translate(_TO_HYPHEN).translate(_PART_NAMES).split())


def name_tokens(text: str) -> frozenset[str]:
    """The parts of a name without order.

    Example: name_tokens("ＨＵＯＮＧ　Nguyen Thi") == {"NGUYEN", "THI", "HUONG"}
    """
    return frozenset(plain_name(text).split())


def squashed_name(text: str) -> str:
    """A name that is written in one piece, without width, case and spaces."""
    return "".join(unicodedata.normalize("NFKC", text).upper().split())


def fold_kana(text: str) -> str:
    """A kana name as it is compared: full width, small kana large, no long-vowel marks, spaces or middle dots.

    Half-width sources lose small kana, and each source writes `ー` in its own way.
    Example: fold_kana("ｼﾕﾚｽﾀ ﾋﾞﾉﾄﾞ") == fold_kana("シュレスタ　ビノド")
    """
    full = unicodedata.normalize("NFKC", text).translate(_HIRAGANA_TO_KATAKANA)
    return "".join(full.translate(_TO_LARGE_KANA).translate(_DROP_LONG_VOWEL).split())


def halfwidth_kana(text: str) -> str:
    """A kana name as the insurance authority keeps it: half width, small kana large, one space between parts."""
    full = unicodedata.normalize("NFKC", text).translate(_HIRAGANA_TO_KATAKANA).translate(_TO_LARGE_KANA)
    return jaconv.z2h(" ".join(full.translate(_PART_KANA).split()), kana=True, ascii=True, digit=True)


def fullwidth_capitals(text: str) -> str:
    """A name as municipalities keep it: capitals and spaces in full width. Kanji and kana stay."""
    capitals = " ".join(unicodedata.normalize("NFKC", text.translate(_TO_APOSTROPHE)).upper().split())
    capitals = _LATIN_HYPHEN.sub("-", capitals)
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in capitals).replace(" ", "\u3000")


def card_number(text: str) -> str:
    """A residence card number as it is compared: half-width capitals, without spaces and hyphens."""
    return "".join(unicodedata.normalize("NFKC", text).upper().split()).replace("-", "")


def read_card_number(text: str) -> str | None:
    """The number of a residence card or a special permanent resident's certificate; None for what is none."""
    number = card_number(text)
    return number if _CARD_NUMBER.fullmatch(number) else None


def is_not_stated(text: str) -> bool:
    """True for a run of asterisks of either width: the source does not state the value (never zero)."""
    return (
        bool(text) and not unicodedata.normalize("NFKC", text).strip().strip("*") and "*" in text.replace("＊", "*")
    )


def parse_amount(text: str, *, may_be_empty: bool = False) -> int | None:
    """Yen from digits and commas of either width, with or without 円 or ¥; None for asterisks, and for empty text
    where allowed.

    A sign, another unit, a decimal point or a comma in the wrong place raises ValueError.
    Example: parse_amount("２，９０４，０００円") == 2_904_000
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    if is_not_stated(plain) or (not plain and may_be_empty):
        return None
    match = _AMOUNT.fullmatch(plain)
    if match is None:
        raise ValueError("not an amount in yen")
    amount = int(match[1].replace(",", ""))
    if amount > MAX_AMOUNT_YEN:
        raise ValueError("an amount in yen beyond belief")
    return amount
