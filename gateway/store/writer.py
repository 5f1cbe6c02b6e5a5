"""The one writer: a queue of operations, drained into one durable transaction at a time.

Operations that wait together share a commit; revocations go first. An operation returns its outcome; one
that fails is rolled back and does not touch its neighbours. What a connection took along that died before the
commit was sent is tried once more on a new one. A commit that fails is never tried again: what the disk holds is
not known any more, so the writer stops and the process has to end. Whoever waits gets RecordUnavailableError, and
nothing has been disclosed.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.errors import RecordUnavailableError
from gateway.store.batch import Batch
from gateway.store.transaction import Transactions, connect_to_write, transactions_on

T = TypeVar("T")
Operation = Callable[[AsyncConnection], Awaitable[T]]
BatchedOperation = Callable[[Batch], Awaitable[T]]

MAX_BATCH = 64
MAX_BATCH_SECONDS = 0.025
"""A batch takes no more operations after this, so that its answers still leave within their lease."""

MAX_COMPANY_SECONDS = 0.005
"""For so long at most an operation waits for others, where they keep coming."""

UNDO_SECONDS = 1.0
"""A database that takes longer to undo what was not committed does not answer any more."""

_log = structlog.get_logger("kyosei.writer")


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """An outcome that is durable. `began_at`: monotonic seconds at the start of its transaction."""

    outcome: T
    began_at: float


@dataclass(slots=True)
class _Waiting:
    operation: BatchedOperation[Any]
    future: "asyncio.Future[Committed[Any]]"
    is_change: bool


class Writer:
    """Owns the only connection that writes. `changes`: how many operations it has committed, without those that say
    that they change no consent and no person."""

    def __init__(self, engine: AsyncEngine, transactions: Transactions | None = None) -> None:
        self._engine = engine
        self._transactions = transactions or transactions_on(engine)
        self._urgent: deque[_Waiting] = deque()
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._connection: AsyncConnection | None = None
        self.broken = asyncio.Event()
        self.commits = 0
        self.changes = 0

    def start(self) -> None:
        self._task = asyncio.create_task(self._drain(), name="writer")

    async def close(self) -> None:
        """Finish what waits, then stop."""
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task
        await self._disconnect()

    async def write(self, operation: Operation[T], *, urgent: bool = False) -> Committed[T]:
        """Run the operation in the next transaction and wait until it is durable.

        It sees whatever the operations before it wrote. Once queued it runs even if the caller goes away. Raises
        RecordUnavailableError.
        """

        async def write(batch: Batch) -> T:
            await batch.write()
            return await operation(batch.connection)

        return await self.write_in_batch(write, urgent=urgent)

    async def write_in_batch(
        self, operation: BatchedOperation[T], *, urgent: bool = False, is_change: bool = True
    ) -> Committed[T]:
        """The same for an operation that leaves its rows to be written with those of others."""
        if self._closing or self.broken.is_set() or self._task is None or self._task.done():
            raise RecordUnavailableError("the writer is not running")
        future: asyncio.Future[Committed[T]] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._queue).append(_Waiting(operation, future, is_change))
        self._arrived.set()
        return await future

    async def _drain(self) -> None:
        while not (self._closing and not self._urgent and not self._queue):
            await self._arrived.wait()
            self._arrived.clear()
            while self._urgent or self._queue:
                await self._wait_for_company()
                taken: list[_Waiting] = []
                if not await self._commit(self._waiting(), taken) and self._may_yet_succeed(taken):
                    await self._commit_each(taken)
                for waiting in taken:
                    if not waiting.future.done():
                        waiting.future.set_exception(RecordUnavailableError("the transaction failed"))

    async def _commit_each(self, failed: list[_Waiting]) -> None:
        """Each in a transaction of its own, as long as the database answers: else all would wait for each."""
        for waiting in failed:
            await self._commit(iter([waiting]), [])
            if not waiting.future.done() and self._connection is None:
                return

    def _may_yet_succeed(self, failed: list[_Waiting]) -> bool:
        """Whether trying each alone can end otherwise: another may be to blame, or a connection that died."""
        return len(failed) > 1 or self._connection is None

    async def _wait_for_company(self) -> None:
        """As long as each turn of the event loop brings others who can share the commit; not at all when idle."""
        full_at, before = time.monotonic() + MAX_COMPANY_SECONDS, 0
        while before < len(self._queue) < MAX_BATCH and not self._urgent and time.monotonic() < full_at:
            before = len(self._queue)
            await asyncio.sleep(0)

    def _waiting(self) -> Iterator[_Waiting]:
        """Those who wait, urgent ones first, until the batch is full or has taken its time."""
        full_at = time.monotonic() + MAX_BATCH_SECONDS
        for _ in range(MAX_BATCH):
            if not (self._urgent or self._queue) or time.monotonic() > full_at:
                return
            yield (self._urgent or self._queue).popleft()

    async def _commit(self, arriving: Iterator[_Waiting], taken: list[_Waiting]) -> bool:
        """One transaction for those arriving, noted in `taken`; if it fails, nothing of it is kept.

        False: each of them may yet succeed alone, unless the writer is broken.
        """
        began_at = 0.0
        outcomes: list[Any] = []
        if self.broken.is_set():
            taken.extend(arriving)
            return False
        try:
            batch = Batch(await self._begin())
            began_at = time.monotonic()  # now it holds the write lock: who revokes comes before or after
            for waiting in arriving:
                taken.append(waiting)
                outcomes.append(await waiting.operation(batch))
            await batch.write()
            if self._transactions.is_dead(batch.connection):
                raise ConnectionError("it died before the commit was sent")
            if not await self._make_durable(batch.connection):
                return False
        except Exception as error:
            could_begin = bool(taken)
            taken.extend(arriving)
            await self._undo()
            _log.error("transaction_failed", error=type(error).__name__, operations=len(taken))
            return not could_begin  # where none could begin, trying each alone would only keep all waiting
        self.commits += 1
        self.changes += sum([waiting.is_change for waiting in taken])
        for waiting, outcome in zip(taken, outcomes, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(Committed(outcome, began_at))
        return True

    async def _begin(self) -> AsyncConnection:
        """A transaction on the connection that stays open from batch to batch; on a new one where that has died."""
        if self._connection is not None:
            try:
                await self._transactions.begin(self._connection)
                return self._connection
            except Exception:
                await self._undo()
                if self._connection is not None:
                    raise
        self._connection = await connect_to_write(self._engine)
        await self._transactions.begin(self._connection)
        return self._connection

    async def _undo(self) -> None:
        """Undo what is not committed; a connection that cannot is not used again."""
        try:
            async with asyncio.timeout(UNDO_SECONDS):
                if self._connection is not None:
                    await self._transactions.undo(self._connection)
        except Exception:
            await self._disconnect()

    async def _disconnect(self) -> None:
        """End the connection, with whatever is not committed; the next transaction has a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                await connection.invalidate()
            with suppress(Exception):
                await connection.close()

    async def _make_durable(self, connection: AsyncConnection) -> bool:
        try:
            await self._transactions.commit(connection)
        except Exception as error:
            _log.critical("commit_failed", error=type(error).__name__)
            self.broken.set()
            await self._disconnect()
            return False
        return True
