"""Relying parties: who may ask, for which purposes, and how they are recognised."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import AuthenticationError
from resolvers.catalogue import Purpose
from resolvers.decision import Text


@dataclass(frozen=True, slots=True)
class OAuthRegistration:
    """A relying party as an OAuth client: the public keys it signs with, and where people are led back to.

    `keys`: its JWK Set's keys, inline; or `jwks_uri`, where they are fetched from. Source: RFC 7591 section 2.
    """

    keys: tuple[Mapping[str, Any], ...] = ()
    jwks_uri: str | None = None
    redirect_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """A registered relying party. `sector`: those that share one are one party to a person's pseudonym.

    `names`: its name in further languages, by language tag. `address` and `contact`: where a person reaches it
    about their information. `oauth` None: it cannot get access tokens. `registered_documents_only`: it may run
    no other documents than those it registered; None: as the mode has it, which is so outside the sandbox.
    """

    id: str
    name: Text
    sector: str
    purposes: frozenset[Purpose]
    address: str = ""
    contact: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    oauth: OAuthRegistration | None = None
    is_suspended: bool = False
    registered_documents_only: bool | None = None


SANDBOX_KEY = "sk_"
"""What a sandbox bearer key begins with."""


def key_digest(key: str) -> str:
    """What is kept of a bearer key: its SHA-256. The keys are random, so a plain digest cannot be guessed."""
    return hashlib.sha256(key.encode()).hexdigest()


class RelyingParties:
    """The relying parties as they are registered now, by id and by the digest of their sandbox bearer key."""

    def __init__(self, parties: Iterable[RelyingParty], *, sandbox_keys: Mapping[str, str]) -> None:
        self._party_of_key = {key_digest(key): party_id for party_id, key in sandbox_keys.items()}
        self._by_id: dict[str, RelyingParty] = {}
        self.replace(parties)

    def replace(self, parties: Iterable[RelyingParty]) -> None:
        """Let these be registered from now on."""
        self._by_id = {party.id: party for party in parties}

    def all(self) -> list[RelyingParty]:
        return list(self._by_id.values())

    def find(self, party_id: str) -> RelyingParty | None:
        """A relying party, suspended ones included."""
        return self._by_id.get(party_id)

    def authenticate(self, bearer_key: str) -> RelyingParty:
        """The party that holds this sandbox key. Raises AuthenticationError, as `active` does."""
        return self.active(self._party_of_key.get(key_digest(bearer_key), ""))

    def active(self, party_id: str) -> RelyingParty:
        """The party of this id. Raises AuthenticationError where there is none, or it is suspended."""
        party = self._by_id.get(party_id)  # a key outlives its party's registration
        if party is None:
            raise AuthenticationError("relying party", code="TOKEN_INVALID")
        if party.is_suspended:
            raise AuthenticationError("relying party", code="RELYING_PARTY_SUSPENDED")
        return party
