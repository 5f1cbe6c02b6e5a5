"""Everything that is held about a person, as JSON; each consent as a record in the fields of ISO/IEC TS 27560.

Field names as the W3C Data Privacy Vocabulary's guide gives them. Source: ISO/IEC TS 27560:2023; protocols 2.9.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from connectors.interface import IdentityRecord, SourceAuthority
from gateway.consent.dispute import Dispute
from gateway.consent.grant import Grant
from gateway.consent.purpose import PurposeBounds
from gateway.identity.relying_party import RelyingParties, RelyingParty
from gateway.store.log import LoggedAccess
from resolvers.catalogue import ATTRIBUTES, Purpose
from resolvers.consent import Disclosure
from resolvers.record_confirmation import ConfirmedRecord
from resolvers.subject import GrantStatus

RECORD_VERSION = "ISO/IEC TS 27560:2023"
LAW = "https://w3id.org/dpv/legal/jp#law-APPI"

_IDENTITY = TypeAdapter(IdentityRecord)
_STATES = {
    GrantStatus.PENDING: "dpv:ConsentRequested",
    GrantStatus.ACTIVE: "dpv:ConsentGiven",
    GrantStatus.PAUSED: "dpv:ConsentRequestDeferred",
    GrantStatus.REJECTED: "dpv:ConsentRefused",
    GrantStatus.REVOKED: "dpv:ConsentWithdrawn",
    GrantStatus.EXPIRED: "dpv:ConsentExpired",
}
_PURPOSES = {
    Purpose.ACCOUNT_OPENING: "https://w3id.org/dpv/sector/finance#CustomerDueDiligence",
    Purpose.ACCOUNT_MAINTENANCE: "https://w3id.org/dpv/sector/finance#AccountManagement",
    Purpose.TENANCY: "https://w3id.org/dpv#Verification",
    Purpose.LENDING: "https://w3id.org/dpv/sector/finance#CreditChecking",
}


@dataclass(frozen=True, slots=True, repr=False)
class Holdings:
    """What is held about one person."""

    person_id: str
    identity: IdentityRecord
    confirmations: Iterable[ConfirmedRecord]
    grants: Iterable[Grant]
    accesses: Iterable[LoggedAccess]
    disputes: Iterable[Dispute]
    disclosures: Iterable[Disclosure]
    answers: Iterable[Mapping[str, Any]]


def export_json(
    held: Holdings,
    *,
    relying_parties: RelyingParties,
    purposes: Mapping[Purpose, PurposeBounds],
    privacy_notice: str,
    now: datetime,
) -> dict[str, Any]:
    """The export. Evidence is not in it: it is each source's own, and is seen in `me { records }`."""
    return {
        "exported_at": now.isoformat(),
        "person": held.person_id,
        "identity": _IDENTITY.dump_python(held.identity, mode="json"),
        "consent_records": [
            _record(
                grant,
                relying_parties.find(grant.relying_party_id or ""),
                purposes[grant.purpose],
                privacy_notice=privacy_notice,
                now=now,
            )
            for grant in held.grants
        ],
        "answers": list(held.answers),
        "accesses": [_access_json(access) for access in held.accesses],
        "confirmed_records": [
            {"source": one.source.value, "confirmed_at": one.confirmed_at.isoformat()} for one in held.confirmations
        ],
        "disputes": [_dispute_json(dispute) for dispute in held.disputes],
        "disclosures": [dataclasses.asdict(told) for told in held.disclosures],
    }


def _record(
    grant: Grant, party: RelyingParty | None, bounds: PurposeBounds, *, privacy_notice: str, now: datetime
) -> dict[str, Any]:
    """One consent as a record: header, processing, the controller, and what happened to it."""
    controllers = [_party_json(grant.relying_party_id, party)]
    return {
        "schema_version": RECORD_VERSION,
        "record_id": grant.id,
        "pii_principal_id": grant.person_id,
        "processing": {
            "privacy_notice": privacy_notice,
            "language": "ja, en",
            "purposes": [{"code": grant.purpose.value, "iri": _PURPOSES[grant.purpose], "text": bounds.name.en}],
            "lawful_basis": "dpv:Consent",
            "pii_information": [_pii_json(question, grant) for question in grant.questions],
            "pii_controllers": controllers,
            "collection_method": "asked of the source authorities when the relying party asks",
            "storage_locations": ["this gateway, encrypted under the person's own key"],
            "retention_period": f"P{grant.terms.data_life_days}D",
            "jurisdiction": LAW,
            "recipient_third_parties": controllers,
            "withdrawal_method": "mutation revokeConsent",
            "rule_pack_sha256": grant.rule_pack_sha256,
        },
        "events": _events_json(grant, now=now),
    }


def _events_json(grant: Grant, *, now: datetime) -> list[dict[str, Any]]:
    """When it was asked for, when given, and where it stands since when."""
    latest_at = grant.ended_at or grant.paused_at or grant.granted_at
    happened = (
        ("requested", grant.requested_at, "dpv:ConsentRequested"),
        ("given", grant.granted_at, "dpv:ConsentGiven"),
        ("latest", latest_at, _STATES[grant.status(now)]),
    )
    return [
        {
            "event_time": at.isoformat(),
            "validity_duration": f"until {grant.expires_at.isoformat()}",
            "entity_id": f"{grant.guardian}, guardian" if kind == "given" and grant.guardian else grant.person_id,
            "event_type": kind,
            "event_state": state,
        }
        for kind, at, state in happened
        if at is not None
    ]


def _pii_json(question: str, grant: Grant) -> dict[str, Any]:
    coordinate = question.partition("(")[0]
    sources: Iterable[SourceAuthority] = ATTRIBUTES[coordinate].sources if coordinate in ATTRIBUTES else ()
    return {
        "pii_type": coordinate,
        "pii_attribute_id": question,
        "pii_optional": question in grant.left_out,
        "sources": sorted(source.value for source in sources),
    }


def _party_json(party_id: str | None, party: RelyingParty | None) -> dict[str, Any]:
    """The relying party; a consent whose share code nobody has redeemed has none yet."""
    return {
        "party_id": party_id or "",
        "party_name": party.name.en if party else party_id or "whoever redeems the share code",
        "party_address": party.address if party else "",
        "party_contact": party.contact if party else "",
        "party_type": "relying party",
        "party_role": "dpv:DataController",
    }


def _access_json(access: LoggedAccess) -> dict[str, Any]:
    return {
        "entry": access.sequence,
        "at": access.at.isoformat(),
        "kind": access.kind.value,
        "relying_party": access.relying_party_id or None,
        **{name: value for name, value in access.detail.items() if name != "salt"},
    }


def _dispute_json(dispute: Dispute) -> dict[str, Any]:
    return {
        "id": dispute.id,
        "claim": dispute.claim,
        "record": dispute.record.value if dispute.record else None,
        "statement": dispute.statement,
        "opened_at": dispute.opened_at.isoformat(),
        "closed_at": dispute.closed_at.isoformat() if dispute.closed_at else None,
        "outcome": dispute.outcome.value if dispute.outcome else None,
        "corrected_by": dispute.corrected_by.value if dispute.corrected_by else None,
    }
