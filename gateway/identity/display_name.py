"""The names under which relying parties are shown to people: what may stand in one, and which look like another's.

A name is plain text of one language's script. Source: UTS #39 (restriction levels, skeletons), in a form small
enough to be read, with the look-alikes of Japanese that its tables leave out.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MAX_CHARACTERS = 60

_PUNCTUATION = " &'’.,-()/+"
_MARKUP = frozenset("<>{}\\")
_FULL_WIDTH = range(0xFF01, 0xFF5F)
_NOT_STABLE_BUT_USUAL = frozenset("（）ำ")
"""Japanese brackets, and Thai's SARA AM, without which no Thai company can write that it is limited."""


@dataclass(frozen=True, slots=True)
class _Script:
    """The letters and signs of one script; `marks`: how many combining marks may follow each other in it."""

    ranges: tuple[tuple[int, int], ...]
    without: str = ""
    signs: str = ""
    marks: int = 0

    def has(self, character: str) -> bool:
        if character in self.signs:
            return True
        return character not in self.without and any(low <= ord(character) <= high for low, high in self.ranges)


_DIGITS = _Script(((0x30, 0x39),), signs=_PUNCTUATION)
_LATIN = _Script(
    # Basic Latin, Latin-1, Extended-A, and of Extended Additional and Extended-B what Vietnamese needs
    ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0xFF), (0x100, 0x17F), (0x1EA0, 0x1EF9)),
    without="×÷ıſŀĿŉĸĳĲ",
    signs="ƠơƯư",
)
_HAN = _Script(((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xFA0E, 0xFA29), (0x20000, 0x323AF)), signs="々〇")
_KANA = _Script(((0x3041, 0x3096), (0x30A1, 0x30FA)), signs="ーヽヾゝゞ〆・「」（）")
_CHINESE_SIGNS = _Script((), signs="·（）")
_HANGUL = _Script(((0xAC00, 0xD7A3),))

_THAI = _Script(((0x0E01, 0x0E3A), (0x0E40, 0x0E4E)), marks=2)
_LAO = _Script(((0x0E81, 0x0EBD), (0x0EC0, 0x0ECD)), marks=2)
_MYANMAR = _Script(((0x1000, 0x103F),), marks=4)
_KHMER = _Script(((0x1780, 0x17B3), (0x17B6, 0x17D3)), marks=3)
_DEVANAGARI = _Script(((0x0900, 0x0963),), marks=3)
_BENGALI = _Script(((0x0980, 0x09E3),), marks=2)
_TAMIL = _Script(((0x0B80, 0x0BD7),), marks=1)

_SCRIPTS: dict[str, tuple[_Script, ...]] = {
    **dict.fromkeys(("en", "vi", "pt", "es", "tl", "fil", "id"), (_LATIN,)),
    "ja": (_LATIN, _HAN, _KANA),
    "zh": (_LATIN, _HAN, _CHINESE_SIGNS),
    "ko": (_LATIN, _HANGUL),
    "th": (_THAI,),
    "lo": (_LAO,),
    "my": (_MYANMAR,),
    "km": (_KHMER,),
    "ne": (_DEVANAGARI,),
    "hi": (_DEVANAGARI,),
    "bn": (_BENGALI,),
    "ta": (_TAMIL,),
}


class DisplayNameError(ValueError):
    """A name that is not shown to people; the message names the rule that it breaks, never the name."""


def check_display_name(text: str, language: str) -> None:
    """Refuse a name that could show as something else. `language`: its tag, such as `en` or `zh-Hans`.

    Raises DisplayNameError.
    """
    scripts = _SCRIPTS.get(language.partition("-")[0].lower())
    if scripts is None:
        raise DisplayNameError("language: names are not written in it here")
    if not 1 <= len(text) <= MAX_CHARACTERS:
        raise DisplayNameError(f"length: 1 to {MAX_CHARACTERS} characters")
    _check_characters(text)
    _check_form(text)
    if text != text.strip(" ") or "  " in text:
        raise DisplayNameError("spaces: one at a time, and none at the ends")
    _check_scripts(text, scripts)
    if not any(unicodedata.category(character).startswith("L") for character in text):
        raise DisplayNameError("letters: at least one")


def _check_characters(text: str) -> None:
    """Nothing that is not seen, nothing that markup is made of."""
    for character in text:
        category = unicodedata.category(character)
        if category.startswith("C"):
            raise DisplayNameError("invisible: no control, format, private or unassigned characters")
        if category.startswith("Z") and character != " ":
            raise DisplayNameError("spaces: the plain space alone")
        if character in _MARKUP:
            raise DisplayNameError("markup: none of its characters")
        if ord(character) in _FULL_WIDTH and character not in _NOT_STABLE_BUT_USUAL:
            raise DisplayNameError("width: write Latin letters, digits and signs half-width")


def _check_form(text: str) -> None:
    """One way to write it: composed, and without compatibility characters."""
    if unicodedata.normalize("NFC", text) != text:
        raise DisplayNameError("form: write it composed (NFC)")
    for character in text:
        if character not in _NOT_STABLE_BUT_USUAL and unicodedata.normalize("NFKC", character) != character:
            raise DisplayNameError("form: no compatibility characters (NFKC)")


def _check_scripts(text: str, scripts: tuple[_Script, ...]) -> None:
    """Every character belongs to the language, and marks do not pile up."""
    most = max(script.marks for script in scripts)
    marks: list[str] = []
    for character in text:
        if unicodedata.category(character) in ("Mn", "Me"):
            if character in marks or len(marks) == most:
                raise DisplayNameError("marks: combining marks may not pile up")
            marks.append(character)
        else:
            marks.clear()
        if not any(script.has(character) for script in (_DIGITS, *scripts)):
            raise DisplayNameError("script: only letters of the language, ASCII digits and usual punctuation")


_SMALL_KANA = "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ"
_LARGE_KANA = "あいうえおつやゆよわかけアイウエオツヤユヨワカケ"

_LATIN_LOOK_ALIKES = {"0": "o", "〇": "o", "1": "l", "i": "l", "|": "l", "5": "s"}
_LATIN_LETTERS = dict(zip("đðħłŋøŧþ", "ddhlnotp", strict=True)) | {"æ": "ae", "œ": "oe"}
_KANA_OF_KANJI = dict(zip("口囗二工卜夕八力千三才厶", "ロロニエトタハカチミオム", strict=True))
_KANJI_OF_KANJI = dict(zip("士末曰已巳髙﨑𠮷", "土未日己己高崎吉", strict=True))
_LOOK_ALIKES = str.maketrans(_LATIN_LOOK_ALIKES | _LATIN_LETTERS | _KANA_OF_KANJI | _KANJI_OF_KANJI)
_KATAKANA = str.maketrans({chr(code): chr(code + 0x60) for code in range(0x3041, 0x3097)})
_SMALL_TO_LARGE = str.maketrans(dict(zip(_SMALL_KANA, _LARGE_KANA, strict=True)))
_LONG_STROKE = re.compile(r"(?<=[\u3041-\u30ff\u3400-\u9fff])[-‐‑‒–—―－ｰー─一]")


def skeleton(text: str) -> str:
    """What is left of a name when everything that looks alike is written alike; for comparing, not for showing.

    Case, accents, spaces and punctuation are gone; hiragana and katakana are one.
    """
    plain = unicodedata.normalize("NFKC", _LONG_STROKE.sub("ー", text)).casefold()
    decomposed = unicodedata.normalize("NFKD", plain)
    letters = "".join(c for c in decomposed if c == "|" or (unicodedata.combining(c) == 0 and _is_seen(c)))
    folded = letters.translate(_SMALL_TO_LARGE).translate(_KATAKANA).translate(_LOOK_ALIKES)
    return folded.replace("一", "ー").replace("rn", "m").replace("vv", "w")


def _is_seen(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def check_not_confusable(
    names: Mapping[str, str], taken: Iterable[tuple[str, Mapping[str, str]]], *, sector: str
) -> None:
    """Refuse a name that looks like that of a party of another sector, whichever language each is in.

    `names`: by language tag. `taken`: sector and names of those who are registered. Raises DisplayNameError.
    """
    own = {skeleton(name) for name in names.values()} - {""}
    for other_sector, others in taken:
        if other_sector != sector and own & {skeleton(name) for name in others.values()}:
            raise DisplayNameError("confusable: it looks like the name of another relying party")
