"""One HTTP connection: uvicorn's, with limits on headers and on time, and without a buffer for slow readers."""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from connectors.deadline import Deadline
from gateway.http.head import credentials_of, is_well_formed, whole_request
from gateway.http.observing import new_request_id, notes_of
from gateway.http.presence import PRESENCE, Presence
from gateway.http.response import refusal_bytes

MAX_HEADER_BYTES = 32 * 1024
"""For request line and headers together, and for the trailers of a body. Source: RFC 6585 section 5."""
HEADER_SECONDS = 4.9
BODY_SECONDS = 10.0
"""From its first byte, or from the connection's start, a head arrives in this time, so that its sender knows within 5
seconds that it did not; its body then in that."""
KEEP_ALIVE_SECONDS = 5.0
"""For so long after an answer a connection waits for the next request."""
_SLICE_BYTES = 4 * 1024
_INTERIM = b"HTTP/1.1 1"
"""What is no response yet, and is waited for. Source: RFC 9110 section 15.2."""
LINGER_SECONDS = 2.0
MAX_LINGER_BYTES = 8 * 1024 * 1024
"""What a caller may still send while the last answer reaches it. Source: RFC 9112 section 9.6."""
GRACE_SECONDS = 0.5
"""For a head that crosses the end of its connection, or the end of all."""


class Draining:
    """Whether this server is about to stop: each connection then ends with the answer it is on."""

    def __init__(self) -> None:
        self.has_begun = False


class Door:
    """Where requests come in. Here nobody stands at it."""

    @property
    def is_shut(self) -> bool:
        """Whether anybody at all is turned away just now."""
        return False

    def turns_away(self, target: bytes, credentials: bytes) -> bytes | None:
        """While it is shut, by a request's target and its Authorization (as it came, or in small letters): the
        response, if nothing is made of it."""
        return None

    def lets_in(self, target: bytes, credentials: bytes) -> None:
        """Told of each request that begins to be worked on, once it has arrived."""


NotesRefusal = Callable[[str, str], None]
"""Told the code and the request id of what a connection refused before anything was made of it."""


def notes_nothing(code: str, request_id: str) -> None:
    """For a server without an operator."""


class _ForAnswers(asyncio.Transport):
    """The transport as responses have it: a head leaves with what follows it, and what closes this ends as its
    connection ends."""

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        super().__init__()
        self._transport = transport
        self._end = end
        self._head: bytes | None = None
        self._has_begun = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head + data)
        elif self._has_begun or bytes(data[: len(_INTERIM)]) == _INTERIM:
            self._transport.write(data)
        else:
            self._has_begun, self._head = True, bytes(data)

    def finish(self) -> None:
        """The response is complete, be it only a head."""
        if self._head is not None:
            self.write(b"")
        self._has_begun = False

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self.finish()
        self._end()


class GatewayConnection(HttpToolsProtocol):
    """Reads no headers without end, waits for no request for ever, and keeps no answer back for a slow reader.

    A slow reader's next answer waits, and its lease discards it.
    """

    draining = Draining()
    door = Door()
    notes_refusal: NotesRefusal = staticmethod(notes_nothing)
    header_seconds = HEADER_SECONDS
    body_seconds = BODY_SECONDS
    keep_alive_seconds = KEEP_ALIVE_SECONDS
    _bytes_unread = 0
    """Received since the parser last had a whole head or a piece of a body to show for it."""
    _bytes_passed_over: int | None = None
    """After the last request that is looked at; None: there may be more."""
    _is_turned_away = False
    _is_amid_request = False
    """Whether a request has begun to arrive, and not yet ended."""
    _is_lingering = False

    @property
    def _is_idle(self) -> bool:
        """Whether no answer is owed; a request may be on its way."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)
        self._for_answers = _ForAnswers(transport, self._end)
        self._presence = Presence(self.flow.drain, transport.abort)
        self._deadline = Deadline(self.loop, self._overdue)
        self._next_request = Deadline(self.loop, self._end_idle)
        self._expect(self.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.end()
        self._next_request.end()
        super().connection_lost(exc)
        self._presence.end()

    def data_received(self, data: bytes) -> None:
        """Feed the parser in slices, so that it never holds more of a header than may be sent.

        Exact for the first head of a connection; one that follows another request may be a slice longer.
        """
        self._next_request.lift()
        if self.door.is_shut and self._turn_away_whole(data):
            return
        if not self._deadline.is_set and self._is_idle:
            self._expect(self.header_seconds)  # of the next request, be it only an empty line
        start = 0
        while start < len(data) and not self.transport.is_closing():
            if self._bytes_passed_over is not None:
                self._pass_over(len(data) - start)
                return
            piece = data[start : start + min(_SLICE_BYTES, MAX_HEADER_BYTES - self._bytes_unread)]
            start += len(piece)
            self._bytes_unread += len(piece)
            super().data_received(piece)
            if self._bytes_unread >= MAX_HEADER_BYTES:
                self._refuse("HEADERS_TOO_LARGE")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_amid_request = True
        if not self._deadline.is_set and self._bytes_passed_over is None:
            self._expect(self.header_seconds)

    def on_headers_complete(self) -> None:
        if self._bytes_passed_over is not None:
            return  # what came in one piece with a refused request is not looked at
        self._bytes_unread = 0
        self._expect(self.body_seconds)
        if not is_well_formed(self.url, self.headers, http_version=self.parser.get_http_version()):
            self._refuse("BAD_REQUEST")
            return
        if self._meet_door():
            return
        super().on_headers_complete()
        self.scope[PRESENCE] = self._presence  # type: ignore[literal-required]  # ours
        self.cycle.transport = self._for_answers
        if self.draining.has_begun:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._at_work = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        self._bytes_unread = 0
        if self._bytes_passed_over is None and not self._is_turned_away:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_amid_request = False
        if self._bytes_passed_over is not None:
            return
        self._expect(None)
        if not self._is_turned_away:
            super().on_message_complete()
            if self.cycle is self._at_work and not self.cycle.response_started:
                self.door.lets_in(self.url, credentials_of(self.headers))
            if self._is_idle:
                self._expect(self.header_seconds)  # answered before it had come: this is when the next may begin
            return
        self._is_turned_away = False
        if self.parser.should_keep_alive() and not self.draining.has_begun:
            self.on_response_complete()
        else:
            self._linger()

    def on_response_complete(self) -> None:
        self._for_answers.finish()
        if self._is_lingering:
            return
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
        else:  # as HttpToolsProtocol.on_response_complete, without a timer of its own for each response
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            self._next_request.set(self.loop.time() + self.keep_alive_seconds)
        if self.flow.write_paused:
            self.flow.pause_reading()  # whoever does not read what they are told is not listened to either

    def resume_writing(self) -> None:
        super().resume_writing()
        self.flow.resume_reading()

    def _meet_door(self) -> bool:
        """Whether this request was turned away; its body is passed over then, and the connection goes on."""
        is_its_turn = self._is_idle and not self.draining.has_begun  # at the door no connection is said to end
        if not is_its_turn or not self.door.is_shut:
            return False
        refusal = self.door.turns_away(self.url, credentials_of(self.headers))
        if refusal is not None:
            self._is_turned_away = True
            self.transport.write(refusal)
        return refusal is not None

    def _turn_away_whole(self, data: bytes) -> bool:
        """Whether a request that came in one piece was turned away: unparsed, for there may be very many of them."""
        is_its_turn = self._is_idle and not self._is_amid_request and self._bytes_passed_over is None
        may_be_whole = is_its_turn and not self.draining.has_begun and len(data) < MAX_HEADER_BYTES
        request = whole_request(data) if may_be_whole else None
        refusal = self.door.turns_away(*request) if request is not None else None
        if refusal is None:
            return False
        self._expect(None)
        self._bytes_unread = 0
        self.transport.write(refusal)
        self.on_response_complete()
        return True

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused like everything else, and ends the connection."""
        self._refuse("BAD_REQUEST")

    def _expect(self, seconds: float | None) -> None:
        """Let the rest arrive in this time; None: nothing more is expected."""
        if seconds is None:
            self._deadline.lift()
        else:
            self._deadline.set(self.loop.time() + seconds)

    def _overdue(self) -> None:
        if self._is_lingering:
            self.transport.close()
        elif self._is_idle and not self._bytes_unread:
            self._end_idle()
        else:
            self._refuse("REQUEST_TIMEOUT")

    def shutdown(self) -> None:
        """Answer what is asked already or at once; nothing else is asked any more."""
        if self._is_lingering:
            return
        if self._is_idle:
            self._expect(GRACE_SECONDS)
        else:
            self.cycle.keep_alive = False

    def _end_idle(self) -> None:
        """Nothing was asked, so there is nothing to answer; but what has just come is."""
        if self.transport.is_closing():
            return
        if _unread_bytes(self.transport):
            self._expect(self.header_seconds)
        else:
            self._linger(GRACE_SECONDS)

    def _refuse(self, code: str) -> None:
        """Refuse where it is this request's turn; what was asked before it is still answered."""
        if self.transport.is_closing() or self._bytes_passed_over is not None:
            return
        self._bytes_passed_over = 0
        if self.pipeline and self.cycle.more_body:
            self.pipeline.popleft()
            self.cycle = self.pipeline[0][0] if self.pipeline else self._at_work
        if self._is_idle:
            request_id = new_request_id()
            self.notes_refusal(code, request_id)
            self._write_refusal(code, request_id)
        elif not self.cycle.more_body:
            self.cycle.keep_alive = False
        elif self.cycle.response_started:
            self.transport.close()
        else:
            notes = notes_of(self.cycle.scope)  # type: ignore[arg-type]  # uvicorn's name for Starlette's Scope
            notes.refused_as = code
            self.cycle.disconnected = True  # whoever reads this body learns that no more comes
            self.cycle.message_event.set()
            self._write_refusal(code, notes.request_id)

    def _write_refusal(self, code: str, request_id: str) -> None:
        self.transport.write(refusal_bytes(code, request_id, closes=True))
        self._linger()

    def _end(self) -> None:
        """Nothing is answered after this: close, unless something may be on its way to us."""
        if self.cycle.more_body or self._bytes_passed_over is not None:
            self._linger()
        else:
            self.transport.close()

    def _linger(self, seconds: float = LINGER_SECONDS) -> None:
        """Closing with bytes unread would reset the connection, and what was answered with it."""
        if self._is_lingering or self.transport.is_closing():
            return
        self._is_lingering = True
        self._bytes_passed_over = self._bytes_passed_over or 0
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._expect(seconds)

    def _pass_over(self, count: int) -> None:
        self._bytes_passed_over = (self._bytes_passed_over or 0) + count
        if self._bytes_passed_over > MAX_LINGER_BYTES:
            self.transport.close()


def _unread_bytes(transport: asyncio.Transport) -> int:
    """How much has been received that we have not been given yet."""
    count = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, bytes(4))
    return int(struct.unpack("i", count)[0])
