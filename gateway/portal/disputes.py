"""My disputes: what somebody says is wrong, opened, listed and closed."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.interface import SourceAuthority
from gateway.consent.dispute import MAX_STATEMENT, is_statement
from gateway.errors import RequestError
from gateway.portal.browser import Browser
from gateway.portal.consent_services import ConsentPages, Deciding, carried, place_after, wards_beside
from resolvers.catalogue import ATTRIBUTES
from resolvers.consent import Dispute, DisputeOutcome

DONE = ("open", "close", "already")
MAX_FORM_BYTES = 12 * MAX_STATEMENT + 1_024
"""A form with the longest statement: each letter is four bytes at most, each of them written as %XX."""


def disputes_routes(given: ConsentPages) -> list[BaseRoute]:
    pages = _Disputes(given)
    return [
        Route("/disputes", given.route(pages.show_all), methods=["GET"]),
        Route("/disputes", given.route(pages.open), methods=["POST"]),
        Route("/disputes/new", given.route(pages.begin), methods=["GET"]),
        Route("/disputes/{id}/close", given.route(pages.close), methods=["POST"]),
    ]


class _Disputes:
    """Pages over one's own disputes, and one's wards'."""

    def __init__(self, given: ConsentPages) -> None:
        self._given = given

    async def show_all(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """All disputes, the open ones first, each time the newest first."""
        done = request.query_params.get("done", "")
        listed = await deciding.session.disputes()
        return self._given.portal.pages.page(
            request,
            "disputes.html",
            browser=browser,
            deciding=deciding,
            wards=await wards_beside(self._given, deciding),
            open_ones=[one for one in listed if one.closed_at is None],
            closed_ones=[one for one in listed if one.closed_at is not None],
            may_correct=_may_correct,
            done=done if done in DONE else "",
            ending=carried(deciding),
        )

    async def begin(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """The form for one claim or one record. Raises RequestError(NOT_FOUND) for what cannot be disputed."""
        query = request.query_params
        return self._form(request, browser, deciding, _about(query.get("claim", ""), query.get("record", "")))

    def _form(
        self, request: Request, browser: Browser, deciding: Deciding, about: str, *, refused: str | None = None
    ) -> Response:
        """`refused`: the statement that cannot stand like this."""
        return self._given.portal.pages.page(
            request,
            "dispute.html",
            status=200 if refused is None else 422,
            browser=browser,
            deciding=deciding,
            about=about,
            is_claim=about in ATTRIBUTES,
            refused=refused,
            max_statement=MAX_STATEMENT,
            ending=carried(deciding),
        )

    async def open(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """Dispute a claim or a record. When this returns, nothing of it leaves."""
        form = await self._given.portal.browsers.read_form(request, browser, max_bytes=MAX_FORM_BYTES)
        about = _about(form.one("claim"), form.one("record"))
        statement = form.one("statement").replace("\r\n", "\n")  # as browsers send a new line
        if not is_statement(statement):
            return self._form(request, browser, deciding, about, refused=statement)
        if about in await _open_ones(deciding):
            return self._given.portal.pages.see_other(place_after("/disputes", deciding, done="already"))
        await self._given.charging.rates.count_dispute(deciding.person.id)
        is_claim = about in ATTRIBUTES
        await deciding.session.open_dispute(
            claim=about if is_claim else None,
            record=None if is_claim else SourceAuthority(about),
            statement=statement,
        )
        return self._given.portal.pages.see_other(place_after("/disputes", deciding, done="open"))

    async def close(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """End a dispute, by how it ended."""
        form = await self._given.portal.browsers.read_form(request, browser)
        dispute = await _own_dispute(deciding, request.path_params["id"])
        outcome, corrected_by = _ended(form.one("ended"))
        if corrected_by is not None and corrected_by not in _may_correct(dispute):
            raise RequestError("ended")
        await deciding.session.close_dispute(str(dispute.id), outcome=outcome, corrected_by=corrected_by)
        return self._given.portal.pages.see_other(place_after("/disputes", deciding, done="close"))


async def _open_ones(deciding: Deciding) -> set[str]:
    """What is disputed already: a second dispute of the same would only have to be closed too."""
    return {one.claim or str(one.record) for one in await deciding.session.disputes() if one.closed_at is None}


async def _own_dispute(deciding: Deciding, dispute_id: str) -> Dispute:
    """Raises RequestError(NOT_FOUND), for a stranger's dispute as for none."""
    for dispute in await deciding.session.disputes():
        if str(dispute.id) == dispute_id:
            return dispute
    raise RequestError("dispute", code="NOT_FOUND")


def _about(claim: str, record: str) -> str:
    """What is disputed: a claim's coordinate or a source. Raises RequestError(NOT_FOUND) for neither and for both."""
    is_claim, is_record = claim in ATTRIBUTES, record in SourceAuthority.__members__
    if (is_claim and not record) or (is_record and not claim):
        return claim or record
    raise RequestError("claim or record", code="NOT_FOUND")


def _ended(text: str) -> tuple[DisputeOutcome, SourceAuthority | None]:
    """How a dispute ended: `WITHDRAWN`, `UPHELD`, or `CORRECTED TAX`. Raises RequestError for anything else."""
    outcome, _space, by = text.partition(" ")
    if outcome not in DisputeOutcome.__members__ or (by and by not in SourceAuthority.__members__):
        raise RequestError("ended")
    return DisputeOutcome(outcome), SourceAuthority(by) if by else None


def _may_correct(dispute: Dispute) -> list[SourceAuthority]:
    """Whose correction may have ended a dispute: the source's whose record it is, or those that a claim looks at."""
    if dispute.record is not None:
        return [dispute.record]
    looked_at = ATTRIBUTES[dispute.claim or ""].sources
    return [source for source in SourceAuthority if source in looked_at] or list(SourceAuthority)
