"""The rules of the house about the database: its migrations make exactly the tables that the code uses."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from gateway.store.database import migrate, sqlite_url
from gateway.store.tables import metadata


def test_the_migrations_make_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    path = tmp_path / "kyosei.sqlite"
    migrate(sqlite_url(path))
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kyosei.sqlite"
    migrate(sqlite_url(path))
    once = path.read_bytes()
    migrate(sqlite_url(path))
    assert path.read_bytes() == once
