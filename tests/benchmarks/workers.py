"""What a second process adds, on PostgreSQL: `make bench-workers`.

`kyosei serve --workers N` with the sandbox's bearer keys; the answers are warm. Nothing is pinned: gateways,
database and load share the machine, so on two processors a second process cannot bring twice as much.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import uvloop

from gateway.sandbox import default_people_folder, open_authorities, read_people
from gateway.sandbox_keys import read_sandbox_keys
from tests.benchmarks.load import LoadCaller
from tests.benchmarks.machine import cpu_seconds
from tests.benchmarks.overload import DOCUMENT, give, raw, told
from tests.gateway.gateway_process import UNLIMITED, quick_settings
from tests.journeys.test_several_processes import config_for
from tests.postgres import running_postgres

ROUNDS, SECONDS, CALLERS, WARM_SECONDS = 3, 5.0, 32, 1.5
PEOPLE = ("P01", "P02", "P03", "P04", "P05")
GRANTS = 60


@contextmanager
def serving(state: Path, environment: dict[str, str], workers: int) -> Iterator[tuple[str, int]]:
    """So many processes behind one socket while the context lasts; where, and the process that holds them."""
    command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--state", str(state)]
    command += ["--workers", str(workers)]
    with (state.parent / "output").open("ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=output)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        yield next(word for word in line.split() if word.startswith("http://")).removesuffix("/graphql"), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def cpu_of_all(pid: int) -> float:
    """What a process and those that it started have used of a processor, in seconds."""
    children = psutil.Process(pid).children(recursive=True)
    return sum(cpu_seconds(one) for one in (pid, *(child.pid for child in children)))


async def answered(url: str, key: str, *, pid: int, name: str) -> float:
    """How many questions a second are answered."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
        tokens = [(await give(http, PEOPLE[number % len(PEOPLE)]))[0] for number in range(GRANTS)]
    requests = [raw(key, DOCUMENT, {"c": token}) for token in tokens]
    parts = urlsplit(url)
    load = LoadCaller(parts.hostname or "", parts.port or 0)

    def make(number: int) -> bytes:
        return requests[number % len(requests)]

    await load.closed_loop(CALLERS, WARM_SECONDS, make)
    cpu = cpu_of_all(pid)
    samples = await load.closed_loop(CALLERS, SECONDS, make)
    per_second = told(name, samples, SECONDS)
    print(f"{'':22} the gateways took {(cpu_of_all(pid) - cpu) / SECONDS:.0%} of a processor")
    return per_second


async def main(rounds: int) -> None:
    people, folder = read_people(default_people_folder()), Path(tempfile.mkdtemp(prefix="kyosei-workers-"))
    state, found = folder / "state", dict[int, list[float]]()
    with running_postgres() as fresh:
        settings = quick_settings(state)
        async with open_authorities(settings, people.folder, today=people.clock_on, profile="brisk") as urls:
            environment = os.environ | {
                "KYOSEI_CONFIG": str(config_for(folder, urls)),
                "KYOSEI_DATABASE__URL": fresh(),
                "KYOSEI_LIMITS__RELYING_PARTY_PER_SECOND": str(UNLIMITED),
                "KYOSEI_LIMITS__RELYING_PARTY_BURST": str(UNLIMITED),
                "KYOSEI_LIMITS__CONSENT_PER_SECOND": str(UNLIMITED),
            }
            for _ in range(rounds):
                for workers in (1, 2):
                    with serving(state, environment, workers) as (url, pid):
                        key = f"Bearer {read_sandbox_keys(settings)['landlord']}"
                        name = f"{workers} process{'es' if workers > 1 else ''}"
                        found.setdefault(workers, []).append(await answered(url, key, pid=pid, name=name))
    ratios = sorted(two / one for one, two in zip(found[1], found[2], strict=True))
    print(f"two of one: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    uvloop.run(main(parser.parse_args().rounds))
