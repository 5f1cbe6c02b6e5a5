"""The process around a gateway: when it ends."""

import asyncio
import signal

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
