"""What is run with every question leaves nothing behind in memory."""

import tracemalloc
from pathlib import Path

from gateway.store.database import migrate, open_database, sqlite_url
from gateway.store.statement import Statement
from gateway.store.tables import log_head

TIMES = 2_000
MAX_BYTES_EACH = 8.0


async def test_a_look_up_leaves_nothing_behind(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "kyosei.sqlite")
    await migrate(url)
    database, statement = open_database(url), Statement(log_head.select())
    async with database.reading.connect() as connection:

        async def look_up() -> None:
            for _ in range(TIMES):
                await statement.all(connection)

        await look_up()
        tracemalloc.start()
        await look_up()
        before, _ = tracemalloc.get_traced_memory()
        await look_up()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    await database.close()
    assert (after - before) / TIMES < MAX_BYTES_EACH
