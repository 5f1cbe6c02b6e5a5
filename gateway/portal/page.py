"""Responses of the portal: pages, redirects and refusals, with the headers that keep a page to itself."""

import secrets
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.errors import PUBLIC_CODES
from gateway.portal.language import language_of
from gateway.portal.rendering import Renderer

NONCE_BYTES = 16
_TWO_YEARS_SECONDS = 63_072_000


class Pages:
    """Makes the portal's responses. `is_https`: whether browsers reach it by https."""

    def __init__(self, renderer: Renderer, *, is_https: bool) -> None:
        self._renderer = renderer
        self._is_https = is_https

    def page(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        form_action: str | None = None,
        language: str | None = None,
        **given: Any,
    ) -> Response:
        """A page. `form_action`: another origin that its form may lead to, by a redirect. `language`: the one chosen
        just now."""
        nonce = secrets.token_urlsafe(NONCE_BYTES)
        language = language or language_of(request)
        given = {"path": _own_place(request)} | given
        body = self._renderer.render(template, language=language, nonce=nonce, **given)
        headers = self.headers(nonce=nonce, form_action=form_action) | {"Content-Language": language}
        return HTMLResponse(body, status_code=status, headers=headers)

    def see_other(self, place: str) -> Response:
        """303: what comes next is fetched by GET, whatever led here. Source: RFC 9700 section 4.12."""
        return RedirectResponse(place, status_code=303, headers=self.headers())

    def go_on(self, request: Request, place: str) -> Response:
        """A page that leads on: what is opened from a page of ours gets our strict cookie, a redirect does not."""
        return self.page(request, "go_on.html", place=place)

    def refusal(self, request: Request, code: str, *, template: str = "refusal.html", **given: Any) -> Response:
        """A page that says what is wrong, with the public code's status."""
        row = PUBLIC_CODES[code]
        status = row.status if row.status >= 400 else 422
        if row.status == 404:
            given = {"path": "/"} | given  # whatever was asked for is not repeated
        return self.page(request, template, status=status, row=row, **given)

    def headers(self, *, nonce: str | None = None, form_action: str | None = None) -> dict[str, str]:
        """Source: security 3.7."""
        script = f"'nonce-{nonce}' 'strict-dynamic'" if nonce else "'none'"
        headers = {
            "Content-Security-Policy": (
                f"default-src 'none'; script-src {script}; style-src 'self'; img-src 'self'; connect-src 'self'; "
                f"form-action 'self'{' ' + form_action if form_action else ''}; base-uri 'none'; object-src 'none'; "
                "frame-ancestors 'none'; require-trusted-types-for 'script'"
            ),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",  # with no-referrer browsers send `Origin: null` from our own forms
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
        }
        if self._is_https:
            headers["Strict-Transport-Security"] = f"max-age={_TWO_YEARS_SECONDS}; includeSubDomains"
        return headers


def safe_next(place: str | None) -> str:
    """A path of our own to go to; `/` for whatever could lead elsewhere. Source: security 2 C, row 60."""
    if not place or not place.startswith("/") or place.startswith("//"):
        return "/"
    if any(ord(symbol) < 0x21 or symbol in "\\\x7f" for symbol in place):
        return "/"
    return place


def this_place(request: Request) -> str:
    """The path and query that were asked for."""
    return safe_next(request.url.path + ("?" + request.url.query if request.url.query else ""))


def sign_in_place(request: Request) -> str:
    """Where somebody signs in who then comes back here; to the start, if this was no page to open again."""
    return "/sign-in?" + urlencode({"next": _own_place(request)})


def _own_place(request: Request) -> str:
    """Where the page that is answered can be opened again; the start for what a form led to."""
    return this_place(request) if request.method in ("GET", "HEAD") else "/"
