"""What a person's own pages have in common: for whom somebody decides, and how it is put on a page."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from gateway.authorizing import Authorizations
from gateway.charging import Charging
from gateway.consenting import PersonServices
from gateway.errors import RequestError
from gateway.identity.subject import Person
from gateway.party import PartyServices
from gateway.person import PersonSession
from gateway.portal.browser import Browser
from gateway.portal.services import Handler, PortalServices, signed_in_person
from resolvers.consent import ConsentGrant


@dataclass(frozen=True, slots=True)
class Deciding:
    """Whom a page is about, and who decides for them."""

    person: Person
    session: PersonSession
    guardian: Person | None

    @property
    def needs_guardian(self) -> bool:
        return self.session.needs_guardian

    @property
    def is_oneself(self) -> bool:
        """Whether the pages speak to whom they are about: to nobody under age, since a guardian did much of it."""
        return self.guardian is None and not self.needs_guardian

    @property
    def ward_id(self) -> str:
        """What the pages carry along: the minor's id; empty for oneself."""
        return self.person.id if self.guardian else ""


DecidingHandler = Callable[[Request, Browser, Deciding], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ConsentPages:
    """What pages about consents work with, besides what every page has."""

    portal: PortalServices
    people: PersonServices
    parties: PartyServices
    authorizations: Authorizations
    charging: Charging
    today: Callable[[], date]

    async def deciding(self, person: Person, ward_id: str) -> Deciding:
        """A person for themself, or for their ward. Raises RequestError(NOT_FOUND) for anybody else."""
        if ward_id in ("", person.id):
            return self._deciding(person, guardian=None)
        wards = {ward.id: ward for ward in await self.wards_of(person)}
        if ward_id not in wards:
            raise RequestError("person", code="NOT_FOUND")
        return self._deciding(wards[ward_id], guardian=person)

    def _deciding(self, person: Person, guardian: Person | None) -> Deciding:
        return Deciding(person, PersonSession(person, self.people, guardian=guardian), guardian)

    async def wards_of(self, person: Person) -> list[Person]:
        """The minors that somebody decides for; whoever is of age decides alone, and for nobody who is not."""
        if person.is_minor(self.today()):
            return []
        found = [await self.portal.people.find(one) for one in await self.portal.guardians.wards_of(person.id)]
        return [one for one in found if one and one.is_minor(self.today())]

    def route(self, handler: DecidingHandler) -> Handler:
        """A route for a signed-in person who says, by `for` in the URL, if they decide for a ward."""

        async def respond(request: Request, browser: Browser, person: Person) -> Response:
            return await handler(request, browser, await self.deciding(person, request.query_params.get("for", "")))

        return signed_in_person(self.portal, respond)


async def own_consent(deciding: Deciding, consent_id: str) -> ConsentGrant:
    """Raises RequestError(NOT_FOUND), for a stranger's consent as for none."""
    for grant in await deciding.session.grants():
        if str(grant.id) == consent_id:
            return grant
    raise RequestError("grant", code="NOT_FOUND")


def carried(deciding: Deciding) -> str:
    """The end of a URL that keeps for whom it is decided."""
    return f"?for={quote(deciding.ward_id, safe='')}" if deciding.ward_id else ""


def place_after(place: str, deciding: Deciding, *, done: str) -> str:
    """A page with a line that says what was done just now. `done`: the action's fixed name."""
    beginning = f"{carried(deciding)}&" if carried(deciding) else "?"
    return f"{place}{beginning}done={done}"


async def wards_beside(given: ConsentPages, deciding: Deciding) -> list[Person]:
    """The wards whose page of the same kind is a click away: none on a ward's own."""
    return [] if deciding.guardian else await given.wards_of(deciding.person)
