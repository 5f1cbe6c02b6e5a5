"""What a gateway does at five times what it can: `make bench-overload`. Source: reliability R8, R9.

A gateway in a process of its own, on SQLite, with the sandbox's bearer keys; the load comes from this process over
loopback. Answers are warm: what is loaded is the gateway and its record, not the sources.
"""

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import uvloop

from gateway.sandbox import default_people_folder, open_authorities, read_people
from gateway.sandbox_keys import read_sandbox_keys
from gateway.settings_parts import AdmissionSettings
from resolvers.immigration import ADULT_AGE
from resolvers.months import birthday
from tests.benchmarks.load import UNSENT, LoadCaller, Sample, percentile
from tests.gateway.gateway_process import GatewayProcess, Launch, quick_settings

SECONDS = 20.0
TIMES = 5
BURST_SECONDS = 1.0
"""What comes so suddenly may be a burst: those who wait in it are served, late."""
GRANTS = 60
DOCUMENT = (
    "query($c: ConsentToken!) { subject(consent: $c) { immigration { statusLawful { value state } } answer { id } } }"
)
PREVIEW = 'mutation($d: String!) { previewConsent(document: $d, relyingParty: "landlord", purpose: TENANCY) { id } }'
GRANT = "mutation($id: ID!) { grantConsent(preview: $id) { consentToken grant { id } } }"
REVOKE = "mutation($id: ID!) { revokeConsent(grant: $id) { id } }"


def raw(authorization: str, query: str, variables: dict[str, str]) -> bytes:
    body = json.dumps({"query": query, "variables": variables}).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
        f"Authorization: {authorization}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def give(http: httpx.AsyncClient, person: str) -> tuple[str, str]:
    """A consent of this person: its token and its grant."""

    async def call(query: str, variables: dict[str, str]) -> dict[str, dict[str, str]]:
        answered = await http.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"authorization": f"Person {person}"},
        )
        data: dict[str, dict[str, str]] = answered.json()["data"]
        return data

    preview = (await call(PREVIEW, {"d": DOCUMENT}))["previewConsent"]["id"]
    granted = (await call(GRANT, {"id": preview}))["grantConsent"]
    return granted["consentToken"], granted["grant"]["id"]  # type: ignore[index]  # an object


async def revocations(url: str, grants: list[tuple[str, str]], seconds: float) -> list[float]:
    """Take one consent after the other back, some a second; how long each took."""
    took: list[float] = []
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
        for person, grant in grants:
            began_at = time.perf_counter()
            answered = await http.post(
                "/graphql",
                json={"query": REVOKE, "variables": {"id": grant}},
                headers={"authorization": f"Person {person}"},
            )
            took.append(time.perf_counter() - began_at)
            assert answered.status_code == 200, answered.text
            await asyncio.sleep(max(0.0, seconds / len(grants) - took[-1]))
    return took


def told(name: str, samples: list[Sample], seconds: float) -> float:
    good = [sample.seconds for sample in samples if sample.has_data]
    refused = [sample.seconds for sample in samples if sample.status == 503]
    unsent = sum(sample.status == UNSENT for sample in samples)
    rest = len(samples) - len(good) - len(refused) - unsent
    print(
        f"{name:<22} offered {len(samples) / seconds:7.0f}/s   answered {len(good) / seconds:6.0f}/s "
        f"p50 {percentile(good, 0.5):6.1f} p99 {percentile(good, 0.99):6.1f} ms   "
        f"refused {len(refused) / seconds:6.0f}/s p50 {percentile(refused, 0.5):5.1f} "
        f"p99 {percentile(refused, 0.99):6.1f} ms   unsent {unsent} other {rest}"
    )
    return len(good) / seconds


def as_for_the_internet() -> None:
    """The defaults of the code instead of the sandbox's generous admission."""
    for lane, bounds in (
        ("RELYING_PARTIES", AdmissionSettings().relying_parties),
        ("PEOPLE", AdmissionSettings().people),
    ):
        os.environ[f"KYOSEI_ADMISSION__{lane}"] = bounds.model_dump_json()


@contextmanager
def processor(number: int) -> Iterator[None]:
    """Run on this processor alone while the context lasts, and on the others afterwards, if there are any."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) > 1:
        os.sched_setaffinity(0, {available[number]})
    yield
    if len(available) > 1:
        os.sched_setaffinity(0, {*available} - {available[number]})


async def main(seconds: float) -> None:
    as_for_the_internet()
    state = Path(tempfile.mkdtemp(prefix="kyosei-overload-"))
    people = read_people(default_people_folder())
    async with open_authorities(quick_settings(state), people.folder, today=people.clock_on, profile="brisk") as urls:
        gateway = GatewayProcess(Launch(state, urls, state / "output"))
        with processor(0):
            url = await gateway.start()  # what it starts stays where it was started
        try:
            adults = [
                one
                for one, who in people.identities.items()
                if people.clock_on >= birthday(who.date_of_birth, ADULT_AGE)
            ]
            await measure(url, state, adults, seconds)
        finally:
            await gateway.stop()


async def measure(url: str, state: Path, people: list[str], seconds: float) -> None:
    parts = urlsplit(url)
    load = LoadCaller(parts.hostname or "", parts.port or 0)
    key = f"Bearer {read_sandbox_keys(quick_settings(state))['landlord']}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
        tokens = [(await give(http, people[number % len(people)]))[0] for number in range(GRANTS)]
        to_revoke = [(people[n % len(people)], (await give(http, people[n % len(people)]))[1]) for n in range(60)]
    requests = [raw(key, DOCUMENT, {"c": token}) for token in tokens]

    def make(number: int) -> bytes:
        return requests[number % len(requests)]

    await load.closed_loop(4, 2.0, make)  # warm
    capacity = 0.0
    for callers in (2, 4, 16):
        capacity = max(capacity, told(f"{callers} callers", await load.closed_loop(callers, 4.0, make), 4.0))
    unloaded = await load.at_rate(capacity * 0.1, 5.0, make)
    told("a tenth of capacity", unloaded, 5.0)
    revoking = asyncio.create_task(revocations(url, to_revoke, seconds))
    own_cpu = time.process_time()
    over = await load.at_rate(capacity * TIMES, seconds, make)
    print(f"{'the load itself':<22} took {(time.process_time() - own_cpu) / seconds:.0%} of a processor")
    began_at = min(sample.due_at for sample in over)
    told("– its first second", [s for s in over if s.due_at < began_at + BURST_SECONDS], BURST_SECONDS)
    over = [s for s in over if s.due_at >= began_at + BURST_SECONDS]
    goodput = told(f"{TIMES} x capacity, then", over, seconds - BURST_SECONDS)
    took = await revoking
    quiet = percentile([s.seconds for s in unloaded if s.has_data], 0.99)
    loaded = percentile([s.seconds for s in over if s.has_data], 0.99)
    print(
        f"goodput {goodput / capacity:.0%} of peak; admitted p99 {loaded / quiet:.1f} x unloaded; "
        f"revoke p50 {percentile(took, 0.5):.0f} p99 {percentile(took, 0.99):.0f} ms"
    )


if __name__ == "__main__":
    gc.disable()  # a collection over all samples would be taken for the gateway's slowness
    uvloop.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS))
