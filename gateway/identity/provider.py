"""Identity providers: where people may sign in, and which of a provider's verifications may bind a record.

Only what a provider verified itself counts: `verified_claims`, under a trust framework and a level of assurance that
the configuration names, read from the card's chip or by JPKI. What an account merely asserts binds nothing.
Source: OpenID Connect for Identity Assurance 1.0 section 5.
"""

import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from connectors.interface import BindingLevel, IdentityRecord
from connectors.japan import read_card_number
from connectors.transport import check_base_url
from gateway.identity.subject import folded_name
from resolvers.day import read_day
from resolvers.decision import Text

_STRONG = frozenset({BindingLevel.IC_VERIFIED, BindingLevel.JPKI})
_LONGEST = 256


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProviderName(_Part):
    en: str = Field(min_length=1)
    ja: str = Field(min_length=1)


class AcceptedVerification(_Part):
    """A verification that binds a record, and how firmly. `assurance_level` None: any."""

    trust_framework: str = Field(min_length=1)
    assurance_level: str | None = None
    binding_level: BindingLevel

    @field_validator("binding_level")
    @classmethod
    def _strong(cls, level: BindingLevel) -> BindingLevel:
        if level not in _STRONG:
            raise ValueError("only what was read from the chip or by JPKI binds a record")
        return level


class ClaimNames(_Part):
    """How a provider calls what an identity record is made of."""

    family_name: str = "family_name"
    given_name: str = "given_name"
    family_name_kana: str = "family_name#ja-Kana-JP"
    given_name_kana: str = "given_name#ja-Kana-JP"
    birthdate: str = "birthdate"
    address: str = "address"
    residence_card_number: str = "residence_card_number"
    residence_card_expiry: str = "residence_card_expiry"

    def all(self) -> list[str]:
        return list(self.model_dump().values())


class IdentityProvider(_Part):
    """A configured provider. `client_secret`: read from its file or the environment, never from the configuration."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")
    name: ProviderName
    issuer: str
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    scope: str = "openid"
    claims: ClaimNames = ClaimNames()
    accepted: tuple[AcceptedVerification, ...] = ()

    @field_validator("issuer")
    @classmethod
    def _reachable(cls, issuer: str) -> str:
        check_base_url(issuer)
        return issuer

    @property
    def text(self) -> Text:
        return Text(self.name.en, self.name.ja)


def verified_identity(provider: IdentityProvider, claims: Mapping[str, Any]) -> IdentityRecord | None:
    """The record that an ID token's verified claims make; None where nothing verified makes a whole one."""
    found = claims.get("verified_claims")
    for one in found if isinstance(found, list) else [found]:
        if not isinstance(one, dict):
            continue
        level = _binding_level(provider, one.get("verification"))
        verified = one.get("claims")
        if level is not None and isinstance(verified, dict):
            record = _record(provider.claims, verified, level)
            if record is not None:
                return record
    return None


def is_same_person(one: IdentityRecord, other: IdentityRecord) -> bool:
    """Whether two records of one card number speak of the same person: name and date of birth are equal."""
    return one.date_of_birth == other.date_of_birth and folded_name(one.name) == folded_name(other.name)


def _binding_level(provider: IdentityProvider, verification: object) -> BindingLevel | None:
    if not isinstance(verification, dict):
        return None
    for row in provider.accepted:
        is_framework = verification.get("trust_framework") == row.trust_framework
        if is_framework and row.assurance_level in (None, verification.get("assurance_level")):
            return row.binding_level
    return None


def _record(names: ClaimNames, verified: Mapping[str, Any], level: BindingLevel) -> IdentityRecord | None:
    name = _joined(verified, names.family_name, names.given_name)
    born_on = _day(verified.get(names.birthdate))
    number = read_card_number(_text(verified.get(names.residence_card_number)) or "")
    if not name or born_on is None or number is None:
        return None
    kana = _joined(verified, names.family_name_kana, names.given_name_kana)
    address = verified.get(names.address)
    return IdentityRecord(
        name=name,
        names_kana=(kana,) if kana else (),
        alias=None,
        date_of_birth=born_on,
        residence_card_number=number,
        card_expiry_on=_day(verified.get(names.residence_card_expiry)),
        address_given=_text(address.get("formatted") if isinstance(address, dict) else address),
        tax_municipality=None,
        identity_binding_level=level,
    )


def _joined(verified: Mapping[str, Any], *names: str) -> str:
    """Family name before given name, as a residence card has them."""
    return " ".join(filter(None, (_text(verified.get(name)) for name in names)))


def _text(value: object) -> str | None:
    """A text without control characters, not overlong; None for anything else."""
    if not isinstance(value, str) or not 0 < len(value.strip()) <= _LONGEST:
        return None
    text = unicodedata.normalize("NFKC", value).strip()
    return None if any(unicodedata.category(symbol) in ("Cc", "Cf", "Cs", "Co") for symbol in text) else text


def _day(value: object) -> date | None:
    return read_day(value) if isinstance(value, str) else None
