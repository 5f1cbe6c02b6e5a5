"""Keeps the checkpoint of the log up to date, and notices when the log was rolled back.

A checkpoint is written after the commit of what it covers, never before; so a log that is longer than its last
checkpoint is what a crash leaves, and one that is shorter, or another, was put in its place.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import islice

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.checkpoint import Checkpoint
from gateway.errors import ConfigurationError
from gateway.store.checkpoint_file import CHECKPOINT, CheckpointFile
from gateway.store.database import Database
from gateway.store.log_tree import LogChangedError, LogTree, store_tiles
from gateway.store.tables import log_head
from gateway.store.writer import Writer

CHECKPOINT_SECONDS = 1.0
"""Source: security 3.3."""

TILES_AT_ONCE = 500
RECOVER = "run `kyosei log recover --reason TEXT` for the same --state to go on from what there is"
MISSING = (
    f"{CHECKPOINT} is missing, and without it nobody can say whether the log holds all that it held: "
    "bring back its newest copy before the gateway starts, which signs what there is"
)

_log = structlog.get_logger("kyosei.log")


async def read_log_tree(connection: AsyncConnection, last: Checkpoint | None) -> LogTree:
    """The tree over the whole log, in one snapshot.

    Raises LogChangedError unless it holds all that its last checkpoint covers.
    """
    tree = LogTree()
    size = (await connection.execute(select(log_head.c.size))).scalar_one()
    if last is not None:
        if size < last.size:
            raise LogChangedError(f"it has {size} entries, and its last checkpoint covers {last.size}")
        await tree.grow(connection, to=last.size)
        if (tree.size, tree.root()) != (last.size, last.root):
            raise LogChangedError(f"its first {last.size} entries are not those of its last checkpoint")
    await tree.grow(connection)
    if tree.size < size:
        raise LogChangedError(f"entry {tree.size} is missing")
    return tree


class LogKeeper:
    """Follows one database's log while a gateway runs."""

    def __init__(self, database: Database, writer: Writer, file: CheckpointFile) -> None:
        self._database = database
        self._writer = writer
        self._file = file
        self._tree = LogTree()
        self._covered: int | None = None

    async def check(self) -> None:
        """Refuse a log that was rolled back, before anything can be appended to it. Raises ConfigurationError.

        A state directory may be new while the log is not: a log without a checkpoint is gone on from, and that told.
        """
        last = self._file.read()
        try:
            async with self._database.snapshot() as connection:
                self._tree = await read_log_tree(connection, last)
        except LogChangedError as error:
            raise ConfigurationError(f"log: it was rolled back or changed: {error}; {RECOVER}") from error
        if last is None and self._tree.size:
            _log.error("checkpoint_missing")

    async def keep(self) -> None:
        """Read what was appended since, and let the checkpoint cover it. Raises LogChangedError."""
        async with self._database.snapshot() as connection:
            await self._tree.grow(connection)
        if self._tree.size != self._covered:
            checkpoint = self._file.key.checkpoint(self._tree.size, self._tree.root())
            await asyncio.to_thread(self._file.advance, checkpoint)
            self._covered = checkpoint.size

    async def keep_tiles(self) -> None:
        """Store the tiles that were completed."""
        while some := dict(islice(self._tree.unstored.items(), TILES_AT_ONCE)):
            await self._writer.write(partial(store_tiles, tiles=some))
            self._tree.stored(some)

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """While the context lasts, keep the checkpoint. A log that is rolled back meanwhile stops the writer."""

        stopping = asyncio.Event()  # a cancellation in the midst of reading would not reach this task for sure

        async def keep() -> None:
            while not stopping.is_set():
                try:
                    await self.keep()
                    await self.keep_tiles()
                except LogChangedError as error:
                    _log.critical("log_rolled_back", reason=str(error))
                    self._writer.broken.set()
                    return
                except Exception as error:
                    _log.error("checkpoint_failed", error=type(error).__name__)  # the next one covers it all
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), CHECKPOINT_SECONDS)

        task = asyncio.create_task(keep(), name="checkpoints")
        try:
            yield
        finally:
            stopping.set()
            await task

    async def finish(self) -> None:
        """The last checkpoint, when nothing is written any more."""
        try:
            await self.keep()
        except Exception as error:
            _log.error("checkpoint_failed", error=type(error).__name__)
