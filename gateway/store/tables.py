"""The tables. Personal facts are in `sealed` columns alone, encrypted under the person's key."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)
from sqlalchemy.types import TypeDecorator

metadata = MetaData()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970: how a moment is stored."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def store_moment(moment: datetime | None) -> int | None:
    return None if moment is None else microseconds(moment)


def read_moment(stored: int | None) -> datetime | None:
    return None if stored is None else _EPOCH + timedelta(microseconds=stored)


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as whole microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return store_moment(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return read_moment(value)


person = Table(
    "person",
    metadata,
    Column("id", String, primary_key=True),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("identity_sealed", LargeBinary, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("confirmations_sealed", LargeBinary),
)

rule_pack = Table(
    "rule_pack",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("added_at", Moment, nullable=False),
)

consent_grant = Table(
    "consent_grant",
    metadata,
    Column("id", String, primary_key=True),
    Column("person_id", String, ForeignKey("person.id"), nullable=False),
    Column("relying_party_id", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("rule_pack_sha256", String(64), ForeignKey("rule_pack.sha256"), nullable=False),
    Column("request_sealed", LargeBinary, nullable=False),
    Column("requested_at", Moment, nullable=False),
    Column("left_out_sealed", LargeBinary),
    Column("granted_at", Moment),
    Column("expires_at", Moment, nullable=False),
    Column("uses", Integer),
    Column("fetch", String, nullable=False),
    Column("times_per_day", Integer),
    Column("data_life_days", Integer, nullable=False),
    Column("guardian_sealed", LargeBinary),
    Index("consent_grant_by_person", "person_id", "requested_at"),
)
"""`relying_party_id` is empty until the first who redeems its share code has bound it. `guardian_sealed`: who
decided for a minor."""

consent_token = Table(
    "consent_token",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("grant_id", String, ForeignKey("consent_grant.id"), nullable=False),
    Column("made_at", Moment, nullable=False),
    Index("consent_token_by_grant", "grant_id"),
)

consent_request = Table(
    "consent_request",
    metadata,
    Column("id", String, primary_key=True),
    Column("relying_party_id", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("requested_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("opened_at", Moment),
)
"""What a relying party asked, before it is known of whom."""

share_code = Table(
    "share_code",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("grant_id", String, ForeignKey("consent_grant.id"), nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("redeemed_at", Moment),
    Index("share_code_by_grant", "grant_id"),
)

threshold_probe = Table(
    "threshold_probe",
    metadata,
    Column("person_id", String, ForeignKey("person.id"), primary_key=True),
    Column("sector", String, primary_key=True),
    Column("comparison_digest", String(64), primary_key=True),
    Column("fact", String, nullable=False),
    Column("requested_at", Moment, nullable=False),
)
"""The thresholds that a sector's relying parties asked about a person: what the probing budget counts."""

settled_comparison = Table(
    "settled_comparison",
    metadata,
    Column("grant_id", String, ForeignKey("consent_grant.id"), primary_key=True),
    Column("comparison_digest", String(64), primary_key=True),
    Column("body_sealed", LargeBinary, nullable=False),
    Column("settled_at", Moment, nullable=False),
    Column("frozen_until", Moment, nullable=False),
)

disclosure = Table(
    "disclosure",
    metadata,
    Column("answer_id", String, primary_key=True),
    Column("person_id", String, ForeignKey("person.id"), nullable=False),
    Column("relying_party_id", String, nullable=False),
    Column("at", Moment, nullable=False),
    Column("body_sealed", LargeBinary, nullable=False),
    Index("disclosure_by_person", "person_id", "at"),
)
"""What Answers told about a person's hidden quantities. It outlives them: what is known stays known."""

dispute = Table(
    "dispute",
    metadata,
    Column("id", String, primary_key=True),
    Column("person_id", String, ForeignKey("person.id"), nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("body_sealed", LargeBinary, nullable=False),
    Index("dispute_by_person", "person_id", "opened_at"),
)

erased_person = Table(
    "erased_person",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("at", Moment, nullable=False),
)
"""Who was erased, as a keyed digest: nobody is enrolled again by accident."""

grant_event = Table(
    "grant_event",
    metadata,
    Column("grant_id", String, ForeignKey("consent_grant.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("at", Moment, nullable=False),
)

answer = Table(
    "answer",
    metadata,
    Column("id", String, primary_key=True),
    Column("grant_id", String, ForeignKey("consent_grant.id"), nullable=False),
    Column("questions_digest", String(64), nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("charged", Boolean, nullable=False),
    Column("fresh_until", Moment, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("body_sealed", LargeBinary),
    Index("answer_by_questions", "grant_id", "questions_digest", "recorded_at"),
)

"""`body_sealed` is gone once the grant's data life is over; that a use was charged stays."""

log_head = Table(
    "log_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
)

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("kind", String, nullable=False),
    Column("relying_party_id", String, nullable=False),
    Column("person_id", String),
    Column("entry", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Column("detail_sealed", LargeBinary),
    Index("audit_entry_by_person", "person_id", "sequence"),
)

log_tile = Table(
    "log_tile",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
)
"""The roots over each 256 entries, so that the log's root is known without reading all of it. Derived: a tile that
is missing is computed from its entries."""

relying_party = Table(
    "relying_party",
    metadata,
    Column("id", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("registered_at", Moment, nullable=False),
    Column("suspended_at", Moment),
)
"""Relying parties that an operator registered. One of the configuration has a row only once it was suspended."""

signing_key = Table(
    "signing_key",
    metadata,
    Column("kid", String, primary_key=True),
    Column("private_sealed", LargeBinary, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("signs_from", Moment, nullable=False),
)

used_once = Table(
    "used_once",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("expires_at", Moment, nullable=False),
)
"""Proofs, assertions and challenges that were used, until they would not be valid any more."""

pushed_request = Table(
    "pushed_request",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("relying_party_id", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("person_id", String, ForeignKey("person.id")),
    Column("grant_id", String, ForeignKey("consent_grant.id")),
)
"""An OAuth request that waits for a person; `person_id` and `grant_id` once that person has opened it."""

authorization_code = Table(
    "authorization_code",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("grant_id", String, ForeignKey("consent_grant.id"), nullable=False),
    Column("relying_party_id", String, nullable=False),
    Column("redirect_uri", String, nullable=False),
    Column("code_challenge", String, nullable=False),
    Column("dpop_jkt", String),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
    Column("token_digest", String(64)),
    Index("authorization_code_by_grant", "grant_id"),
)

portal_session = Table(
    "portal_session",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("person_id", String, ForeignKey("person.id")),
    Column("relying_party_id", String),
    Column("signed_in_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Index("portal_session_by_person", "person_id"),
)
"""Signed-in browsers: a person's, or those of a relying party's staff."""

passkey = Table(
    "passkey",
    metadata,
    Column("id", String, primary_key=True),
    Column("person_id", String, ForeignKey("person.id")),
    Column("relying_party_id", String),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("used_at", Moment),
    Index("passkey_by_person", "person_id"),
)

invitation = Table(
    "invitation",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("person_id", String, ForeignKey("person.id")),
    Column("relying_party_id", String),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
    Index("invitation_by_person", "person_id"),
)
"""One-time codes that an operator handed out at a counter."""

provider_account = Table(
    "provider_account",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("person_id", String, ForeignKey("person.id"), nullable=False),
    Column("bound_at", Moment, nullable=False),
    Index("provider_account_by_person", "person_id"),
)
"""Accounts at identity providers, as keyed digests of issuer and subject."""

guardianship = Table(
    "guardianship",
    metadata,
    Column("minor_id", String, ForeignKey("person.id"), primary_key=True),
    Column("guardian_id", String, ForeignKey("person.id"), primary_key=True),
    Column("recorded_at", Moment, nullable=False),
)

trusted_document = Table(
    "trusted_document",
    metadata,
    Column("relying_party_id", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("text", String, nullable=False),
    Column("added_at", Moment, nullable=False),
)
"""The documents that a relying party has registered, each under its SHA-256 or the name of its manifest."""
