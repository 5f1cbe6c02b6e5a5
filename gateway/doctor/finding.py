"""What a check finds: a line, with what to do. No line holds a secret, a setting's value, or anything of a person."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import ConfigurationError

Check = Callable[[], Awaitable[str]]
"""Says what is well. Raises AttentionError or ConfigurationError for what is not."""


class AttentionError(Exception):
    """Something to look after before it becomes an error; the message says what to do."""


class Level(StrEnum):
    """How bad it is. An error keeps the gateway from starting, or from keeping its promises."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    check: str
    level: Level
    says: str


async def checked(name: str, check: Check) -> Finding:
    """What a check finds; one that cannot be made is an error too."""
    try:
        return Finding(name, Level.OK, await check())
    except AttentionError as warning:
        return Finding(name, Level.WARNING, str(warning))
    except ConfigurationError as error:
        return Finding(name, Level.ERROR, error.detail)
    except Exception as error:
        return Finding(name, Level.ERROR, f"it could not be checked ({type(error).__name__})")
