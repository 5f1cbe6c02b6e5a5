"""kyosei: run | serve | ask | migrate | schema | sandbox …"""

import asyncio
import json
import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gateway import demonstration
from gateway.app import read_sandbox_keys
from gateway.errors import ConfigurationError
from gateway.settings import load_settings
from gateway.store.database import migrate as migrate_database
from gateway.store.database import sqlite_url

EXIT_CONFIGURATION = 78
"""sysexits.h EX_CONFIG: the gateway may not start like this."""

app = typer.Typer(help="Kyosei Gateway: consented, minimal, recorded answers from four authorities.", no_args_is_help=True)
sandbox = typer.Typer(help="The sandbox: invented people, four authorities on loopback.", no_args_is_help=True)
app.add_typer(sandbox, name="sandbox")

_console = Console()
_errors = Console(stderr=True)
