"""The explorer: GraphiQL on this gateway's endpoint, in the sandbox alone, with nothing from anywhere else.

Its scripts and styles come out of an installed package, which is looked at and never imported: it is made for another
framework.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.http.request import SAFE_HEADERS
from gateway.http.response import plain_refusal

PACKAGE = "graphene_django_graphiql_static"
HERE = Path(__file__).parent
_OF_PACKAGE = ("react.production.min.js", "react-dom.production.min.js", "graphiql.min.js", "graphiql.min.css")
_OWN = ("explorer.js", "explorer.css")
_MEDIA_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; "
    "connect-src 'self'; worker-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The editor writes styles into the page itself; everything else comes from here."""


def explorer_routes() -> list[BaseRoute]:
    """The page and its files. A gateway whose package is not installed has a page that says so."""
    files = explorer_files()
    page = (HERE / "templates" / "explorer.html").read_text(encoding="utf-8")

    async def show(request: Request) -> Response:
        headers = {**SAFE_HEADERS, "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
        return HTMLResponse(page, headers=headers)

    async def give(request: Request) -> Response:
        path = files.get(request.path_params["name"])
        if path is None:
            return plain_refusal("NOT_FOUND")(request, Exception())
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "max-age=86400"}
        return FileResponse(path, media_type=_MEDIA_TYPES[path.suffix], headers=headers)

    return [
        Route("/explorer", show, methods=["GET"]),
        Route("/explorer/{name}", give, methods=["GET"]),
    ]


def explorer_files() -> Mapping[str, Path]:
    """The files that are given out, by name."""
    own = {name: HERE / "static" / name for name in _OWN}
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        return own
    folder = Path(found.origin).parent / "static" / PACKAGE
    return own | {name: folder / name for name in _OF_PACKAGE}
