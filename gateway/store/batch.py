"""What the operations of one transaction write together: a round trip for each kind of row, not for each row."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.statement import Statement


class Batch:
    """One transaction's connection, with the rows that wait to be written.

    No statement sees a row that waits; who may look for one writes them all first. `log_size`: how many entries the
    log has with those that wait; None: none was counted since the last were written.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.log_size: int | None = None
        self._rows: dict[Statement, list[dict[str, Any]]] = {}
        self._last: dict[Statement, dict[str, Any]] = {}
        self._consents: set[str] = set()

    async def begin_for(self, grant_id: str) -> None:
        """Before rows about a consent are looked for and added: no other's rows about the same one wait then."""
        if grant_id in self._consents:
            await self.write()
        self._consents.add(grant_id)

    def add(self, statement: Statement, **values: Any) -> None:
        """A row to be written, after those that were added before."""
        self._rows.setdefault(statement, []).append(values)

    def put(self, statement: Statement, **values: Any) -> None:
        """Values to be written after all rows, in place of those that were put before."""
        self._last[statement] = values

    async def write(self) -> None:
        """Write all that waits. Raises the driver's own errors."""
        rows, last = self._rows, self._last
        self._rows, self._last = {}, {}
        self._consents.clear()
        self.log_size = None
        for statement, values in rows.items():
            await statement.run_many(self.connection, values)
        for statement, value in last.items():
            await statement.run(self.connection, **value)
