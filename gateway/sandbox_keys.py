"""The relying parties' bearer keys in the sandbox."""

import json
import secrets
from collections.abc import Mapping

from gateway.errors import ConfigurationError
from gateway.settings import Settings
from gateway.store.private_file import read_private_file, write_private_file


def read_sandbox_keys(settings: Settings) -> dict[str, str]:
    """The relying parties' bearer keys in the sandbox: random, per state directory, in a file of mode 0600."""
    path = settings.state / "keys" / "sandbox_keys.json"
    keys: dict[str, str] = json.loads(read_private_file(path)) if path.exists() else {}
    missing = [party.id for party in settings.relying_parties if party.id not in keys]
    if missing:
        keys |= {party_id: f"sk_{secrets.token_urlsafe(32)}" for party_id in missing}
        write_private_file(path, json.dumps(keys, indent=1).encode(), mode=0o600)
    return keys


def key_of(party: str, keys: Mapping[str, str]) -> str:
    """One relying party's key. Raises ConfigurationError that says which parties have one."""
    if party in keys:
        return keys[party]
    if not keys:
        raise ConfigurationError("no relying party has a sandbox key: relying_parties.toml names none")
    raise ConfigurationError(f"there is no relying party {party}; there are {', '.join(sorted(keys))}")
