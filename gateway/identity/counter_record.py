"""The identity record that an operator writes down at the counter: read, and refused where it cannot be true."""

import unicodedata
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date
from typing import Any

from pydantic import TypeAdapter, ValidationError

from connectors.interface import IdentityRecord
from connectors.japan import read_card_number
from gateway.errors import ConfigurationError
from gateway.identity.subject import folded_name
from gateway.plain_words import what_is_wrong
from resolvers.months import birthday
from resolvers.stay import special_period_end

OLDEST_YEARS = 130
"""Nobody is known to have lived so long; a date before is mistyped (project parameter)."""

_IDENTITY = TypeAdapter(IdentityRecord)
_KANA = ("\u3041", "\u30ff")
"""Hiragana and katakana, with the long-vowel mark. Source: The Unicode Standard, blocks 3040 to 30FF."""


def read_record(identity: Mapping[str, Any], *, today: date) -> IdentityRecord:
    """An identity record with its card's number as it is compared. Raises ConfigurationError that names the field."""
    try:
        record = _IDENTITY.validate_python(identity)
    except ValidationError as error:
        raise ConfigurationError(f"identity: {what_is_wrong(error)}") from None
    number = read_card_number(record.residence_card_number)
    if number is None:
        raise ConfigurationError("identity: residence_card_number: two letters, eight digits and two letters")
    if wrong := _cannot_be_true(record, today):
        raise ConfigurationError(f"identity: {wrong}")
    return replace(record, residence_card_number=number)


def is_somebody_else(known: IdentityRecord, record: IdentityRecord) -> bool:
    """Whether two records hardly speak of one person: both name and date of birth differ."""
    return known.date_of_birth != record.date_of_birth and folded_name(known.name) != folded_name(record.name)


def changed_fields(known: IdentityRecord, record: IdentityRecord) -> tuple[str, ...]:
    """The names of the fields in which two records differ."""
    names = (field.name for field in fields(IdentityRecord))
    return tuple(name for name in names if getattr(known, name) != getattr(record, name))


def is_card_long_over(record: IdentityRecord, today: date) -> bool:
    """Whether the card ended so long ago that no application keeps the stay alive either."""
    return record.card_expiry_on is not None and special_period_end(record.card_expiry_on) < today


def _cannot_be_true(record: IdentityRecord, today: date) -> str | None:
    if not any(one.isalpha() for one in record.name):
        return "name: it is empty"
    if not all(map(_is_kana, record.names_kana)):
        return "names_kana: each has to be a name in kana"
    if record.date_of_birth > today:
        return "date_of_birth: it is in the future"
    if birthday(record.date_of_birth, OLDEST_YEARS) < today:
        return f"date_of_birth: it is more than {OLDEST_YEARS} years ago"
    return None


def _is_kana(name: str) -> bool:
    """Whether a name's letters, of which there are some, are all kana, in whatever width."""
    letters = [one for one in unicodedata.normalize("NFKC", name) if one.isalnum()]
    return bool(letters) and all(_KANA[0] <= one <= _KANA[1] for one in letters)
