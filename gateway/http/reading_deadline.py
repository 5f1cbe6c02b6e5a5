"""A connection whose caller has to read: what is written to it leaves in time, or the connection ends."""

import asyncio

from gateway.http.connection import GatewayConnection

READING_SECONDS = 10.0
"""For so long may what was written wait for its reader; as long as a body may take to arrive."""


class ReadConnection(GatewayConnection):
    """Aborts once its caller has not read for too long: to close would wait for the same reader."""

    reading_seconds = READING_SECONDS
    _unread_deadline: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread_deadline is None:
            self._unread_deadline = self.loop.call_later(self.reading_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._forget_deadline()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def _forget_deadline(self) -> None:
        if self._unread_deadline is not None:
            self._unread_deadline.cancel()
            self._unread_deadline = None
