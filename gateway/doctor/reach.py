"""Checks of what the gateway talks to: connections are opened, and the gateway is asked whether it is alive."""

import asyncio
import fcntl
import ssl
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from connectors.profile import AuthoritySettings
from connectors.transport import is_loopback_url, tls_context
from gateway.doctor.finding import AttentionError
from gateway.errors import ConfigurationError
from gateway.opening import LOCK
from gateway.operator import ask_running
from gateway.rates import IN_MEMORY, close_storage, open_storage
from gateway.settings import Settings
from gateway.store.database import is_sqlite
from gateway.store.shared_cache import SharedCache

SECONDS = 5.0


async def check_source(table: AuthoritySettings) -> str:
    """Whether a connection, for https with its certificate, comes about. A sandbox authority may be down."""
    parts = urlsplit(table.base_url)
    files = (table.ca_file, table.client_certificate_file, table.client_key_file)
    tls = tls_context(*files) if parts.scheme == "https" else None
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or (443 if tls else 80), ssl=tls)
            writer.close()
    except ssl.SSLError:
        raise ConfigurationError("its certificate does not verify; see ca_file in config/connectors.toml") from None
    except (OSError, TimeoutError):
        if is_loopback_url(table.base_url):
            raise AttentionError("nothing listens there; `kyosei sandbox authorities` runs the sandbox's") from None
        raise ConfigurationError(
            "it cannot be reached; see base_url in config/connectors.toml, and the network"
        ) from None
    return "it can be reached"


async def sources_of_running(settings: Settings) -> dict[str, str]:
    """Where the running gateway finds its authorities, if elsewhere than configured, as a sandbox's does."""
    if not is_sqlite(settings.database_url):
        return {}
    try:
        async with asyncio.timeout(SECONDS):
            status = await ask_running(settings.state, "status", {}) or {}
    except (OSError, TimeoutError, ValueError, ConfigurationError):
        return {}
    return dict(status.get("sources") or {})


async def check_limits(storage_url: str, *, may_be_shared: bool = False) -> str:
    """Whether the common storage of the limits answers. `may_be_shared`: several processes may use the database."""
    if storage_url == IN_MEMORY:
        if may_be_shared:
            raise AttentionError(
                "limits.storage_url: each process counts alone; name a Redis where there are several"
            )
        return "counted in memory: enough for one process"
    storage: Any = open_storage(storage_url)
    try:
        async with asyncio.timeout(SECONDS):
            is_there = await storage.check()
    except Exception:  # whatever its driver raises
        is_there = False
    finally:
        with suppress(Exception):
            await close_storage(storage)
    if not is_there:
        raise ConfigurationError("limits.storage_url: it does not answer; until it does each process counts alone")
    return "it answers"


async def check_evidence(storage_url: str) -> str:
    """Whether the cache that processes share answers. Without it the sources are asked more often."""
    if not storage_url:
        return "kept in memory, by each process for itself"
    cache = SharedCache(storage_url)
    try:
        if not await cache.answers():
            raise AttentionError(
                "evidence.storage_url: it does not answer; until it does the sources are asked instead"
            )
    finally:
        await cache.close()
    return "it answers"


async def check_gateway(settings: Settings) -> str:
    """Whether the gateway that holds the state directory answers. PostgreSQL's processes hold none."""
    if not is_sqlite(settings.database_url):
        return "with PostgreSQL ask each process for its /livez"
    if not _is_held(settings):
        return "none runs on this state directory"
    try:
        async with asyncio.timeout(SECONDS):
            status = await ask_running(settings.state, "status", {}) or {}
            if await _is_alive(status.get("url") or settings.public_url()):
                return "it runs, and answers"
    except (OSError, TimeoutError, ValueError):
        pass
    raise ConfigurationError("it holds the state directory but does not answer; look at its log, start it again")


def _is_held(settings: Settings) -> bool:
    """Whether a process holds the state directory."""
    try:
        with (settings.state / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


async def _is_alive(url: str) -> bool:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        writer.write(f"GET /livez HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        return b" 200 " in await reader.readline()
    finally:
        writer.close()
