"""One connection: a head that names one host, in time, or nothing of it reaches the gateway."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import pytest_asyncio
from starlette.types import Message, Receive, Scope, Send

from gateway.http.connection import (
    BODY_SECONDS,
    HEADER_SECONDS,
    KEEP_ALIVE_SECONDS,
    LINGER_SECONDS,
    Door,
    Draining,
    GatewayConnection,
)
from gateway.http.head import whole_request
from gateway.http.presence import presence_of
from gateway.http.response import sent_before
from gateway.http.server import listening_socket, served

QUICK_SECONDS = 0.4
"""Instead of the deadlines of a real connection."""
LENIENT_SECONDS = 5.0


@dataclass(slots=True)
class Told:
    """An app that notes what reached it."""

    paths: list[str] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    pause_seconds: float = 0.0
    port: int = 0
    draining: Draining = field(default_factory=Draining)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.set()
                return
            more = message.get("more_body", False)
        await asyncio.sleep(self.pause_seconds)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def told(*, drain_seconds: float = 0.0) -> AsyncIterator[Told]:
    made, listener = Told(), listening_socket("127.0.0.1", 0)
    made.port = listener.getsockname()[1]
    async with served(made, listener, draining=made.draining, drain_seconds=drain_seconds):
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def app() -> AsyncIterator[Told]:
    async with told() as made:
        yield made


@pytest.fixture
def quickly() -> Iterator[None]:
    """Deadlines that a test can wait for."""
    GatewayConnection.header_seconds = GatewayConnection.body_seconds = QUICK_SECONDS
    GatewayConnection.keep_alive_seconds = QUICK_SECONDS
    yield
    GatewayConnection.header_seconds, GatewayConnection.body_seconds = HEADER_SECONDS, BODY_SECONDS
    GatewayConnection.keep_alive_seconds = KEEP_ALIVE_SECONDS


def exchange(port: int, whole: bytes) -> bytes:
    """Send it; everything that came back until the connection ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(whole)
        return b"".join(iter(lambda: connection.recv(64 * 1024), b""))


def trickled(port: int, start: bytes, *, pieces: Callable[[], bytes], every_seconds: float) -> tuple[bytes, float]:
    """Send a start and then piece after piece; what came back, and after how many seconds the connection ended."""
    began_at = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(every_seconds)
        connection.sendall(start)
        received = b""
        while time.monotonic() - began_at < 10:
            try:
                piece = connection.recv(64 * 1024)
            except TimeoutError:
                try:
                    connection.sendall(pieces())
                except OSError:
                    break
                continue
            except OSError:
                break
            if not piece:
                break
            received += piece
        return received, time.monotonic() - began_at


def assert_refused(received: bytes, status: int, code: str) -> None:
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith(f"http/1.1 {status} ")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert headers["connection"] == "close"
    assert headers["content-type"].partition(";")[0] == "application/json"
    assert "server" not in headers
    error = json.loads(body)["errors"][0]
    assert error["extensions"]["code"] == code
    assert int(headers["content-length"]) == len(body), "one answer and nothing behind it"


GOOD = "GET / HTTP/1.1\r\nHost: gateway.example\r\n\r\n"
POST = "POST / HTTP/1.1\r\nHost: a\r\n"
NO_REQUEST = {
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "two hosts": "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "the same host twice": "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "an empty host": "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "a host that climbs": "GET / HTTP/1.1\r\nHost: good/../admin?\r\n\r\n",
    "a host with a user": "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "a host with a fragment": "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n",
    "two hosts in one": "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "a port that is none": "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "another host in the target": "GET http://other.example/ HTTP/1.1\r\nHost: gateway.example\r\n\r\n",
    "a user in the target": "GET http://gateway.example@other/ HTTP/1.1\r\nHost: gateway.example\r\n\r\n",
    "no path": "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
    "an asterisk": "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tunnel": "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "a length and chunks": f"{POST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": f"{POST}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length below nothing": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "chunks before another coding": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a folded header": "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
    "a space before the colon": "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "a NUL in a header": "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    "a bare line feed": "GET / HTTP/1.1\nHost: a\n\n",
    "no HTTP": "\x16\x03\x01\x02\x00\x01\x00",
    "another version": "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", NO_REQUEST)
async def test_what_is_no_request_is_refused_and_the_connection_ends(app: Told, name: str) -> None:
    received = await asyncio.to_thread(exchange, app.port, NO_REQUEST[name].encode("latin-1"))
    assert_refused(received, 400, "BAD_REQUEST")
    assert not app.paths, "nothing of it reached the app"


GOOD_HEADS = {
    "a name": "GET / HTTP/1.1\r\nHost: gateway.example\r\nConnection: close\r\n\r\n",
    "a port": "GET / HTTP/1.1\r\nHost: gateway.example:8443\r\nConnection: close\r\n\r\n",
    "an address": "GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nConnection: close\r\n\r\n",
    "an address of IPv6": "GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n",
    "the whole target": "GET http://Gateway.example/ HTTP/1.1\r\nHost: gateway.example\r\nConnection: close\r\n\r\n",
    "the older version": "GET / HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("name", GOOD_HEADS)
async def test_a_head_that_names_one_host_is_served(app: Told, name: str) -> None:
    assert (await asyncio.to_thread(exchange, app.port, GOOD_HEADS[name].encode())).endswith(b"\r\n\r\nok")
    assert app.paths == ["/"]


async def test_what_follows_a_refused_request_is_not_looked_at(app: Told) -> None:
    whole = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + GOOD.encode() * 3
    assert_refused(await asyncio.to_thread(exchange, app.port, whole), 400, "BAD_REQUEST")
    assert not app.paths


async def test_what_was_asked_before_a_refused_request_is_answered(app: Told) -> None:
    app.pause_seconds = 0.1
    received = await asyncio.to_thread(exchange, app.port, GOOD.encode() * 2 + b"GET / HTTP/1.1\r\n\r\n")
    assert received.count(b"HTTP/1.1 200 ") == 2
    assert app.paths == ["/", "/"]


@pytest.mark.usefixtures("quickly")
async def test_a_head_that_trickles_in_is_ended_in_time_while_others_are_served() -> None:
    async with told() as app:
        slow = asyncio.to_thread(
            trickled, app.port, b"GET / HTTP/1.1\r\nHost: a\r\nX: ", pieces=lambda: b"x", every_seconds=0.05
        )
        waiting = asyncio.create_task(slow)
        last = GOOD.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode()
        assert (await asyncio.to_thread(exchange, app.port, last)).endswith(b"ok")
        received, seconds = await waiting
    assert_refused(received, 408, "REQUEST_TIMEOUT")
    assert QUICK_SECONDS * 0.8 < seconds < LENIENT_SECONDS
    assert app.paths == ["/"]


async def test_who_sends_a_head_too_slowly_has_its_refusal_within_five_seconds(app: Told) -> None:
    received, seconds = await asyncio.to_thread(
        trickled, app.port, b"GET / HTTP/1.1\r\nHost: a\r\nX: ", pieces=lambda: b"x", every_seconds=0.05
    )
    assert_refused(received, 408, "REQUEST_TIMEOUT")
    assert 4.0 < seconds <= 5.0


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("start", [b"", b"\r\n"])
async def test_a_connection_on_which_nothing_is_asked_is_ended_in_time(start: bytes) -> None:
    async with told() as app:
        _, seconds = await asyncio.to_thread(
            trickled, app.port, start, pieces=lambda: b"\r\n" if start else b"", every_seconds=0.1
        )
    assert seconds < LENIENT_SECONDS
    assert not app.paths


@pytest.mark.usefixtures("quickly")
async def test_a_body_that_trickles_in_is_ended_in_time_and_the_app_learns_it() -> None:
    async with told() as app:
        start = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
        received, seconds = await asyncio.to_thread(
            trickled, app.port, start, pieces=lambda: b"b", every_seconds=0.05
        )
        assert_refused(received, 408, "REQUEST_TIMEOUT")
        assert QUICK_SECONDS * 0.8 < seconds < LENIENT_SECONDS
        async with asyncio.timeout(LENIENT_SECONDS):
            await app.gone.wait()


@pytest.mark.usefixtures("quickly")
async def test_a_head_that_trickles_in_behind_an_answered_request_is_ended_in_time() -> None:
    async with told() as app:
        received, seconds = await asyncio.to_thread(
            trickled, app.port, GOOD.encode() + b"GET", pieces=lambda: b" ", every_seconds=0.05
        )
    assert received.count(b"HTTP/1.1 ") == 2
    assert b"\r\n\r\nokHTTP/1.1 408 " in received
    assert seconds < LENIENT_SECONDS


async def answers_unread(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.usefixtures("quickly")
async def test_a_connection_whose_last_body_came_after_its_answer_is_ended_in_time() -> None:
    listener = listening_socket("127.0.0.1", 0)
    async with served(answers_unread, listener):
        with connected(listener.getsockname()[1]) as connection:
            connection.sendall(QUESTION[:-4])
            assert (await asyncio.to_thread(connection.recv, 64 * 1024)).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(0.1)
            connection.sendall(QUESTION[-4:])
            began_at = time.monotonic()
            await asyncio.to_thread(answer, connection)
    assert time.monotonic() - began_at < LENIENT_SECONDS


async def test_what_is_refused_behind_a_request_that_is_at_work_waits_for_its_answer(app: Told) -> None:
    app.pause_seconds = 0.2
    whole = GOOD.encode() + f"{POST}Transfer-Encoding: chunked\r\n\r\nno chunk\r\n".encode()
    received = await asyncio.to_thread(exchange, app.port, whole)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert app.paths == ["/"]


@pytest.mark.usefixtures("quickly")
async def test_an_answer_may_take_longer_than_a_request(app: Told) -> None:
    app.pause_seconds = QUICK_SECONDS * 2
    last = GOOD.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode()
    assert (await asyncio.to_thread(exchange, app.port, last)).endswith(b"ok")


async def test_while_it_drains_each_connection_ends_with_its_answer(app: Told) -> None:
    app.draining.has_begun = True
    received = await asyncio.to_thread(exchange, app.port, GOOD.encode())
    assert received.endswith(b"ok")
    assert b"connection: close" in received.lower()


NO_ROOM = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno"
QUESTION = b"POST /full HTTP/1.1\r\nHost: gateway.example\r\nContent-Length: 4\r\n\r\nbody"


class OnlyElsewhere(Door):
    """There is room for everything but `/full`."""

    def __init__(self) -> None:
        self.turned_away: list[bytes] = []

    @property
    def is_shut(self) -> bool:
        return True

    def turns_away(self, target: bytes, credentials: bytes) -> bytes | None:
        if target != b"/full":
            return None
        self.turned_away.append(credentials)
        return NO_ROOM


async def test_who_is_turned_away_at_the_door_may_ask_again_on_the_same_connection() -> None:
    made, listener = Told(), listening_socket("127.0.0.1", 0)
    last = QUESTION.replace(b"/full", b"/room").replace(b"Host", b"Connection: close\r\nHost")
    async with served(made, listener, door=OnlyElsewhere()):
        port = listener.getsockname()[1]
        received = await asyncio.to_thread(exchange, port, QUESTION + QUESTION + last)
    assert received.startswith(NO_ROOM * 2 + b"HTTP/1.1 200 ")
    assert made.paths == ["/room"], "of the others nothing was made"


async def test_who_asks_again_and_again_while_the_door_is_shut_is_refused_again_and_again() -> None:
    made, listener, door = Told(), listening_socket("127.0.0.1", 0), OnlyElsewhere()

    def ask_again_and_again(port: int) -> list[bytes]:
        with connected(port) as connection:
            answers = []
            for _ in range(3):
                connection.sendall(QUESTION)
                answers.append(connection.recv(1024))
            return answers

    async with served(made, listener, door=door):
        assert await asyncio.to_thread(ask_again_and_again, listener.getsockname()[1]) == [NO_ROOM] * 3
    assert door.turned_away == [b""] * 3
    assert made.paths == []


@pytest.mark.parametrize(
    "in_doubt",
    [
        QUESTION[:-1],
        QUESTION + b"\r\n",
        QUESTION + QUESTION,
        b"\r\n" + QUESTION,
        QUESTION.replace(b"POST", b"GET"),
        QUESTION.replace(b"1.1", b"1.0"),
        QUESTION.replace(b"\r\n", b"\n"),
        QUESTION.replace(b"Length: 4", b"Length: +4"),
        QUESTION.replace(b"Length: 4", b"Length: 4, 4"),
        QUESTION.replace(b"Content-Length: 4", b"Content-Length: 4\r\nContent-Length: 4"),
        QUESTION.replace(b"Content-Length: 4", b"Content-Length : 4"),
        QUESTION.replace(b"Content-Length: 4", b"X: 1\r\n Content-Length: 4"),
        QUESTION.replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nContent-Length"),
        QUESTION.replace(b"Content-Length", b"Connection: close\r\nContent-Length"),
        QUESTION.replace(b"Content-Length", b"Expect: 100-continue\r\nContent-Length"),
        QUESTION.replace(b"Content-Length: 4\r\n", b""),
        QUESTION.replace(b"Host: gateway.example\r\n", b""),
        QUESTION.replace(b"Host: gateway.example", b"Host: gateway.example\r\nhost: elsewhere.example"),
        QUESTION.replace(b"gateway.example", b"gateway example"),
    ],
)
def test_what_readers_of_http_may_read_differently_is_left_to_the_parser(in_doubt: bytes) -> None:
    signed = QUESTION.replace(b"Content", b"authorization:Person  P01\r\nContent")
    assert whole_request(QUESTION) == (b"/full", b"")
    assert whole_request(signed) == (b"/full", b"person  p01")
    assert whole_request(in_doubt) is None


def sent_in_turn(port: int, *pieces: bytes, answers: int) -> bytes:
    """Send each piece on its own, a moment after the other; what came back until that many responses had."""
    with connected(port) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.05)
        received = b""
        while received.count(b"HTTP/1.1 ") < answers:
            received += connection.recv(1024)
        connection.settimeout(0.1)
        with suppress(TimeoutError):
            received += connection.recv(1024)
        return received


async def test_a_body_that_looks_like_a_request_is_not_taken_for_one() -> None:
    made, listener, door = Told(), listening_socket("127.0.0.1", 0), OnlyElsewhere()
    head = QUESTION.removesuffix(b"4\r\n\r\nbody") + b"%d\r\n\r\n" % len(QUESTION)
    async with served(made, listener, door=door):
        received = await asyncio.to_thread(
            sent_in_turn, listener.getsockname()[1], head, QUESTION, QUESTION, answers=2
        )
    assert received == NO_ROOM * 2
    assert len(door.turned_away) == 2


async def test_a_whole_request_behind_one_at_work_waits_for_its_turn() -> None:
    made, listener = Told(pause_seconds=0.3), listening_socket("127.0.0.1", 0)
    room = QUESTION.replace(b"/full", b"/room")
    async with served(made, listener, door=OnlyElsewhere()):
        received = await asyncio.to_thread(sent_in_turn, listener.getsockname()[1], room, QUESTION, answers=2)
    assert received.count(b"HTTP/1.1 200 ") == 2, "at the door nobody says anything out of turn"
    assert made.paths == ["/room", "/full"]


async def test_each_request_that_comes_in_is_told_to_the_door() -> None:
    class Open(OnlyElsewhere):
        let_in: ClassVar[list[tuple[bytes, bytes]]] = []

        @property
        def is_shut(self) -> bool:
            return False

        def lets_in(self, target: bytes, credentials: bytes) -> None:
            self.let_in.append((target, credentials))

    made, listener, door = Told(), listening_socket("127.0.0.1", 0), Open()
    signed = QUESTION.replace(b"Content", b"Authorization: DPoP token\r\nContent")
    async with served(made, listener, door=door):
        await asyncio.to_thread(sent_in_turn, listener.getsockname()[1], signed, answers=1)
    assert door.let_in == [(b"/full", b"DPoP token")]


async def test_a_request_whose_body_has_not_come_takes_nobodys_place() -> None:
    class Open(OnlyElsewhere):
        let_in = 0

        @property
        def is_shut(self) -> bool:
            return False

        def lets_in(self, target: bytes, credentials: bytes) -> None:
            self.let_in += 1

    listener, door = listening_socket("127.0.0.1", 0), Open()
    async with served(Told(), listener, door=door):
        with connected(listener.getsockname()[1]) as slow:
            slow.sendall(QUESTION[:-1])
            await asyncio.sleep(0.1)
            assert door.let_in == 0
            slow.sendall(b"y")
            await asyncio.sleep(0.1)
            assert door.let_in == 1


async def test_an_answer_that_nobody_reads_in_time_is_cut_off() -> None:
    """So that what a revocation stops does not arrive by and by."""
    size, seconds = 16 * 1024 * 1024, 0.2
    is_cut_off = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        head: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]}
        body: Message = {"type": "http.response.body", "body": bytes(size)}
        ends_at = time.monotonic() + seconds
        assert await sent_before(send, [head, body], ends_at, presence=presence_of(scope)), "some of it has left"
        is_cut_off.set()

    listener = listening_socket("127.0.0.1", 0)
    async with served(app, listener):
        with connected(listener.getsockname()[1]) as slow:
            slow.sendall(GOOD.encode())
            await asyncio.wait_for(is_cut_off.wait(), 5)
            received = 0
            with suppress(ConnectionResetError):
                while some := await asyncio.to_thread(slow.recv, 1024 * 1024):
                    received += len(some)
    assert received < size


async def test_a_head_without_a_body_leaves() -> None:
    async with told() as app:
        asked = b"HEAD / HTTP/1.1\r\nHost: gateway.example\r\n\r\n"
        received = await asyncio.to_thread(sent_in_turn, app.port, asked, answers=1)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b"\r\n\r\n")


async def test_who_waits_to_be_told_to_go_on_is_told() -> None:
    async with told() as app:

        def ask() -> tuple[bytes, bytes]:
            with connected(app.port) as connection:
                connection.sendall(QUESTION.removesuffix(b"body").replace(b"Host", b"Expect: 100-continue\r\nHost"))
                go_on = connection.recv(1024)
                connection.sendall(b"body")
                return go_on, connection.recv(1024)

        go_on, answered = await asyncio.to_thread(ask)
    assert go_on == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert answered.endswith(b"ok"), "its head left with its body"


async def test_nobody_is_turned_away_before_their_turn() -> None:
    made, listener = Told(pause_seconds=0.2), listening_socket("127.0.0.1", 0)
    last = QUESTION.replace(b"Host", b"Connection: close\r\nHost")
    async with served(made, listener, door=OnlyElsewhere()):
        port = listener.getsockname()[1]
        received = await asyncio.to_thread(exchange, port, QUESTION.replace(b"/full", b"/room") + last)
    assert received.count(b"HTTP/1.1 200 ") == 2
    assert made.paths == ["/room", "/full"]


async def test_a_body_that_never_comes_after_a_refusal_at_the_door_ends_the_connection(quickly: None) -> None:
    made, listener = Told(), listening_socket("127.0.0.1", 0)
    async with served(made, listener, door=OnlyElsewhere()):
        port = listener.getsockname()[1]
        began_at = time.monotonic()
        received = await asyncio.to_thread(exchange, port, QUESTION[:-2])
    assert received.startswith(NO_ROOM)
    assert time.monotonic() - began_at < LENIENT_SECONDS
    assert made.paths == []


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def answer(connection: socket.socket) -> bytes:
    """Everything that comes until the connection ends."""
    return b"".join(iter(lambda: connection.recv(64 * 1024), b""))


@pytest.mark.parametrize("asked_before", [b"", GOOD.encode()])
async def test_who_is_connected_when_the_server_stops_may_ask_at_once_and_is_answered(asked_before: bytes) -> None:
    async def asks_late() -> bytes:
        await asyncio.sleep(0.3)
        connection.sendall(GOOD.encode())
        return await asyncio.to_thread(answer, connection)

    async with told() as app:
        connection = connected(app.port)
        connection.sendall(asked_before)
        await asyncio.sleep(0.1)
        asking = asyncio.create_task(asks_late())
    received = await asking
    connection.close()
    assert received.endswith(b"ok")
    assert b"connection: close" in received.lower()
    assert received.count(b"HTTP/1.1 200 ") == 1 + bool(asked_before)


async def test_who_has_connected_is_answered_however_soon_the_server_stops() -> None:
    async with told() as app:
        connections = [connected(app.port) for _ in range(20)]  # nothing else runs meanwhile: nobody accepts them
        for connection in connections:
            connection.sendall(GOOD.encode())
    answers = [await asyncio.to_thread(answer, connection) for connection in connections]
    for connection in connections:
        connection.close()
    assert all(received.startswith(b"HTTP/1.1 200 ") for received in answers)


async def test_a_server_that_has_said_nothing_for_long_stops_soon() -> None:
    began_at = 0.0
    async with told() as app:
        with connected(app.port):
            await asyncio.sleep(0.1)
            began_at = time.monotonic()
    assert time.monotonic() - began_at < LENIENT_SECONDS


@pytest.mark.usefixtures("quickly")
async def test_a_connection_waits_for_its_next_request_and_not_for_ever(app: Told) -> None:
    def ask_twice_then_nothing() -> float:
        """For how many seconds the connection stays after its last answer."""
        with connected(app.port) as connection:
            for _ in range(2):
                connection.sendall(GOOD.encode())
                assert connection.recv(64 * 1024).startswith(b"HTTP/1.1 200 ")
                time.sleep(QUICK_SECONDS / 2)
            began_at = time.monotonic() - QUICK_SECONDS / 2
            assert connection.recv(64 * 1024) == b""
            return time.monotonic() - began_at

    assert QUICK_SECONDS * 0.9 < await asyncio.to_thread(ask_twice_then_nothing) < QUICK_SECONDS + LENIENT_SECONDS


@pytest.mark.usefixtures("quickly")
async def test_what_comes_in_the_moment_in_which_an_idle_connection_is_ended_is_answered(app: Told) -> None:
    last = GOOD.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode()
    with connected(app.port) as connection:
        asyncio.get_running_loop().call_later(QUICK_SECONDS * 0.9, connection.sendall, last)
        await asyncio.sleep(0.1)
        time.sleep(QUICK_SECONDS)  # noqa: ASYNC251  # so that both are due at once, and nothing is read in between
        received = await asyncio.to_thread(answer, connection)
    assert received.endswith(b"ok")


async def test_a_refused_caller_who_never_closes_is_let_go_of(app: Told) -> None:
    def stay() -> float:
        """For how many seconds the other end still takes anything after it has said its last."""
        with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
            connection.sendall(b"no HTTP at all\r\n\r\n")
            while connection.recv(64 * 1024):
                pass
            began_at = time.monotonic()
            with suppress(OSError):
                while time.monotonic() - began_at < 10:
                    connection.sendall(b"x")
                    time.sleep(0.05)
            return time.monotonic() - began_at

    assert await asyncio.to_thread(stay) < LINGER_SECONDS + 3
