"""The suite that every connector passes before it has a test of its own, over real sockets.

`CHECKS`, at the end, names its parts as each connector's quality.toml does.
"""

import asyncio
import time
from collections.abc import Callable

import pytest

from connectors.errors import (
    EvidenceInvalidError,
    SourceRefusedError,
    SourceUnavailableError,
    SubjectUnmatchedError,
)
from connectors.evidence import Evidence
from connectors.interface import EvidenceRequest
from connectors.maintenance import JAPAN
from connectors.restricted import Incident, NumberKind
from tests.connectors.malformed import JSON_NUMBERS, MALFORMED, PLANTS, WRONG_PERSONS
from tests.connectors.scripted import (
    Step,
    continue_flood,
    drip,
    drip_head,
    eventually,
    flood,
    hang,
    head_of,
    raw,
    reply,
    reset,
    scripted,
)
from tests.connectors.sources import (
    MY_NUMBER,
    NOW,
    PERSON,
    SOURCES,
    TAX,
    TAX_APPLYING,
    Source,
    all_text,
    ask,
    digits_of,
    make_connector,
)
from tests.connectors.transports import each_transport

__all__ = ["each_transport"]
pytestmark = pytest.mark.usefixtures("each_transport")

each_source = pytest.mark.parametrize("source", SOURCES, ids=str)
each_exchange = pytest.mark.parametrize(
    "source", [*SOURCES, TAX_APPLYING], ids=["immigration", "labor", "tax", "insurance", "tax-applying"]
)

PAGES = {
    "utf8": "<!DOCTYPE html><html><body>システムエラー</body></html>".encode(),
    "cp932": "<html><body>ただいまメンテナンス中です</body></html>".encode("cp932"),
    "after-a-comment": b"\xef\xbb\xbf \n<!-- edge -->\n<HTML lang=ja><body>down</body></HTML>",
    "xhtml": b'<?xml version="1.0"?>\n<!DOCTYPE html><html><body>down</body></html>',
}
PLAIN_PAGE = "「ただいま臨時メンテナンス中です。」".encode("cp932")
NUMBER_FORMS = (
    MY_NUMBER,
    "個人番号１２３４５６７８９０１８確認済",
    "1234-5678-9018",
    "1234 5678 9018",
    "１２３４　５６７８　９０１８",
    "1234－5678ー9018",
    "0000 1234 5678 9018",
)


def fault_of(error: Exception | None) -> str:
    assert isinstance(error, SourceUnavailableError), error
    return error.fault


async def fault_after(source: Source, last: Step, *, deadline_seconds: float = 5.0) -> str:
    """The fault name after a conversation that ends in `last`."""
    async with scripted(*source.steps(last)) as server:
        asked = await ask(source, server.base_url, deadline_seconds=deadline_seconds)
    return fault_of(asked.error)


@each_source
async def test_a_good_reply_becomes_evidence_observed_now(source: Source) -> None:
    async with scripted(*source.good()) as server:
        asked = await ask(source, server.base_url)
    assert asked.error is None
    assert isinstance(asked.evidence, Evidence)
    assert asked.evidence.observed_at == NOW
    assert asked.incidents == []


@each_source
async def test_evidence_and_requests_never_show_a_person_when_printed(source: Source) -> None:
    async with scripted(*source.good()) as server:
        asked = await ask(source, server.base_url)
    assert "redacted" in repr(asked.evidence)
    assert "NGUYEN" not in repr(asked.evidence)


@pytest.mark.parametrize(("source", "body"), MALFORMED)
async def test_a_malformed_reply_is_invalid_and_never_guessed(source: Source, body: str | bytes) -> None:
    octets = body if isinstance(body, bytes) else body.encode(source.encoding)
    async with scripted(*source.steps(reply(octets, source.content_type))) as server:
        asked = await ask(source, server.base_url)
    assert isinstance(asked.error, EvidenceInvalidError), asked
    assert asked.evidence is None


@pytest.mark.parametrize(("source", "body"), WRONG_PERSONS)
async def test_a_reply_about_somebody_else_is_a_subject_mismatch(source: Source, body: str) -> None:
    async with scripted(*source.answer(body)) as server:
        asked = await ask(source, server.base_url)
    assert isinstance(asked.error, SubjectUnmatchedError), asked
    assert asked.error.fault == "SUBJECT_MISMATCH"


@pytest.mark.parametrize("form", NUMBER_FORMS)
@pytest.mark.parametrize(("source", "plant"), PLANTS)
async def test_a_restricted_number_is_dropped_wherever_it_stands_and_told_once(
    source: Source, plant: Callable[[str], str], form: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with scripted(*source.answer(plant(form))) as server:
        asked = await ask(source, server.base_url)
    assert asked.incidents == [Incident(source.authority, frozenset({NumberKind.MY_NUMBER}))]
    for text in (all_text(asked.evidence), repr(asked.incidents), repr(asked.error), caplog.text):
        assert MY_NUMBER not in digits_of(text)


@pytest.mark.parametrize("plant", JSON_NUMBERS)
async def test_a_restricted_number_is_found_in_a_json_number_too(plant: Callable[[str], str]) -> None:
    async with scripted(*TAX.answer(plant(MY_NUMBER))) as server:
        asked = await ask(TAX, server.base_url)
    assert asked.error is None
    assert asked.incidents == [Incident(TAX.authority, frozenset({NumberKind.MY_NUMBER}))]


@each_source
async def test_nothing_of_the_person_is_logged(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    for steps in (source.good(), source.steps(reset), source.steps(reply(b"nonsense", "text/plain"))):
        async with scripted(*steps) as server:
            await ask(source, server.base_url)
    for personal in ("NGUYEN", "ZZ20260001ZZ", "ｸﾞ", "%EF%BD%B8", "7090521", "平成9年", "nonsense"):
        assert personal not in caplog.text


@each_exchange
@pytest.mark.parametrize("status", [200, 404, 500, 503])
@pytest.mark.parametrize("page", PAGES)
async def test_a_page_for_people_is_recognised_by_its_content(source: Source, page: str, status: int) -> None:
    mislabelled = reply(PAGES[page], source.content_type, status=status)
    assert await fault_after(source, mislabelled) == "UPSTREAM_UNAVAILABLE"


@each_exchange
@pytest.mark.parametrize("status", [200, 503])
async def test_a_plain_japanese_page_labelled_html_means_closed(source: Source, status: int) -> None:
    page = reply(PLAIN_PAGE, "text/html; charset=Shift_JIS", status=status)
    assert await fault_after(source, page) == "UPSTREAM_UNAVAILABLE"


@each_exchange
@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_stop_and_call_an_operator(source: Source, status: int) -> None:
    async with scripted(*source.steps(reply(b"", "text/plain", status=status))) as server:
        asked = await ask(source, server.base_url)
    assert isinstance(asked.error, SourceRefusedError)
    assert asked.error.fault == "UPSTREAM_REFUSED"


@each_exchange
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Retry-After: 7", 7.0),
        (f"Retry-After: {NOW.astimezone(JAPAN).strftime('%a, %d %b %Y 01:01:00 GMT')}", 60.0),
        ("Retry-After: Fri, 20 Nov 2020 00:00:00 GMT", 0.0),
        ("Retry-After: 99999999999999999999", 86400.0),
        ("Retry-After: soon", None),
        ("X-Nothing: 1", None),
    ],
)
async def test_a_busy_source_says_when_to_ask_again(
    source: Source, status: int, header: str, seconds: float | None
) -> None:
    async with scripted(*source.steps(reply(b"", "text/plain", header, status=status))) as server:
        asked = await ask(source, server.base_url)
    assert isinstance(asked.error, SourceUnavailableError)
    assert asked.error.retry_after_seconds == seconds


@each_exchange
@pytest.mark.parametrize("status", [201, 400, 405, 410])
async def test_an_unexpected_status_is_no_answer(source: Source, status: int) -> None:
    odd = reply(source.body.encode(source.encoding), source.content_type, status=status)
    assert await fault_after(source, odd) == "UPSTREAM_PROTOCOL"


@each_exchange
@pytest.mark.parametrize(
    "last", [hang, drip_head(), continue_flood(), raw(head_of(200, "Content-Length: 5"), then="hang")]
)
async def test_a_silent_or_endless_source_is_given_up_at_the_deadline(source: Source, last: Step) -> None:
    began = time.monotonic()
    assert await fault_after(source, last, deadline_seconds=0.1) == "UPSTREAM_TIMEOUT"
    assert time.monotonic() - began < 0.5


@each_exchange
async def test_a_dripping_body_does_not_stretch_the_deadline(source: Source) -> None:
    dripping = drip(source.body.encode(source.encoding), source.content_type)
    began = time.monotonic()
    assert await fault_after(source, dripping, deadline_seconds=0.1) == "UPSTREAM_TIMEOUT"
    assert time.monotonic() - began < 0.5


@each_source
async def test_a_deadline_that_has_passed_asks_nothing(source: Source) -> None:
    async with scripted(*source.good()) as server:
        asked = await ask(source, server.base_url, deadline_seconds=0)
    assert fault_of(asked.error) == "UPSTREAM_TIMEOUT"
    assert server.requests == []


@each_exchange
async def test_a_body_announced_as_too_large_is_not_read(source: Source) -> None:
    announced = raw(
        head_of(200, f"Content-Type: {source.content_type}", f"Content-Length: {100 * 2**20}"), then="hang"
    )
    assert await fault_after(source, announced) == "UPSTREAM_TOO_LARGE"


@each_exchange
async def test_a_chunked_body_is_cut_off_at_the_limit(source: Source) -> None:
    assert await fault_after(source, flood(100 * 2**20, source.content_type)) == "UPSTREAM_TOO_LARGE"


@each_exchange
async def test_a_large_header_is_refused(source: Source) -> None:
    swollen = reply(b"", source.content_type, *(f"X-{n}: {'x' * 1000}" for n in range(64)))
    assert await fault_after(source, swollen) == "UPSTREAM_TOO_LARGE"


@each_exchange
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_refused_and_never_followed(source: Source, status: int) -> None:
    async with scripted(*source.good()) as elsewhere:
        for target in (elsewhere.base_url, "http://169.254.169.254/", "file:///etc/passwd", "//[::1]:1/"):
            redirect = reply(b"", source.content_type, f"Location: {target}", status=status)
            assert await fault_after(source, redirect) == "UPSTREAM_PROTOCOL"
        assert elsewhere.connections == 0


@each_exchange
@pytest.mark.parametrize("encoding", ["gzip", "br", "identity", "x-unknown"])
async def test_an_encoded_body_is_refused_unread(source: Source, encoding: str) -> None:
    encoded = reply(source.body.encode(source.encoding), source.content_type, f"Content-Encoding: {encoding}")
    assert await fault_after(source, encoded) == "UPSTREAM_PROTOCOL"


@each_exchange
async def test_the_source_is_asked_not_to_encode(source: Source) -> None:
    async with scripted(*source.good()) as server:
        await ask(source, server.base_url)
    assert all(b"accept-encoding: identity\r\n" in request.lower() for request in server.requests)


@each_exchange
@pytest.mark.parametrize("status", [204, 205, 206, 304])
async def test_a_status_without_a_reply_is_no_answer(source: Source, status: int) -> None:
    assert await fault_after(source, raw(head_of(status))) == "UPSTREAM_PROTOCOL"


@each_exchange
async def test_a_reset_in_the_middle_is_unavailable(source: Source) -> None:
    half = head_of(200, f"Content-Type: {source.content_type}", "Content-Length: 1000") + b"<x>"
    assert await fault_after(source, raw(half, then="reset")) == "UPSTREAM_UNAVAILABLE"


@each_exchange
async def test_a_reset_before_any_answer_is_unavailable(source: Source) -> None:
    assert await fault_after(source, reset) == "UPSTREAM_UNAVAILABLE"


@each_exchange
async def test_a_body_shorter_than_announced_breaks_the_protocol(source: Source) -> None:
    octets = source.body.encode(source.encoding)
    short = head_of(200, f"Content-Type: {source.content_type}", f"Content-Length: {len(octets) + 1}") + octets
    assert await fault_after(source, raw(short)) == "UPSTREAM_PROTOCOL"


@each_exchange
@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 999999 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 1\r\n\r\nx",
    ],
)
async def test_what_is_not_http_breaks_the_protocol(source: Source, octets: bytes) -> None:
    assert await fault_after(source, raw(octets)) == "UPSTREAM_PROTOCOL"


@each_source
async def test_a_stopped_source_is_unavailable(source: Source) -> None:
    async with scripted(*source.good()) as server:
        pass
    asked = await ask(source, server.base_url)
    assert fault_of(asked.error) == "UPSTREAM_UNAVAILABLE"


@each_exchange
async def test_a_cancelled_caller_leaves_no_task_and_no_connection(source: Source) -> None:
    async with scripted(*source.steps(hang)) as server:
        connector = make_connector(source.authority, server.base_url, [])
        before = asyncio.all_tasks()
        fetch = asyncio.create_task(connector.fetch(EvidenceRequest(PERSON), deadline_seconds=30))
        await eventually(lambda: len(server.requests) == len(source.steps(hang)))
        fetch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetch
        await eventually(lambda: server.open_connections == 0)
        assert asyncio.all_tasks() <= before
        await connector.close()


CHECKS: dict[str, Callable[..., object]] = {
    "good_reply": test_a_good_reply_becomes_evidence_observed_now,
    "malformed": test_a_malformed_reply_is_invalid_and_never_guessed,
    "wrong_person": test_a_reply_about_somebody_else_is_a_subject_mismatch,
    "restricted_number": test_a_restricted_number_is_dropped_wherever_it_stands_and_told_once,
    "html": test_a_page_for_people_is_recognised_by_its_content,
    "refused": test_refused_credentials_stop_and_call_an_operator,
    "busy": test_a_busy_source_says_when_to_ask_again,
    "timeout": test_a_silent_or_endless_source_is_given_up_at_the_deadline,
    "drip": test_a_dripping_body_does_not_stretch_the_deadline,
    "oversize": test_a_chunked_body_is_cut_off_at_the_limit,
    "redirect": test_a_redirect_is_refused_and_never_followed,
    "content_encoding": test_an_encoded_body_is_refused_unread,
    "no_content": test_a_status_without_a_reply_is_no_answer,
    "reset": test_a_reset_in_the_middle_is_unavailable,
    "truncated": test_a_body_shorter_than_announced_breaks_the_protocol,
    "cancelled": test_a_cancelled_caller_leaves_no_task_and_no_connection,
    "stopped": test_a_stopped_source_is_unavailable,
}
"""The parts of the suite by the names that quality.toml uses."""
