"""Passkeys: one's own list, adding and removing, and signing in with one. The script speaks JSON, the page forms."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.errors import AuthenticationError, GatewayError, RequestError, public_code
from gateway.http.form import read_body
from gateway.portal.browser import MAX_FORM_BYTES, Browser
from gateway.portal.fresh_sign_in import (
    FRESH_MINUTES,
    Because,
    has_to_sign_in_for_passkeys,
    is_of_no_known_time,
    sign_in_again_place,
)
from gateway.portal.page import safe_next, sign_in_place
from gateway.portal.passkey_ceremony import PasskeyCeremony, owner_of
from gateway.portal.services import PortalServices, page_route, shut_out

_log = structlog.get_logger("kyosei.portal")

ScriptHandler = Callable[[Request, Browser], Awaitable[Response]]


def passkey_routes(given: PortalServices) -> list[BaseRoute]:
    pages, script = _PasskeyPages(given), _PasskeyScript(given)
    return [
        Route("/passkeys", page_route(given, pages.show), methods=["GET"]),
        Route("/passkeys/remove", page_route(given, pages.remove), methods=["POST"]),
        Route("/passkeys/options", script.route(script.adding_options), methods=["POST"]),
        Route("/passkeys", script.route(script.add), methods=["POST"]),
        Route("/sign-in/passkey/options", script.route(script.signing_in_options), methods=["POST"]),
        Route("/sign-in/passkey", script.route(script.sign_in), methods=["POST"]),
    ]


class _PasskeyPages:
    """The pages about passkeys."""

    def __init__(self, given: PortalServices) -> None:
        self._given = given

    async def show(self, request: Request, browser: Browser, *, is_last: bool = False) -> Response:
        if browser.is_shut_out:
            return shut_out(self._given.pages, request, browser)
        if not browser.is_signed_in:
            return self._given.pages.see_other(sign_in_place(request))
        owner = owner_of(browser)
        known = await self._given.passkeys.of(owner)
        has_to_sign_in = await has_to_sign_in_for_passkeys(self._given, browser, owner)
        status = 422 if is_last else 200
        return self._given.pages.page(
            request,
            "passkeys.html",
            status=status,
            browser=browser,
            passkeys=known,
            is_last=is_last,
            sign_in_again=sign_in_again_place("/passkeys", because=Because.PASSKEY) if has_to_sign_in else None,
            fresh_minutes=FRESH_MINUTES,
            is_of_no_known_time=is_of_no_known_time(browser),
            next=safe_next(request.query_params.get("next")),
        )

    async def remove(self, request: Request, browser: Browser) -> Response:
        """Remove one's own passkey; the last one only for who can come in another way."""
        form = await self._given.browsers.read_form(request, browser)
        if await has_to_sign_in_for_passkeys(self._given, browser, owner_of(browser)):
            return self._given.pages.see_other(sign_in_again_place("/passkeys", because=Because.PASSKEY))
        if not await self._given.passkeys.remove(form.one("id"), owner_of(browser)):
            return await self.show(request, browser, is_last=True)
        return self._given.pages.see_other("/passkeys")


class _PasskeyScript:
    """What the script asks, in JSON."""

    def __init__(self, given: PortalServices) -> None:
        self._given = given
        self._ceremony = PasskeyCeremony(given)

    async def adding_options(self, request: Request, browser: Browser) -> Response:
        await self._check_may_add(browser)
        return self._json(await self._ceremony.adding_options(browser))

    async def add(self, request: Request, browser: Browser) -> Response:
        await self._check_may_add(browser)
        await self._ceremony.add(browser, await _answer(request))
        return self._json('{"next":"/passkeys"}')

    async def _check_may_add(self, browser: Browser) -> None:
        """Raises AuthenticationError for whoever has to sign in again first, which the page says."""
        if await has_to_sign_in_for_passkeys(self._given, browser, owner_of(browser)):
            raise AuthenticationError("sign in again")

    async def signing_in_options(self, request: Request, browser: Browser) -> Response:
        return self._json(self._ceremony.signing_in_options(browser))

    async def sign_in(self, request: Request, browser: Browser) -> Response:
        """Sign in; the script then goes where the page had said."""
        who = await self._ceremony.sign_in(browser, await _answer(request))
        response = self._json(json.dumps({"next": safe_next(request.query_params.get("next"))}))
        await self._given.browsers.sign_in(response, browser, who)
        return response

    def route(self, handler: ScriptHandler) -> Callable[[Request], Awaitable[Response]]:
        """A route that only our script can ask, and that refuses in JSON."""

        async def respond(request: Request) -> Response:
            try:
                browser = await self._given.browsers.read(request)
                self._given.browsers.check_csrf(request, browser)
                return await handler(request, browser)
            except Exception as error:
                return self._refusal(error)

        return respond

    def _json(self, body: str) -> Response:
        return Response(body, media_type="application/json", headers=self._given.pages.headers())

    def _refusal(self, error: Exception) -> Response:
        row = public_code(error)
        if not isinstance(error, GatewayError):
            _log.error("page_failed", error=type(error).__name__)
        body = {"errors": [{"message": row.text, "extensions": {"code": row.code, "retryable": row.retryable}}]}
        return JSONResponse(body, status_code=row.status, headers=self._given.pages.headers())


async def _answer(request: Request) -> dict[str, Any]:
    """What an authenticator answered. Raises RequestError for what is no JSON object."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RequestError("content type", code="UNSUPPORTED_MEDIA_TYPE")
    try:
        found = json.loads(await read_body(request, max_bytes=MAX_FORM_BYTES))
    except (ValueError, RecursionError) as error:
        raise RequestError("body", code="BAD_JSON") from error
    if not isinstance(found, dict):
        raise RequestError("body", code="BAD_JSON")
    return found
