"""From where a caller comes: the connection's other end, or what proxies that we know say of it."""

from ipaddress import IPv6Address, ip_address, ip_network

from starlette.types import Scope

_PREFIX_V6 = 64
"""Whoever has one address of such a network has all of them. Source: RFC 6177."""


def caller_address(scope: Scope, *, trusted_hops: int) -> str:
    """The caller's address, of IPv6 its network. `trusted_hops`: so many proxies stand in front of us, and each
    adds one entry at the end of X-Forwarded-For; what stands further left anybody may have written."""
    own = (scope.get("client") or ("",))[0]
    if trusted_hops:
        named = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        entries = [entry for value in named for entry in value.decode("latin-1").split(",")]
        own = entries[-trusted_hops].strip() if len(entries) >= trusted_hops else own
    try:
        address = ip_address(own)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(ip_network((address, _PREFIX_V6), strict=False))
        return str(address.ipv4_mapped)
    return str(address)
