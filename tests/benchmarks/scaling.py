"""Whether a question costs the same however many others there are: `make bench-scaling`.

One gateway over a database with a thousand consents, and others over ten, a hundred and a thousand times as many;
rounds in turn. Quote the ratios.
"""

import argparse
import gc
import statistics
from typing import Any

import httpx
import uvloop

from tests.benchmarks.bench import LOAD_ON, SERVERS_ON, Contender, Prover, loader, measure, ratio, right, started
from tests.benchmarks.machine import pin
from tests.benchmarks.served_gateway import Ready, run_gateway
from tests.benchmarks.stub import run_stub

SIZES = (1_000, 10_000, 100_000, 1_000_000)


async def compared(ready: dict[int, Ready], stub_url: str, *, rounds: int, each: int) -> dict[int, Contender]:
    """Every gateway, cold and then warm, in turn."""
    gateways = {size: Contender(f"{size:,}", one.pid, loader(one.url, b'"answer":{')) for size, one in ready.items()}
    async with httpx.AsyncClient(base_url=stub_url, timeout=30) as stub:
        provers = {size: Prover(one, httpx.AsyncClient(base_url=one.url, timeout=30)) for size, one in ready.items()}
        tokens = {size: iter(one.tokens) for size, one in ready.items()}
        for size, prover in provers.items():
            await prover.prepare()
            async with httpx.AsyncClient(base_url=ready[size].url, timeout=30) as http:
                await right(http, prover.requests([next(tokens[size])])[0])
        for number in range(rounds + 1):
            for size, prover in provers.items():
                await prover.prepare()
                asked = [next(tokens[size]) for _ in range(each)]
                for case in ("cold", "warm") if number else ("first", "first"):
                    await measure(gateways[size], case, prover.requests(asked), stub)
    return gateways


def show(gateways: dict[int, Contender]) -> None:
    smallest = gateways[min(gateways)]
    print(f"{'consents':>12}{'case':>8}{'CPU µs':>10}{'p99 ms':>10}   times that of the smallest (spread)")
    for size, gateway in gateways.items():
        for case in ("cold", "warm"):
            cpu = statistics.median(one.cpu_us for one in gateway.rounds[case])
            late = statistics.median(one.p99_ms for one in gateway.rounds[case])
            found = ratio(gateway.rounds[case], smallest.rounds[case], "cpu_us")
            spread = f"{found['median']:.2f} ({found['min']:.2f} to {found['max']:.2f})"
            print(f"{size:12,}{case:>8}{cpu:10.0f}{late:10.1f}   {spread}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", type=int, default=500)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    given = parser.parse_args()
    processes: list[Any] = []
    try:
        port, process = started(run_stub, LOAD_ON)
        processes.append(process)
        ready: dict[int, Ready] = {}
        for size in given.sizes:
            people = given.each * (given.rounds + 1) + 1
            ready[size], process = started(run_gateway, SERVERS_ON, port, people, "", size)
            processes.append(process)
            print(f"{size:,} consents are there", flush=True)
        pin(LOAD_ON)
        gc.disable()  # a collection over all samples would be taken for the servers' slowness
        url = f"http://127.0.0.1:{port}"
        show(uvloop.run(compared(ready, url, rounds=given.rounds, each=given.each)))
    finally:
        for process in processes:
            process.terminate()


if __name__ == "__main__":
    main()
