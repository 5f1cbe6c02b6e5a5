"""What the commands of an operator share: the state directory, and having an action done where it can be done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.app import open_operator
from gateway.opening import check_is_there
from gateway.operator import Answered, ask_running
from gateway.settings import Settings
from gateway.store.database import is_sqlite

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
    check_is_there(settings)
    async with open_operator(settings) as operator:
        return await operator.act(action, arguments)
