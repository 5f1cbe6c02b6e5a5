"""The redirect flow: a relying party pushes a request, a person decides about it, a code fetches the decision.

Source: RFC 9126 (PAR), RFC 9396 (RAR), RFC 7636 (PKCE), RFC 9207 (`iss`), FAPI 2.0 Security Profile,
OAuth Grant Management.
"""

import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import structlog

from gateway.answer import moment
from gateway.consent.authorization_details import DETAILS_TYPE, AuthorizationDetails
from gateway.consent.grant import Grant, GrantEvent
from gateway.consent.token import TOKEN_RANDOM_BYTES, make_token, token_digest
from gateway.errors import ConfigurationError, ConsentRequestError, LinkOverError, OAuthError, public_code
from gateway.gather import Gatherer
from gateway.identity.relying_party import RelyingParty
from gateway.identity.subject import Person
from gateway.person import PersonSession
from gateway.reasoning import Reasoning
from gateway.requesting import Requesting, terms_json
from gateway.store.grants import Grants
from gateway.store.pushed_requests import PushedRequest, PushedRequests, Redemption
from gateway.store.requests import Asking, Requests
from gateway.store.trusted_documents import TrustedDocuments, document_id
from resolvers.consent import ConsentPreview
from resolvers.subject import GrantStatus

REQUEST_URI = "urn:ietf:params:oauth:request_uri:"
PUSHED_LIFE = timedelta(seconds=300)
HANDLE_BYTES = 32
CODE_BYTES = 32
_PKCE = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_JKT = re.compile(r"[A-Za-z0-9_-]{43}")
MAX_STATE = 512

_log = structlog.get_logger("kyosei.oauth")


@dataclass(frozen=True, slots=True)
class OpenedAuthorization:
    """What a person decides about. `redirect_origin`: where their browser is led afterwards."""

    preview: ConsentPreview
    redirect_origin: str


@dataclass(frozen=True, slots=True, repr=False)
class Exchanged:
    """What a code gave."""

    consent_token: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class AuthorizationServices:
    """What the flow works with. `issuer`: the gateway's public URL; `endpoint`: where consent tokens are used."""

    requesting: Requesting
    reasoning: Reasoning
    requests: Requests
    pushed: PushedRequests
    grants: Grants
    trusted_documents: TrustedDocuments
    gatherer: Gatherer
    issuer: str
    endpoint: str
    now: Callable[[], datetime]


class Authorizations:
    """Takes requests in, puts them to people, gives decisions out."""

    def __init__(self, given: AuthorizationServices) -> None:
        self._given = given

    async def push(
        self, party: RelyingParty, parameters: Mapping[str, str], details: AuthorizationDetails, *, jkt: str | None
    ) -> str:
        """Check a request and keep it; its `request_uri`. `jkt`: the key of the proof that it came with.

        Raises OAuthError: what the purpose, the grid or the budget forbids is refused here, with its public code.
        """
        given, now = self._given, self._given.now()
        redirect_uri = _redirect_uri(party, parameters)
        bound_to = _bound_key(parameters.get("dpop_jkt"), jkt)
        challenge = _challenge(parameters)
        asking = Asking(
            party.id,
            details.purpose,
            details.document,
            details.variables,
            terms_json(details.terms),
            optional=details.optional,
        )
        given.requesting.check(asking, now=now)
        await _register(given.trusted_documents, party, asking.document, now=now)
        open_until = now + given.requesting.open_for
        request_id, handle = str(uuid.uuid4()), secrets.token_urlsafe(HANDLE_BYTES)
        await given.requests.keep(request_id, asking, open_until=open_until, now=now)
        pushed = PushedRequest(
            relying_party_id=party.id,
            request_id=request_id,
            redirect_uri=redirect_uri,
            state=_state(parameters),
            code_challenge=challenge,
            dpop_jkt=bound_to,
            begin_until=now + PUSHED_LIFE,
        )
        await given.pushed.push(handle, pushed, expires_at=open_until)
        return REQUEST_URI + handle

    async def begin(self, party_id: str, request_uri: str) -> str:
        """The handle of a request that a browser comes with. Raises LinkOverError unless it still may."""
        handle = request_uri.removeprefix(REQUEST_URI)
        now = self._given.now()
        pushed = await self._given.pushed.find(handle, now=now)
        if pushed is None or pushed.relying_party_id != party_id or now >= pushed.begin_until:
            raise LinkOverError("request_uri")
        return handle

    async def open(self, handle: str, session: PersonSession) -> OpenedAuthorization:
        """What a request asks of this person; the first who opens it is the only one who may decide.

        Raises ConsentRequestError(PROBE_BUDGET_EXCEEDED), or LinkOverError where there is none.
        """
        pushed = await self._find(handle)
        origin = _origin(pushed)
        if pushed.person_id is not None:
            if pushed.person_id != session.person_id or pushed.grant_id is None:
                raise LinkOverError("request")
            return OpenedAuthorization(await session.pending(pushed.grant_id), origin)
        preview = await session.open_request(pushed.request_id)
        if not await self._given.pushed.open(handle, person_id=session.person_id, grant_id=str(preview.id)):
            raise LinkOverError("request")
        return OpenedAuthorization(preview, origin)

    async def grant(self, handle: str, session: PersonSession, *, leave_out: list[str]) -> str:
        """Grant it, but for what is left out; where the browser goes with the code. Raises ConsentRequestError."""
        return await self._granted(await self._own(handle, session), session, leave_out)

    async def decline(self, handle: str, session: PersonSession) -> str:
        """Decline it; where the browser goes. Raises ConsentRequestError."""
        return await self._declined(await self._own(handle, session), session)

    async def origin_behind(self, grant_id: str) -> str | None:
        """Where a decision about a grant leads the browser; None where it did not come by this flow."""
        pushed = await self._given.pushed.find_opened(grant_id, now=self._given.now())
        return _origin(pushed) if pushed else None

    async def decide_behind(
        self, grant_id: str, session: PersonSession, *, leave_out: list[str] | None
    ) -> str | None:
        """Decide about a grant that came by this flow, wherever the person looks at it; where the browser goes.

        `leave_out` None: a no. None is returned for a grant that came otherwise. Raises ConsentRequestError.
        """
        pushed = await self._given.pushed.find_opened(grant_id, now=self._given.now())
        if pushed is None or pushed.person_id != session.person_id:
            return None
        if leave_out is None:
            return await self._declined(pushed, session)
        return await self._granted(pushed, session, leave_out)

    async def _granted(self, pushed: PushedRequest, session: PersonSession, leave_out: list[str]) -> str:
        grant_id, code = pushed.grant_id or "", secrets.token_urlsafe(CODE_BYTES)
        await session.grant(grant_id, leave_out=leave_out, hands_over_token=False)
        if not await self._given.pushed.decide(grant_id, code=code, now=self._given.now()):
            raise LinkOverError("request")
        return self._led_back(pushed, {"code": code})

    async def _declined(self, pushed: PushedRequest, session: PersonSession) -> str:
        grant_id = pushed.grant_id or ""
        await session.reject(grant_id)
        await self._given.pushed.decide(grant_id, code=None, now=self._given.now())
        return self._led_back(pushed, {"error": "access_denied"})

    async def _find(self, handle: str) -> PushedRequest:
        pushed = await self._given.pushed.find(handle, now=self._given.now())
        if pushed is None:
            raise LinkOverError("request")
        return pushed

    async def _own(self, handle: str, session: PersonSession) -> PushedRequest:
        pushed = await self._find(handle)
        if pushed.person_id != session.person_id or pushed.grant_id is None:
            raise LinkOverError("request")
        return pushed

    def _led_back(self, pushed: PushedRequest, outcome: Mapping[str, str]) -> str:
        parameters = {**outcome, "iss": self._given.issuer}
        if pushed.state is not None:
            parameters["state"] = pushed.state
        separator = "&" if urlsplit(pushed.redirect_uri).query else "?"
        return f"{pushed.redirect_uri}{separator}{urlencode(parameters)}"

    async def exchange(self, party: RelyingParty, parameters: Mapping[str, str], *, jkt: str) -> Exchanged:
        """The consent token behind a code. Raises OAuthError(invalid_grant), alike for whatever is wrong.

        A code that comes again ends the grant: somebody else may hold what it gave. Source: RFC 9700 section 4.5;
        RFC 6749 section 4.1.2.
        """
        verifier = parameters.get("code_verifier", "")
        if not _PKCE.fullmatch(verifier):
            raise OAuthError("invalid_grant", "code_verifier: 43 to 128 unreserved characters")
        token = make_token(secrets.token_bytes(TOKEN_RANDOM_BYTES))
        redemption = Redemption(
            relying_party_id=party.id,
            redirect_uri=parameters.get("redirect_uri", ""),
            code_verifier=verifier,
            dpop_jkt=jkt,
            token_digest=token_digest(token),
        )
        redeemed = await self._given.pushed.redeem(parameters.get("code", ""), redemption, now=self._given.now())
        if redeemed is not None and redeemed.is_again:
            _log.warning("code_used_again", relying_party=party.id)
            await self._given.gatherer.cancel(redeemed.grant_id)
            redeemed = None
        found = await self._given.grants.find_of_party(redeemed.grant_id, party.id) if redeemed else None
        if found is None:
            raise OAuthError("invalid_grant", "code: unknown, used, over, or not for this request")
        return Exchanged(token, found[0])

    async def find_grant(self, party: RelyingParty, grant_id: str) -> tuple[Grant, Person] | None:
        """A grant of this relying party that a person has decided about."""
        found = await self._given.grants.find_of_party(grant_id, party.id)
        return found if found and found[0].granted_at is not None else None

    async def give_back(self, grant: Grant, person: Person) -> None:
        """The relying party does without a consent from now on; once it has ended nothing happens."""
        await self._given.grants.change(grant, person, GrantEvent.REVOKED, now=self._given.now())
        await self._given.gatherer.cancel(grant.id)

    async def give_back_token(self, party: RelyingParty, token: str) -> None:
        """The same by its consent token, where there is such a one. Source: RFC 7009 section 2.2."""
        found = await self._given.grants.find_by_token(token_digest(token), party.id)
        if found is not None:
            await self.give_back(*found)

    def grant_status(self, grant: Grant) -> GrantStatus:
        """Where a grant stands; one whose rules were withdrawn has ended with them."""
        status = grant.status(self._given.now())
        is_over = grant.rule_pack_sha256 not in self._given.reasoning.usable_packs
        return GrantStatus.EXPIRED if is_over and status in (GrantStatus.ACTIVE, GrantStatus.PAUSED) else status

    def granted_details(self, grant: Grant) -> dict[str, Any]:
        """What was granted, in the form it was asked for in, with its questions. Source: RFC 9396 section 7."""
        now = self._given.now()
        details: dict[str, Any] = {
            "type": DETAILS_TYPE,
            "locations": [self._given.endpoint],
            "purpose": grant.purpose.value,
            "document": grant.document,
            "variables": grant.variables,
            "questions": list(grant.questions),  # those left out too: left out and disputed look alike
            "fetchType": grant.terms.fetch.value,
            "dataLife": {"unit": "DAY", "value": grant.terms.data_life_days},
            "consentExpiry": moment(grant.expires_at),
            "status": self.grant_status(grant).value,
        }
        if grant.uses_left is not None:
            details["uses"] = grant.terms.uses
            details["usesLeft"] = grant.uses_left
        if grant.terms.times_per_day is not None:
            details["frequency"] = {"unit": "DAY", "value": grant.terms.times_per_day}
        next_refresh_at = grant.next_refresh_at(now)
        if next_refresh_at is not None:
            details["nextRefreshAt"] = moment(next_refresh_at)
        return details


async def _register(trusted: TrustedDocuments, party: RelyingParty, document: str, *, now: datetime) -> None:
    """What a person is asked about is what will be run. Raises OAuthError where too many are registered."""
    try:
        await trusted.add(party.id, {document_id(document): document}, now=now)
    except ConfigurationError as error:
        raise OAuthError("invalid_authorization_details", error.detail) from None


def _origin(pushed: PushedRequest) -> str:
    return urlunsplit((*urlsplit(pushed.redirect_uri)[:2], "", "", ""))


def details_error(error: Exception) -> OAuthError:
    """What PAR answers to a request that may not be made like this: its public code, and the member or question."""
    row = public_code(error)
    detail = error.detail if isinstance(error, ConsentRequestError) else ""
    return OAuthError("invalid_authorization_details", f"{row.code}{': ' + detail if detail else ''}")


def _redirect_uri(party: RelyingParty, parameters: Mapping[str, str]) -> str:
    """Exactly as it is registered. Source: RFC 9700 section 2.1."""
    uri = parameters.get("redirect_uri")
    if party.oauth is None or uri is None or uri not in party.oauth.redirect_uris:
        raise OAuthError("invalid_request", "redirect_uri: none that is registered, to the letter")
    return uri


def _bound_key(named: str | None, jkt: str | None) -> str | None:
    """The key that the code is bound to. Source: RFC 9449 section 10.1."""
    if named is not None and not _JKT.fullmatch(named):
        raise OAuthError("invalid_request", "dpop_jkt: not a thumbprint")
    if named is not None and jkt is not None and named != jkt:
        raise OAuthError("invalid_dpop_proof", "dpop_jkt: another key than the proof's")
    return named or jkt


def _challenge(parameters: Mapping[str, str]) -> str:
    challenge = parameters.get("code_challenge", "")
    if parameters.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "code_challenge: PKCE with S256")
    return challenge


def _state(parameters: Mapping[str, str]) -> str | None:
    state = parameters.get("state")
    if state is not None and len(state) > MAX_STATE:
        raise OAuthError("invalid_request", "state: too long")
    return state
