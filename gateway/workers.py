"""Several gateway processes behind one listening socket. They share a PostgreSQL database and the keys."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Sequence

from gateway.http.server import listening_socket, url_of


def run_workers(count: int, arguments: Sequence[str], *, host: str, port: int) -> int:
    """Run `kyosei serve` so often on one socket until a signal or until one ends; the exit status.

    If one process ends, all do: whoever supervises this one starts them again, together and on the same terms.
    """
    with listening_socket(host, port) as listener:
        command = [sys.executable, "-m", "gateway", "serve", "--listen-fd", str(listener.fileno()), *arguments]
        workers: list[subprocess.Popen[bytes]] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: _end(workers))
        for _ in range(count):
            workers.append(subprocess.Popen(command, pass_fds=[listener.fileno()]))  # noqa: S603
        print(f"Kyosei Gateway listens on {url_of(listener)}/graphql with {count} processes", flush=True)
        return _until_ended(workers)


def _until_ended(workers: list["subprocess.Popen[bytes]"]) -> int:
    """Wait for all of them; the status of the first that failed. One that we ended ourselves has not."""
    status = 0
    while workers:
        for worker in list(workers):
            with contextlib.suppress(subprocess.TimeoutExpired):
                ended = worker.wait(timeout=0.2)
                workers.remove(worker)
                status = status or (0 if ended == -signal.SIGTERM else ended)
                _end(workers)
    return status


def _end(workers: Sequence["subprocess.Popen[bytes]"]) -> None:
    for worker in workers:
        worker.terminate()
