"""Whether callers are told apart behind what stands in front of the gateway."""

from gateway.doctor.finding import AttentionError
from gateway.settings_parts import Server


def check_proxies(server: Server) -> str:
    """The gateway speaks http alone, so behind an https address there is a proxy. Raises AttentionError."""
    if server.trusted_hops:
        return f"callers are known behind {server.trusted_hops} of them"
    if server.public_url.startswith("https:"):
        raise AttentionError(
            "server.trusted_hops: it is 0, and server.public_url is https, so every caller has the proxy's address "
            "and all share one limit on failures; say how many proxies there are"
        )
    return "none stands in front"
