"""So many at once: whoever finds a place free takes it without waiting, and the others get theirs in turn."""

import asyncio
from collections import deque


class Places:
    """A number of places. asyncio's semaphore does the same in several times as many steps where nobody waits."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, *, ends_at: float) -> bool:
        """Take a place as soon as it is this caller's turn; whether that took time.

        Raises TimeoutError if it has not come by then (on the event loop's clock).
        """
        if self._free:
            self._free -= 1
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(ends_at):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give_back()  # its turn had come
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise
        return True

    def give_back(self) -> None:
        """Let go of a place: it is the next one's who waits, and has not gone."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
