"""The gateway whole, as it stands in the world: sandbox mode off, SQLite, a relying party with DPoP-bound tokens.

Raised for the measurement: the rate limits, the budget, and the places for calls to one source.
"""

import asyncio
import os
import secrets
import tempfile
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection as Line
from pathlib import Path
from typing import Any

import uvloop
from joserfc.jwk import ECKey
from sqlalchemy import select

from connectors.interface import SourceAuthority
from gateway.app import Gateway, open_gateway, serving
from gateway.consent.terms import make_terms
from gateway.consent.token import TOKEN_RANDOM_BYTES, make_token, token_digest
from gateway.document import read_document
from gateway.http.server import listening_socket, url_of
from gateway.identity.subject import Person
from gateway.operator_log import configure_logging
from gateway.plan import make_plans
from gateway.settings import Settings, load_settings
from gateway.sources import Sources
from gateway.store.database import migrate
from gateway.store.envelope import read_master_key
from gateway.store.requests import Asking, ConsentRequest
from gateway.store.tables import rule_pack
from resolvers.catalogue import Purpose
from resolvers.schema import schema
from tests.benchmarks.filling import PARTY, fill
from tests.benchmarks.json_connectors import make_json_connectors
from tests.benchmarks.machine import pin
from tests.benchmarks.records import TODAY, identity_of
from tests.gateway.sandboxes import changed, outside_config
from tests.oauth.party import OAuthParty

PUBLIC_URL = "https://gateway.example"
RENT = 62_000
JOB = (Path(__file__).parent / "job.graphql").read_text(encoding="utf-8")
PLACES = 256
GENEROUS_LANE = "relying_parties = { busy = 64, waiting = 1000, wait_seconds = 10.0, overloaded_waiting = 1000 }"
"""Of config/gateway.toml, for trying out."""
AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Ready:
    """What the load has to know of a gateway. `tokens`: the consents, each of another person."""

    url: str
    pid: int
    tokens: list[str]
    key: dict[str, Any]


def settings_of(folder: Path, database_url: str = "") -> Settings:
    config = outside_config(folder, PUBLIC_URL)
    changed(config / "gateway.toml", "relying_party_per_second = 1000", "relying_party_per_second = 1_000_000")
    changed(config / "gateway.toml", "relying_party_burst = 2000", "relying_party_burst = 1_000_000")
    changed(config / "gateway.toml", "budget_per_minute = 10_000_000", "budget_per_minute = 1_000_000_000")
    changed(config / "gateway.toml", GENEROUS_LANE, "")  # as for the internet: the defaults of the code
    connectors = config / "connectors.toml"
    text, last = connectors.read_text(encoding="utf-8"), "max_reply_bytes = 1_048_576"
    connectors.write_text(text.replace(last, f"{last}\nmax_concurrent = {PLACES}"), encoding="utf-8")
    read_master_key(folder / "state" / "keys" / "master.key", may_make=True)
    if database_url:
        os.environ["KYOSEI_DATABASE__URL"] = database_url
    return load_settings(folder / "state", folder=config)


class Granting:
    """Gives consents as people's sessions do, without a page for each."""

    def __init__(self, gateway: Gateway, settings: Settings, pack_sha256: str) -> None:
        self._stores = gateway.stores
        self._terms = make_terms(settings.purposes[Purpose.TENANCY], None, now=datetime.now(UTC))
        self._pack = pack_sha256
        document = read_document(JOB, schema._schema)
        coerced = document.coerce({**document.open_tokens(), "rent": RENT})
        plan = make_plans(document.select(coerced), coerced)[0]
        self._questions = [question.text for question in plan.questions]

    async def give(self, person: Person) -> str:
        """One consent of this person; its token."""
        now = datetime.now(UTC)
        request = ConsentRequest(
            grant_id=str(uuid.uuid4()),
            person=person,
            asking=Asking(PARTY, Purpose.TENANCY, JOB, {"rent": RENT}, None),
            rule_pack_sha256=self._pack,
            questions=self._questions,
            optional=None,
            terms=self._terms,
            open_until=now + timedelta(minutes=5),
        )
        await self._stores.requests.record(request, now=now)
        grant = await self._stores.grants.find_of_person(request.grant_id, person)
        assert grant is not None
        token = make_token(secrets.token_bytes(TOKEN_RANDOM_BYTES))
        await self._stores.grants.grant(
            grant,
            person,
            token_digest=token_digest(token),
            left_out=(),
            guardian=None,
            expires_at=now + timedelta(days=20),
            now=now,
        )
        return token


async def prepare(gateway: Gateway, settings: Settings, people: Iterable[int]) -> list[str]:
    """Enrol people and let each give one consent; their tokens."""
    numbers = list(people)
    await gateway.enrol({f"B{number}": identity_of(number) for number in numbers})
    async with gateway.stores.people._reading.connect() as connection:
        pack = (await connection.execute(select(rule_pack.c.sha256))).scalars().one()
    granting = Granting(gateway, settings, pack)
    tokens: list[str] = []
    for first in range(0, len(numbers), AT_ONCE):
        found = [await gateway.stores.people.find(f"B{number}") for number in numbers[first : first + AT_ONCE]]
        tokens += await asyncio.gather(*(granting.give(person) for person in found if person is not None))
    return tokens


async def register(gateway: Gateway, http: Any) -> OAuthParty:
    """The relying party, with its keys."""
    party = OAuthParty(http, PUBLIC_URL, id=PARTY)
    registration = party.registration(registered_documents_only=False, purposes=["TENANCY"])
    await gateway.operator.act("relying-party add", {"registration": registration})
    return party


def run_gateway(processor: int, stub_port: int, people: int, database_url: str, others: int, line: Line) -> None:
    """Serve until the process is ended; tells `Ready` first. `others`: so many consents are there already."""
    pin(processor)
    configure_logging(open(os.devnull, "w"), is_final=True)  # noqa: SIM115  as long as the process
    folder = Path(tempfile.mkdtemp(prefix="kyosei-bench-"))
    settings = settings_of(folder, database_url)
    sources = Sources(
        dict.fromkeys(SourceAuthority, f"http://127.0.0.1:{stub_port}"),
        today=lambda: TODAY,
        connectors=make_json_connectors,
    )

    async def main() -> None:
        if others:
            await migrate(settings.database_url)
            fill(settings.state / "kyosei.sqlite", others)
        listener = listening_socket("127.0.0.1", 0)
        async with open_gateway(settings, sources=sources, today=lambda: TODAY) as gateway:
            party = await register(gateway, None)
            tokens = await prepare(gateway, settings, range(people))
            async with serving(gateway, listener):
                line.send(Ready(url_of(listener), os.getpid(), tokens, party.key.as_dict(private=True)))
                await asyncio.Event().wait()

    uvloop.run(main())


def party_of(ready: Ready, http: Any) -> OAuthParty:
    """The relying party, in the process of the load."""
    return OAuthParty(http, PUBLIC_URL, id=PARTY, key=ECKey.import_key(ready.key))
