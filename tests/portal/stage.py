"""A gateway with its portal for a test of its own, and visitors who read its pages over HTTP."""

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from html import unescape
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import httpx
from starlette.applications import Starlette

from connectors.interface import IdentityRecord
from gateway.app import open_gateway
from gateway.http.server import listening_socket, served
from gateway.identity.provider import IdentityProvider
from gateway.operator import Operator
from gateway.portal.browser import SESSION_COOKIE
from gateway.sandbox import read_people
from gateway.settings import load_settings
from gateway.sources import Sources, today_in_japan
from gateway.store.envelope import read_master_key
from tests.gateway.sandboxes import CONFIG, Clock

HUONG, RAHMAN = "P01", "P02"
BORN = {HUONG: "1997-05-21", RAHMAN: "1992-11-02"}
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
SCRIPT_CSRF = re.compile(r'data-csrf="([0-9a-f]{64})"')


@dataclass(slots=True)
class Visitor:
    """A browser without a script: it keeps cookies as browsers do, secure ones on this machine too."""

    url: str
    http: httpx.AsyncClient
    cookies: dict[str, str] = field(default_factory=dict)
    page: str = ""

    async def get(self, place: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self._send("GET", place, None, {"sec-fetch-site": "same-origin", **(headers or {})})

    async def post(
        self,
        place: str,
        fields: Mapping[str, str] | Sequence[tuple[str, str]],
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a form of the page that was opened last."""
        given = [*(fields.items() if isinstance(fields, Mapping) else fields)]
        if found := CSRF.search(self.page):
            given.append(("csrf", found[1]))
        return await self.post_raw(place, urlencode(given), headers)

    async def post_raw(
        self, place: str, body: str | bytes, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        usual = {"content-type": "application/x-www-form-urlencoded", "origin": self.url}
        return await self._send("POST", place, body, usual | {**(headers or {})})

    async def post_json(self, place: str, body: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Send what the script of the page that was opened last would send."""
        found = SCRIPT_CSRF.search(self.page)
        usual = {"content-type": "application/json", "origin": self.url, "x-csrf-token": found[1] if found else ""}
        return await self._send("POST", place, body, usual | {**(headers or {})})

    async def sign_in(self, person: str) -> None:
        """Sign in as somebody of the sandbox."""
        await self.get("/sign-in")
        assert (await self.post("/sign-in/sandbox", {"person": person})).status_code == 303

    async def enrol(self, code: str, born_on: str) -> httpx.Response:
        """Enter a code from the counter."""
        await self.get("/enrol")
        return await self.post("/enrol", {"code": code, "born_on": born_on})

    async def signed_in_as(self) -> str | None:
        """The name on the sign-in page; None where nobody is signed in."""
        await self.get("/sign-in")
        found = re.search(r"You are signed in as ([^<]*)\.</p>", self.page)
        return unescape(found[1]) if found else None

    async def _send(
        self, method: str, place: str, body: str | bytes | None, headers: Mapping[str, str]
    ) -> httpx.Response:
        sent = dict(headers)
        if self.cookies:
            sent.setdefault("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        response = await self.http.request(method, place, content=body, headers=sent)
        for line in response.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel.value and morsel["max-age"] != "0" and "1970" not in morsel["expires"]:
                    self.cookies[name] = morsel.value
                else:
                    self.cookies.pop(name, None)
        if response.headers.get("content-type", "").startswith("text/html"):
            self.page = response.text
        return response

    @property
    def session(self) -> str | None:
        return self.cookies.get(SESSION_COOKIE)


@dataclass(frozen=True, slots=True)
class Portal:
    """A gateway that serves its portal."""

    url: str
    app: Starlette
    operator: Operator
    clock: Clock
    state: Path
    identities: Mapping[str, IdentityRecord]
    new_http: Callable[[], httpx.AsyncClient]

    def visitor(self) -> Visitor:
        return Visitor(self.url, self.new_http())

    async def code_for(self, person: str) -> str:
        """The counter's code for somebody who has shown who they are."""
        return str((await self.operator.act("person invite", {"person_id": person}))["code"])

    async def staff_code(self, party: str) -> str:
        return str((await self.operator.act("relying-party invite", {"party_id": party}))["code"])


@asynccontextmanager
async def open_stage(
    state: Path,
    *,
    sandbox: bool = True,
    providers: Sequence[IdentityProvider] = (),
    sources: Sources | None = None,
    today: Callable[[], date] = today_in_japan,
) -> AsyncIterator[Portal]:
    """Serve a portal at http://localhost, which browsers trust like https. `sources`: where authorities answer."""
    clock = Clock()
    identities = read_people(CONFIG / "sandbox").identities
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listening_socket("127.0.0.1", 0))
        url = f"http://localhost:{listener.getsockname()[1]}"
        settings = load_settings(state)
        gateway = settings.gateway.model_copy(
            update={
                "server": settings.gateway.server.model_copy(update={"public_url": url}),
                "sandbox": settings.gateway.sandbox.model_copy(update={"enabled": sandbox}),
            }
        )
        settings = settings.model_copy(update={"gateway": gateway, "identity_providers": tuple(providers)})
        read_master_key(state / "keys" / "master.key", may_make=True)  # as an operator has made it
        running = await stack.enter_async_context(open_gateway(settings, sources=sources, today=today, now=clock.now))
        await running.enrol({person: identities[person] for person in (HUONG, RAHMAN)})
        await stack.enter_async_context(served(running.app, listener))

        def new_http() -> httpx.AsyncClient:
            made = httpx.AsyncClient(base_url=url, trust_env=False, timeout=30)
            stack.push_async_callback(made.aclose)
            return made

        yield Portal(url, running.app, running.operator, clock, state, identities, new_http)
