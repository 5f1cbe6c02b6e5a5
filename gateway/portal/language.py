"""In which language a page is written: what the person chose, or what their browser asks for."""

from babel import Locale, negotiate_locale
from babel.core import UnknownLocaleError
from starlette.exceptions import HTTPException
from starlette.requests import Request

LANGUAGES = ("en", "ja")
LANGUAGE_COOKIE = "__Host-kyosei-language"
LANGUAGE_SECONDS = 31_536_000


def checked_language(text: str) -> str:
    """One of LANGUAGES. Raises HTTPException for another one."""
    if text not in LANGUAGES:
        raise HTTPException(404)
    return text


def language_of(request: Request) -> str:
    """`en` or `ja`. Source: RFC 9110 section 12.5.4 for the header."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    wanted = [tag for tag in _accepted(request.headers.get("accept-language", "")) if _is_known(tag)]
    return negotiate_locale(wanted, LANGUAGES, sep="-") or LANGUAGES[0]


def _accepted(header: str) -> list[str]:
    """Language tags, the most wanted first; those with quality 0 are not wanted."""
    found: list[tuple[float, str]] = []
    for part in header[:256].split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        if tag and weight > 0:
            found.append((weight, tag))
    return [tag for _, tag in sorted(found, key=lambda one: -one[0])]


def _is_known(tag: str) -> bool:
    try:
        Locale.parse(tag, sep="-")
    except (UnknownLocaleError, ValueError):
        return False
    return True
