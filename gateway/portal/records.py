"""What the authorities hold: each source's records in plain words, and what is concluded from them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.own_view import OwnClaim
from gateway.portal.browser import Browser
from gateway.portal.consent_services import ConsentPages, Deciding, carried, wards_beside
from resolvers.attribute import ClaimSource


def records_routes(given: ConsentPages) -> list[BaseRoute]:
    """One page. Each source is asked for it at most once a minute, and a silent one costs its own part alone."""

    async def show(request: Request, browser: Browser, deciding: Deciding) -> Response:
        view = await deciding.session.own_view()
        return given.portal.pages.page(
            request,
            "records.html",
            browser=browser,
            deciding=deciding,
            wards=await wards_beside(given, deciding),
            records=view.records,
            claims=_by_source(view.claims),
            without_record={one.record.source for one in view.records if one.holds_none},
            ending=carried(deciding),
        )

    return [Route("/records", given.route(show), methods=["GET"])]


def _by_source(claims: tuple[OwnClaim, ...]) -> dict[ClaimSource, list[OwnClaim]]:
    """The claims under whose record they are about, the gateway's own last."""
    return {source: [one for one in claims if one.attribute.source is source] for source in ClaimSource}
