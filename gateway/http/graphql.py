"""POST /graphql: identify who asks, run their operation, respond. Raw ASGI.

A relying party's question goes through `Answering`, so the pipeline and the projector; a person's operation is
executed over their own data. Nothing a caller sent and no exception's text is ever repeated in a response.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import structlog
from graphql import GraphQLError
from starlette.types import Receive, Scope, Send
from strawberry import Schema
from strawberry.types import ExecutionResult

from gateway.admission import keep_step
from gateway.authentication import PartyAuthentication, Presented
from gateway.consenting import PersonServices
from gateway.document import Audience, Document
from gateway.documents import Documents
from gateway.errors import (
    AuthenticationError,
    ConsentRequestError,
    DeadlineExceededError,
    GatewayError,
    HeaderError,
    PublicCode,
    RateLimitedError,
    RequestError,
    public_code,
)
from gateway.http.address import caller_address
from gateway.http.answering import GRACE_SECONDS, Answering
from gateway.http.observing import notes_of
from gateway.http.presence import presence_of, unless_gone
from gateway.http.request import (
    JSON,
    GraphQLRequest,
    accepted_media_type,
    check_head,
    header,
    read_request,
    single_header,
    timeout_seconds,
)
from gateway.http.response import Json, Response, error_json, send_response
from gateway.identity.relying_party import SANDBOX_KEY, RelyingParties
from gateway.identity.subject import Person
from gateway.party import PartyServices, PartySession
from gateway.person import PersonSession
from gateway.pipeline import Asker
from gateway.rates import RateLimits
from gateway.store.guardians import Guardians
from gateway.store.people import People
from gateway.tracing import step

OPERATION_DIGITS = 16
"""Of a document's SHA-256, in the operator's log."""

_log = structlog.get_logger("kyosei.graphql")


@dataclass(frozen=True, slots=True)
class Acting:
    """A person who acts for themself, or for a minor as their guardian.

    `stands_for_both`: a minor of the sandbox who has no guardian there, and shows what follows once both decided.
    """

    person: Person
    guardian: Person | None = None
    stands_for_both: bool = False


@dataclass(frozen=True, slots=True)
class GraphQLServices:
    """What the endpoint works with. `url`: its own, as proofs name it. `trusted_hops`: proxies whose word counts.
    `sandbox`: people sign in by id, and nobody has to for what is about nobody."""

    schema: Schema
    documents: Documents
    answering: Answering
    people: People
    guardians: Guardians
    relying_parties: RelyingParties
    authentication: PartyAuthentication
    person_services: PersonServices
    party_services: PartyServices
    rates: RateLimits
    today: Callable[[], date]
    url: str
    trusted_hops: int
    sandbox: bool


class GraphQLEndpoint:
    """The one GraphQL endpoint."""

    def __init__(self, given: GraphQLServices) -> None:
        self._given = given

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with step("request"):
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        notes = notes_of(scope)
        media_type = JSON

        def refuse(error: Exception) -> Response:
            row = public_code(error)
            if row.status >= 500:
                _log.error("request_failed", request_id=notes.request_id, code=row.code, error=type(error).__name__)
            return _refusal(error, row, media_type)

        try:
            media_type = accepted_media_type(scope)
            check_head(scope)
            response = await self._respond(scope, receive)
        except Exception as error:
            response = refuse(error)
        if response is None:
            return  # to nobody
        notes.code = response.code
        if header(scope, b"dpop") is not None:
            nonce = self._given.authentication.make_nonce().encode()
            response = replace(response, headers=((b"dpop-nonce", nonce),))
        with step("respond", status=response.status):
            left = await send_response(
                send,
                response,
                media_type=media_type,
                request_id=notes.request_id,
                refuse=refuse,
                presence=presence_of(scope),
            )
        notes.code = left.code

    async def _respond(self, scope: Scope, receive: Receive) -> Response | None:
        """The response; None for a caller that went away."""
        deadlines, asked_seconds = self._given.answering.deadlines, timeout_seconds(scope)
        ends_at = deadlines.ends_at(asked_seconds)
        with step("identify"):
            asker = await self._asker(scope)
        await keep_step()
        if isinstance(asker, Asker) and deadlines.is_short(asked_seconds):
            asker = replace(asker, hurries=True)
        try:
            if isinstance(asker, Asker):
                await self._given.rates.count_request(asker.party.id)
            return await self._respond_to(asker, scope, receive, ends_at=ends_at)
        finally:
            if isinstance(asker, Asker):
                await self._use_up_proof(asker)  # be it for nothing

    async def _respond_to(
        self, asker: Asker | Acting | None, scope: Scope, receive: Receive, *, ends_at: float
    ) -> Response | None:
        request = await read_request(receive)
        with step("read"):
            document = await self._document(asker, request)
        notes_of(scope).operation = document.digest[:OPERATION_DIGITS]
        if request.operation_name not in (None, document.operation_name):
            raise RequestError("operation name", code="VALIDATION_FAILED")
        if document.audience is Audience.ANYONE:
            return await self._execute({"person": None}, document, request.variables)
        await keep_step()
        match asker, document.audience:
            case None, _:
                raise AuthenticationError("nobody", code="TOKEN_MISSING")
            case Asker(), Audience.RELYING_PARTY:
                notes = notes_of(scope)
                work = self._given.answering.answer(asker, document, request, ends_at=ends_at, notes=notes)
                try:
                    return await unless_gone(scope, receive, work, ends_at=ends_at + GRACE_SECONDS)
                except TimeoutError as error:
                    raise DeadlineExceededError("operation") from error
            case Asker(party), Audience.RELYING_PARTY_ACTION:
                await self._use_up_proof(asker)
                session = PartySession(party, self._given.party_services)
                return await self._execute({"relying_party": session}, document, request.variables)
            case Acting(person, guardian, stands_for_both), Audience.PERSON:
                own = PersonSession(
                    person,
                    self._given.person_services,
                    guardian=guardian,
                    stands_for_both=stands_for_both,
                    ends_at=ends_at,
                )
                return await self._execute({"person": own}, document, request.variables)
        raise AuthenticationError("another's operation", code="TOKEN_INVALID")

    async def _use_up_proof(self, asker: Asker) -> None:
        if asker.proof is not None and not asker.proof.is_recorded:
            await self._given.authentication.use_up_proof(asker.proof)

    async def _asker(self, scope: Scope) -> Asker | Acting | None:
        """Who asks. None: nobody says so, which the sandbox allows for what is about nobody."""
        if self._given.sandbox and header(scope, b"authorization") is None:
            return None
        try:
            asker = await self._identify(scope)
        except AuthenticationError as error:
            address = caller_address(scope, trusted_hops=self._given.trusted_hops)
            await self._given.rates.count_failure(address, error)
            raise
        if isinstance(asker, Asker):
            notes_of(scope).relying_party = asker.party.id
        return asker

    async def _document(self, asker: Asker | Acting | None, request: GraphQLRequest) -> Document:
        if isinstance(asker, Asker):
            return await self._given.documents.of_party(asker.party, request.query, request.document_id)
        return self._given.documents.of_person(request.query, request.document_id)

    async def _identify(self, scope: Scope) -> Asker | Acting:
        """Who asks, by the Authorization header: `DPoP <token>` with its proof; in the sandbox alone also
        `Bearer <key>`, and people by `Person <id>`, or `Person <guardian> for <minor>`."""
        authorization = single_header(scope, b"authorization")
        scheme, _, credentials = (authorization or "").partition(" ")
        if self._given.sandbox and scheme.lower() == "bearer" and credentials.startswith(SANDBOX_KEY):
            return Asker(self._given.relying_parties.authenticate(credentials.strip()))
        if self._given.sandbox and scheme.lower() == "person" and credentials:
            return await self._sandbox_person(credentials)
        proof = single_header(scope, b"dpop")
        presented = Presented(method="POST", url=self._given.url, authorization=authorization, proof=proof)
        party, _, use = await self._given.authentication.identify(presented)
        return Asker(party, use)

    async def _sandbox_person(self, credentials: str) -> Acting:
        """Raises AuthenticationError(TOKEN_INVALID) for who is not enrolled, or is no guardian of the minor."""
        named, _, minor_id = (part.strip() for part in credentials.partition(" for "))
        person = await self._given.people.find(named)
        if person is not None and not minor_id:
            is_minor = person.is_minor(self._given.today())
            return Acting(person, stands_for_both=is_minor and not await self._given.guardians.has_any(person.id))
        today = self._given.today()
        wards = await self._given.guardians.wards_of(named) if person and not person.is_minor(today) else []
        minor = await self._given.people.find(minor_id) if minor_id in wards else None
        if minor is not None and minor.is_minor(today):
            return Acting(minor, guardian=person)
        raise AuthenticationError("credentials", code="TOKEN_INVALID")

    async def _execute(
        self, context: Mapping[str, Any], document: Document, variables: Mapping[str, Any]
    ) -> Response:
        selections = document.select(document.coerce(variables))  # refuses variables that it does not declare
        if "relying_party" in context and len(selections) > 1:
            raise RequestError("one action at a time", code="QUERY_TOO_COMPLEX")
        result = await self._executed(document, variables, dict(context))
        for error in result.errors or ():
            if isinstance(error.original_error, RateLimitedError):
                raise error.original_error
        body: Json = {"data": result.data}
        if result.errors:
            body["errors"] = [_execution_error(error) for error in result.errors]
        if result.data is None and result.errors and all(error.path is None for error in result.errors):
            raise RequestError("variables", code="VALIDATION_FAILED")
        return Response(200, body)

    async def _executed(
        self, document: Document, variables: Mapping[str, Any], context: dict[str, Any]
    ) -> ExecutionResult:
        """Introspection takes long and looks nothing up: in a thread it keeps nobody waiting."""
        schema = self._given.schema
        if document.asks_introspection:
            return await asyncio.to_thread(
                schema.execute_sync, document.text, variable_values=dict(variables), context_value=context
            )
        return await schema.execute(document.text, variable_values=dict(variables), context_value=context)


def _refusal(error: Exception, row: PublicCode, media_type: str) -> Response:
    retry_after = error.retry_after_seconds if isinstance(error, RateLimitedError) else None
    challenge = error.challenge if isinstance(error, AuthenticationError) else ""
    public = error_json(row)
    if isinstance(error, HeaderError):  # its name and what belongs there, never what stood there
        public["message"] = f"The header {error.header} is not valid: {error.detail}."
        public["extensions"]["header"] = error.header
    body = {"errors": [public]}
    return Response(_status(row, media_type), body, retry_after_seconds=retry_after, challenge=challenge)


def _execution_error(error: GraphQLError) -> Json:
    original = error.original_error
    row = public_code(original) if original is not None else public_code(RequestError(code="VALIDATION_FAILED"))
    if row.code == "INTERNAL":
        _log.error("person_operation_failed", error=type(original).__name__)
    public = error_json(row, path=list(error.path) if error.path else None)
    if isinstance(original, GatewayError) and row.code in ("PURPOSE_FORBIDS", "OFF_GRID"):
        public["extensions"]["coordinate"] = original.detail
    if isinstance(original, ConsentRequestError) and row.code == ConsentRequestError.default_code:
        public["extensions"]["detail"] = original.detail  # a place or a rule, such as `terms.uses`
    return public


def _status(row: PublicCode, media_type: str) -> int:
    """Document, validation and variable errors answer 200 under `application/json`, as the standard says."""
    if media_type == JSON and row.code in ("VALIDATION_FAILED", "OPERATION_AMBIGUOUS", "QUERY_TOO_COMPLEX"):
        return 200
    return row.status
