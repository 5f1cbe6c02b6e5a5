"""What one question costs: `make bench`. Source: performance, "how to measure".

The gateway whole and a first try, each alone on one processor, over the same stub; rounds in turn after a warm-up.
Quote the ratios with their spread: the machine's speed changes from minute to minute, for all alike.
"""

import argparse
import gc
import json
import multiprocessing
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvloop

from tests.benchmarks.load import LoadCaller, percentile
from tests.benchmarks.machine import cpu_seconds, pin, resident_megabytes
from tests.benchmarks.naive import QUERY, run_naive
from tests.benchmarks.peers import HIVE, PEERS, RECORDS, missing, start_peer
from tests.benchmarks.plot import bars
from tests.benchmarks.records import card_of
from tests.benchmarks.served_gateway import JOB, PUBLIC_URL, RENT, Ready, party_of, run_gateway
from tests.benchmarks.stub import run_stub

RESULTS = Path(__file__).parent / "results"
CONNECTIONS = 64
SERVERS_ON, LOAD_ON = 0, 1
LATE_SECONDS = 0.02
NAIVE, ELIGIBLE = "naive", b'"outcome":"ELIGIBLE"'
START_SECONDS = 300.0
_processes = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one server in one case."""

    cpu_us: float
    rps: float
    p50_ms: float
    p99_ms: float
    rss_mb: float
    source_calls: float


@dataclass(slots=True)
class Contender:
    """A server that is measured. `query`: of those that take a person's card instead of a consent."""

    name: str
    pid: int
    load: LoadCaller
    query: str = QUERY
    rounds: dict[str, list[Round]] = field(default_factory=dict)


def body_of(query: str, variables: dict[str, Any]) -> bytes:
    return json.dumps({"query": query, "variables": variables}).encode()


def request_of(headers: dict[str, str], body: bytes) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST /graphql HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{lines}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Prover:
    """Makes the gateway's requests before they are sent: each has a proof of its own."""

    def __init__(self, ready: Ready, http: httpx.AsyncClient) -> None:
        self._party = party_of(ready, http)
        self._token = ""

    async def prepare(self) -> None:
        """An access token and a nonce that last for a round."""
        self._token = await self._party.access_token()

    def requests(self, tokens: Sequence[str]) -> list[bytes]:
        return [
            request_of(
                {
                    "Authorization": f"DPoP {self._token}",
                    "DPoP": self._party.proof("POST", f"{PUBLIC_URL}/graphql", access_token=self._token),
                },
                body_of(JOB, {"consent": token, "rent": RENT}),
            )
            for token in tokens
        ]


async def measure(contender: Contender, case: str, requests: Sequence[bytes], stub: httpx.AsyncClient) -> None:
    """One round; AssertionError where an answer is not right."""
    calls, cpu, began_at = await calls_of(stub), cpu_seconds(contender.pid), time.perf_counter()
    samples = await contender.load.through(requests, CONNECTIONS)
    seconds, cpu = time.perf_counter() - began_at, cpu_seconds(contender.pid) - cpu
    wrong = [sample.status for sample in samples if sample.status != 200 or not sample.has_data]
    assert not wrong, f"{contender.name}, {case}: {len(wrong)} of {len(samples)} answers are wrong: {wrong[:5]}"
    took = [sample.seconds for sample in samples]
    contender.rounds.setdefault(case, []).append(
        Round(
            cpu_us=cpu / len(samples) * 1e6,
            rps=len(samples) / seconds,
            p50_ms=percentile(took, 0.5),
            p99_ms=percentile(took, 0.99),
            rss_mb=resident_megabytes(contender.pid),
            source_calls=(await calls_of(stub) - calls) / len(samples),
        )
    )


async def calls_of(stub: httpx.AsyncClient) -> int:
    return int((await stub.get("/count")).text)


def loader(url: str, marker: bytes) -> LoadCaller:
    parts = urlsplit(url)
    return LoadCaller(parts.hostname or "", parts.port or 0, marker=marker)


async def compared(
    ready: Ready, others: Sequence[Contender], stub: httpx.AsyncClient, *, rounds: int, each: int
) -> Contender:
    """All servers in every case, in turn. `each`: requests of a round; the first try gets fewer."""
    gateway = Contender("gateway", ready.pid, loader(ready.url, b'"answer":{'))
    numbers, tokens = iter(range(10_000_000)), iter(ready.tokens)
    asked: list[str] = []

    def some(count: int) -> list[str]:
        """Consents that nobody has asked under."""
        taken = [next(tokens) for _ in range(count)]
        asked.extend(taken)
        return taken

    def plain(other: Contender) -> list[bytes]:
        count = max(64, each // 25) if other.name == NAIVE else each
        asked = [{"card": card_of(next(numbers)), "rent": RENT} for _ in range(count)]
        return [request_of({}, body_of(other.query, variables)) for variables in asked]

    async with httpx.AsyncClient(base_url=ready.url, timeout=30) as http:
        prover = Prover(ready, http)
        await prover.prepare()
        await right(http, prover.requests(some(1))[0])
        await gateway.load.through(prover.requests(some(each // 2)), CONNECTIONS)
        for other in others:
            await other.load.through(plain(other), CONNECTIONS)
        for case, delay_seconds in (("cold", 0.0), ("warm", 0.0), ("source_20ms", LATE_SECONDS)):
            await stub.get("/delay", params={"seconds": delay_seconds})
            for number in range(rounds):
                await prover.prepare()
                again = asked[number * each : (number + 1) * each]
                await measure(gateway, case, prover.requests(again if case == "warm" else some(each)), stub)
                for other in others:
                    await measure(other, case, plain(other), stub)
    for case, calls in (("cold", 4), ("warm", 0), ("source_20ms", 4)):
        assert all(one.source_calls == calls for one in gateway.rounds[case]), f"{case}: not {calls} calls a query"
    return gateway


async def right(http: httpx.AsyncClient, request: bytes) -> None:
    """AssertionError unless the job's answer is whole: a decision, and twelve claims that are known."""
    head, _, body = request.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    told = (await http.post("/graphql", content=body, headers={**headers, "Host": "bench"})).json()
    subject = told["data"]["subject"]
    claims = [
        claim
        for part in (subject, subject["immigration"], subject["labor"], subject["tax"])
        for claim in part.values()
        if "state" in claim
    ]
    assert subject["tenancy"]["outcome"] == "ELIGIBLE", told
    assert [claim["state"] for claim in claims] == ["CONFIRMED"] * 12, told


def summary(rounds: Sequence[Round]) -> dict[str, float]:
    """The medians."""
    names = ("cpu_us", "rps", "p50_ms", "p99_ms", "rss_mb", "source_calls")
    return {name: round(statistics.median(getattr(one, name) for one in rounds), 2) for name in names}


def ratio(one: Sequence[Round], other: Sequence[Round], name: str) -> dict[str, float]:
    """How many times the first is the second, pair by pair."""
    found = sorted(getattr(a, name) / getattr(b, name) for a, b in zip(one, other, strict=True))
    return {"median": round(statistics.median(found), 2), "min": round(found[0], 2), "max": round(found[-1], 2)}


def report(contenders: Sequence[Contender]) -> dict[str, Any]:
    gateway, *others = contenders
    told: dict[str, Any] = {
        case: {one.name: summary(one.rounds[case]) for one in contenders} for case in gateway.rounds
    }
    told["ratios"] = {
        case: {
            f"gateway/{other.name}": {
                "rps": ratio(gateway.rounds[case], other.rounds[case], "rps"),
                "cpu_us": ratio(gateway.rounds[case], other.rounds[case], "cpu_us"),
            }
            for other in others
        }
        for case in gateway.rounds
    }
    told["machine"] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "connections": CONNECTIONS,
        "rounds": len(gateway.rounds["cold"]),
    }
    return told


def show(told: dict[str, Any]) -> None:
    print(f"{'':14}{'':10}{'CPU µs':>10}{'req/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'RSS MB':>10}{'calls':>8}")
    for case in ("cold", "warm", "source_20ms"):
        for name, found in told[case].items():
            print(
                f"{case:14}{name:10}{found['cpu_us']:10.0f}{found['rps']:10.0f}{found['p50_ms']:10.1f}"
                f"{found['p99_ms']:10.1f}{found['rss_mb']:10.0f}{found['source_calls']:8.1f}"
            )
        for name, found in told["ratios"][case].items():
            rps = found["rps"]
            print(
                f"{'':14}{name}: {rps['median']:.1f} × the requests a second ({rps['min']:.1f} to {rps['max']:.1f})"
            )


def started(target: Any, *given: Any) -> tuple[Any, Any]:
    """A process of its own; what it tells once it is ready, and the process."""
    ours, theirs = _processes.Pipe(duplex=False)
    process = _processes.Process(target=target, args=(*given, theirs), daemon=True)
    process.start()
    if not ours.poll(START_SECONDS):
        raise RuntimeError(f"{target.__name__} did not start")
    return ours.recv(), process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", type=int, default=1_500, help="requests of the gateway in a round")
    parser.add_argument("--database", default="", help="a PostgreSQL URL instead of SQLite")
    parser.add_argument("--peers", action="store_true", help="servers that Node.js runs, too")
    parser.add_argument("--keep", action="store_true", help="write results/latest.json and latest.svg")
    given = parser.parse_args()
    processes: list[Any] = []
    try:
        port, process = started(run_stub, LOAD_ON)
        processes.append(process)
        people = given.each * (2 * given.rounds + 1) + 1
        ready, process = started(run_gateway, SERVERS_ON, port, people, given.database, 0)
        processes.append(process)
        (url, pid), process = started(run_naive, SERVERS_ON, port)
        processes.append(process)
        pin(LOAD_ON)
        gc.disable()  # a collection over all samples would be taken for the servers' slowness
        others = [Contender(NAIVE, pid, loader(url, ELIGIBLE))]
        if given.peers:
            if why := missing():
                parser.error(why)
            for name in PEERS:
                peer, process = start_peer(name, port, SERVERS_ON)
                processes.append(process)
                query, marker = (RECORDS, b'"unpaid":0') if name == HIVE else (QUERY, ELIGIBLE)
                others.append(Contender(name, peer["pid"], loader(peer["url"], marker), query))

        async def run() -> Contender:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as stub:
                return await compared(ready, others, stub, rounds=given.rounds, each=given.each)

        told = report([uvloop.run(run()), *others])
    finally:
        for process in processes:
            process.terminate()
    show(told)
    if given.keep:
        RESULTS.mkdir(exist_ok=True)
        name = "peers" if given.peers else "latest"
        (RESULTS / f"{name}.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        (RESULTS / f"{name}.svg").write_text(bars(told), encoding="utf-8")


if __name__ == "__main__":
    main()
