"""A relying party that pipelines questions and does not read: nothing waits inside the gateway to leave later."""

import array
import asyncio
import fcntl
import re
import socket
import termios
import time
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from gateway.asking import read_example
from gateway.sandbox import default_people_folder, open_authorities, read_people
from resolvers.catalogue import Purpose
from tests.gateway.gateway_process import GatewayProcess, Launch, quick_settings
from tests.gateway.test_revocation import Callers, opened_callers

QUESTIONS = 900
DOCUMENT = read_example(Purpose.TENANCY).replace("$rentYenPerMonth: Int!", "$rentYenPerMonth: Int! = 62000")
STALLED_SECONDS = 30.0


def request_bytes(callers: Callers, token: str) -> bytes:
    """One question as it goes over the wire."""
    body = orjson.dumps({"query": DOCUMENT, "variables": {"consent": token}})
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {callers.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def received(own: socket.socket) -> int:
    """Bytes that have arrived at this end."""
    count = array.array("i", [0])
    fcntl.ioctl(own.fileno(), termios.FIONREAD, count)
    return count[0]


def sent(own: socket.socket, port: int) -> int:
    """Bytes that the gateway's end has handed to the kernel and that have not arrived yet."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ports = [int(fields[end].split(":")[1], 16) for end in (1, 2)]
        if ports == [port, own.getsockname()[1]]:
            return int(fields[4].split(":")[0], 16)
    return 0


async def until_stalled(own: socket.socket, port: int) -> None:
    """Wait until nothing moves any more between the two ends."""
    last, ends_at = (-1, -1), time.monotonic() + STALLED_SECONDS
    while (now := (received(own), sent(own, port))) != last or now == (0, 0):
        assert time.monotonic() < ends_at, "the connection never stalled"
        last = now
        await asyncio.sleep(0.4)


async def read_all(own: socket.socket) -> bytes:
    """What comes until the gateway closes, or says nothing for a while."""
    loop, chunks = asyncio.get_running_loop(), []
    while True:
        try:
            chunks.append(await asyncio.wait_for(loop.sock_recv(own, 1 << 20), 2))
        except (TimeoutError, ConnectionError):
            break
        if not chunks[-1]:
            break
    return b"".join(chunks)


async def test_answers_that_nobody_reads_do_not_leave_after_revoke_returned(tmp_path: Path) -> None:
    settings, people = quick_settings(tmp_path / "state"), read_people(default_people_folder())
    async with open_authorities(settings, people.folder, today=people.clock_on, profile="brisk") as urls:
        process = GatewayProcess(Launch(settings.state, urls, tmp_path / "output"))
        try:
            async with opened_callers(settings.state, await process.start()) as callers:
                await _stall_and_revoke(callers)
        finally:
            await process.kill()


async def _stall_and_revoke(callers: Callers) -> None:
    grant, token = await callers.consent("P01", document=DOCUMENT)
    await callers.post(f"Bearer {callers.key}", DOCUMENT, {"consent": token})
    address = urlsplit(next(callers.addresses))
    assert address.hostname is not None
    assert address.port is not None
    loop = asyncio.get_running_loop()
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        own.setblocking(False)
        await loop.sock_connect(own, (address.hostname, address.port))
        feeding = asyncio.create_task(loop.sock_sendall(own, request_bytes(callers, token) * QUESTIONS))
        await until_stalled(own, address.port)
        await callers.revoke("P01", grant)
        in_the_kernel = received(own) + sent(own, address.port)
        answered = await read_all(own)
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
    begun = [found.start() for found in re.finditer(rb"HTTP/1.1 200 OK", answered)]
    assert len(begun) > 10, "some answers had left before"
    late = [start for start in begun if start >= in_the_kernel and b'"ELIGIBLE"' in answered[start : start + 12_000]]
    assert late == []
