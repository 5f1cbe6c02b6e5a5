"""Relying parties as OAuth clients, their requests and codes; people's sign-in; who decided for a minor."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("consent_grant") as grants:
        grants.add_column(sa.Column("guardian_sealed", sa.LargeBinary(), nullable=True))
    _create_relying_parties()
    _create_authorizations()
    _create_sign_in()
    _create_enrolment()


def _create_relying_parties() -> None:
    op.create_table(
        "relying_party",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("suspended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.String(), nullable=False),
        sa.Column("private_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("signs_from", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.create_table(
        "used_once",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )


def _create_authorizations() -> None:
    op.create_table(
        "pushed_request",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("relying_party_id", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=True),
        sa.Column("grant_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"]),
        sa.ForeignKeyConstraint(["grant_id"], ["consent_grant.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "authorization_code",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("grant_id", sa.String(), nullable=False),
        sa.Column("relying_party_id", sa.String(), nullable=False),
        sa.Column("redirect_uri", sa.String(), nullable=False),
        sa.Column("code_challenge", sa.String(), nullable=False),
        sa.Column("dpop_jkt", sa.String(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("token_digest", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["grant_id"], ["consent_grant.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("authorization_code_by_grant", "authorization_code", ["grant_id"])


def _create_sign_in() -> None:
    op.create_table(
        "portal_session",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(), nullable=True),
        sa.Column("relying_party_id", sa.String(), nullable=True),
        sa.Column("signed_in_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("portal_session_by_person", "portal_session", ["person_id"])
    op.create_table(
        "passkey",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=True),
        sa.Column("relying_party_id", sa.String(), nullable=True),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("passkey_by_person", "passkey", ["person_id"])


def _create_enrolment() -> None:
    op.create_table(
        "invitation",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(), nullable=True),
        sa.Column("relying_party_id", sa.String(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("invitation_by_person", "invitation", ["person_id"])
    op.create_table(
        "provider_account",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("bound_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("provider_account_by_person", "provider_account", ["person_id"])
    op.create_table(
        "guardianship",
        sa.Column("minor_id", sa.String(), nullable=False),
        sa.Column("guardian_id", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["minor_id"], ["person.id"]),
        sa.ForeignKeyConstraint(["guardian_id"], ["person.id"]),
        sa.PrimaryKeyConstraint("minor_id", "guardian_id"),
    )
