"""Is the process alive, should it be asked, and how is it doing?"""

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.http.request import SAFE_HEADERS
from gateway.http.response import plain_refusal
from gateway.metrics import Metrics

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


async def livez(request: Request) -> JSONResponse:
    """Alive: the event loop answers. It says nothing of the database or the sources."""
    return JSONResponse({"status": "alive"}, headers=SAFE_HEADERS)


class Health:
    """`unready`: why this process should not be asked now, or None. `metrics_from`: the networks that may read
    the metrics; whoever comes through a proxy is in none of them."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        unready: Callable[[], Awaitable[str | None]],
        metrics_from: Sequence[IPv4Network | IPv6Network],
    ) -> None:
        self._metrics = metrics
        self._unready = unready
        self._metrics_from = metrics_from

    def routes(self) -> list[Route]:
        return [
            Route("/livez", livez, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def readyz(self, request: Request) -> JSONResponse:
        """Ready: the record can be read and written, there is room, and this process is not about to stop."""
        why = await self._unready()
        body = {"status": "ready"} if why is None else {"status": "not ready", "why": why}
        return JSONResponse(body, status_code=200 if why is None else 503, headers=SAFE_HEADERS)

    async def metrics(self, request: Request) -> Response:
        """Counters for Prometheus; nothing is here for anybody outside the operator's networks."""
        if not self._may_read(request):
            return plain_refusal("NOT_FOUND")(request, Exception())
        body, media_type = self._metrics.exposed(request.headers.get("accept", ""))
        return Response(body, headers={**SAFE_HEADERS, "Content-Type": media_type})

    def _may_read(self, request: Request) -> bool:
        if request.client is None or any(name in request.headers for name in _FORWARDED):
            return False
        try:
            address = ip_address(request.client.host)
        except ValueError:
            return False
        return any(address in network for network in self._metrics_from)
