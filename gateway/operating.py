"""What the commands of an operator share: the state directory, and having an action done where it can be done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.app import open_operator
from gateway.errors import ConfigurationError
from gateway.keeping import EARLIER, is_current, open_existing
from gateway.operator import LOOKS, Answered, ask_running
from gateway.settings import Settings
from gateway.store.database import is_sqlite

READS = LOOKS | {"backup"}
"""They read or copy what there is, and leave it as it is."""

DEFAULT_STATE = Path(".kyosei")

State = Annotated[Path, typer.Option("--state", metavar="DIR", help="The state directory: database and keys.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON alone.")]


async def operate(settings: Settings, action: str, arguments: Mapping[str, Any]) -> Answered:
    """Have an action done: by the running gateway, or here where none runs. Raises ConfigurationError.

    Where nothing is kept yet, nothing is done.
    """
    if is_sqlite(settings.database_url) and settings.state.is_dir():
        answered = await ask_running(settings.state, action, arguments)
        if answered is not None:
            return answered
    await _check_is_filled(settings, may_migrate=action not in READS)
    async with open_operator(settings) as operator:
        return await operator.act(action, arguments)


async def _check_is_filled(settings: Settings, *, may_migrate: bool) -> None:
    """Neither does an empty database become a new gateway, nor does looking change one. Raises ConfigurationError."""
    database = open_existing(settings)
    try:
        if not await is_current(database) and not may_migrate:
            raise ConfigurationError(EARLIER)
    finally:
        await database.close()
