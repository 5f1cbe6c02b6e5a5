"""Keys that a relying party publishes at a URL: read when they are needed, and never more often than is good."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.admission import Lane, LaneBounds
from gateway.http.server import listening_socket, served
from gateway.identity.jws import Parsed, TokenError, parse_token
from gateway.identity.relying_party import OAuthRegistration, RelyingParty
from gateway.party_keys import FRESH_SECONDS, KEPT_SECONDS, REFETCH_SECONDS, PartyKeys
from resolvers.decision import Text
from tests.oauth.party import signed

PARTY = RelyingParty("bank", Text("Bank", "銀行"), "bank", frozenset())


@dataclass(slots=True)
class Published:
    """A relying party's server with its key set, and how often that was fetched."""

    keys: dict[str, ECKey] = field(default_factory=dict)
    instead: Response | None = None
    fetched: int = 0
    url: str = ""
    seconds: float = 0.0
    pause_seconds: float = 0.0

    async def serve(self, request: Request) -> Response:
        self.fetched += 1
        await asyncio.sleep(self.pause_seconds)
        listed = [{**key.as_dict(private=False), "kid": kid} for kid, key in self.keys.items()]
        return self.instead or JSONResponse({"keys": listed})

    @property
    def party(self) -> RelyingParty:
        return replace(PARTY, oauth=OAuthRegistration(jwks_uri=f"{self.url}/keys"))

    def token(self, kid: str | None) -> Parsed:
        key = self.keys.get(kid or "", ECKey.generate_key("P-256"))
        return parse_token(signed({"alg": "ES256", "kid": kid}, {}, key), typ=None)


@pytest_asyncio.fixture(loop_scope="session")
async def published() -> AsyncIterator[Published]:
    async with publishing() as made:
        yield made


@asynccontextmanager
async def publishing() -> AsyncIterator[Published]:
    made = Published({"1": ECKey.generate_key("P-256")})
    with listening_socket("127.0.0.1", 0) as listener:
        async with served(Starlette(routes=[Route("/keys", made.serve)]), listener) as url:
            made.url = url
            yield made


async def test_the_key_that_a_token_names_is_fetched_once_and_kept(published: Published) -> None:
    keys = PartyKeys(clock=lambda: published.seconds)
    for _ in range(5):
        found = await keys.find(published.party, published.token("1"))
        assert found.thumbprint() == published.keys["1"].thumbprint()
    assert published.fetched == 1
    published.seconds += FRESH_SECONDS + 1
    await keys.find(published.party, published.token("1"))
    assert published.fetched == 2, "a key that was withdrawn is not believed for ever"


async def test_ten_thousand_key_ids_fetch_once_in_thirty_seconds(published: Published) -> None:
    keys = PartyKeys(clock=lambda: published.seconds)
    token = published.token("unknown")
    for number in range(10_000):
        with pytest.raises(TokenError):
            await keys.find(published.party, replace(token, header={"alg": "ES256", "kid": f"random-{number}"}))
    assert published.fetched == 1
    published.seconds += REFETCH_SECONDS
    with pytest.raises(TokenError):
        await keys.find(published.party, token)
    assert published.fetched == 2


async def test_a_new_key_is_found_once_it_may_be_looked_for_again(published: Published) -> None:
    keys = PartyKeys(clock=lambda: published.seconds)
    await keys.find(published.party, published.token("1"))
    published.keys["2"] = ECKey.generate_key("P-256")
    with pytest.raises(TokenError):
        await keys.find(published.party, published.token("2"))
    published.seconds += REFETCH_SECONDS
    assert (await keys.find(published.party, published.token("2"))).thumbprint()
    assert (await keys.find(published.party, published.token("1"))).thumbprint()


async def test_a_key_that_was_withdrawn_is_not_found_any_more(published: Published) -> None:
    keys = PartyKeys(clock=lambda: published.seconds)
    token = published.token("1")
    await keys.find(published.party, token)
    published.keys = {"2": ECKey.generate_key("P-256")}
    published.seconds += FRESH_SECONDS + 1
    with pytest.raises(TokenError):
        await keys.find(published.party, token)


async def test_keys_that_cannot_be_fetched_again_are_kept_for_a_while(published: Published) -> None:
    keys = PartyKeys(clock=lambda: published.seconds)
    token, unknown = published.token("1"), published.token("unknown")
    await keys.find(published.party, token)
    published.instead = Response(status_code=500)
    published.seconds += REFETCH_SECONDS
    with pytest.raises(TokenError):
        await keys.find(published.party, unknown)
    assert published.fetched == 2
    for seconds in (0.0, FRESH_SECONDS, KEPT_SECONDS - FRESH_SECONDS - REFETCH_SECONDS - 1):
        published.seconds += seconds
        assert await keys.find(published.party, token)
    published.seconds += 1
    with pytest.raises(TokenError):
        await keys.find(published.party, token)
    published.instead = None
    published.seconds += REFETCH_SECONDS
    assert await keys.find(published.party, token)


async def test_who_waits_for_keys_keeps_nobody_from_working(published: Published) -> None:
    bounds = LaneBounds(busy=1, waiting=0, wait_seconds=0.1, overloaded_busy=1, overloaded_waiting=0)
    keys, lane = PartyKeys(), Lane(bounds, in_flight=10)
    published.pause_seconds = 0.5

    async def finds() -> str:
        with await lane.enter():
            return (await keys.find(published.party, published.token("1"))).thumbprint()

    finding = []
    for _ in range(3):
        finding.append(asyncio.create_task(finds()))
        await asyncio.sleep(0.1)
        assert (lane.busy, lane.in_flight) == (0, len(finding))
    assert len(set(await asyncio.gather(*finding))) == 1
    assert published.fetched == 1


@pytest.mark.parametrize(
    "instead",
    [
        JSONResponse([]),
        JSONResponse({"keys": "none"}),
        JSONResponse({"keys": [1, None, "x"]}),
        JSONResponse({}),
        JSONResponse({}, status_code=500),
        Response(b"\xff\xfe"),
        Response(b"x" * 100_000),
        RedirectResponse("http://127.0.0.1:9/keys"),
    ],
    ids=range(8),
)
async def test_what_is_no_key_set_gives_no_key_and_is_not_asked_again_at_once(
    published: Published, instead: Response
) -> None:
    published.instead = instead
    keys = PartyKeys(clock=lambda: published.seconds)
    for _ in range(3):
        with pytest.raises(TokenError):
            await keys.find(published.party, published.token("1"))
    assert published.fetched == 1


@pytest.mark.parametrize(
    "different", [{"d": "AAAA"}, {"use": "enc"}, {"alg": "ES384"}, {"crv": "P-999"}, {"kty": "oct"}]
)
async def test_a_published_key_that_is_for_something_else_is_not_used(
    published: Published, different: dict[str, Any]
) -> None:
    public = {**published.keys["1"].as_dict(private=False), "kid": "1", **different}
    published.instead = JSONResponse({"keys": [public]})
    with pytest.raises(TokenError):
        await PartyKeys().find(published.party, published.token("1"))
