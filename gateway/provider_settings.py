"""The identity providers of the configuration, with their secrets from where those are kept."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.errors import ConfigurationError
from gateway.identity.provider import IdentityProvider
from gateway.plain_words import what_is_wrong
from gateway.settings_checks import check_secret
from gateway.store.private_file import read_private_file

FILE = "identity_providers.toml"


def read_providers(tables: Mapping[str, Any], *, folder: Path) -> tuple[IdentityProvider, ...]:
    """A provider for each table. Raises ConfigurationError naming the key, never its value."""
    return tuple(_provider(provider_id, table, folder) for provider_id, table in tables.items())


def _provider(provider_id: str, table: object, folder: Path) -> IdentityProvider:
    if not isinstance(table, dict):
        raise ConfigurationError(f"{FILE}: {provider_id}: not a table")
    if "client_secret" in table:
        raise ConfigurationError(
            f"{FILE}: {provider_id}.client_secret: a secret does not belong in the configuration"
        )
    rest = {key: value for key, value in table.items() if key != "client_secret_file"}
    secret = _secret(provider_id, table.get("client_secret_file"), folder)
    try:
        return IdentityProvider.model_validate(rest | {"id": provider_id, "client_secret": secret})
    except ValidationError as error:
        raise ConfigurationError(f"{FILE}: {provider_id}.{what_is_wrong(error)}") from None


def _secret(provider_id: str, file: object, folder: Path) -> str:
    """From the environment, or from a file that nobody else can read; its path starts at the configuration."""
    name = f"KYOSEI_PROVIDER_SECRET_{provider_id.upper().replace('-', '_')}"
    if found := os.environ.get(name):
        check_secret(name, found)
        return found
    if not isinstance(file, str) or not (folder / file).exists():
        raise ConfigurationError(f"{FILE}: {provider_id}.client_secret_file: the file is missing, and so is {name}")
    secret = read_private_file(folder / file).decode("utf-8", "replace").strip()
    if not secret:
        raise ConfigurationError(f"{FILE}: {provider_id}.client_secret_file: it is empty")
    check_secret(f"{FILE}: {provider_id}.client_secret_file", secret)
    return secret
