"""From a source's name to the addresses that may be connected to.

A public name that suddenly means an address of our own network is somebody's way in (DNS rebinding): the connection
is made to exactly the addresses that were looked at. Source: security T13.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address

from connectors.errors import SourceUnavailableError

UPSTREAM_PRIVATE_ADDRESS = "UPSTREAM_PRIVATE_ADDRESS"

FRESH_SECONDS = 10.0
"""For so long a name is not looked up again."""

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""Reaches an IPv4 address through a translator. Source: RFC 6052 section 2.1."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host name, best first. Raises OSError."""


async def resolve_name(host: str, port: int) -> Sequence[str]:
    """`Resolve` by the system."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public_address(address: str) -> bool:
    """True for an address that means the same everywhere. ValueError if it is none."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        embedded = parsed.packed[-4:] if parsed in _TRANSLATED else None
        parsed = parsed.ipv4_mapped or parsed.sixtofour or (ip_address(embedded) if embedded else parsed)
    return parsed.is_global and not parsed.is_multicast


class Addresses:
    """The addresses of one source's name. `may_be_private`: whatever they are.

    One look-up at a time, so that a slow name server holds no more than one of the threads that all sources share.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        may_be_private: bool,
        resolve: Resolve = resolve_name,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._port = port
        self._may_be_private = may_be_private
        self._resolve = resolve
        self._clock = clock
        self._turn = asyncio.Lock()
        self._found: Sequence[str] = ()
        self._fresh_until = float("-inf")

    async def find(self) -> Sequence[str]:
        """At least one address. Raises OSError; SourceUnavailableError where one of them must not be reached."""
        async with self._turn:
            if self._clock() >= self._fresh_until:
                self._found = await self._resolve(self._host, self._port)
                self._fresh_until = self._clock() + FRESH_SECONDS
        if not self._found:
            raise OSError("the name has no address")
        if not self._may_be_private and not all(is_public_address(address) for address in self._found):
            raise SourceUnavailableError("the source's name means a private address", fault=UPSTREAM_PRIVATE_ADDRESS)
        return self._found
