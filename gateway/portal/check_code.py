"""Check a code: a relying party's staff redeem a share code and read the answer, without software of their own."""

import math
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from gateway.consent.gate import Refusal
from gateway.consent.token import token_digest
from gateway.errors import (
    PUBLIC_CODES,
    ConsentRequestError,
    GatewayError,
    OverloadedError,
    RateLimitedError,
    ShareCodeUsedError,
)
from gateway.guesses import WRONG_GUESSES
from gateway.http.presence import presence_of
from gateway.http.response import sent_before
from gateway.identity.relying_party import RelyingParty
from gateway.lease import Leased, ReleaseOrRefusal, answer_in_time
from gateway.party import PartySession
from gateway.pipeline import Asker
from gateway.portal.browser import Browser, Form, remember_language
from gateway.portal.consent_services import ConsentPages
from gateway.portal.language import checked_language
from gateway.portal.services import come_back_at, signed_in_staff, told_to_wait
from resolvers.day import read_day


def check_code_routes(given: ConsentPages) -> list[BaseRoute]:
    pages = _CheckCode(given)
    return [
        Route("/check-code", signed_in_staff(given.portal, pages.show), methods=["GET"]),
        Route("/check-code", signed_in_staff(given.portal, pages.check), methods=["POST"]),
    ]


class LeasedResponse(Response):
    """A page that carries a release: it leaves within its lease, or once more made under another, or `instead` of it
    a refusal does."""

    def __init__(self, leased: Leased[Response], *, instead: Response) -> None:
        super().__init__()
        self._leased = leased
        self._instead = instead
        self._own = len(leased.made.raw_headers)
        self.raw_headers = list(leased.made.raw_headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page, ends_at = self._leased.made, self._leased.ends_at
        if ends_at is not None and time.monotonic() >= ends_at:
            try:
                renewed = await self._leased.renew()
            except GatewayError:
                await self._instead(scope, receive, send)
                return
            page, ends_at = renewed.made, renewed.ends_at
        added = self.raw_headers[self._own :]  # by whom it passed on its way out
        messages: list[Message] = [
            {"type": "http.response.start", "status": page.status_code, "headers": [*page.raw_headers, *added]},
            {"type": "http.response.body", "body": page.body},
        ]
        if ends_at is None:
            for message in messages:
                await send(message)
        elif not await sent_before(send, messages, ends_at, presence=presence_of(scope)):
            await self._instead(scope, receive, send)


class _CheckCode:
    """The form, and what the code's consent answers."""

    def __init__(self, given: ConsentPages) -> None:
        self._given = given

    async def show(self, request: Request, browser: Browser, party: RelyingParty) -> Response:
        if "code" in request.query_params:
            raise HTTPException(404)  # an address is kept in histories and logs
        return self._form(request, browser)

    def _form(
        self,
        request: Request,
        browser: Browser,
        *,
        cannot_be_used: bool = False,
        language: str | None = None,
        code: str = "",
        born_on: str = "",
        limited: RateLimitedError | None = None,
        used_at: datetime | None = None,
    ) -> Response:
        """`limited`: too many were wrong, so that the code was not looked up. `used_at`: this party used it then."""
        page = self._given.portal.pages.page(
            request,
            "check_code.html",
            status=PUBLIC_CODES[limited.code].status if limited else 200,
            language=language,
            browser=browser,
            cannot_be_used=cannot_be_used,
            used_at=used_at,
            code=code,
            born_on=born_on,
            wrong_guesses=WRONG_GUESSES,
            retry_at=come_back_at(limited, self._given.portal.now()) if limited else None,
        )
        return told_to_wait(page, limited) if limited else page

    def _in_another_language(self, request: Request, browser: Browser, form: Form) -> Response:
        """The form with what was typed into it, which is in the body alone. Raises HTTPException for no language."""
        language = checked_language(form.one("language"))
        page = self._form(request, browser, language=language, code=form.one("code"), born_on=form.one("born_on"))
        remember_language(page, language)
        return page

    async def check(self, request: Request, browser: Browser, party: RelyingParty) -> Response:
        """Redeem and answer, or answer once more. Whatever is wrong with a code, it gets the same page, unless this
        party itself has used it."""
        form = await self._given.portal.browsers.read_form(request, browser)
        if form.one("language"):
            return self._in_another_language(request, browser, form)
        if token := form.one("consent_token"):
            return await self._answered(request, browser, party, token)
        born_on = read_day(form.one("born_on").strip())
        if born_on is None:
            return self._form(request, browser, cannot_be_used=True)  # no guess either: nothing is looked up
        try:
            redeemed = await PartySession(party, self._given.parties).redeem(form.one("code"), born_on=born_on)
        except ShareCodeUsedError as error:
            return self._form(request, browser, used_at=error.redeemed_at)
        except ConsentRequestError:
            return self._form(request, browser, cannot_be_used=True)
        except RateLimitedError as error:
            return self._form(request, browser, limited=error)
        return await self._answered(request, browser, party, str(redeemed.consent_token))

    async def _answered(self, request: Request, browser: Browser, party: RelyingParty, token: str) -> Response:
        """What the consent answers now, by the one way that anything reaches a relying party."""
        services = self._given.people.services
        found = await services.grants.find_by_token(token_digest(token), party.id)
        if found is None:
            raise ConsentRequestError("grant", code="CONSENT_INVALID")
        plan = self._given.people.requesting.plan_of(found[0], consent_token=token)

        def make(outcomes: Sequence[ReleaseOrRefusal]) -> Response:
            (outcome,) = outcomes
            if isinstance(outcome, Refusal):
                return self._not_answered(request, browser, token, outcome.code, retry_at=outcome.retry_at)
            return self._given.portal.pages.page(
                request, "checked.html", browser=browser, answer=outcome.answer, token=token, grant=found[0]
            )

        try:
            await self._given.charging.rates.count_request(party.id)
            await self._given.charging.charge(party.id, (plan,))
            leased = await answer_in_time((plan,), Asker(party), services, make)
        except RateLimitedError as error:
            retry_at = self._given.portal.now() + timedelta(seconds=error.retry_after_seconds)
            return self._not_answered(request, browser, token, error.code, retry_at=retry_at)
        except GatewayError as error:
            return self._not_answered(request, browser, token, error.code)
        if leased.ends_at is None:
            return leased.made
        late = self._not_answered(request, browser, token, OverloadedError.default_code)
        return LeasedResponse(leased, instead=late)

    def _not_answered(
        self, request: Request, browser: Browser, token: str, code: str, *, retry_at: datetime | None = None
    ) -> Response:
        """The code is used, so its token is shown with the reason, and nothing is lost."""
        row = PUBLIC_CODES[code]
        page = self._given.portal.pages.page(
            request,
            "not_answered.html",
            status=row.status if row.status >= 400 else 422,
            browser=browser,
            row=row,
            token=token,
            retry_at=retry_at,
        )
        if row.status in (429, 503):
            left = (retry_at - self._given.portal.now()).total_seconds() if retry_at else 1
            page.headers["Retry-After"] = str(max(1, math.ceil(left)))
        return page
