"""Relying parties: who may ask, for which purposes, and how they are recognised."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.errors import AuthenticationError
from resolvers.catalogue import Purpose
from resolvers.decision import Text


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """A registered relying party. `sector`: those that share one are one party to a person's pseudonym.

    `address` and `contact`: where a person reaches it about their information.
    """

    id: str
    name: Text
    sector: str
    purposes: frozenset[Purpose]
    address: str = ""
    contact: str = ""


def key_digest(key: str) -> str:
    """What is kept of a bearer key: its SHA-256. The keys are random, so a plain digest cannot be guessed."""
    return hashlib.sha256(key.encode()).hexdigest()


class RelyingParties:
    """The registered relying parties, by id and by the digest of their sandbox bearer key."""

    def __init__(self, parties: Iterable[RelyingParty], *, sandbox_keys: Mapping[str, str]) -> None:
        self._by_id = {party.id: party for party in parties}
        self._by_digest = {
            key_digest(key): self._by_id[party_id]
            for party_id, key in sandbox_keys.items()
            if party_id in self._by_id  # a key outlives its party's registration
        }

    def find(self, party_id: str) -> RelyingParty | None:
        return self._by_id.get(party_id)

    def authenticate(self, bearer_key: str) -> RelyingParty:
        """The party that holds this key. Raises AuthenticationError(TOKEN_INVALID)."""
        party = self._by_digest.get(key_digest(bearer_key))
        if party is None:
            raise AuthenticationError("bearer key", code="TOKEN_INVALID")
        return party
