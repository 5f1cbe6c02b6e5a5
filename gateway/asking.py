"""Asking a gateway over HTTP, as a person and as a relying party: what the command line does."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from connectors.transport import HttpxTransport, WireRequest
from gateway.errors import GatewayError, RequestError
from resolvers.catalogue import Purpose

EXAMPLES = Path(__file__).parent.parent / "examples"
DEADLINE_SECONDS = 30.0
MAX_REPLY_BYTES = 1_000_000
PENDING_SECONDS = 180.0
"""For how long an answer with a pending claim is asked for again."""

RELYING_PARTY_FOR = {
    Purpose.ACCOUNT_OPENING: "bank",
    Purpose.ACCOUNT_MAINTENANCE: "bank",
    Purpose.TENANCY: "landlord",
    Purpose.LENDING: "lender",
}
"""The sandbox relying party that usually asks for a purpose."""

REFUSALS = frozenset({"CONSENT_REQUEST_INVALID", "PURPOSE_FORBIDS", "OFF_GRID", "PROBE_BUDGET_EXCEEDED"})
"""Of consents that cannot be asked for, or granted, like that; everything else ends a demonstration."""

_ASKS: Mapping[Purpose, tuple[str, Mapping[str, str]]] = {
    Purpose.TENANCY: ("tenancy", {"rentYenPerMonth": "rent_jpy_per_month"}),
    Purpose.LENDING: ("lending", {"product": "product", "amountYen": "amount_jpy", "termMonths": "term_months"}),
}
"""By purpose, the part of `asks` and which of it each argument is; what is not here takes no arguments."""

_PREVIEW = """
mutation Preview($document: String!, $variables: JSON, $relyingParty: ID!, $purpose: Purpose!) {
  previewConsent(document: $document, variables: $variables, relyingParty: $relyingParty, purpose: $purpose) {
    id
  }
}
"""
_GRANT = """
mutation Grant($preview: ID!) { grantConsent(preview: $preview) { consentToken grant { id } } }
"""


class GatewayCaller:
    """Talks to one gateway. Raises GatewayError with the public code that the gateway answers, and
    SourceUnavailableError if it cannot be reached."""

    def __init__(self, url: str) -> None:
        self._transport = HttpxTransport(url)

    async def close(self) -> None:
        await self._transport.close()

    async def call(self, authorization: str, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """One GraphQL request; its `data`."""
        reply = await self._transport.exchange(
            WireRequest(
                "POST",
                "/graphql",
                headers=(("Content-Type", "application/json"), ("Authorization", authorization)),
                body=orjson.dumps({"query": query, "variables": variables}),
            ),
            deadline_seconds=DEADLINE_SECONDS,
            max_bytes=MAX_REPLY_BYTES,
        )
        body = orjson.loads(reply.body)
        if body.get("errors"):
            raise GatewayError(body["errors"][0]["message"], code=body["errors"][0]["extensions"]["code"])
        data: dict[str, Any] = body["data"]
        return data

    async def give_consent(
        self, deciding: str, relying_party: str, purpose: Purpose, *, variables: Mapping[str, Any]
    ) -> str:
        """As the person, or their guardian: preview the purpose's example document and grant it. The consent token.

        `deciding`: `P01`, or `P05 for P14`.
        """
        as_person = f"Person {deciding}"
        preview = await self.call(
            as_person,
            _PREVIEW,
            {
                "document": read_example(purpose),
                "variables": variables,
                "relyingParty": relying_party,
                "purpose": purpose.value,
            },
        )
        granted = await self.call(as_person, _GRANT, {"preview": preview["previewConsent"]["id"]})
        token: str = granted["grantConsent"]["consentToken"]
        return token

    async def ask(
        self, key: str, purpose: Purpose, *, consent_token: str, variables: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """As the relying party: run the purpose's example document; again while a source is still answering, or
        the gateway has no room."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + PENDING_SECONDS
        while True:
            try:
                data = await self.call(
                    f"Bearer {key}", read_example(purpose), {**variables, "consent": consent_token}
                )
            except GatewayError as error:
                if error.code != "OVERLOADED" or loop.time() > give_up_at:
                    raise
            else:
                subject: Mapping[str, Any] = data["subject"]
                if not is_pending(subject) or loop.time() > give_up_at:
                    return subject
            await asyncio.sleep(1.0)


def decision_in(subject: Mapping[str, Any]) -> Mapping[str, Any]:
    """The decision among the answers about a subject."""
    found: Mapping[str, Any] = next(value for value in subject.values() if value and "outcome" in value)
    return found


def is_pending(subject: Mapping[str, Any]) -> bool:
    """Whether any claim waits for a slow source."""
    return any(
        isinstance(claim, dict) and claim.get("state") == "PENDING"
        for domain in subject.values()
        if isinstance(domain, dict)
        for claim in domain.values()
    )


def read_example(purpose: Purpose) -> str:
    """The ready document of a purpose."""
    return (EXAMPLES / f"{purpose.value.lower()}.graphql").read_text(encoding="utf-8")


def example_variables(purpose: Purpose, asks: Mapping[str, Any], *, person_id: str) -> dict[str, Any]:
    """The arguments of a purpose's document, from what a sandbox person asks for.

    Raises RequestError naming what is missing.
    """
    if missing := missing_ask(purpose, asks):
        raise RequestError(f"people.json: {person_id}: {missing}: it is missing")
    section, names = _ASKS.get(purpose, ("", {}))
    return {name: asks[section][key] for name, key in names.items()}


def missing_ask(purpose: Purpose, asks: Mapping[str, Any]) -> str | None:
    """What has to be said before a purpose can be asked for somebody, such as `asks.lending.product`."""
    section, names = _ASKS.get(purpose, ("", {}))
    given = asks.get(section) or {}
    return next((f"asks.{section}.{key}" for key in names.values() if given.get(key) is None), None)
