"""How Japanese registers write dates. One function for each dialect: the same digit means different eras.

The digit 5 is Shōwa in pension dates and Reiwa in employment insurance dates, so there is no function that
guesses. Dates beyond the end of an era (平成35年) stand in old records and are converted arithmetically.
Everything raises ValueError for text that is not in the documented form, or no day of the calendar.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import date

_TAISHO, _SHOWA, _HEISEI, _REIWA = 1911, 1925, 1988, 2018  # the year before each era's first
_ERA_BASE_YEARS = {
    "令和": _REIWA,
    "平成": _HEISEI,
    "昭和": _SHOWA,
    "大正": _TAISHO,
    "R": _REIWA,
    "H": _HEISEI,
    "S": _SHOWA,
    "T": _TAISHO,
}
_PENSION_BASE_YEARS = {"9": _REIWA, "7": _HEISEI, "5": _SHOWA}
_LABOR_BASE_YEARS = {"5": _REIWA, "4": _HEISEI, "3": _SHOWA}
_ERA_STARTS = (
    ("令和", "R", _REIWA, date(2019, 5, 1)),
    ("平成", "H", _HEISEI, date(1989, 1, 8)),
    ("昭和", "S", _SHOWA, date(1926, 12, 25)),
    ("大正", "T", _TAISHO, date(1912, 7, 30)),
)
_ERA_NAME = re.compile(r"(令和|平成|昭和|大正)(元|[0-9]{1,2})年([0-9]{1,2})月([0-9]{1,2})日")
_ERA_LETTER = re.compile(r"([RHST])([0-9]{1,2})([./])([0-9]{1,2})\3([0-9]{1,2})")
_ERA_YEAR = re.compile(r"(令和|平成|昭和|大正)(元|[0-9]{1,2})(年度|年分)")
_PENSION = re.compile(r"([579])([0-9]{2})([0-9]{2})([0-9]{2})")
_LABOR = re.compile(r"([345])-([0-9]{2})([0-9]{2})([0-9]{2})")
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_SLASHED = re.compile(r"([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})")
_COMPACT_MONTH = re.compile(r"([0-9]{4})([0-9]{2})")


def parse_era_text(text: str) -> date:
    """A date with the era's name or letter, in either width: `令和８年１０月３１日`, `R08.10.31`, `R8/10/31`."""
    plain = _plain(text)
    if match := _ERA_NAME.fullmatch(plain):
        era, year, month, day = match.groups()
        return _date_in(_ERA_BASE_YEARS, era, "1" if year == "元" else year, month, day)
    if match := _ERA_LETTER.fullmatch(plain):
        era, year, _, month, day = match.groups()
        return _date_in(_ERA_BASE_YEARS, era, year, month, day)
    raise ValueError("not a date with an era")


def parse_era_year(text: str, *, suffix: str) -> int:
    """The western year of `令和８年度` (suffix 年度: a levy year) or `令和７年分` (suffix 年分: an income year)."""
    match = _ERA_YEAR.fullmatch(_plain(text))
    if match is None or match[3] != suffix or _number(match[2]) < 1:
        raise ValueError("not a year of an era")
    return _ERA_BASE_YEARS[match[1]] + _number(match[2])


def parse_compact_date(text: str) -> date:
    """A western date of eight digits: `20270930`."""
    return _western(_COMPACT, text)


def parse_written_date(text: str) -> date:
    """A date in any form that carries its own era or is western: `R08.10.31`, `令和８年…`, `20270930`, `2021/10/04`.

    The forms with an era digit are never among them.
    """
    plain = _plain(text)
    if _COMPACT.fullmatch(plain):
        return _western(_COMPACT, plain)
    if _SLASHED.fullmatch(plain):
        return _western(_SLASHED, plain)
    return parse_era_text(plain)


def parse_compact_month(text: str) -> date:
    """The first day of a month of six digits: `202411` is 1 November 2024."""
    match = _COMPACT_MONTH.fullmatch(_plain(text))
    if match is None:
        raise ValueError("not a month of six digits")
    return date(int(match[1]), int(match[2]), 1)


def parse_pension_date(text: str) -> date:
    """A date of the pension dialect: era digit 9 Reiwa, 7 Heisei, 5 Shōwa, then yymmdd. `9081031` is 2026-10-31."""
    match = _PENSION.fullmatch(_plain(text))
    if match is None:
        raise ValueError("not a date of the pension dialect")
    return _date_in(_PENSION_BASE_YEARS, *match.groups())


def parse_labor_date(text: str) -> date:
    """A date of the employment insurance dialect: 5 Reiwa, 4 Heisei, 3 Shōwa. `5-081031` is 2026-10-31."""
    match = _LABOR.fullmatch(_plain(text))
    if match is None:
        raise ValueError("not a date of the employment insurance dialect")
    return _date_in(_LABOR_BASE_YEARS, *match.groups())


def format_era_text(day: date) -> str:
    """As municipalities write it, digits of half width: `平成9年5月21日`, `令和元年5月1日`."""
    name, _, base_year = _era_of(day)
    year = day.year - base_year
    return f"{name}{'元' if year == 1 else year}年{day.month}月{day.day}日"


def format_pension_date(day: date) -> str:
    """The pension dialect, `7090521`. ValueError before Shōwa, for which the dialect here has no digit."""
    return _with_digit(_PENSION_BASE_YEARS, day, separator="")


def format_labor_date(day: date) -> str:
    """The employment insurance dialect, `4-090521`. ValueError before Shōwa."""
    return _with_digit(_LABOR_BASE_YEARS, day, separator="-")


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip()


def _number(digits: str) -> int:
    return 1 if digits == "元" else int(digits)


def _date_in(base_years: Mapping[str, int], era: str, year: str, month: str, day: str) -> date:
    if int(year) < 1:
        raise ValueError("an era has no year zero")
    return date(base_years[era] + int(year), int(month), int(day))


def _western(form: re.Pattern[str], text: str) -> date:
    match = form.fullmatch(_plain(text))
    if match is None:
        raise ValueError("not a western date of the documented form")
    return date(int(match[1]), int(match[2]), int(match[3]))


def _era_of(day: date) -> tuple[str, str, int]:
    for name, letter, base_year, first_day in _ERA_STARTS:
        if day >= first_day:
            return name, letter, base_year
    raise ValueError("a date before Taishō")


def _with_digit(base_years: Mapping[str, int], day: date, *, separator: str) -> str:
    _, _, base_year = _era_of(day)
    for digit, base in base_years.items():
        if base == base_year:
            return f"{digit}{separator}{day.year - base_year:02d}{day.month:02d}{day.day:02d}"
    raise ValueError("the dialect has no digit for this era")
