"""What a source's table in config/connectors.toml says reaches the transport that carries the questions."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.errors import SourceUnavailableError
from connectors.interface import EvidenceRequest, SourceAuthority
from connectors.profile import AuthoritySettings
from connectors.transport import Carrier, WireRequest
from gateway.metrics import Metrics
from gateway.sandbox import default_people_folder, open_authorities, read_people
from gateway.sources import Sources, make_connectors, reach_source, report_incident
from tests.connectors.certificates import certificate_for
from tests.connectors.scripted import reply, scripted
from tests.gateway.sandboxes import settings_for


def now() -> datetime:
    return datetime.now(UTC)


async def body_of(url: str, carrier: Carrier, **files: Path) -> bytes:
    given = {"base_url": url, "deadline_seconds": 1, "retry_after_seconds": 1, "allow_private": True}
    table = AuthoritySettings.model_validate(given | files)
    source = reach_source(url, SourceAuthority.TAX, table, now=now, watch=Metrics(), carrier=carrier)
    try:
        found = await source.exchange(WireRequest("GET", "/x"), deadline_seconds=2.0, max_bytes=100)
        return found.body
    finally:
        await source.close()


async def test_the_sandboxs_authorities_answer_within_a_query_whoever_started_them(tmp_path: Path) -> None:
    """`kyosei serve` is not told how `kyosei sandbox authorities` lets them behave."""
    settings, people = settings_for(tmp_path), read_people(default_people_folder())
    async with open_authorities(settings, people.folder, today=people.clock_on, profile="brisk") as urls:
        made = make_connectors(
            settings.connectors,
            Sources(urls, today=lambda: people.clock_on),
            report=report_incident,
            now=now,
            watch=Metrics(),
        )
        request, seconds = EvidenceRequest(people.identities["P01"]), settings.gateway.query.deadline_seconds
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(one.fetch(request, deadline_seconds=seconds) for one in made.values()))
        for one in made.values():
            await one.close()


@pytest.mark.parametrize("carrier", Carrier)
async def test_a_source_that_asks_for_our_certificate_is_shown_the_one_of_its_table(
    tmp_path: Path, carrier: Carrier
) -> None:
    certificate, key = certificate_for(tmp_path, "127.0.0.1")
    own, own_key = certificate_for(tmp_path, "gateway.example")
    asking = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(own))
    asking.load_cert_chain(certificate, key)
    asking.verify_mode = ssl.CERT_REQUIRED
    async with scripted(reply(b"good", "text/plain"), tls=asking) as server:
        shown = {"client_certificate_file": own, "client_key_file": own_key}
        assert await body_of(server.base_url, carrier, ca_file=certificate, **shown) == b"good"
        with pytest.raises(SourceUnavailableError):
            await body_of(server.base_url, carrier, ca_file=certificate)
    assert len(server.requests) == 1
