"""A public name that means an address of our own network is not connected to (DNS rebinding)."""

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from connectors.addresses import FRESH_SECONDS, Addresses, is_public_address
from connectors.errors import SourceUnavailableError
from connectors.transport import Transport, WireReply, WireRequest
from tests.connectors.certificates import certificate_for
from tests.connectors.scripted import reply, scripted
from tests.connectors.transports import each_transport, reach

__all__ = ["each_transport"]
pytestmark = pytest.mark.usefixtures("each_transport")

QUESTION = WireRequest("GET", "/x")
NAME = "tax.example.jp"
PRIVATE = (
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%1",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:100.64.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
)


class Names:
    """A name server that answers in turn, the last answer again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, int]] = []

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


async def fault_of(transport: Transport) -> str:
    with pytest.raises(SourceUnavailableError) as caught:
        await transport.exchange(QUESTION, deadline_seconds=5, max_bytes=100)
    await transport.close()
    return caught.value.fault


@pytest.mark.parametrize("address", PRIVATE)
def test_what_only_means_something_inside_a_network_is_not_public(address: str) -> None:
    assert not is_public_address(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "203.0.114.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_what_means_the_same_everywhere_is_public(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_public_name_with_a_private_address_is_refused_before_a_socket_is_opened(address: str) -> None:
    async with scripted(reply(b"1", "text/plain")) as server:
        port = int(server.base_url.rpartition(":")[2])
        transport = reach(f"https://{NAME}:{port}", resolve=Names([address]).resolve)
        assert await fault_of(transport) == "UPSTREAM_PRIVATE_ADDRESS"
        assert server.connections == 0


async def test_one_private_address_among_public_ones_is_one_too_many() -> None:
    transport = reach(f"https://{NAME}", resolve=Names(["1.1.1.1", "127.0.0.1"]).resolve)
    assert await fault_of(transport) == "UPSTREAM_PRIVATE_ADDRESS"


async def test_a_name_without_an_address_is_unavailable() -> None:
    assert await fault_of(reach(f"https://{NAME}", resolve=Names([]).resolve)) == "UPSTREAM_UNAVAILABLE"


async def test_a_name_server_that_does_not_answer_is_given_up_at_the_deadline() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return ()

    transport = reach(f"https://{NAME}", resolve=never)
    found = await asyncio.gather(
        *(transport.exchange(QUESTION, deadline_seconds=0.05, max_bytes=100) for _ in range(20)),
        return_exceptions=True,
    )
    assert {error.fault for error in found if isinstance(error, SourceUnavailableError)} == {"UPSTREAM_TIMEOUT"}
    await transport.close()


async def test_the_connection_goes_to_the_address_that_was_looked_at_and_tls_verifies_the_name(
    tmp_path: Path,
) -> None:
    """The second answer of the name server is never asked for: nothing is resolved between look and socket."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async def ask(certificate_name: str) -> WireReply:
        certificate, key = certificate_for(tmp_path, certificate_name)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        names = Names(["127.0.0.2", "127.0.0.1"], ["127.0.0.3"])  # nobody listens at the first: the next is tried
        transport = reach(f"https://{NAME}:{port}", ca_file=certificate, allow_private=True, resolve=names.resolve)
        try:
            return await transport.exchange(QUESTION, deadline_seconds=5, max_bytes=2)
        finally:
            await transport.close()
            server.close()
            assert names.asked == [(NAME, port)]

    assert (await ask(NAME)).body == b"ok"
    assert b"\r\nHost: tax.example.jp:" in heads[0]
    with pytest.raises(SourceUnavailableError) as caught:
        await ask("other.example.jp")
    assert caught.value.fault == "UPSTREAM_UNAVAILABLE"
    assert len(heads) == 1


async def test_many_callers_look_a_name_up_once_and_a_while_later_again() -> None:
    clock = [0.0]
    names = Names(["1.1.1.1"], ["127.0.0.1"])
    addresses = Addresses(NAME, 443, may_be_private=False, resolve=names.resolve, clock=lambda: clock[0])
    assert await asyncio.gather(*(addresses.find() for _ in range(50))) == [["1.1.1.1"]] * 50
    assert len(names.asked) == 1
    clock[0] += FRESH_SECONDS
    with pytest.raises(SourceUnavailableError):
        await addresses.find()
