"""Where the time of one question goes, step by step of the pipeline: `make bench-steps`.

A sampling profile of the server process: at each tick of its own processor time, the innermost function of those
below that is under way gets the tick. What is outside all of them is the event loop, HTTP and the kernel.
"""

import argparse
import gc
import multiprocessing
import os
import signal
import threading
from collections import Counter
from multiprocessing.connection import Connection as Line
from types import FrameType
from typing import Any

import httpx
import uvloop

from tests.benchmarks.bench import CONNECTIONS, LOAD_ON, SERVERS_ON, Prover, loader, right, started
from tests.benchmarks.machine import cpu_seconds, pin
from tests.benchmarks.served_gateway import Ready, run_gateway
from tests.benchmarks.stub import run_stub

TICK_SECONDS = 0.001
START, STOP = "start", "stop"
STEPS = {
    "GraphQLEndpoint._asker": "identify: token, proof, rates",
    "read_request": "read the request",
    "GraphQLEndpoint._document": "find the document",
    "Documents.plan": "plan",
    "Charging.charge": "charge: cost and rates",
    "prepare": "gate",
    "Gatherer.gather": "gather: ask and keep",
    "Gatherer._ask": "gather: ask and keep",
    "Reasoning.conclude": "decide",
    "_make_answer": "decide",
    "make_telling": "decide",
    "release": "record",
    "Writer._commit": "record",
    "Answering.answer": "project",
    "send_response": "respond",
    "Observing._note": "the operator's line and metrics",
}


class Sampler:
    """Counts ticks while it runs."""

    def __init__(self) -> None:
        self.by_step: Counter[str] = Counter()
        self.by_place: Counter[str] = Counter()

    def start(self) -> None:
        self.by_step.clear()
        self.by_place.clear()
        signal.signal(signal.SIGPROF, self._tick)
        signal.setitimer(signal.ITIMER_PROF, TICK_SECONDS, TICK_SECONDS)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _tick(self, _: int, frame: FrameType | None) -> None:
        step, place = "event loop, HTTP, kernel", ""
        while frame is not None:
            if not place:
                place = _place(frame)
            if frame.f_code.co_qualname in STEPS:
                step = STEPS[frame.f_code.co_qualname]
                break
            frame = frame.f_back
        self.by_step[step] += 1
        self.by_place[f"{step} | {place}"] += 1


def _place(frame: FrameType) -> str:
    """A function and its file; of one that was generated for a class, the class."""
    file = frame.f_code.co_filename.rpartition("/")[2]
    if file == "<string>" and "self" in frame.f_locals:
        return f"{type(frame.f_locals['self']).__name__}.{frame.f_code.co_name}"
    return f"{file}:{frame.f_code.co_qualname}"


def run_profiled(processor: int, stub_port: int, people: int, ticks: Line, line: Line) -> None:
    """A gateway that counts its own ticks between two words, and then tells them."""
    sampler = Sampler()
    signal.signal(signal.SIGUSR1, lambda *_: sampler.start())
    signal.signal(signal.SIGUSR2, lambda *_: sampler.stop())

    def obey() -> None:
        for word in iter(ticks.recv, None):
            os.kill(os.getpid(), signal.SIGUSR1 if word == START else signal.SIGUSR2)
            if word != START:
                ticks.send((dict(sampler.by_step), sampler.by_place.most_common()))

    threading.Thread(target=obey, daemon=True).start()
    run_gateway(processor, stub_port, people, "", 0, line)


async def profiled(ready: Ready, ticks: Line, *, each: int, connections: int, places: int) -> None:
    """Ask cold and then warm, and show both."""
    load, tokens = loader(ready.url, b'"answer":{'), iter(ready.tokens)
    async with httpx.AsyncClient(base_url=ready.url, timeout=30) as http:
        prover = Prover(ready, http)
        await prover.prepare()
        await right(http, prover.requests([next(tokens)])[0])
        first = [next(tokens) for _ in range(each)]
        await load.through(prover.requests(first), connections)
        for case, asked in (("cold", [next(tokens) for _ in range(each)]), ("warm", first)):
            await prover.prepare()
            requests = prover.requests(asked)
            ticks.send(START)
            cpu = cpu_seconds(ready.pid)
            samples = await load.through(requests, connections)
            cpu = cpu_seconds(ready.pid) - cpu
            ticks.send(STOP)
            wrong = Counter(sample.status for sample in samples if not sample.has_data)
            assert not wrong, f"{case}: {wrong}"
            by_step, by_place = ticks.recv()
            show(case, cpu / each * 1e6, by_step, by_place[:places])


def show(case: str, cpu_us: float, by_step: dict[str, int], by_place: list[tuple[str, int]]) -> None:
    total = sum(by_step.values())
    print(f"{case}: {cpu_us:.0f} µs of CPU a question")
    for step, ticks in sorted(by_step.items(), key=lambda row: -row[1]):
        print(f"  {step:34}{ticks / total * cpu_us:8.0f} µs {ticks / total:6.1%}")
    for place, ticks in by_place:
        print(f"      {ticks / total * cpu_us:8.0f} µs  {place}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=2_000, help="questions of a case")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--places", type=int, default=0, help="show so many functions too")
    given = parser.parse_args()
    processes: list[Any] = []
    try:
        port, process = started(run_stub, LOAD_ON)
        processes.append(process)
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        ready, process = started(run_profiled, SERVERS_ON, port, given.each * 2 + 1, theirs)
        processes.append(process)
        pin(LOAD_ON)
        gc.disable()  # a collection over all samples would be taken for the server's slowness
        asking = profiled(ready, ours, each=given.each, connections=given.connections, places=given.places)
        uvloop.run(asking)
    finally:
        for process in processes:
            process.terminate()


if __name__ == "__main__":
    main()
