"""POST /graphql: identify who asks, run their operation, respond. Raw ASGI.

A relying party's operation goes through `pipeline.answer` and the projector; a person's is executed over
their own data. Nothing a caller sent and no exception's text is ever repeated in a response.
"""

import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog
from graphql import GraphQLError, GraphQLSchema
from starlette.types import Receive, Scope, Send
from strawberry import Schema

from gateway.answer import moment
from gateway.authentication import PartyAuthentication, Presented
from gateway.consent.gate import Refusal
from gateway.consent.grant import Grant
from gateway.consenting import PersonServices
from gateway.document import Audience, Document, Selection, read_document
from gateway.errors import (
    AuthenticationError,
    GatewayError,
    PublicCode,
    RateLimitedError,
    RequestError,
    public_code,
)
from gateway.http.request import (
    JSON,
    accepted_media_type,
    check_head,
    header,
    read_request,
    single_header,
)
from gateway.http.response import Json, Response, error_json, send_response
from gateway.identity.relying_party import SANDBOX_KEY, RelyingParties, RelyingParty
from gateway.identity.subject import Person
from gateway.party import PartyServices, PartySession
from gateway.person import PersonSession
from gateway.pipeline import Release, Services, answer_in_time
from gateway.plan import Plan, make_plan
from gateway.projector import GrantView, Projection, compile_projector
from gateway.store.guardians import Guardians
from gateway.store.people import People

MAX_DOCUMENTS = 512

_log = structlog.get_logger("kyosei.graphql")


@dataclass(frozen=True, slots=True)
class Acting:
    """A person who acts for themself, or for a minor as their guardian."""

    person: Person
    guardian: Person | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A document under one set of conditions: what it selects, and its projector."""

    selections: tuple[Selection, ...]
    project: Callable[[Projection], Json]


class GraphQLEndpoint:
    """The one GraphQL endpoint. `sandbox`: people sign in by id, and introspection is answered.

    `ref_of`: a person's pseudonym for a sector.
    """

    def __init__(
        self,
        services: Services,
        people_services: PersonServices,
        party_services: PartyServices,
        *,
        schema: Schema,
        people: People,
        relying_parties: RelyingParties,
        authentication: PartyAuthentication,
        url: str,
        guardians: Guardians,
        ref_of: Callable[[str, str], str],
        sandbox: bool,
    ) -> None:
        self._services = services
        self._people_services = people_services
        self._party_services = party_services
        self._strawberry = schema
        self._schema: GraphQLSchema = schema._schema  # graphql-core's, behind Strawberry's: the planner walks it
        self._ref_of = ref_of
        self._people = people
        self._relying_parties = relying_parties
        self._authentication = authentication
        self._url = url
        self._guardians = guardians
        self._sandbox = sandbox
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._compiled: OrderedDict[tuple[Any, ...], Compiled] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = str(uuid.uuid4())
        media_type = JSON
        try:
            media_type = accepted_media_type(scope)
            check_head(scope)
            response = await self._respond(scope, receive)
        except Exception as error:
            row = public_code(error)
            if row.status >= 500:
                _log.error("request_failed", request_id=request_id, code=row.code, error=type(error).__name__)
            response = _refusal(error, row, media_type)
        if header(scope, b"dpop") is not None:
            nonce = self._authentication.make_nonce().encode()
            response = replace(response, headers=((b"dpop-nonce", nonce),))
        await send_response(send, response, media_type=media_type, request_id=request_id)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        asker = await self._identify(scope)
        request = await read_request(receive)
        document = self._read(request.query)
        if document.asks_introspection and not self._sandbox:
            raise RequestError("introspection", code="INTROSPECTION_DISABLED")
        match asker, document.audience:
            case RelyingParty(), Audience.RELYING_PARTY:
                return await self._answer(asker, document, request.variables)
            case Acting(), Audience.RELYING_PARTY:
                raise AuthenticationError("a relying party's operation", code="TOKEN_INVALID")
            case RelyingParty(), Audience.PERSON:
                raise AuthenticationError("a person's operation", code="TOKEN_INVALID")
            case RelyingParty(), Audience.RELYING_PARTY_ACTION:
                session = PartySession(asker, self._party_services)
                return await self._execute({"relying_party": session}, document, request.variables)
            case Acting(), Audience.RELYING_PARTY_ACTION:
                raise AuthenticationError("a relying party's operation", code="TOKEN_INVALID")
            case Acting(person, guardian), _:
                own = PersonSession(person, self._people_services, guardian=guardian)
                return await self._execute({"person": own}, document, request.variables)
        return await self._execute({"person": None}, document, request.variables)

    async def _identify(self, scope: Scope) -> RelyingParty | Acting:
        """Who asks, by the Authorization header: `DPoP <token>` with its proof; in the sandbox alone also
        `Bearer <key>`, and people by `Person <id>`, or `Person <guardian> for <minor>`."""
        authorization = single_header(scope, b"authorization")
        scheme, _, credentials = (authorization or "").partition(" ")
        if self._sandbox and scheme.lower() == "bearer" and credentials.startswith(SANDBOX_KEY):
            return self._relying_parties.authenticate(credentials.strip())
        if self._sandbox and scheme.lower() == "person" and credentials:
            return await self._sandbox_person(credentials)
        proof = single_header(scope, b"dpop")
        presented = Presented(method="POST", url=self._url, authorization=authorization, proof=proof)
        party, _ = await self._authentication.by_access_token(presented)
        return party

    async def _sandbox_person(self, credentials: str) -> Acting:
        """Raises AuthenticationError(TOKEN_INVALID) for who is not enrolled, or is no guardian of the minor."""
        named, _, minor_id = (part.strip() for part in credentials.partition(" for "))
        person = await self._people.find(named)
        if person is not None and not minor_id:
            return Acting(person)
        wards = await self._guardians.wards_of(named) if person is not None else []
        minor = await self._people.find(minor_id) if minor_id in wards else None
        if minor is not None and minor.is_minor(self._services.reasoning.today()):
            return Acting(minor, guardian=person)
        raise AuthenticationError("credentials", code="TOKEN_INVALID")

    def _read(self, text: str) -> Document:
        document = self._documents.get(text)
        if document is None:
            document = read_document(text, self._schema)
            _keep(self._documents, text, document)
        return document

    def _compile(self, document: Document, variables: Any) -> Compiled:
        key = (document.text, document.condition_key(variables))
        compiled = self._compiled.get(key)
        if compiled is None:
            selections = document.select(variables)
            compiled = Compiled(selections, compile_projector(selections))
            _keep(self._compiled, key, compiled)
        return compiled

    async def _answer(self, asker: RelyingParty, document: Document, variables: Mapping[str, Any]) -> Response:
        coerced = document.coerce(variables)
        compiled = self._compile(document, coerced)
        plan = make_plan(compiled.selections, coerced)
        answered = await answer_in_time(
            plan, asker, self._services, lambda released: self._released(released, asker, compiled)
        )
        if isinstance(answered, Refusal):
            return self._refused(answered, asker, compiled, plan)
        released, body = answered
        return Response(200, body, released)

    def _released(self, outcome: Release, asker: RelyingParty, compiled: Compiled) -> Json:
        view = self._grant_view(outcome.approved.grant, outcome)
        projection = Projection(
            answer=outcome.answer,
            grant=view,
            ref=self._ref_of(asker.sector, outcome.person.id),
            question_texts=outcome.approved.plan.texts,
            refused=frozenset(question.text for question in outcome.approved.refused),
        )
        return _projected(projection, compiled)

    def _grant_view(self, grant: Grant, outcome: Release | None) -> GrantView:
        """What the relying party sees of the grant, as this release has left it."""
        now = self._services.now()
        if outcome is not None:
            just_now = (outcome.answer.recorded_at,) if outcome.is_charged else ()
            grant = replace(
                grant,
                uses_left=outcome.uses_left,
                fresh_until=outcome.answer.fresh_until if outcome.answer.complete else None,
                charged_at=(*grant.charged_at, *just_now),
            )
        return GrantView(grant.status(now).value, grant.expires_at, grant.uses_left, grant.next_refresh_at(now))

    def _refused(self, refusal: Refusal, asker: RelyingParty, compiled: Compiled, plan: Plan) -> Response:
        """Every field refused, each with its error; or the whole subject null with one."""
        grant = refusal.grant
        if refusal.code != "FIELD_NOT_CONSENTED" or grant is None:
            return _nothing(refusal, compiled)
        projection = Projection(
            answer=None,
            grant=self._grant_view(grant, None),
            ref=self._ref_of(asker.sector, grant.person_id),
            question_texts=plan.texts,
            refused=frozenset(question.text for question in plan.questions),
        )
        return Response(200, _projected(projection, compiled))

    async def _execute(
        self, context: Mapping[str, Any], document: Document, variables: Mapping[str, Any]
    ) -> Response:
        selections = document.select(document.coerce(variables))  # the same limits as for everybody
        if "relying_party" in context and len(selections) > 1:
            raise RequestError("one action at a time", code="QUERY_TOO_COMPLEX")
        result = await self._strawberry.execute(
            document.text, variable_values=dict(variables), context_value=dict(context)
        )
        for error in result.errors or ():
            if isinstance(error.original_error, RateLimitedError):
                raise error.original_error
        body: Json = {"data": result.data}
        if result.errors:
            body["errors"] = [_execution_error(error) for error in result.errors]
        if result.data is None and result.errors and all(error.path is None for error in result.errors):
            raise RequestError("variables", code="VALIDATION_FAILED")
        return Response(200, body)


def _refusal(error: Exception, row: PublicCode, media_type: str) -> Response:
    retry_after = error.retry_after_seconds if isinstance(error, RateLimitedError) else None
    challenge = error.challenge if isinstance(error, AuthenticationError) else ""
    body = {"errors": [error_json(row)]}
    return Response(_status(row, media_type), body, retry_after_seconds=retry_after, challenge=challenge)


def _projected(projection: Projection, compiled: Compiled) -> Json:
    body: Json = {"data": compiled.project(projection)}
    if projection.errors:
        body["errors"] = projection.errors
    return body


def _nothing(refusal: Refusal, compiled: Compiled) -> Response:
    """The whole subject null, with the one reason."""
    row = public_code(GatewayError(code=refusal.code))
    data: Json = {}
    errors: list[Json] = []
    for selection in compiled.selections:
        is_subject = selection.name == "subject"
        data[selection.key] = None if is_subject else "Query"
        if is_subject:
            errors.append(error_json(row, path=[selection.key]))
            if refusal.retry_at is not None:
                errors[-1]["extensions"]["retryAt"] = moment(refusal.retry_at)
    return Response(200, {"data": data, "errors": errors} if errors else {"data": data})


def _execution_error(error: GraphQLError) -> Json:
    original = error.original_error
    row = public_code(original) if original is not None else public_code(RequestError(code="VALIDATION_FAILED"))
    if row.code == "INTERNAL":
        _log.error("person_operation_failed", error=type(original).__name__)
    public = error_json(row, path=list(error.path) if error.path else None)
    if isinstance(original, GatewayError) and row.code in ("PURPOSE_FORBIDS", "OFF_GRID"):
        public["extensions"]["coordinate"] = original.detail
    return public


def _status(row: PublicCode, media_type: str) -> int:
    """Document, validation and variable errors answer 200 under `application/json`, as the standard says."""
    if media_type == JSON and row.code in ("VALIDATION_FAILED", "OPERATION_AMBIGUOUS", "QUERY_TOO_COMPLEX"):
        return 200
    return row.status


def _keep(cache: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    """Keep in a bounded cache; the oldest goes first."""
    cache[key] = value
    while len(cache) > MAX_DOCUMENTS:
        cache.popitem(last=False)
