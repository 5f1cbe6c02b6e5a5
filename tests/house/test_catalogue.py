"""The rules of the house about the portal's words: each has its Japanese, and none is left over."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from gateway.errors import PUBLIC_CODES
from gateway.portal.language import LANGUAGES
from gateway.portal.rendering import ENGLISH, HERE, catalogue_path
from gateway.portal.wording import shown_texts, told
from resolvers.catalogue import ATTRIBUTES, DECISIONS

TEMPLATES = sorted((HERE / "templates").glob("*.html"))
MODULES = sorted(HERE.glob("*.py"))
RULE_PACKS = sorted((HERE.parent.parent / "config" / "rules").glob("*.yaml"))
SCRIPTS = sorted((HERE / "static").glob("*.js"))
PLACEHOLDER = re.compile(r"%\(\w+\)s")
LATIN_WORD = re.compile(r"[a-z]{4,}")
OTHERS = [language for language in LANGUAGES if language != ENGLISH]


class Oneself:
    """Reads a page about themself."""

    is_oneself = True


def in_templates() -> Iterator[str]:
    """The texts that the templates ask for by `_()`."""
    for path in TEMPLATES:
        with path.open("rb") as file:
            for _, _, message, _ in babel_extract(file, ("_", "gettext"), [], {"trimmed": "true"}):
                texts = (message,) if isinstance(message, str) else message or ()  # none: a code's text
                yield from filter(None, texts[:1])


def in_modules() -> Iterator[str]:
    """The texts that the portal's modules mark by `_()`."""
    for path in MODULES:
        with path.open("rb") as file:
            for _, message, _, _ in extract("python", file, keywords={"_": None}):
                assert isinstance(message, str), f"{path.name}: {message}"
                yield message


def catalogue(language: str) -> Catalog:
    with catalogue_path(language).open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def in_rule_packs() -> Iterator[str]:
    """What the rules that come along say they rest on; their other words are in both languages in the pack."""
    for path in RULE_PACKS:
        for purpose in yaml.safe_load(path.read_bytes())["purposes"].values():
            yield from (rule["basis"]["source"] for rule in purpose["rules"])


def used() -> set[str]:
    codes = (row.text for row in PUBLIC_CODES.values())
    return {*in_templates(), *in_modules(), *shown_texts(), *in_rule_packs(), *codes}


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_of_the_portal_is_translated_and_none_is_stale(language: str) -> None:
    translated = {str(message.id) for message in catalogue(language) if message.id and message.string}
    assert used() == translated


def test_whatever_is_said_of_the_person_has_words_for_the_person_themself() -> None:
    texts = {*shown_texts(), *(row.text for row in PUBLIC_CODES.values())}
    of_the_person = {text for text in texts if re.search(r"\b(the|this) person\b", text, flags=re.IGNORECASE)}
    assert {text for text in texts if told(text, Oneself()) != text} == of_the_person


def test_no_question_is_asked_in_the_negative_where_yes_would_mean_two_things() -> None:
    texts = [*(one.text for one in ATTRIBUTES.values()), *(one.text for one in DECISIONS.values())]
    assert [text.ja for text in texts if re.search(r"(ません|ない|なかった)(でした|です|でしょう)?か", text.ja)] == []
    assert [text.en for text in texts if re.search(r"^\w+ (no|not)\b|n't\b", text.en)] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_keeps_its_places(language: str) -> None:
    for message in catalogue(language):
        kept = sorted(PLACEHOLDER.findall(str(message.string)))
        assert kept == sorted(PLACEHOLDER.findall(str(message.id))) or not message.id, message.id


@pytest.mark.parametrize("language", OTHERS)
def test_no_text_is_there_twice_or_doubtful(language: str) -> None:
    text = catalogue_path(language).read_text(encoding="utf-8")
    ids = re.findall(r"^msgid (.*)$", text, flags=re.MULTILINE)
    assert sorted(ids) == sorted(set(ids))
    assert "fuzzy" not in text
    assert not list(catalogue(language).obsolete)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_says_nothing_outside_the_catalogue(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for removed in (r"\{#.*?#\}", r"\{%.*?%\}", r"\{\{.*?\}\}", r"<!--.*?-->", r"<[^>]*>"):
        text = re.sub(removed, " ", text, flags=re.DOTALL)
    assert LATIN_WORD.findall(text.replace("Kyosei Gateway", "")) == []


def test_no_template_says_itself_how_a_code_is_told_or_to_whom() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in TEMPLATES}
    assert [name for name, text in texts.items() if re.search(r"\btold\(|\|told\)", text)] == []
    assert any("|told }}" in text for text in texts.values())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_no_inline_script_or_style(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for tag in re.findall(r"<script[^>]*>", text):
        assert "src=" in tag
        assert "nonce=" in tag
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:|\|safe|autoescape", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_writes_no_markup(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert sink not in text
