"""Values that are made many times for one question: as frozen as a frozen data class, at a fraction of its cost."""

from typing import Any

import msgspec


class Value(msgspec.Struct, frozen=True):
    """The base of such a value. What it holds may be a person's: its text tells its kind alone."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(redacted)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []
