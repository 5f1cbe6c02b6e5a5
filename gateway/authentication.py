"""Which relying party sends a request: by an access token with its proof, or by an assertion that it signed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway.admission import keep_step
from gateway.errors import AuthenticationError, OAuthError, ReplayedError, RequestError
from gateway.identity.access_token import AccessToken, AccessTokens
from gateway.identity.assertion import ASSERTION_TYPE, Assertion, check_assertion, read_assertion
from gateway.identity.dpop import NonceNeededError, Nonces, Proof, check_proof
from gateway.identity.jws import MAX_TOKEN_BYTES, TokenError, TokenExpiredError
from gateway.identity.relying_party import RelyingParties, RelyingParty
from gateway.party_keys import PartyKeys
from gateway.store.used_once import Use, UsedOnce

_JWE_DOTS = 4
_log = structlog.get_logger("kyosei.authentication")


@dataclass(frozen=True, slots=True, repr=False)
class Presented:
    """What a request presents: its method, the URL as the gateway publishes it, and two headers."""

    method: str
    url: str
    authorization: str | None
    proof: str | None


class PartyAuthentication:
    """Recognises relying parties."""

    def __init__(
        self,
        parties: RelyingParties,
        *,
        party_keys: PartyKeys,
        access_tokens: AccessTokens,
        nonces: Nonces,
        used_once: UsedOnce,
        issuer: str,
        now: Callable[[], datetime],
    ) -> None:
        self._parties = parties
        self._party_keys = party_keys
        self._access_tokens = access_tokens
        self._nonces = nonces
        self._used_once = used_once
        self._issuer = issuer
        self._now = now

    def make_nonce(self) -> str:
        """What a next proof may carry."""
        return self._nonces.make(self._now())

    async def by_access_token(self, presented: Presented) -> tuple[RelyingParty, AccessToken]:
        """The relying party of a DPoP-bound access token; its proof is used up. See `identify`."""
        party, access, proof = await self.identify(presented)
        await self.use_up_proof(proof)
        return party, access

    async def identify(self, presented: Presented) -> tuple[RelyingParty, AccessToken, Use]:
        """The relying party of a DPoP-bound access token, and its proof, whose use is to be recorded with what comes
        of it. Source: RFC 9449 section 7.

        Raises AuthenticationError, or RequestError(HEADERS_TOO_LARGE) for what is far from being a token.
        """
        scheme, _, token = (presented.authorization or "").partition(" ")
        if not token:
            raise AuthenticationError("authorization", code="TOKEN_MISSING")
        if len(token) > MAX_TOKEN_BYTES or token.count(".") > _JWE_DOTS:
            raise RequestError("authorization", code="HEADERS_TOO_LARGE")
        if scheme.lower() != "dpop":
            is_token = token.count(".") == 2  # a bound token without its proof
            raise AuthenticationError("scheme", code="TOKEN_NOT_SENDER_CONSTRAINED" if is_token else "TOKEN_INVALID")
        try:
            access = self._access_tokens.verify(token, now=self._now())
        except TokenExpiredError as error:
            raise AuthenticationError(str(error), code="TOKEN_EXPIRED") from None
        except TokenError as error:
            raise AuthenticationError(str(error), code="TOKEN_INVALID") from None
        if presented.proof is None:
            raise AuthenticationError("proof", code="TOKEN_NOT_SENDER_CONSTRAINED")
        await keep_step()
        proof = self._proof(presented, access_token=token)
        if proof.jkt != access.jkt:
            raise AuthenticationError("proof: another key", code="DPOP_INVALID", challenge="invalid_dpop_proof")
        party = self._parties.active(access.relying_party_id)
        use = await self._used_once.take(
            proof.digest, expires_at=proof.expires_at, now=self._now(), valid_from=proof.valid_from
        )
        if use is None:
            raise ReplayedError
        return party, access, use

    async def use_up_proof(self, proof: Use) -> None:
        """Record that a proof was used, unless that has been done. Raises ReplayedError if another process was
        quicker."""
        if not await self._used_once.use_up(proof):
            raise ReplayedError

    def check_proof(self, presented: Presented) -> Proof:
        """A proof without an access token, not used up yet. Raises AuthenticationError."""
        return self._proof(presented, access_token=None)

    async def use_up(self, assertion: Assertion, proof: Proof | None) -> None:
        """Use up what a request came with, once all of it is right: a proof that only lacked its nonce costs nobody
        the assertion beside it. Raises OAuthError or AuthenticationError for what was used before."""
        if not await self._used_once.use(assertion.digest, expires_at=assertion.expires_at, now=self._now()):
            raise _unknown("jti: used before")
        if proof is not None:
            await self._use_proof(proof)

    def _proof(self, presented: Presented, *, access_token: str | None) -> Proof:
        try:
            return check_proof(
                presented.proof or "",
                method=presented.method,
                url=presented.url,
                nonces=self._nonces,
                now=self._now(),
                access_token=access_token,
            )
        except NonceNeededError:
            raise AuthenticationError("proof: nonce", code="DPOP_INVALID", challenge="use_dpop_nonce") from None
        except TokenError as error:
            detail = f"proof: {error}"
            raise AuthenticationError(detail, code="DPOP_INVALID", challenge="invalid_dpop_proof") from None

    async def _use_proof(self, proof: Proof) -> None:
        if not await self._used_once.use(proof.digest, expires_at=proof.expires_at, now=self._now()):
            raise ReplayedError

    async def by_assertion(
        self, assertion_type: str, token: str, *, named: str | None
    ) -> tuple[RelyingParty, Assertion]:
        """The relying party that signed an assertion, not used up yet. `named`: the `client_id` beside it.

        Raises OAuthError(invalid_client), alike for whatever is wrong; unauthorized_client if it is suspended.
        """
        if assertion_type != ASSERTION_TYPE:
            raise OAuthError("invalid_client", "client_assertion_type: private_key_jwt is what is taken", status=401)
        try:
            party_id, parsed = read_assertion(token)
            party = self._parties.find(party_id)
            if party is None or named not in (None, party_id):
                raise TokenError("iss")
            key = await self._party_keys.find(party, parsed)
            checked = check_assertion(parsed, key, issuer=self._issuer, now=self._now())
        except TokenError as error:
            raise _unknown(str(error)) from None
        if party.is_suspended:
            raise OAuthError("unauthorized_client", "RELYING_PARTY_SUSPENDED")
        return party, checked


def _unknown(reason: str) -> OAuthError:
    """The same for whatever is wrong with an assertion; the operator's log says what."""
    _log.warning("assertion_refused", reason=reason)
    return OAuthError("invalid_client", "client_assertion", status=401)
