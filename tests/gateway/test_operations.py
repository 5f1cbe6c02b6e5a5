"""What an operator sees of a running gateway: whether it should be asked, its metrics, its log, its traces."""

import asyncio
import io
import json
import logging
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
import structlog
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from connectors.interface import SourceAuthority
from connectors.profile import Behaviour
from gateway.errors import ConfigurationError
from gateway.http.connection import BODY_SECONDS, GatewayConnection
from gateway.http.observing import TOGETHER_SECONDS
from gateway.operator_log import FIELDS, configure_logging
from gateway.pipeline import LEASE_SECONDS
from gateway.tracing import trace_to
from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import codes, own_sandbox, settings_for

BOTH = request_for("Immigration.statusLawful", "Tax.residentTax")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


async def samples(caller: Caller) -> dict[tuple[str, ...], float]:
    """Every sample by its name and labels."""
    response = await caller.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_a_gateway_that_can_answer_is_ready(quick: Caller) -> None:
    response = await quick.http.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})
    assert response.headers["cache-control"] == "no-store"


async def test_a_gateway_that_is_about_to_stop_is_not_ready_and_goes_on_answering(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        token, _ = await caller.consent("P01", "lender", "LENDING", BOTH)
        caller.running.gateway.draining.has_begun = True
        ready = await caller.http.get("/readyz")
        assert (ready.status_code, ready.json()["why"]) == (503, "draining")
        assert (await caller.http.get("/livez")).status_code == 200
        assert not codes(await caller.as_party("lender", BOTH, {"consent": token}))


def destroy(state: Path) -> None:
    for file in state.glob("kyosei.sqlite*"):
        file.write_bytes(b"\0" * 4096)


async def test_a_gateway_whose_database_is_gone_is_alive_and_not_ready(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        await asyncio.to_thread(destroy, tmp_path)
        await caller.running.gateway.stores.log._reading.dispose()
        ready = await caller.http.get("/readyz")
        assert (ready.status_code, ready.json()["why"]) == (503, "the database does not answer")
        assert (await caller.http.get("/livez")).status_code == 200


async def test_requests_and_outcomes_are_counted(quick: Caller) -> None:
    token, _ = await quick.consent("P01", "lender", "LENDING", BOTH)
    before = await samples(quick)
    await quick.as_party("lender", BOTH, {"consent": token})
    await quick.as_party("lender", BOTH, {"consent": "kct_never"})
    await quick.http.get("/no-such-page")
    after = await samples(quick)

    def more(*key: str) -> float:
        return after.get(key, 0) - before.get(key, 0)

    assert more("kyosei_outcomes_total", "outcome=RELEASED") == 1
    assert more("kyosei_outcomes_total", "outcome=CONSENT_INVALID") == 1
    assert more("kyosei_requests_total", "code=", "route=graphql", "status=200") == 1
    assert more("kyosei_requests_total", "code=CONSENT_INVALID", "route=graphql", "status=200") == 1
    assert more("kyosei_requests_total", "code=NOT_FOUND", "route=pages", "status=404") == 1
    assert more("kyosei_operation_cost_count") == 2
    assert after["kyosei_lane_busy", "lane=relying_parties"] == 0
    assert after["kyosei_source_exchanges_total", "authority=IMMIGRATION", "fault="] >= 1
    assert after["kyosei_source_seconds_count", "authority=TAX"] >= 1


async def test_the_metrics_are_about_nobody(quick: Caller) -> None:
    token, grant = await quick.consent("P02", "lender", "LENDING", BOTH)
    await quick.as_party("lender", BOTH, {"consent": token})
    text = (await quick.http.get("/metrics")).text
    for told in (token, grant, "P02", "lender", "RAHMAN", "statusLawful"):
        assert told not in text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_whoever_comes_through_a_proxy_sees_no_metrics(quick: Caller, header: str) -> None:
    response = await quick.http.get("/metrics", headers={header: "203.0.113.7"})
    assert (response.status_code, codes(response.json())) == (404, ["NOT_FOUND"])


async def test_nobody_outside_the_operators_networks_sees_metrics(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    operations = settings.gateway.operations.model_copy(update={"metrics_from": ()})
    gateway = settings.gateway.model_copy(update={"operations": operations})
    async with own_sandbox(settings.model_copy(update={"gateway": gateway})) as caller:
        assert (await caller.http.get("/metrics")).status_code == 404


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The operator's log of this test."""
    before = structlog.get_config()
    handlers, level = logging.root.handlers[:], logging.root.level
    stream = io.StringIO()
    configure_logging(stream)
    yield stream
    structlog.configure(**before)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def lines(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def exchange(caller: Caller, sent: bytes) -> str:
    """What comes back for this until the connection ends; the request id in it."""
    url = urlsplit(caller.running.url)
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(64 * 1024), b""))
    told: str = json.loads(received.partition(b"\r\n\r\n")[2])["errors"][0]["extensions"]["requestId"]
    return told


def counted(
    before: dict[tuple[str, ...], float], after: dict[tuple[str, ...], float]
) -> dict[tuple[str, ...], float]:
    """The requests that were counted in between, but for those that counted."""
    return {
        key[1:]: after[key] - before.get(key, 0)
        for key in after
        if key[0] == "kyosei_requests_total" and "route=metrics" not in key and after[key] > before.get(key, 0)
    }


async def test_what_a_connection_refuses_is_counted_and_told_together_with_the_id_of_the_first(
    quick: Caller, log: io.StringIO
) -> None:
    before = await samples(quick)
    first = await asyncio.to_thread(exchange, quick, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    for _ in range(20):
        await asyncio.to_thread(exchange, quick, b"no request\r\n\r\n")
    await asyncio.to_thread(exchange, quick, b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000)
    await asyncio.sleep(TOGETHER_SECONDS + 0.2)
    assert counted(before, await samples(quick)) == {
        ("code=BAD_REQUEST", "route=connection", "status=400"): 21,
        ("code=HEADERS_TOO_LARGE", "route=connection", "status=431"): 1,
    }
    (line, *later) = [line for line in lines(log) if line["event"] == "refused"]
    assert set(line) <= FIELDS
    assert (line["request_id"], line["status"], line["code"]) == (first, 400, "BAD_REQUEST")
    assert sum(int(str(told["requests"])) for told in (line, *later)) == 22
    assert len(later) <= 2, "a line a second"


@pytest.fixture
def quickly() -> Iterator[None]:
    """A deadline for bodies that a test can wait for."""
    GatewayConnection.body_seconds = 0.3
    yield
    GatewayConnection.body_seconds = BODY_SECONDS


async def test_a_body_that_is_too_slow_is_counted_and_told_once_by_the_id_that_its_sender_got(
    quick: Caller, log: io.StringIO, quickly: None
) -> None:
    key = quick.running.keys["bank"]
    head = f"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}\r\n"
    before = await samples(quick)
    told = await asyncio.to_thread(exchange, quick, f"{head}Content-Length: 9\r\n\r\n{{".encode())
    await asyncio.sleep(TOGETHER_SECONDS + 0.2)
    assert counted(before, await samples(quick)) == {("code=REQUEST_TIMEOUT", "route=graphql", "status=408"): 1}
    (line,) = [line for line in lines(log) if line.get("code") == "REQUEST_TIMEOUT"]
    assert (line["event"], line["request_id"], line["status"]) == ("request", told, 408)


async def test_each_request_is_a_line_of_listed_fields(quick: Caller, log: io.StringIO) -> None:
    token, grant = await quick.consent("P01", "lender", "LENDING", BOTH)
    body = await quick.as_party("lender", BOTH, {"consent": token})
    line = next(line for line in lines(log) if line.get("relying_party") == "lender")
    assert set(line) <= FIELDS
    assert line["event"] == "request"
    assert line["request_id"] == body["extensions"]["requestId"]
    assert (line["route"], line["status"], line["cost"]) == ("graphql", 200, 22)
    for told in (token, grant, "P01", "HUONG", "statusLawful", BOTH):
        assert told not in log.getvalue()


async def test_a_path_is_never_written_further_than_its_first_part(quick: Caller, log: io.StringIO) -> None:
    for path in ("/authorizations/secret-handle", "/oauth/grants/secret-grant", "/T-8F3K-2Q9Z-5M"):
        await quick.http.get(path)
    assert "secret" not in log.getvalue()
    assert "8F3K" not in log.getvalue()


def test_a_field_that_is_not_listed_is_not_written(log: io.StringIO) -> None:
    structlog.get_logger("test").error("event", name="HUONG", token="kct_x", status=1, code="two\nlines")
    assert "HUONG" not in log.getvalue()
    assert "kct_x" not in log.getvalue()
    (line,) = lines(log)
    assert (line["status"], line["code"]) == (1, "two\nlines")
    assert log.getvalue().count("\n") == 1


def test_a_library_cannot_write_what_an_exception_says(log: io.StringIO) -> None:
    try:
        raise ValueError("HUONG")
    except ValueError as error:
        logging.getLogger("asyncio").error("It failed.\nfuture: %s", error, exc_info=error)
        logging.getLogger("other").warning("of %s", "HUONG")
    assert "HUONG" not in log.getvalue()
    first, second = lines(log)
    assert (first["event"], first["error"]) == ("It failed.", "ValueError")
    assert second["event"] == "of %s"


@pytest.fixture(scope="module")
def provider() -> TracerProvider:
    provider = TracerProvider()
    trace_to(provider)
    return provider


@pytest.fixture(scope="module")
def spans(provider: TracerProvider) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


def below(finished: Sequence[ReadableSpan], root: ReadableSpan) -> set[str]:
    return {
        span.name for span in finished if span.context is not None and root.context is not None
        and span.context.trace_id == root.context.trace_id
    }  # fmt: skip


async def test_a_question_is_a_trace_with_a_span_for_each_step_and_source_and_nothing_of_the_person(
    quick: Caller, spans: InMemorySpanExporter
) -> None:
    token, grant = await quick.consent("P03", "lender", "LENDING", BOTH)
    await quick.running.gateway.gatherer.cancel(grant)
    spans.clear()
    stranger = f"00-{'a' * 32}-{'b' * 16}-01"
    await quick.http.post(
        "/graphql",
        json={"query": BOTH, "variables": {"consent": token}},
        headers={"authorization": f"Bearer {quick.running.keys['lender']}", "traceparent": stranger},
    )
    finished = spans.get_finished_spans()
    root = next(span for span in finished if span.name == "request")
    assert root.parent is None, "a stranger's trace is not taken over"
    steps = {"request", "identify", "read", "plan", "gate", "gather", "source", "decide", "record", "respond"}
    assert steps <= below(finished, root)
    sources = [span.attributes["kyosei.authority"] for span in finished if span.name == "source" and span.attributes]
    assert sorted(map(str, sources)) == ["IMMIGRATION", "TAX"]
    written = " ".join(span.to_json() for span in finished)
    for told in (token, grant, "P03", "statusLawful", "kct_"):
        assert told not in written


class StandsStill(SpanProcessor):
    """The whole process stands still, for longer than a lease, before this many responses leave; `meanwhile` happens
    elsewhere."""

    def __init__(self, times: int, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.times = times
        self._meanwhile = meanwhile

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self.times and span.name == "respond":
            self.times -= 1
            self._meanwhile()
            time.sleep(LEASE_SECONDS * 1.5)


async def test_an_answer_that_a_machine_standing_still_kept_back_leaves_under_another_lease(
    quick: Caller, provider: TracerProvider
) -> None:
    token, _ = await quick.consent("P03", "lender", "LENDING", BOTH)
    stands_still = StandsStill(times=1)
    provider.add_span_processor(stands_still)
    assert not codes(await quick.as_party("lender", BOTH, {"consent": token}))
    assert stands_still.times == 0, "it stood still"


async def test_a_consent_that_ended_while_the_machine_stood_still_is_not_answered(
    tmp_path: Path, provider: TracerProvider
) -> None:
    """As where another process revokes: by then its revoke has waited for the first lease, and returned."""

    def revoke() -> None:
        with closing(sqlite3.connect(tmp_path / "kyosei.sqlite")) as database, database:
            database.execute(
                "INSERT INTO grant_event "
                "SELECT grant_id, max(number) + 1, 'REVOKED', max(at) FROM grant_event GROUP BY grant_id"
            )

    async with own_sandbox(settings_for(tmp_path)) as caller:
        token, _ = await caller.consent("P03", "lender", "LENDING", BOTH)
        provider.add_span_processor(StandsStill(1, meanwhile=revoke))
        answered = await caller.as_party("lender", BOTH, {"consent": token})
        assert (answered["data"]["subject"], codes(answered)) == (None, ["CONSENT_ENDED"])


async def test_who_was_suspended_while_the_machine_stood_still_is_not_answered(
    tmp_path: Path, provider: TracerProvider
) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        parties = caller.running.gateway.stores.relying_parties
        token, _ = await caller.consent("P03", "lender", "LENDING", BOTH)
        suspended = [replace(party, is_suspended=True) for party in parties.all()]
        provider.add_span_processor(StandsStill(1, meanwhile=lambda: parties.replace(suspended)))
        answered = await caller.as_party("lender", BOTH, {"consent": token})
        assert ("data" in answered, codes(answered)) == (False, ["RELYING_PARTY_SUSPENDED"])


async def test_a_caller_that_goes_away_is_not_worked_for(tmp_path: Path) -> None:
    slow = {SourceAuthority.IMMIGRATION: Behaviour(latency_ms=(2_000, 2_000))}
    async with own_sandbox(settings_for(tmp_path, behaviours=slow)) as caller:
        document = request_for("Immigration.statusLawful")
        token, grant = await caller.consent("P01", "bank", "ACCOUNT_OPENING", document)
        await caller.running.gateway.gatherer.cancel(grant)
        before = (await samples(caller)).get(("kyosei_outcomes_total", "outcome=RELEASED"), 0)
        headers = {"authorization": f"Bearer {caller.running.keys['bank']}"}
        with pytest.raises(httpx.ReadTimeout):
            await caller.http.post(
                "/graphql",
                json={"query": document, "variables": {"consent": token}},
                headers=headers,
                timeout=0.3,
            )
        await asyncio.sleep(0.1)
        assert (await samples(caller))["kyosei_lane_busy", "lane=relying_parties"] == 0
        await asyncio.sleep(2.2)
        assert (await samples(caller)).get(("kyosei_outcomes_total", "outcome=RELEASED"), 0) == before


async def test_what_an_operator_did_is_a_line_that_names_nobody(quick: Caller, log: io.StringIO) -> None:
    act = quick.running.gateway.operator.act
    for suspended in (True, False):
        await act("relying-party suspend", {"party_id": "bank", "suspended": suspended})
    code = (await act("person invite", {"person_id": "P01"}))["code"]
    for ended in (False, True, False):
        await act("person guardian", {"minor_id": "P14", "guardian_id": "P05", "ended": ended})
    await act("keys rotate", {})
    for look in ("relying-party list", "keys list", "status"):
        await act(look, {})
    with pytest.raises(ConfigurationError):
        await act("relying-party suspend", {"party_id": "nobody", "suspended": True})
    told = [line for line in lines(log) if line["event"] == "operator_acted"]
    assert [(line["action"], line.get("relying_party")) for line in told] == [
        ("relying-party suspend", "bank"),
        ("relying-party suspend --lift", "bank"),
        ("person invite", None),
        ("person guardian", None),
        ("person guardian --end", None),
        ("person guardian", None),
        ("keys rotate", None),
    ]
    assert all(set(line) <= FIELDS for line in told)
    for secret in (code, "P01", "P05", "P14"):
        assert secret not in log.getvalue()
