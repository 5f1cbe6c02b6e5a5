"""Where a source may be, and that its certificate is checked."""

import asyncio
import ssl
from pathlib import Path

import pytest

from connectors.errors import SourceUnavailableError
from connectors.transport import MAX_CONNECTIONS, WireReply, WireRequest
from tests.connectors.certificates import certificate_for
from tests.connectors.scripted import reply, scripted
from tests.connectors.transports import each_transport, reach

__all__ = ["each_transport"]
pytestmark = pytest.mark.usefixtures("each_transport")

QUESTION = WireRequest("GET", "/x", query=(("shimei", "ｸﾞｴﾝ ﾃｲ"), ("shimei", "a&b=c")))


@pytest.mark.parametrize(
    "base_url",
    [
        "http://tax.example.jp",
        "http://169.254.169.254",
        "http://127.0.0.1.example.jp",
        "http://10.0.0.1:8101",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "https://",
        "https://user:secret@tax.example.jp",
        "https://tax.example.jp?x=1",
        "https://tax.example.jp#x",
        "127.0.0.1:8101",
        "",
    ],
)
def test_a_source_is_reached_over_https_or_on_this_machine(base_url: str) -> None:
    with pytest.raises(ValueError, match="source"):
        reach(base_url)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
async def test_loopback_may_be_plain(base_url: str) -> None:
    await reach(base_url).close()


async def test_a_reply_is_passed_on_as_it_came() -> None:
    async with scripted(reply(b"\x82\xa0", "text/csv; charset=cp932", "Retry-After: 5", status=418)) as server:
        transport = reach(server.base_url)
        found = await transport.exchange(QUESTION, deadline_seconds=5, max_bytes=2)
        await transport.close()
    assert found == WireReply(418, "text/csv; charset=cp932", "5", b"\x82\xa0")
    assert server.requests[0].startswith(b"GET /x?shimei=%EF%BD%B8%EF%BE%9E%EF%BD%B4%EF%BE%9D")
    assert b"a%26b%3Dc" in server.requests[0]


async def test_one_byte_more_than_the_limit_is_too_large() -> None:
    async with scripted(reply(b"123", "text/plain")) as server:
        transport = reach(server.base_url)
        with pytest.raises(SourceUnavailableError) as caught:
            await transport.exchange(QUESTION, deadline_seconds=5, max_bytes=2)
        await transport.close()
    assert caught.value.fault == "UPSTREAM_TOO_LARGE"


async def test_an_error_does_not_carry_the_request() -> None:
    async with scripted() as server:
        pass
    transport = reach(server.base_url)
    with pytest.raises(SourceUnavailableError) as caught:
        await transport.exchange(QUESTION, deadline_seconds=5, max_bytes=2)
    await transport.close()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "redacted" in repr(QUESTION)


async def test_a_connection_is_kept_for_the_next_question() -> None:
    async with scripted(reply(b"1", "text/plain")) as server:
        transport = reach(server.base_url)
        for _ in range(5):
            await transport.exchange(QUESTION, deadline_seconds=5, max_bytes=2)
        await transport.close()
        assert server.connections == 1


async def test_many_askers_share_a_bounded_number_of_connections() -> None:
    async with scripted(reply(b"1", "text/plain")) as server:
        transport = reach(server.base_url)
        asking = [transport.exchange(QUESTION, deadline_seconds=5, max_bytes=2) for _ in range(200)]
        replies = await asyncio.gather(*asking)
        await transport.close()
    assert all(found.body == b"1" for found in replies)
    assert server.connections <= MAX_CONNECTIONS


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(reply(b"1", "text/plain")) as server, scripted(reply(b"2", "text/plain")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.base_url)
        transport = reach(server.base_url)
        found = await transport.exchange(QUESTION, deadline_seconds=5, max_bytes=2)
        await transport.close()
    assert found.body == b"1"
    assert proxy.connections == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for `localhost`, and its key."""
    return certificate_for(tmp_path_factory.mktemp("tls"), "localhost")


async def _tls_fault(certificate: tuple[Path, Path], host: str, ca_file: Path | None) -> str | None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    transport = reach(f"https://{host}:{server.sockets[0].getsockname()[1]}", ca_file=ca_file)
    try:
        await transport.exchange(QUESTION, deadline_seconds=5, max_bytes=2)
        return None
    except SourceUnavailableError as error:
        return error.fault
    finally:
        await transport.close()
        server.close()


async def test_only_a_trusted_certificate_for_the_right_host_is_accepted(certificate: tuple[Path, Path]) -> None:
    assert await _tls_fault(certificate, "localhost", certificate[0]) is None
    assert await _tls_fault(certificate, "localhost", None) == "UPSTREAM_UNAVAILABLE"
    assert await _tls_fault(certificate, "127.0.0.1", certificate[0]) == "UPSTREAM_UNAVAILABLE"
