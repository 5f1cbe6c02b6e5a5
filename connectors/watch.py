"""Who is told how the authorities do: every exchange, every repetition, every move of a breaker."""

from typing import Protocol

from connectors.breaker import BreakerState
from connectors.interface import SourceAuthority


class Watch(Protocol):
    """Told at once and in the event loop, so it must not wait. It learns of no person and of no request.

    `exchanged`: one exchange with the source ended. `fault`: its name if it was a failure of the source; a lawful
    refusal (4xx) is none. What was never sent (closed, no place, circuit open) and what was cancelled is not told.
    """

    def exchanged(self, authority: SourceAuthority, *, fault: str | None, seconds: float) -> None: ...

    def retried(self, authority: SourceAuthority) -> None: ...

    def breaker_moved(self, authority: SourceAuthority, state: BreakerState) -> None: ...
