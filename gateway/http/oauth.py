"""The authorization server's endpoints for relying parties: metadata, keys, PAR, token, revocation, grants.

Source: RFC 8414, RFC 9126, RFC 6749, RFC 7009, RFC 9449, OAuth Grant Management for OAuth 2.0.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.authentication import PartyAuthentication, Presented
from gateway.authorizing import PUSHED_LIFE, Authorizations, details_error
from gateway.consent.authorization_details import DETAILS_TYPE, AuthorizationDetails, read_authorization_details
from gateway.consent.grant import Grant
from gateway.errors import (
    AuthenticationError,
    ConsentRequestError,
    GatewayError,
    OAuthError,
    RateLimitedError,
    RequestError,
    public_code,
)
from gateway.http.address import caller_address
from gateway.http.form import read_form
from gateway.http.request import SAFE_HEADERS, single_header
from gateway.http.response import challenge_header
from gateway.identity.access_token import TOKEN_LIFE, AccessTokens, SigningKey
from gateway.identity.dpop import Proof
from gateway.identity.jws import ALGORITHMS
from gateway.identity.relying_party import RelyingParty
from gateway.rates import RateLimits

MAX_BODY_BYTES = 65_536
SCOPES = frozenset({"grant_management_query", "grant_management_revoke"})
JWKS_SECONDS = 5
"""For how long a reader may keep the key set: shorter than a new key is published before it signs."""

_NEVER_LIMITED = ("/oauth/revoke",)
"""A consent can be given back at any time, by its token."""

RESPONSE_MODES = ("query",)
_NOT_HERE = ("request", "request_uri", "registration")
_log = structlog.get_logger("kyosei.oauth")

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class OAuthServices:
    """What the endpoints work with. `issuer`: the gateway's public URL. `trusted_hops`: see `caller_address`."""

    authentication: PartyAuthentication
    authorizations: Authorizations
    access_tokens: AccessTokens
    signing_keys: Callable[[], Sequence[SigningKey]]
    rates: RateLimits
    trusted_hops: int
    issuer: str
    now: Callable[[], datetime]


class OAuthEndpoints:
    """The endpoints as routes."""

    def __init__(self, given: OAuthServices) -> None:
        self._given = given
        self._endpoint = f"{given.issuer}/graphql"

    def routes(self) -> list[Route]:
        return [
            Route("/.well-known/oauth-authorization-server", self.metadata, methods=["GET"]),
            Route("/oauth/jwks", self.jwks, methods=["GET"]),
            Route("/oauth/par", self._refusing(self.par), methods=["POST"]),
            Route("/oauth/token", self._refusing(self.token), methods=["POST"]),
            Route("/oauth/revoke", self._refusing(self.revoke), methods=["POST"]),
            Route("/oauth/grants/{grant_id}", self._refusing(self.query_grant), methods=["GET"]),
            Route("/oauth/grants/{grant_id}", self._refusing(self.revoke_grant), methods=["DELETE"]),
        ]

    async def metadata(self, request: Request) -> Response:
        """Source: RFC 8414 section 2, with what the other standards add to it."""
        issuer, signed_with = self._given.issuer, list(ALGORITHMS)
        return _json(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/oauth/authorize",
                "pushed_authorization_request_endpoint": f"{issuer}/oauth/par",
                "require_pushed_authorization_requests": True,
                "token_endpoint": f"{issuer}/oauth/token",
                "revocation_endpoint": f"{issuer}/oauth/revoke",
                "grant_management_endpoint": f"{issuer}/oauth/grants",
                "grant_management_actions_supported": ["create", "query", "revoke"],
                "grant_management_action_required": False,
                "jwks_uri": f"{issuer}/oauth/jwks",
                "response_types_supported": ["code"],
                "response_modes_supported": list(RESPONSE_MODES),
                "grant_types_supported": ["authorization_code", "client_credentials"],
                "scopes_supported": sorted(SCOPES),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": signed_with,
                "revocation_endpoint_auth_methods_supported": ["private_key_jwt"],
                "revocation_endpoint_auth_signing_alg_values_supported": signed_with,
                "dpop_signing_alg_values_supported": signed_with,
                "authorization_details_types_supported": [DETAILS_TYPE],
                "authorization_response_iss_parameter_supported": True,
                "request_parameter_supported": False,
                "request_uri_parameter_supported": False,
                "ui_locales_supported": ["en", "ja"],
            }
        )

    async def jwks(self, request: Request) -> Response:
        """The keys that sign what the gateway issues. Source: RFC 7517 section 5."""
        keys = [signing.key.as_dict(private=False) for signing in self._given.signing_keys()]
        headers = {"Cache-Control": f"public, max-age={JWKS_SECONDS}"}
        return _json({"keys": keys}, media_type="application/jwk-set+json", headers=headers)

    async def par(self, request: Request) -> Response:
        """Source: RFC 9126 section 2."""
        parameters, party, proof = await self._authenticated(request)
        if any(name in parameters for name in _NOT_HERE):
            raise OAuthError("invalid_request", "parameters are pushed as they are")
        if parameters.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "response_type: code")
        if parameters.get("response_mode", "query") not in RESPONSE_MODES:
            raise OAuthError("invalid_request", "response_mode: query")
        if parameters.get("grant_management_action", "create") != "create" or "grant_id" in parameters:
            raise OAuthError("invalid_request", "grant_management_action: create")
        _scopes(parameters)
        try:
            details = self._details(parameters)
            jkt = proof.jkt if proof else None
            request_uri = await self._given.authorizations.push(party, parameters, details, jkt=jkt)
        except (ConsentRequestError, RequestError) as error:
            raise details_error(error) from error
        pushed = {"request_uri": request_uri, "expires_in": int(PUSHED_LIFE.total_seconds())}
        return _json(pushed, status=201)

    def _details(self, parameters: Mapping[str, str]) -> AuthorizationDetails:
        return read_authorization_details(parameters.get("authorization_details", ""), location=self._endpoint)

    async def token(self, request: Request) -> Response:
        """An access token; with a code the consent token besides. Source: RFC 6749 sections 4.1.3 and 4.4."""
        parameters, party, proof = await self._authenticated(request)
        kind = parameters.get("grant_type")
        if kind not in ("authorization_code", "client_credentials"):
            raise OAuthError("unsupported_grant_type", "grant_type: authorization_code or client_credentials")
        scopes = _scopes(parameters)
        if proof is None:
            raise OAuthError("invalid_dpop_proof", "the DPoP header is missing")
        body: dict[str, Any] = {}
        if kind == "authorization_code":
            exchanged = await self._given.authorizations.exchange(party, parameters, jkt=proof.jkt)
            body = {"consent_token": exchanged.consent_token, "grant_id": exchanged.grant.id}
            body |= self._granted(exchanged.grant)
        made = self._given.access_tokens.make(party.id, jkt=proof.jkt, scopes=scopes, now=self._given.now())
        issued = {
            "access_token": made,
            "token_type": "DPoP",
            "expires_in": int(TOKEN_LIFE.total_seconds()),
            "scope": " ".join(sorted(scopes)),
        }
        return _json(issued | body)

    async def revoke(self, request: Request) -> Response:
        """The relying party gives a consent back by its token. Access tokens end by themselves, after minutes."""
        parameters, party, _ = await self._authenticated(request)
        token = parameters.get("token", "")
        if not token:
            raise OAuthError("invalid_request", "token")
        if parameters.get("token_type_hint") == "access_token" or token.count(".") == 2:
            raise OAuthError("unsupported_token_type", "token")
        await self._given.authorizations.give_back_token(party, token)
        return _json({})

    async def query_grant(self, request: Request) -> Response:
        party, grant_id = await self._managing(request, "grant_management_query")
        found = await self._given.authorizations.find_grant(party, grant_id)
        if found is None:
            raise _NoGrantError()
        grant = found[0]
        status = self._given.authorizations.grant_status(grant).value
        body: dict[str, Any] = {"grant_id": grant.id, "status": status, "scopes": []}
        return _json(body | self._granted(grant))

    async def revoke_grant(self, request: Request) -> Response:
        """Source: OAuth Grant Management section 6.5. A second time is no error."""
        party, grant_id = await self._managing(request, "grant_management_revoke")
        found = await self._given.authorizations.find_grant(party, grant_id)
        if found is None:
            raise _NoGrantError()
        await self._given.authorizations.give_back(*found)
        return Response(status_code=204, headers=SAFE_HEADERS)

    def _granted(self, grant: Grant) -> dict[str, Any]:
        return {"authorization_details": [self._given.authorizations.granted_details(grant)]}

    async def _authenticated(self, request: Request) -> tuple[dict[str, str], RelyingParty, Proof | None]:
        """A form's parameters, each once, who signed the assertion among them, and the proof beside it, if any.

        Raises OAuthError or AuthenticationError.
        """
        try:
            fields = await read_form(request, max_bytes=MAX_BODY_BYTES)
        except RequestError as error:
            raise OAuthError("invalid_request", error.detail, status=public_code(error).status) from error
        parameters = {name: value for name, value in fields if value}
        if len({name for name, _ in fields}) != len(fields):
            raise OAuthError("invalid_request", "a parameter stands there twice")
        authentication = self._given.authentication
        party, assertion = await authentication.by_assertion(
            parameters.get("client_assertion_type", ""),
            parameters.get("client_assertion", ""),
            named=parameters.get("client_id"),
        )
        proof = authentication.check_proof(self._presented(request)) if "dpop" in request.headers else None
        await authentication.use_up(assertion, proof)
        if request.scope["path"] not in _NEVER_LIMITED:
            await self._given.rates.count_request(party.id)
        return parameters, party, proof

    async def _managing(self, request: Request, scope: str) -> tuple[RelyingParty, str]:
        party, access = await self._given.authentication.by_access_token(self._presented(request))
        await self._given.rates.count_request(party.id)
        if scope not in access.scopes:
            raise _ScopeError(scope)
        return party, request.path_params["grant_id"]

    async def _count_failure(self, request: Request, error: OAuthError | AuthenticationError) -> None:
        """Raises RateLimitedError where too many at this address could not say who they are."""
        if isinstance(error, AuthenticationError) or error.error == "invalid_client":
            await self._given.rates.count_failure(
                caller_address(request.scope, trusted_hops=self._given.trusted_hops), error
            )

    def _presented(self, request: Request) -> Presented:
        return Presented(
            method=request.method,
            url=f"{self._given.issuer}{request.scope['path']}",
            authorization=single_header(request.scope, b"authorization"),
            proof=single_header(request.scope, b"dpop"),
        )

    def _refusing(self, handler: Handler) -> Handler:
        """Answer every refusal as OAuth says, and give every caller a nonce for its next proof."""

        async def respond(request: Request) -> Response:
            try:
                try:
                    response = await handler(request)
                except (OAuthError, AuthenticationError) as error:
                    await self._count_failure(request, error)
                    raise
            except OAuthError as error:
                response = _refusal(error)
            except AuthenticationError as error:
                response = _refusal_of_proof(error, is_resource="grant_id" in request.path_params)
            except RateLimitedError as error:
                headers = {"Retry-After": str(error.retry_after_seconds)}
                response = _json({"error": "temporarily_unavailable"}, status=429, headers=headers)
            except GatewayError as error:
                row = public_code(error)
                response = _json({"error": "server_error", "error_description": row.code}, status=row.status)
            except Exception as error:
                _log.error("oauth_failed", error=type(error).__name__)
                response = _json({"error": "server_error"}, status=500)
            response.headers["DPoP-Nonce"] = self._given.authentication.make_nonce()
            return response

        return respond


class _NoGrantError(OAuthError):
    """There is no such grant of this relying party; another's looks the same."""

    def __init__(self) -> None:
        super().__init__("invalid_request", "grant_id", status=404)


class _ScopeError(OAuthError):
    """Source: RFC 6750 section 3.1."""

    def __init__(self, scope: str) -> None:
        super().__init__("insufficient_scope", scope, status=403)


def _scopes(parameters: Mapping[str, str]) -> frozenset[str]:
    """The scopes that are asked for; all, unless it is said. Raises OAuthError(invalid_scope)."""
    asked = frozenset(parameters["scope"].split()) if "scope" in parameters else SCOPES
    if not asked <= SCOPES:
        raise OAuthError("invalid_scope", f"scope: {' '.join(sorted(SCOPES))}")
    return asked


def _refusal(error: OAuthError) -> Response:
    body = {"error": error.error}
    if error.description:
        body["error_description"] = error.description
    headers = {"WWW-Authenticate": challenge_header(error.error)} if error.status == 403 else {}
    return _json(body, status=error.status, headers=headers)  # an assertion is no HTTP authentication scheme


def _refusal_of_proof(error: AuthenticationError, *, is_resource: bool) -> Response:
    """400 at the authorization server's own endpoints (RFC 9449 section 5), 401 at a resource (section 7.1)."""
    row = public_code(error)
    status = row.status if is_resource else 400
    body = {"error": error.challenge, "error_description": row.code}
    headers = {"WWW-Authenticate": challenge_header(error.challenge)} if status == 401 else {}
    return _json(body, status=status, headers=headers)


def _json(
    body: Mapping[str, Any],
    *,
    status: int = 200,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Response:
    sent = {**SAFE_HEADERS, **(headers or {})}
    return JSONResponse(body, status_code=status, media_type=media_type, headers=sent)
