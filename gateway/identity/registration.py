"""What a relying party registers with: checked before anything relies on it."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.errors import ConfigurationError
from gateway.identity.display_name import DisplayNameError, check_display_name, check_not_confusable
from gateway.identity.jws import TokenError, read_public_key
from gateway.identity.relying_party import OAuthRegistration, RelyingParty
from gateway.plain_words import what_is_wrong
from resolvers.catalogue import Purpose
from resolvers.decision import Text

_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")
_HOST = re.compile(r"[a-z0-9.-]+|::1")
"""Nothing that means something in a header: a redirect URI's origin stands in a page's policy."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
MAX_KEYS = 8
MAX_REDIRECT_URIS = 16


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Name(_Part):
    en: str
    ja: str


class _OAuth(_Part):
    keys: tuple[dict[str, Any], ...] = ()
    jwks_uri: str | None = None
    redirect_uris: tuple[str, ...] = ()


class _Registration(_Part):
    id: str
    name: _Name
    names: dict[str, str] = {}
    sector: str
    purposes: frozenset[Purpose]
    address: str
    contact: str
    oauth: _OAuth
    registered_documents_only: bool | None = None


def read_registration(given: Any) -> RelyingParty:
    """A relying party from the JSON that an operator gives. Raises ConfigurationError that names the member."""
    try:
        read = _Registration.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError(what_is_wrong(error)) from None
    return RelyingParty(
        id=read.id,
        name=Text(read.name.en, read.name.ja),
        sector=read.sector,
        purposes=read.purposes,
        address=read.address,
        contact=read.contact,
        names=read.names,
        oauth=OAuthRegistration(read.oauth.keys, read.oauth.jwks_uri, read.oauth.redirect_uris),
        registered_documents_only=read.registered_documents_only,
    )


def check_registration(party: RelyingParty, *, others: Iterable[RelyingParty]) -> None:
    """Raises ConfigurationError that names the member, never its value."""
    if not _ID.fullmatch(party.id):
        raise ConfigurationError("id: 2 to 63 lower-case letters, digits and hyphens")
    if not party.purposes:
        raise ConfigurationError("purposes: there is none")
    if not party.sector:
        raise ConfigurationError("sector: it is empty")
    _check_names(party, others)
    if party.oauth is not None:
        _check_oauth(party.oauth)


def names_of(party: RelyingParty) -> dict[str, str]:
    """Its names by language tag."""
    return {"en": party.name.en, "ja": party.name.ja, **party.names}


def _check_names(party: RelyingParty, others: Iterable[RelyingParty]) -> None:
    for language, name in names_of(party).items():
        try:
            check_display_name(name, language)
        except DisplayNameError as error:
            raise ConfigurationError(f"name.{language}: {error}") from None
    taken = [(other.sector, names_of(other)) for other in others]
    try:
        check_not_confusable(names_of(party), taken, sector=party.sector)
    except DisplayNameError as error:
        raise ConfigurationError(f"name: {error}") from None


def _check_oauth(oauth: OAuthRegistration) -> None:
    if bool(oauth.keys) == (oauth.jwks_uri is not None):
        raise ConfigurationError("jwks or jwks_uri: exactly one of them")
    if len(oauth.keys) > MAX_KEYS:
        raise ConfigurationError("jwks: too many keys")
    for number, key in enumerate(oauth.keys):
        try:
            read_public_key(key)
        except TokenError as error:
            raise ConfigurationError(f"jwks.keys.{number}: {error}") from None
    kids = [key.get("kid") for key in oauth.keys]
    if len(kids) > 1 and (None in kids or len(set(kids)) < len(kids)):
        raise ConfigurationError("jwks.keys: several keys need a kid each")
    if oauth.jwks_uri is not None and not _is_secure(oauth.jwks_uri):
        raise ConfigurationError("jwks_uri: not https, nor http to a loopback address")
    if len(oauth.redirect_uris) > MAX_REDIRECT_URIS:
        raise ConfigurationError("redirect_uris: too many")
    for number, uri in enumerate(oauth.redirect_uris):
        if not _is_secure(uri):
            raise ConfigurationError(f"redirect_uris.{number}: not https, nor http to a loopback address")


def _is_secure(uri: str) -> bool:
    """An absolute https URL without fragment, user or dots that climb; http on this machine. RFC 9700 section 2.1."""
    if any(not 0x21 <= ord(symbol) <= 0x7E or symbol in '\\"<>^`{|}' for symbol in uri):
        return False
    try:
        parts = urlsplit(uri)
        is_plain = parts.port is None or 0 < parts.port < 65_536
    except ValueError:
        return False
    if (
        not _HOST.fullmatch(parts.hostname or "")
        or not is_plain
        or parts.fragment
        or "#" in uri
        or "@" in parts.netloc
    ):
        return False
    if ".." in parts.path.split("/"):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
