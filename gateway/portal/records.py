"""What the authorities hold: each source's records in plain words, and what is concluded from them."""

from datetime import date

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.interface import SourceAuthority
from gateway.errors import RequestError
from gateway.own_view import OwnClaim
from gateway.portal.browser import Browser
from gateway.portal.consent_services import ConsentPages, Deciding, carried, place_after, wards_beside
from resolvers.attribute import ClaimSource
from resolvers.day import read_day

DONE = ("confirm", "disown")


def records_routes(given: ConsentPages) -> list[BaseRoute]:
    pages = _Records(given)
    return [
        Route("/records", given.route(pages.show), methods=["GET"]),
        Route("/records/confirm", given.route(pages.confirm), methods=["POST"]),
        Route("/records/disown", given.route(pages.disown), methods=["POST"]),
    ]


class _Records:
    """One page. Each source is asked for it at most once a minute, and a silent one costs its own part alone."""

    def __init__(self, given: ConsentPages) -> None:
        self._given = given

    async def show(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        view = await deciding.session.own_view()
        done = request.query_params.get("done", "")
        return self._given.portal.pages.page(
            request,
            "records.html",
            browser=browser,
            deciding=deciding,
            wards=await wards_beside(self._given, deciding),
            records=view.records,
            claims=_by_source(view.claims),
            without_record={one.record.source for one in view.records if one.holds_none},
            done=done if done in DONE else "",
            ending=carried(deciding),
        )

    async def confirm(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """Confirm the probable record that the page showed: its name and birth date come back with the form."""
        form = await self._given.portal.browsers.read_form(request, browser)
        source, born_on = _source(form.one("source")), _day(form.one("born_on"))
        await self._given.charging.rates.count_dispute(deciding.person.id)
        await deciding.session.confirm_record(source, record_name=form.one("name"), born_on=born_on)
        return self._given.portal.pages.see_other(place_after("/records", deciding, done="confirm"))

    async def disown(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """Take a confirmation back. When this returns, nothing leaves that rests on it."""
        form = await self._given.portal.browsers.read_form(request, browser)
        await deciding.session.disown_record(_source(form.one("source")))
        return self._given.portal.pages.see_other(place_after("/records", deciding, done="disown"))


def _source(text: str) -> SourceAuthority:
    """Raises RequestError(NOT_FOUND) for what is no authority."""
    if text not in SourceAuthority.__members__:
        raise RequestError("source", code="NOT_FOUND")
    return SourceAuthority(text)


def _day(text: str) -> date:
    """Raises RequestError for what is no day."""
    day = read_day(text)
    if day is None:
        raise RequestError("born_on")
    return day


def _by_source(claims: tuple[OwnClaim, ...]) -> dict[ClaimSource, list[OwnClaim]]:
    """The claims under whose record they are about, the gateway's own last."""
    return {source: [one for one in claims if one.attribute.source is source] for source in ClaimSource}
