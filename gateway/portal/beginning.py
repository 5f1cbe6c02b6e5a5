"""Begin a consent: a person shows something unasked, to whom they name or give a share code. They see it first."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.japan import parse_amount
from gateway.consent.purpose import PurposeBounds
from gateway.errors import ConsentRequestError, RequestError
from gateway.identity.relying_party import RelyingParty
from gateway.portal.browser import Browser
from gateway.portal.consent_services import ConsentPages, Deciding, carried
from gateway.store.requests import Asking
from resolvers.attribute import Argument
from resolvers.catalogue import DECISIONS, Purpose


def beginning_routes(given: ConsentPages) -> list[BaseRoute]:
    pages = _Beginning(given)
    return [
        Route("/consents/new", given.route(pages.choose), methods=["GET"]),
        Route("/consents/new", given.route(pages.begin), methods=["POST"]),
    ]


class _Beginning:
    """What for, about which amounts, and for whom; then it is a request of the person's own."""

    def __init__(self, given: ConsentPages) -> None:
        self._given = given

    async def choose(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """The purposes, or the form of one. Raises RequestError(NOT_FOUND) for a purpose that there is not."""
        named = request.query_params.get("purpose")
        return self._page(request, browser, deciding, None if named is None else self._bounds(named))

    async def begin(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """Put the purpose's decision to the person, as if the other side had asked."""
        form = await self._given.portal.browsers.read_form(request, browser)
        bounds = self._bounds(form.one("purpose"))
        typed = {argument.name: form.one(argument.name) for argument in DECISIONS[bounds.decision].arguments}
        to = form.one("to")
        try:
            document = _document(bounds.decision, typed)
            asking = Asking(to or None, bounds.purpose, document, {}, terms=None)
            self._given.people.requesting.check(asking, now=self._given.portal.now())  # a slip is not counted
            await self._given.charging.rates.count_begun(deciding.person.id)
            preview = await deciding.session.preview(
                document, variables={}, relying_party=to or None, purpose=bounds.purpose, terms=None
            )
        except (ConsentRequestError, RequestError) as error:
            is_number = error.code in ("OFF_GRID", "VALIDATION_FAILED")  # a number beyond what GraphQL's Int holds
            refused_as = "OFF_GRID" if is_number else error.code
            return self._page(request, browser, deciding, bounds, typed=typed, to=to, refused_as=refused_as)
        return self._given.portal.pages.see_other(f"/consents/{preview.id}/decide{carried(deciding)}")

    def _page(
        self,
        request: Request,
        browser: Browser,
        deciding: Deciding,
        bounds: PurposeBounds | None,
        *,
        typed: Mapping[str, str] | None = None,
        to: str = "",
        refused_as: str | None = None,
    ) -> Response:
        """`typed`: what stands in the form; `refused_as`: the code that says why it cannot stand like this."""
        arguments = DECISIONS[bounds.decision].arguments if bounds else ()
        return self._given.portal.pages.page(
            request,
            "begin.html",
            status=422 if refused_as else 200,
            browser=browser,
            deciding=deciding,
            purposes=[self._bounds(purpose) for purpose in Purpose],
            bounds=bounds,
            arguments=arguments,
            decisions=DECISIONS,
            limits=self._given.people.requesting.limits,
            parties=self._parties(bounds.purpose) if bounds else [],
            typed=typed or {argument.name: "" for argument in arguments},
            to=to,
            refused_as=refused_as,
            ending=carried(deciding),
        )

    def _bounds(self, purpose: str) -> PurposeBounds:
        if purpose not in Purpose.__members__:
            raise RequestError("purpose", code="NOT_FOUND")
        return self._given.people.requesting.bounds(Purpose(purpose))

    def _parties(self, purpose: Purpose) -> list[RelyingParty]:
        known = self._given.portal.relying_parties.all()
        return [party for party in known if purpose in party.purposes and not party.is_suspended]


def _document(decision: str, typed: Mapping[str, str]) -> str:
    """A relying party's query for one decision. Raises ConsentRequestError for an argument that is none."""
    field = DECISIONS[decision]
    listed = ", ".join(f"{argument.name}: {_value(argument, typed[argument.name])}" for argument in field.arguments)
    arguments = f"({listed})" if listed else ""
    return (
        f"query($consent: ConsentToken!) {{ subject(consent: $consent) {{ {field.name}{arguments} {{ outcome }} }} }}"
    )


def _value(argument: Argument, typed: str) -> str:
    """A whole number as people write it, in any width, with commas and 円; or one of the choices."""
    if argument.type is not int:
        if typed not in argument.type.__members__:  # type: ignore[attr-defined]  # a StrEnum
            raise ConsentRequestError(argument.name)
        return typed
    try:
        return str(parse_amount(typed) or 0)
    except ValueError:
        raise ConsentRequestError(argument.name, code="OFF_GRID") from None
