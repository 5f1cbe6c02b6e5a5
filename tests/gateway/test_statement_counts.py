"""How many statements and commits a question takes: the same for the first consent and for the twentieth."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.evidence import Evidence
from connectors.interface import Connector, EvidenceRequest, SourceAuthority
from gateway.asking import read_example
from gateway.audit.entry import EntryFacts
from gateway.consent.grant import GrantEvent
from gateway.pipeline import grant_holder
from gateway.store.batch import Batch
from resolvers.catalogue import Purpose
from resolvers.worker import AccessKind
from tests.conftest import Caller
from tests.gateway.record import opened_record
from tests.gateway.sandboxes import codes, own_sandbox, settings_for

PERSON, PARTY = "P01", "landlord"
DOCUMENT, RENT = read_example(Purpose.TENANCY), {"rentYenPerMonth": 62_000}

COLD = {"SELECT": 2, "INSERT": 4, "UPDATE": 1, "BEGIN": 1, "COMMIT": 1}
"""Read: the grant with its person; then in the transaction where it stands. Written: the Answer, what it settles and
tells, the entry, the log's size. The evidence is at hand: the preview has gathered it."""

WARM = {"SELECT": 3, "INSERT": 1, "UPDATE": 1, "BEGIN": 1, "COMMIT": 1}
"""Read: the grant with its person, and the fresh Answer; in the transaction where the grant stands."""


class Traced:
    """Every statement that any connection of this process runs."""

    def __init__(self) -> None:
        self.verbs: Counter[str] = Counter()

    def note(self, statement: str) -> None:
        self.verbs[statement.split()[0].upper()] += 1


@pytest.fixture
def traced() -> Iterator[Traced]:
    found = Traced()

    def on_connect(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):  # those of the look-ups and of the writer
            connection.set_trace_callback(found.note)

    event.listen(Engine, "connect", on_connect)
    yield found
    event.remove(Engine, "connect", on_connect)


@pytest_asyncio.fixture(loop_scope="session")
async def caller(traced: Traced, tmp_path: Path) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path)) as made:
        yield made


async def counted(caller: Caller, traced: Traced, token: str) -> dict[str, int]:
    """What one query runs; the keeper of the log, which comes by once a second, is not at work meanwhile."""
    for _ in range(5):
        traced.verbs.clear()
        body = await caller.as_party(PARTY, DOCUMENT, {**RENT, "consent": token})
        assert "errors" not in body, body
        found = {verb: traced.verbs[verb] for verb in COLD}
        await asyncio.sleep(0)
        if found["BEGIN"] == 1:
            return found
    raise AssertionError("something else writes all the time")


async def test_a_question_takes_few_statements_and_one_commit_however_many_there_were(
    caller: Caller, traced: Traced
) -> None:
    tokens = [(await caller.consent(PERSON, PARTY, "TENANCY", DOCUMENT, RENT))[0] for _ in range(20)]
    cold = [await counted(caller, traced, token) for token in tokens]
    warm = [await counted(caller, traced, token) for token in tokens]
    assert cold[0] == cold[-1] == COLD
    assert warm[0] == warm[-1] == WARM


async def test_entries_of_one_transaction_are_counted_together_and_numbered_in_a_row(
    caller: Caller, traced: Traced, tmp_path: Path
) -> None:
    gateway, facts = caller.running.gateway, EntryFacts(kind=AccessKind.REFUSED)
    log, writer, now = gateway.stores.log, gateway.writer, gateway.now()

    async def together(batch: Batch) -> int:
        return (await log.append_in(batch, facts, person=None, at=now)).sequence

    async def alone(connection: AsyncConnection) -> int:
        return (await log.append(connection, facts, person=None, at=now)).sequence

    traced.verbs.clear()
    batched = await asyncio.gather(*(writer.write_in_batch(together) for _ in range(8)))
    updates = traced.verbs["UPDATE"]
    mixed = await asyncio.gather(
        writer.write_in_batch(together), writer.write(alone), writer.write_in_batch(together)
    )
    assert len({one.began_at for one in batched}) == len({one.began_at for one in mixed}) == 1
    numbers = [one.outcome for one in (*batched, *mixed)]
    assert numbers == list(range(numbers[0], numbers[0] + 11))
    assert updates < len(batched) / 2, "the log's keeper may have come by"
    with opened_record(tmp_path) as record:
        record.check_whole()


async def test_evidence_is_kept_without_a_further_look_while_nothing_but_questions_is_written(
    caller: Caller, traced: Traced
) -> None:
    """In a gateway that is alone with its database nothing can have ended the consent meanwhile."""
    token, grant_id = await caller.consent(PERSON, PARTY, "TENANCY", DOCUMENT, RENT)
    await caller.running.gateway.gatherer.cancel(grant_id)  # forget what the preview gathered
    before = sum((await caller.calls()).values())
    assert await counted(caller, traced, token) == COLD
    assert sum((await caller.calls()).values()) > before, "the sources were asked"


async def test_whatever_was_written_since_a_consent_was_looked_up_has_it_looked_up_again(
    caller: Caller, traced: Traced
) -> None:
    _, grant_id = await caller.consent(PERSON, PARTY, "TENANCY", DOCUMENT, RENT)
    grants, now = caller.running.gateway.stores.grants, caller.running.gateway.now()
    changes = grants.changes
    found = await grants.find_of_party(grant_id, PARTY)
    assert found is not None
    traced.verbs.clear()
    assert await grants.is_still_open(found[0], now, changes=changes)
    assert not traced.verbs["SELECT"]
    assert not await grants.is_still_open(found[0], found[0].expires_at, changes=changes), "it has run out"
    assert await grants.is_still_open(found[0], now, changes=None), "where others write it is looked up"
    await caller.revoke(PERSON, grant_id)
    assert not await grants.is_still_open(found[0], now, changes=changes)


class Held:
    """A connector whose answer waits until it is let go."""

    def __init__(self, inner: Connector[Evidence]) -> None:
        self.authority = inner.authority
        self.inner = inner
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def fetch(self, request: EvidenceRequest, *, deadline_seconds: float) -> Evidence:
        self.asked.set()
        await self.may_answer.wait()
        return await self.inner.fetch(request, deadline_seconds=deadline_seconds)

    async def close(self) -> None:
        await self.inner.close()


async def test_no_evidence_is_kept_for_a_consent_that_was_taken_back_while_a_source_was_asked(caller: Caller) -> None:
    """Be it by somebody who does not tell the gatherer."""
    gateway = caller.running.gateway
    token, grant_id = await caller.consent(PERSON, PARTY, "TENANCY", DOCUMENT, RENT)
    await gateway.gatherer.cancel(grant_id)
    held = Held(gateway.gatherer._connectors[SourceAuthority.LABOR])
    gateway.gatherer._connectors = {**gateway.gatherer._connectors, SourceAuthority.LABOR: held}
    asking = asyncio.create_task(caller.as_party(PARTY, DOCUMENT, {**RENT, "consent": token}))
    await held.asked.wait()
    found = await gateway.stores.grants.find_of_party(grant_id, PARTY)
    assert found is not None
    grant, person = found
    assert await gateway.stores.grants.change(grant, person, GrantEvent.REVOKED, now=gateway.now())
    held.may_answer.set()
    assert codes(await asking) == ["CONSENT_ENDED"]
    holder = grant_holder(grant_id, person, may_keep=lambda: gateway.stores.grants.is_open(grant_id, gateway.now()))
    assert await gateway.gatherer._store.find(holder, SourceAuthority) == {}
