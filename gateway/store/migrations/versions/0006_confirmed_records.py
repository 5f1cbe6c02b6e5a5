"""The probable records that a person says are theirs, sealed under their key."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("person", sa.Column("confirmations_sealed", sa.LargeBinary(), nullable=True))
