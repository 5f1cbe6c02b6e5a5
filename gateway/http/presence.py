"""Whether the caller is still there: nobody works for one who has gone."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.types import Receive, Scope

T = TypeVar("T")

PRESENCE = "kyosei.presence"
_GONE, _OVERDUE = "gone", "overdue"


class Presence:
    """Whether a connection stands; it tells those who want to know when it ends.

    `has_left`: waits until all that was sent on it has left. `cut_off`: ends it, with what has not.
    """

    def __init__(self, has_left: Callable[[], Awaitable[None]], cut_off: Callable[[], None]) -> None:
        self.has_left = has_left
        self.cut_off = cut_off
        self.has_ended = False
        self.when_ended: set[Callable[[], object]] = set()

    def end(self) -> None:
        """The connection is lost."""
        self.has_ended = True
        for tell in list(self.when_ended):
            tell()


def presence_of(scope: Scope) -> Presence | None:
    """None: the connection is another server's."""
    presence: Presence | None = scope.get(PRESENCE)
    return presence


async def unless_gone(scope: Scope, receive: Receive, work: Coroutine[Any, Any, T], *, ends_at: float) -> T | None:
    """Do the work; give it up, with None, once the caller has gone. What is being recorded is recorded all the same.
    Raises TimeoutError at its end (on the event loop's clock).

    It is done in this task: what it leads to is at hand at once, while its lease lasts, and not when the event loop
    has been round. Source: reliability R27.
    """
    working = asyncio.current_task()
    if working is None:
        raise LookupError("work is done in a task")
    presence = presence_of(scope)
    if presence is not None and presence.has_ended:
        work.close()
        return None
    given_up: list[str] = []

    def give_up(why: str) -> None:
        if not given_up:
            given_up.append(why)
            working.cancel()

    end_watching = _watch(presence, receive, lambda: give_up(_GONE))
    overdue = asyncio.get_running_loop().call_at(ends_at, give_up, _OVERDUE)
    try:
        return await work
    except asyncio.CancelledError:
        if not given_up or working.uncancel() > 0:
            raise  # by somebody else
        if given_up == [_OVERDUE]:
            raise TimeoutError from None
        return None
    finally:
        overdue.cancel()
        end_watching()


def _watch(presence: Presence | None, receive: Receive, go: Callable[[], None]) -> Callable[[], object]:
    """Call this once the caller has gone; how to stop watching."""
    if presence is None:  # another server's connection
        return asyncio.create_task(_until_gone(receive, go), name="caller").cancel
    presence.when_ended.add(go)
    return lambda: presence.when_ended.discard(go)


async def _until_gone(receive: Receive, go: Callable[[], None]) -> None:
    """The whole body has been read: all that can come is that the caller goes."""
    if (await receive())["type"] == "http.disconnect":
        go()
