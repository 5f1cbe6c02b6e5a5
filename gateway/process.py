"""The process around a gateway: what it logs and where, and when it ends."""

import asyncio
import logging
import signal
from typing import TextIO

import structlog

from gateway.app import Gateway
from gateway.errors import RecordUnavailableError


async def until_stopped(gateway: Gateway | None = None) -> None:
    """Wait for SIGINT or SIGTERM, or for the record to break: then the process has to end."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    waiting = [asyncio.create_task(stopped.wait())]
    if gateway is not None:
        waiting.append(asyncio.create_task(gateway.writer.broken.wait()))
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    if gateway is not None and gateway.writer.broken.is_set():
        raise RecordUnavailableError("the record could not be made durable; restart the gateway")


def configure_logging(stream: TextIO, *, is_debug: bool = False) -> None:
    """JSON lines; nothing of a person is ever given to a logger."""
    level = logging.INFO if is_debug else logging.WARNING
    logging.basicConfig(level=level, stream=stream, force=True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
