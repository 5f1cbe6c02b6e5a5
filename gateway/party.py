"""What a relying party may do besides asking: request consent, redeem a share code."""

import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import strawberry

from gateway.answer import to_minute
from gateway.consent.share_code import code_digest, read_share_code
from gateway.consent.token import TOKEN_RANDOM_BYTES, make_token, token_digest
from gateway.errors import ConfigurationError, ConsentRequestError, ShareCodeUsedError
from gateway.guesses import GuessLimiter
from gateway.identity.relying_party import RelyingParty
from gateway.requesting import Requesting, terms_json
from gateway.store.requests import Asking, Requests
from gateway.store.share_codes import RedeemedBefore, Redeemer, ShareCodes
from gateway.store.trusted_documents import TrustedDocuments, document_id
from resolvers.catalogue import Purpose
from resolvers.consent import ConsentTerms, RedeemedConsent, RequestedConsent
from resolvers.subject import ConsentToken


@dataclass(frozen=True, slots=True)
class PartyServices:
    """What a relying party's actions work with. `keyed`: the keyed hash that share codes are stored under."""

    requesting: Requesting
    requests: Requests
    share_codes: ShareCodes
    guesses: GuessLimiter
    trusted_documents: TrustedDocuments
    keyed: Callable[[bytes], bytes]
    usable_packs: Callable[[], frozenset[str]]
    now: Callable[[], datetime]


class PartySession:
    """One relying party's actions within one request. Implements `resolvers.worker.RelyingPartyActions`."""

    def __init__(self, party: RelyingParty, given: PartyServices) -> None:
        self._party = party
        self._given = given

    async def request(
        self, document: str, *, variables: Mapping[str, Any], purpose: Purpose, terms: ConsentTerms | None
    ) -> RequestedConsent:
        """Keep a request for whoever opens it. Raises ConsentRequestError or RequestError, before anybody sees it."""
        now = self._given.now()
        asking = Asking(self._party.id, purpose, document, variables, terms_json(terms))
        self._given.requesting.check(asking, now=now)
        try:
            await self._given.trusted_documents.add(self._party.id, {document_id(document): document}, now=now)
        except ConfigurationError as error:
            raise ConsentRequestError(error.detail) from None
        request_id = str(uuid.uuid4())
        open_until = now + self._given.requesting.open_for
        await self._given.requests.keep(request_id, asking, open_until=open_until, now=now)
        return RequestedConsent(id=strawberry.ID(request_id), expires_at=open_until)

    async def redeem(self, code: str, *, born_on: date) -> RedeemedConsent:
        """The consent behind a share code, bound to this party from now on.

        Raises RateLimitedError after too many wrong guesses; ConsentRequestError(CONSENT_INVALID) for whatever
        cannot be redeemed, all alike, and ShareCodeUsedError, which is one of them, for what this party redeemed
        before. That is no wrong guess; a code whose check symbols disagree is no guess at all.
        """
        read = read_share_code(code)
        if read is None:
            raise ConsentRequestError("code", code="CONSENT_INVALID")
        token = make_token(os.urandom(TOKEN_RANDOM_BYTES))
        redeemer = Redeemer(self._party, token_digest(token), self._given.usable_packs())
        digest = code_digest(read, born_on, keyed=self._given.keyed)
        async with self._given.guesses.guess(self._party.id) as guess:
            grant = await self._given.share_codes.redeem(digest, redeemer, now=self._given.now())
            guess.was_wrong = grant is None
        if grant is None:
            raise ConsentRequestError("code", code="CONSENT_INVALID")
        if isinstance(grant, RedeemedBefore):
            raise ShareCodeUsedError(grant.at)
        return RedeemedConsent(
            consent_token=ConsentToken(token),
            purpose=grant.purpose,
            questions=list(grant.questions),  # those left out too: what is withheld tells nothing more
            expires_at=to_minute(grant.expires_at),
        )
