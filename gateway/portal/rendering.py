"""Templates and their words: Jinja2, escaped, in the languages of the catalogues."""

from datetime import date, datetime
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from gateway.errors import PUBLIC_CODES
from gateway.portal.language import LANGUAGES
from gateway.portal.record_words import entry_words
from gateway.portal.wording import about_words, asked, by_code, described, told, value_words, weighed
from resolvers.attribute import JST
from resolvers.claim import ClaimState
from resolvers.decision import Outcome, RuleOutcome

HERE = Path(__file__).parent
ENGLISH = "en"
"""The language that the templates themselves are written in."""

DAY_FORMATS = {"en": "d MMMM y", "ja": "y年M月d日"}
"""By language. A day is written alike with a time beside it and without one. Source: Unicode TR 35 part 4."""

MONTH_FORMATS = {"en": "MMMM y", "ja": "y年M月"}


class Renderer:
    """Renders templates. Every text in them is English and looked up in the language's catalogue."""

    def __init__(self) -> None:
        self._environments = {language: _environment(language) for language in LANGUAGES}

    def render(self, template: str, *, language: str, **given: Any) -> str:
        """The page as HTML. Raises UndefinedError where the template names what it was not given."""
        return self._environments[language].get_template(template).render(language=language, **given)


def catalogue_path(language: str) -> Path:
    return HERE / "locale" / language / "LC_MESSAGES" / "portal.po"


def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    translations = _translations(language)
    environment.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    environment.filters["translated"] = translations.gettext  # words of a rule pack, in which a % is no place
    environment.filters["day"] = lambda day: _day(day, language)
    environment.filters["month"] = lambda day: format_date(day, format=MONTH_FORMATS[language], locale=language)
    environment.filters["moment"] = lambda moment: _moment(moment, language)
    environment.filters["told"] = _told
    environment.filters["words"] = lambda text: getattr(text, language)
    environment.globals |= {"described": described, "asked": asked, "value_words": value_words}
    environment.globals |= {"codes": PUBLIC_CODES, "states": by_code(ClaimState), "results": by_code(RuleOutcome)}
    environment.globals |= {"outcomes": by_code(Outcome), "about_words": about_words, "weighed": weighed}
    environment.globals |= {"entry_words": entry_words}
    return environment


@pass_context
def _told(context: Context, said: StrEnum | str) -> Any:
    """A code, or a code's words, in the page's language, as told to whoever reads it: see `told`."""
    words = described(said) if isinstance(said, StrEnum) else said
    return context.call(context.resolve("gettext"), told(words, context.get("deciding")))


def _translations(language: str) -> NullTranslations:
    if language == ENGLISH:
        return NullTranslations()
    with catalogue_path(language).open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def _day(day: date, language: str) -> str:
    return format_date(day, format=DAY_FORMATS[language], locale=language)


def _moment(moment: datetime, language: str) -> str:
    """To the minute, in Japan's time, which is named."""
    return format_datetime(
        moment.astimezone(JST),
        format=DAY_FORMATS[language] + (", HH:mm" if language == ENGLISH else " HH:mm"),
        locale=language,
    ) + (" (Japan time)" if language == ENGLISH else "（日本時間）")
