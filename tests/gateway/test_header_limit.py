"""No header is built that is larger than a header may be; everything else passes as it did."""

import asyncio
import json
import socket
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from starlette.types import Receive, Scope, Send

from gateway.http.connection import MAX_HEADER_BYTES
from gateway.http.server import listening_socket, served

CANARY = b"KYOSEI-CANARY-9f8e"
MEBI = 1024 * 1024
CPU_SECONDS = 0.005


@dataclass(slots=True)
class Reached:
    """An app that notes what reached it and answers with the length of the body it was sent."""

    headers: list[dict[bytes, bytes]] = field(default_factory=list)
    pause_seconds: float = 0.0
    port: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers.append(dict(scope["headers"]))
        received, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            received += len(message.get("body", b""))
            more = message.get("more_body", False)
        await asyncio.sleep(self.pause_seconds)
        body = f"{scope['path']} {received};".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest_asyncio.fixture(loop_scope="session")
async def app() -> AsyncIterator[Reached]:
    made = Reached()
    listener = listening_socket("127.0.0.1", 0)
    made.port = listener.getsockname()[1]
    async with served(made, listener):
        yield made


def request(path: str = "/", *, head_bytes: int = 0, body: bytes = b"", end: bytes = b"") -> bytes:
    """A POST whose head is as long as this, blank line included, by its Authorization header."""
    start = b"POST %s HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n" % (path.encode(), len(body)) + end
    start += b"authorization: Bearer " + CANARY
    return start + b"x" * (head_bytes - len(start) - 4) + b"\r\n\r\n" + body


def in_pieces(whole: bytes, size: int) -> Iterator[bytes]:
    return (whole[at : at + size] for at in range(0, len(whole), size))


CLOSING = b"connection: close\r\n"


def exchange(port: int, pieces: Iterator[bytes]) -> bytes:
    """Send the pieces; everything that came back until the connection ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        while piece := connection.recv(64 * 1024):
            received += piece
        return received


async def answer(app: Reached, whole: bytes, *, piece_bytes: int = 10 * MEBI) -> bytes:
    return await asyncio.to_thread(exchange, app.port, in_pieces(whole, piece_bytes))


def assert_refused(received: bytes) -> None:
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert status.startswith("http/1.1 431 ")
    assert headers["connection"] == "close"
    assert headers["content-type"].partition(";")[0] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert int(headers["content-length"]) == len(body), "one answer and nothing behind it"
    error = json.loads(body)["errors"][0]
    assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("HEADERS_TOO_LARGE", False)
    assert uuid.UUID(error["extensions"]["requestId"])
    assert CANARY not in received


@pytest.mark.parametrize("piece_bytes", [10 * MEBI, 64 * 1024, 1_000])
@pytest.mark.parametrize("head_bytes", [MAX_HEADER_BYTES + 1, 40 * 1024, 5 * MEBI])
async def test_a_head_over_the_limit_is_refused(app: Reached, head_bytes: int, piece_bytes: int) -> None:
    assert_refused(await answer(app, request(head_bytes=head_bytes), piece_bytes=piece_bytes))
    assert not app.headers, "the app never saw it"


async def test_many_small_headers_over_the_limit_are_refused(app: Reached) -> None:
    many = b"".join(b"x-%d: y\r\n" % number for number in range(5_000))
    assert_refused(await answer(app, request(end=many)))
    assert not app.headers


async def test_a_path_over_the_limit_is_refused(app: Reached) -> None:
    assert_refused(await answer(app, request("/" + "p" * 40 * 1024)))


@pytest.mark.parametrize("piece_bytes", [10 * MEBI, 1_000, 7])
@pytest.mark.parametrize("head_bytes", [30 * 1024, MAX_HEADER_BYTES])
async def test_a_head_within_the_limit_reaches_the_app_whole(app: Reached, head_bytes: int, piece_bytes: int) -> None:
    sent = request(head_bytes=head_bytes, body=b"b" * 64 * 1024, end=CLOSING)
    assert (await answer(app, sent, piece_bytes=piece_bytes)).endswith(b"\r\n\r\n/ 65536;")
    assert app.headers[0][b"authorization"].startswith(b"Bearer " + CANARY)
    assert sent.index(b"\r\n\r\n") + 4 == head_bytes


@pytest.mark.parametrize("piece_bytes", [10 * MEBI, 3_000, 7])
async def test_requests_behind_each_other_are_answered_in_order(app: Reached, piece_bytes: int) -> None:
    one = [request(f"/{number}", head_bytes=20 * 1024, body=b"b" * number) for number in range(5)]
    received = await answer(app, b"".join(one) + request("/last", end=CLOSING), piece_bytes=piece_bytes)
    told = [part.rpartition(b"\r\n")[2] for part in received.split(b";")[:-1]]
    assert told == [b"/0 0", b"/1 1", b"/2 2", b"/3 3", b"/4 4", b"/last 0"]


async def test_a_large_body_is_the_apps_to_judge(app: Reached) -> None:
    assert (await answer(app, request(body=b"b" * MEBI, end=CLOSING))).endswith(b"/ 1048576;")


async def test_a_head_over_the_limit_behind_an_answered_request_is_refused(app: Reached) -> None:
    def ask() -> tuple[bytes, bytes]:
        with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
            connection.sendall(request("/first"))
            first = b""
            while not first.endswith(b";"):
                first += connection.recv(64 * 1024)
            connection.sendall(request(head_bytes=40 * 1024))
            return first, b"".join(iter(lambda: connection.recv(64 * 1024), b""))

    first, second = await asyncio.to_thread(ask)
    assert first.endswith(b"/first 0;")
    assert_refused(second)


async def test_a_head_over_the_limit_does_not_take_the_answer_of_the_request_before_it(app: Reached) -> None:
    app.pause_seconds = 0.1
    received = await answer(app, request("/first") + request(head_bytes=5 * MEBI))
    assert received.endswith(b"/first 0;"), "that answer, and then the connection ends"
    assert len(app.headers) == 1


async def test_trailers_over_the_limit_are_refused(app: Reached) -> None:
    start = b"POST / HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nx-trailer: "
    assert_refused(await answer(app, start + b"x" * 5 * MEBI, piece_bytes=64 * 1024))


@pytest.mark.parametrize("piece_bytes", [10 * MEBI, 64 * 1024])
async def test_a_header_of_five_megabytes_costs_no_time(app: Reached, piece_bytes: int) -> None:
    """The server runs in this thread and the caller in another: the least of some attempts is the server's."""
    spent, whole = [], request(head_bytes=5 * MEBI)
    for _ in range(5):
        before = time.thread_time()
        assert_refused(await answer(app, whole, piece_bytes=piece_bytes))
        spent.append(time.thread_time() - before)
    assert min(spent) < CPU_SECONDS
