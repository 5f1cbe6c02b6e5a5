"""Who sits at the browser: its session cookie, and the proof that a form came from a page of ours."""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import AuthenticationError, RequestError
from gateway.http.form import read_form
from gateway.identity.relying_party import RelyingParty
from gateway.identity.subject import Person
from gateway.portal.language import LANGUAGE_COOKIE, LANGUAGE_SECONDS
from gateway.store.sessions import SESSION_LIFE, Sessions, SignedIn

SESSION_COOKIE = "__Host-kyosei"
SECRET_BYTES = 32
MAX_FORM_BYTES = 16_384


@dataclass(frozen=True, slots=True, repr=False)
class Browser:
    """A browser and who signed in there: a person, or staff of a relying party, or nobody.

    `secret`: its cookie's value; `is_new`: it has not been given that cookie yet; `is_shut_out`: staff signed in
    whose relying party is suspended, or is no more. `signed_in_at`: when they last showed who they are.
    """

    secret: str
    is_new: bool
    csrf: str
    person: Person | None = None
    staff_of: RelyingParty | None = None
    is_shut_out: bool = False
    signed_in_at: datetime | None = None

    @property
    def is_signed_in(self) -> bool:
        """Whether there is a session to end: that of staff who are shut out, too."""
        return self.person is not None or self.staff_of is not None or self.is_shut_out

    def has_signed_in_since(self, moment: datetime) -> bool:
        return self.signed_in_at is not None and self.signed_in_at >= moment


class Form:
    """The fields of a form that came from a page of ours."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def one(self, name: str, default: str = "") -> str:
        """The value of a field that may stand there once. Raises RequestError if it stands there more often."""
        found = self.all(name)
        if len(found) > 1:
            raise RequestError("form field")
        return found[0] if found else default

    def all(self, name: str) -> list[str]:
        return [value for field, value in self._fields if field == name]


class Browsers:
    """Reads and gives session cookies. `find_person`, `find_party`: None for who is no more, or is suspended."""

    def __init__(
        self,
        sessions: Sessions,
        *,
        csrf_key: bytes,
        origin: str,
        find_person: Callable[[str], Awaitable[Person | None]],
        find_party: Callable[[str], RelyingParty | None],
        now: Callable[[], datetime],
    ) -> None:
        self._sessions = sessions
        self._csrf_key = csrf_key
        self._origin = origin
        self._find_person = find_person
        self._find_party = find_party
        self._now = now

    async def read(self, request: Request) -> Browser:
        """The browser that a request comes from."""
        secret = request.cookies.get(SESSION_COOKIE, "")
        if not secret or len(secret) > 2 * SECRET_BYTES:
            return self._browser(secrets.token_urlsafe(SECRET_BYTES), is_new=True)
        found = await self._sessions.find(secret, now=self._now())
        if found is None:
            return self._browser(secret)
        person_id, party_id = found.who.person_id, found.who.relying_party_id
        staff_of = self._find_party(party_id) if party_id else None
        return replace(
            self._browser(secret),
            person=await self._find_person(person_id) if person_id else None,
            staff_of=staff_of,
            is_shut_out=party_id is not None and staff_of is None,
            signed_in_at=found.signed_in_at,
        )

    def _browser(self, secret: str, *, is_new: bool = False) -> Browser:
        return Browser(secret, is_new, self._csrf(secret))

    def _csrf(self, secret: str) -> str:
        """What a form of this browser carries. Another site can read neither it nor the cookie."""
        return hmac.new(self._csrf_key, secret.encode(), hashlib.sha256).hexdigest()

    async def read_form(self, request: Request, browser: Browser, *, max_bytes: int = MAX_FORM_BYTES) -> Form:
        """A form's fields. Raises AuthenticationError(CSRF_FAILED) unless it came from a page of ours, RequestError
        for what is no form or too large."""
        self.check_origin(request)
        form = Form(await read_form(request, max_bytes=max_bytes))
        if browser.is_new or not hmac.compare_digest(form.one("csrf").encode(), browser.csrf.encode()):
            raise AuthenticationError("csrf", code="CSRF_FAILED")
        return form

    def check_origin(self, request: Request) -> None:
        """Refuse what another site's page sends. Browsers name it in Origin, which may be missing but not foreign."""
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site", "same-origin")
        if (origin is not None and origin != self._origin) or site not in ("same-origin", "none"):
            raise AuthenticationError("origin", code="CSRF_FAILED")

    def check_csrf(self, request: Request, browser: Browser) -> None:
        """The same proof for what our script sends, in the header X-CSRF-Token."""
        self.check_origin(request)
        sent = request.headers.get("x-csrf-token", "")
        if browser.is_new or not hmac.compare_digest(sent.encode(), browser.csrf.encode()):
            raise AuthenticationError("csrf", code="CSRF_FAILED")

    async def sign_in(
        self, response: Response, browser: Browser, who: SignedIn, *, signed_in_at: datetime | None = None
    ) -> None:
        """Give the browser a new cookie, so that no older one can be planted; the older one ends.

        `signed_in_at`: when they showed who they are, if that was not now.
        """
        if browser.is_signed_in:
            await self._sessions.close(browser.secret)
        secret = secrets.token_urlsafe(SECRET_BYTES)
        await self._sessions.open(secret, who, now=self._now(), signed_in_at=signed_in_at)
        set_cookie(response, SESSION_COOKIE, secret, max_age=int(SESSION_LIFE.total_seconds()))

    async def sign_out(self, response: Response, browser: Browser) -> None:
        await self._sessions.close(browser.secret)
        response.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="strict")
        response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'

    @staticmethod
    def remember(response: Response, browser: Browser) -> Response:
        """Give a new browser its cookie, so that its forms can be told from another site's; a sign-in gave one."""
        given = response.headers.getlist("set-cookie")
        if browser.is_new and not any(cookie.startswith(f"{SESSION_COOKIE}=") for cookie in given):
            set_cookie(response, SESSION_COOKIE, browser.secret)
        return response


def remember_language(response: Response, language: str) -> None:
    """From the next page on this browser reads in this language."""
    set_cookie(response, LANGUAGE_COOKIE, language, max_age=LANGUAGE_SECONDS)


def set_cookie(response: Response, name: str, value: str, *, max_age: int | None = None) -> None:
    """A cookie for this host alone, over a secure connection, for no script and no other site.

    Source: RFC 6265bis section 4.1.3.2 (`__Host-`).
    """
    response.set_cookie(name, value, max_age=max_age, path="/", secure=True, httponly=True, samesite="strict")
