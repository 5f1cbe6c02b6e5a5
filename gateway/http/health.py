"""Is the process alive?"""

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.http.request import SAFE_HEADERS


async def livez(request: Request) -> JSONResponse:
    """Alive: the event loop answers. It says nothing of the database or the sources."""
    return JSONResponse({"status": "alive"}, headers=SAFE_HEADERS)
