"""What forbids to start although every setting has the right shape. Each error names the key, never its value."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from connectors.profile import AuthoritySettings
from connectors.transport import is_loopback
from gateway.consent.purpose import PurposeBounds
from gateway.errors import ConfigurationError
from gateway.identity.registration import check_registration
from gateway.identity.relying_party import RelyingParty
from resolvers.catalogue import ATTRIBUTES

_PLACEHOLDERS = frozenset(
    {
        *("admin", "changeit", "changeme", "changethis", "default", "demo", "dummy", "example", "fixme", "foobar"),
        *("examplesecret", "insertsecret", "letmein", "mysecret", "none", "null", "pass", "passphrase", "password"),
        *("passw0rd", "placeholder", "postgres", "qwerty", "redacted", "replaceme", "root", "secret", "secretkey"),
        *("supersecret", "test", "testsecret", "todo", "topsecret", "undefined", "unset", "yourclientsecret"),
        *("yourpassword", "yoursecret", "yoursecrethere"),
    }
)
_NOT_FILLED_IN = re.compile(r"[<\[{$%].*[>\]}%]")


_PREFIX, _SECRETS = "KYOSEI_", "KYOSEI_PROVIDER_SECRET_"


def check_environment(names: Iterable[str], tables: Iterable[str]) -> None:
    """A variable that was mistyped does not leave the gateway with another setting than was meant.

    Raises ConfigurationError with a line for each that looks like a setting and is of no table, or has one underscore
    where two belong. Others, such as KYOSEI_CONFIG, are left alone.
    """
    known = [table.upper() for table in tables]
    wrong = []
    for name in sorted(names):
        variable = name.upper()
        if not variable.startswith(_PREFIX) or variable.startswith(_SECRETS):
            continue
        table, underscores, _ = variable.removeprefix(_PREFIX).partition("__")
        if table in known:
            continue
        meant = next((one for one in known if table.startswith(f"{one}_")), None)
        if meant:
            wrong.append(f"{name}: unknown; two underscores belong after {_PREFIX}{meant}")
        elif underscores:
            wrong.append(f"{name}: unknown; there is no such table of settings")
    if wrong:
        raise ConfigurationError("\n".join(wrong))


def check_secret(key: str, value: str) -> None:
    """Refuse what stands in examples instead of a secret. Raises ConfigurationError that names `key`."""
    text = value.strip().lower()
    plain = re.sub(r"[^a-z0-9]", "", text)
    is_known = plain in _PLACEHOLDERS or plain.rstrip("0123456789") in _PLACEHOLDERS | {""}
    if is_known or len(set(plain)) < 3 or _NOT_FILLED_IN.fullmatch(text):
        raise ConfigurationError(f"{key}: a placeholder stands where a secret belongs")


def check_url_secret(key: str, url: str) -> None:
    """The password in a URL, if one is there, is no placeholder."""
    try:
        password = urlsplit(url).password
    except ValueError:
        raise ConfigurationError(f"{key}: it cannot be read") from None
    if password is not None:
        check_secret(key, password)


def check_debug(*, debug: bool, host: str) -> None:
    """Debugging shows more than strangers may see, so it is for this machine alone."""
    if debug and not is_loopback(host):
        raise ConfigurationError("server.debug: it is on, and server.host is not a loopback address")


def check_disclosed(bounds: Iterable[PurposeBounds], not_disclosed: Iterable[str]) -> None:
    """Somebody decided about every attribute: a purpose may ask it, or it is in `not_disclosed`, and never both."""
    asked = frozenset[str]().union(*(one.attributes | one.optional_attributes for one in bounds))
    kept_back = frozenset(not_disclosed)
    for coordinate in sorted(kept_back):
        if coordinate not in ATTRIBUTES or ATTRIBUTES[coordinate].person_only:
            raise ConfigurationError("purposes.toml: not_disclosed: there is no such attribute to disclose")
        if coordinate in asked:
            raise ConfigurationError(f"purposes.toml: not_disclosed: a purpose asks {coordinate}")
    for coordinate, attribute in ATTRIBUTES.items():
        if not attribute.person_only and coordinate not in asked | kept_back:
            raise ConfigurationError(f"purposes.toml: {coordinate} stands in no purpose and not in not_disclosed")


def check_parties(parties: Iterable[RelyingParty]) -> None:
    """Each could be registered beside the others."""
    every = list(parties)
    for party in every:
        try:
            check_registration(party, others=every)
        except ConfigurationError as error:
            raise ConfigurationError(f"relying_parties.toml: {party.id}.{error.detail}") from None


def check_no_sandbox(
    *, public_url: str, authorities: Mapping[str, AuthoritySettings], parties: Iterable[RelyingParty]
) -> None:
    """Outside the sandbox nothing of it is left. Raises ConfigurationError with a line for each setting."""
    wrong = [] if public_url else ["server.public_url: it is missing, and this is no sandbox"]
    wrong += [
        f"authorities.{name}.sandbox: it is true, and this is no sandbox"
        for name, table in authorities.items()
        if table.sandbox
    ]
    wrong += [
        f"relying_parties.toml: {party.id}: it would have a sandbox key; take it out, and register by command"
        for party in parties
        if party.oauth is None
    ]
    if wrong:
        raise ConfigurationError("\n".join(wrong))
