"""What the operations of one transaction write together: a round trip for each kind of row, not for each row."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.statement import Statement


class Batch:
    """One transaction's connection, with the rows that wait to be written.

    No statement sees a row that waits; who may look for one writes them all first. `touched`: whose rows wait, by
    the ids of consents. `log_size`: how many entries the log has with those that wait; None: nothing was counted yet.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.touched: set[str] = set()
        self.log_size: int | None = None
        self._rows: dict[Statement, list[dict[str, Any]]] = {}
        self._last: dict[Statement, dict[str, Any]] = {}

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
        self.touched.clear()
        self.log_size = None
        for statement, values in rows.items():
            await statement.run_many(self.connection, values)
        for statement, value in last.items():
            await statement.run(self.connection, **value)
