"""POST /graphql: identify who asks, run their operation, respond. Raw ASGI.

A relying party's operation goes through `pipeline.answer` and the projector; a person's is executed over
their own data. Nothing a caller sent and no exception's text is ever repeated in a response.
"""

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from graphql import GraphQLError, GraphQLSchema
from starlette.types import Message, Receive, Scope, Send
from strawberry import Schema

from gateway.consent.gate import Refusal
from gateway.document import Audience, Document, Selection, read_document
from gateway.errors import (
    AuthenticationError,
    GatewayError,
    OverloadedError,
    PublicCode,
    RequestError,
    public_code,
)
from gateway.http.request import (
    JSON,
    SAFE_HEADERS,
    accepted_media_type,
    check_head,
    read_request,
    single_header,
)
from gateway.identity.relying_party import RelyingParties, RelyingParty
from gateway.person import PersonServices, PersonSession
from gateway.pipeline import LEASE_SECONDS, Release, Services, answer, release
from gateway.plan import Plan, make_plan
from gateway.projector import GrantView, Projection, compile_projector
from gateway.store.people import People, Person

MAX_DOCUMENTS = 512
MAX_LEASES = 3
"""How often a release is recorded again when its lease ran out before it could leave."""

CLOSING_STATUSES = frozenset({401, 405, 406, 408, 413, 415})
"""After these the body is not read: the connection ends, or it would be received for nothing."""

_log = structlog.get_logger("kyosei.graphql")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A document under one set of conditions: what it selects, and its projector."""

    selections: tuple[Selection, ...]
    project: Callable[[Projection], Json]


@dataclass(frozen=True, slots=True)
class Response:
    """A response ready to leave; one that carries a release only within its lease."""

    status: int
    body: Json
    release: Release | None = None


class GraphQLEndpoint:
    """The one GraphQL endpoint. `sandbox`: people sign in by id, and introspection is answered."""

    def __init__(
        self,
        services: Services,
        people_services: PersonServices,
        *,
        schema: Schema,
        people: People,
        relying_parties: RelyingParties,
        sandbox: bool,
    ) -> None:
        self._services = services
        self._people_services = people_services
        self._strawberry = schema
        self._schema: GraphQLSchema = people_services.schema
        self._people = people
        self._relying_parties = relying_parties
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
            response = Response(_status(row, media_type), {"errors": [_error(row)]})
        await self._send(send, response, media_type=media_type, request_id=request_id)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        asker = await self._identify(scope)
        request = await read_request(receive)
        document = self._read(request.query)
        if document.asks_introspection and not self._sandbox:
            raise RequestError("introspection", code="INTROSPECTION_DISABLED")
        match asker, document.audience:
            case RelyingParty(), Audience.RELYING_PARTY:
                return await self._answer(asker, document, request.variables)
            case Person(), Audience.RELYING_PARTY:
                raise AuthenticationError("a relying party's operation", code="TOKEN_INVALID")
            case RelyingParty(), Audience.PERSON:
                raise AuthenticationError("a person's operation", code="TOKEN_INVALID")
        person = PersonSession(asker, self._people_services) if isinstance(asker, Person) else None
        return await self._execute(person, document, request.variables)

    async def _identify(self, scope: Scope) -> RelyingParty | Person:
        """Who asks, by the Authorization header: `Bearer <key>`, or in the sandbox `Person <id>`."""
        scheme, _, credentials = (single_header(scope, b"authorization") or "").partition(" ")
        if not credentials:
            raise AuthenticationError("authorization", code="TOKEN_MISSING")
        if scheme.lower() == "bearer":
            return self._relying_parties.authenticate(credentials.strip())
        if scheme.lower() == "person" and self._sandbox:
            person = await self._people.find(credentials.strip())
            if person is not None:
                return person
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
        outcome = await answer(plan, asker, self._services)
        for lease in range(1, MAX_LEASES + 1):
            if not isinstance(outcome, Release):
                return _refused(outcome, compiled, plan, now_status=self._status_of(outcome))
            body = _released(outcome, compiled)
            if outcome.is_leased:
                return Response(200, body, outcome)
            if lease == MAX_LEASES:
                break
            outcome = await release(
                outcome.answer, outcome.approved, outcome.person, asker, self._services, is_repeat=True
            )
        raise OverloadedError("the lease ran out")

    def _status_of(self, refusal: Refusal) -> str:
        return refusal.grant.status(self._services.now()).value if refusal.grant else ""

    async def _execute(
        self, person: PersonSession | None, document: Document, variables: Mapping[str, Any]
    ) -> Response:
        document.select(document.coerce(variables))  # the same limits as for everybody
        result = await self._strawberry.execute(
            document.text, variable_values=dict(variables), context_value={"person": person}
        )
        body: Json = {"data": result.data}
        if result.errors:
            body["errors"] = [_execution_error(error) for error in result.errors]
        if result.data is None and result.errors and all(error.path is None for error in result.errors):
            raise RequestError("variables", code="VALIDATION_FAILED")
        return Response(200, body)

    async def _send(self, send: Send, response: Response, *, media_type: str, request_id: str) -> None:
        """Send a response; a release whose lease runs out before it left is discarded for an OVERLOADED."""
        messages = _messages(response, media_type=media_type, request_id=request_id)
        if response.release is None:
            for message in messages:
                await send(message)
        elif not await _sent_before(send, messages, response.release.lease_ends_at):
            row = public_code(OverloadedError("the lease ran out"))
            refusal = Response(row.status, {"errors": [_error(row)]})
            messages = _messages(refusal, media_type=media_type, request_id=request_id)
            await _sent_before(send, messages, time.monotonic() + LEASE_SECONDS)


async def _sent_before(send: Send, messages: list[Message], ends_at: float) -> bool:
    """Send a response in time; False if not a byte of it has left by then, and then none will."""
    has_begun = False
    if time.monotonic() >= ends_at:
        return False
    try:
        async with asyncio.timeout(ends_at - time.monotonic()):
            for message in messages:
                await send(message)
                has_begun = True
    except TimeoutError:
        return has_begun
    return True


def _messages(response: Response, *, media_type: str, request_id: str) -> list[Message]:
    response.body.setdefault("extensions", {})["requestId"] = request_id
    for error in response.body.get("errors", ()):
        error["extensions"]["requestId"] = request_id
    payload = orjson.dumps(response.body)
    headers = _headers(response.status, media_type, len(payload))
    return [
        {"type": "http.response.start", "status": response.status, "headers": headers},
        {"type": "http.response.body", "body": payload},
    ]


def _headers(status: int, media_type: str, length: int) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", f"{media_type}; charset=utf-8".encode()),
        (b"content-length", str(length).encode()),
        *((name.lower().encode(), value.encode()) for name, value in SAFE_HEADERS.items()),
    ]
    if status in CLOSING_STATUSES:
        headers.append((b"connection", b"close"))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 405:
        headers.append((b"allow", b"POST"))
    if status == 503:
        headers.append((b"retry-after", b"1"))
    return headers


def _released(outcome: Release, compiled: Compiled) -> Json:
    grant = outcome.approved.grant
    projection = Projection(
        answer=outcome.answer,
        grant=GrantView("ACTIVE", grant.expires_at, outcome.uses_left),
        question_texts=outcome.approved.plan.texts,
        refused=frozenset(question.text for question in outcome.approved.refused),
    )
    return _projected(projection, compiled)


def _projected(projection: Projection, compiled: Compiled) -> Json:
    body: Json = {"data": compiled.project(projection)}
    if projection.errors:
        body["errors"] = projection.errors
    return body


def _refused(refusal: Refusal, compiled: Compiled, plan: Plan, *, now_status: str) -> Response:
    """Every field refused, each with its error; or the whole subject null with one."""
    if refusal.code == "FIELD_NOT_CONSENTED" and refusal.grant is not None:
        projection = Projection(
            answer=None,
            grant=GrantView(now_status, refusal.grant.expires_at, refusal.grant.uses_left),
            question_texts=plan.texts,
            refused=frozenset(question.text for question in plan.questions),
        )
        return Response(200, _projected(projection, compiled))
    row = public_code(GatewayError(code=refusal.code))
    data: Json = {}
    errors: list[Json] = []
    for selection in compiled.selections:
        is_subject = selection.name == "subject"
        data[selection.key] = None if is_subject else "Query"
        if is_subject:
            errors.append(_error(row, path=[selection.key]))
    return Response(200, {"data": data, "errors": errors} if errors else {"data": data})


def _error(row: PublicCode, *, path: list[Any] | None = None) -> Json:
    error: Json = {"message": row.text}
    if path is not None:
        error["path"] = path
    return error | {"extensions": {"code": row.code, "retryable": row.retryable}}


def _execution_error(error: GraphQLError) -> Json:
    original = error.original_error
    row = public_code(original) if original is not None else public_code(RequestError(code="VALIDATION_FAILED"))
    if row.code == "INTERNAL":
        _log.error("person_operation_failed", error=type(original).__name__)
    public = _error(row, path=list(error.path) if error.path else None)
    if isinstance(original, GatewayError) and row.code == "PURPOSE_FORBIDS":
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
