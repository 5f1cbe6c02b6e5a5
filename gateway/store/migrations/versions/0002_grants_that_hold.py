"""Terms of grants, several tokens to a grant, share codes, requests, probing, disputes and erasure."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _extend_grants()
    _create_requests()
    _create_what_is_known()
    _create_disputes()


def _extend_grants() -> None:
    op.create_table(
        "consent_token",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("grant_id", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["grant_id"], ["consent_grant.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("consent_token_by_grant", "consent_token", ["grant_id"])
    op.execute(
        "INSERT INTO consent_token (digest, grant_id, made_at) "
        "SELECT token_digest, id, granted_at FROM consent_grant WHERE token_digest IS NOT NULL"
    )
    with op.batch_alter_table("consent_grant") as grants:
        grants.drop_column("token_digest")
        grants.add_column(sa.Column("fetch", sa.String(), nullable=False, server_default="ONETIME"))
        grants.add_column(sa.Column("times_per_day", sa.Integer(), nullable=True))
        grants.add_column(sa.Column("data_life_days", sa.Integer(), nullable=False, server_default="30"))
    op.execute(
        "UPDATE consent_grant SET \"fetch\" = 'PERIODIC', times_per_day = 24 WHERE purpose = 'ACCOUNT_MAINTENANCE'"
    )
    with op.batch_alter_table("answer") as answers:
        answers.alter_column("body_sealed", existing_type=sa.LargeBinary(), nullable=True)
    op.create_table(
        "share_code",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("grant_id", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("redeemed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["grant_id"], ["consent_grant.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("share_code_by_grant", "share_code", ["grant_id"])


def _create_requests() -> None:
    op.create_table(
        "consent_request",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("relying_party_id", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "threshold_probe",
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("sector", sa.String(), nullable=False),
        sa.Column("comparison_digest", sa.String(length=64), nullable=False),
        sa.Column("fact", sa.String(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"]),
        sa.PrimaryKeyConstraint("person_id", "sector", "comparison_digest"),
    )


def _create_what_is_known() -> None:
    op.create_table(
        "settled_comparison",
        sa.Column("grant_id", sa.String(), nullable=False),
        sa.Column("comparison_digest", sa.String(length=64), nullable=False),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=False),
        sa.Column("frozen_until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["grant_id"], ["consent_grant.id"]),
        sa.PrimaryKeyConstraint("grant_id", "comparison_digest"),
    )
    op.create_table(
        "disclosure",
        sa.Column("answer_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("relying_party_id", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"]),
        sa.PrimaryKeyConstraint("answer_id"),
    )
    op.create_index("disclosure_by_person", "disclosure", ["person_id", "at"])


def _create_disputes() -> None:
    op.create_table(
        "dispute",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("dispute_by_person", "dispute", ["person_id", "opened_at"])
    op.create_table(
        "erased_person",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
