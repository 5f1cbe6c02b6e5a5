"""Several gateway processes behind one listening socket. They share a PostgreSQL database and the keys."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from threading import Event

import structlog

from gateway.http.server import listening_socket, url_of

Worker = subprocess.Popen[bytes]

_SIGNALLED = 128
"""What a shell adds to the number of the signal that ended a process. Source: POSIX, Shell Command Language 2.8.2."""
_log = structlog.get_logger("kyosei.workers")


def run_workers(count: int, arguments: Sequence[str], *, host: str, port: int) -> int:
    """Run `kyosei serve` so often on one socket until a signal or until one ends; the exit status.

    If one process ends, all do: whoever supervises this one starts them again, together and on the same terms.
    """
    with listening_socket(host, port) as listener:
        told, tells = os.pipe()
        handed = [listener.fileno(), tells]
        given = ["--listen-fd", str(listener.fileno()), "--ready-fd", str(tells), *arguments]
        command = [sys.executable, "-m", "gateway", "serve", *given]
        workers: list[Worker] = []
        is_asked = Event()

        def end(*_: object) -> None:
            is_asked.set()
            _end(workers)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        for _ in range(count):
            workers.append(subprocess.Popen(command, pass_fds=handed))  # noqa: S603
        os.close(tells)
        if are_ready := _are_ready(told, count):
            print(f"Kyosei Gateway listens on {url_of(listener)}/graphql with {count} processes", flush=True)
        return _until_ended(workers, is_asked, have_begun=are_ready)


def tell_ready(descriptor: int) -> None:
    """Let the process that started this one know that it serves."""
    os.write(descriptor, b".")
    os.close(descriptor)


def _are_ready(told: int, count: int) -> bool:
    """Wait until every process has said that it serves; False if one has ended instead."""
    with os.fdopen(told, "rb") as file:
        return len(file.read()) == count


def _until_ended(workers: list[Worker], is_asked: Event, *, have_begun: bool) -> int:
    """Wait for all of them, as soon as one has ended; 0 if that was asked for, else a status that is not.

    `have_begun`: who could not start has said why; of whoever ends later nobody may know.
    """
    status = 0
    while workers:
        for worker in list(workers):
            with contextlib.suppress(subprocess.TimeoutExpired):
                ended = worker.wait(timeout=0.2)
                workers.remove(worker)
                if not is_asked.is_set():
                    status = _SIGNALLED - ended if ended < 0 else ended or 1
                    if have_begun:
                        _log.critical("process_ended", status=status, reason="so all end: start them again together")
                is_asked.set()
                _end(workers)
    return status


def _end(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.terminate()
