"""What the consent screen says, word for word, for each purpose in each language.

A change shows as a difference of text. If it is meant, renew the files and read what changed:

    KYOSEI_RENEW_SNAPSHOTS=1 .venv/bin/pytest tests/portal/test_consent_screen_snapshots.py && git diff tests/portal
"""

import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.asking import RELYING_PARTY_FOR
from gateway.portal.language import LANGUAGES
from gateway.store.requests import Asking
from resolvers.catalogue import Purpose
from tests.conftest import Caller
from tests.gateway.sandboxes import Clock, own_sandbox, settings_for
from tests.portal.consenting import HUONG, asked_for, visited
from tests.portal.readable import readable

SNAPSHOTS = Path(__file__).parent / "snapshots"
NOW = datetime(2026, 11, 20, 3, 30, tzinfo=UTC)
PEOPLE = {
    Purpose.ACCOUNT_OPENING: HUONG,
    Purpose.ACCOUNT_MAINTENANCE: "P02",
    Purpose.TENANCY: "P07",
    Purpose.LENDING: "P10",
}
OPTIONAL = {
    Purpose.ACCOUNT_OPENING: ("Labor.employed",),
    Purpose.ACCOUNT_MAINTENANCE: (),
    Purpose.TENANCY: ("Tax.incomeBasis", "Labor.employed"),
    Purpose.LENDING: None,
}
"""What the relying party can do without; None: it did not say, and any question may be left out."""


@dataclass(slots=True)
class StoppedClock(Clock):
    """A clock that stands still, so that every moment on a page is the same each time."""

    def now(self) -> datetime:
        return NOW + self.ahead


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def caller(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state")), clock=StoppedClock()) as made:
        yield made


def kept_text(purpose: Purpose, language: str) -> Path:
    return SNAPSHOTS / f"consent_screen.{purpose.value.lower()}.{language}.txt"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("purpose", Purpose)
async def test_the_screen_says_what_it_said(caller: Caller, purpose: Purpose, language: str) -> None:
    person = PEOPLE[purpose]
    given = asked_for(caller, purpose, person)
    party = RELYING_PARTY_FOR[purpose]
    asking = Asking(party, purpose, given["document"], given["variables"], None, optional=OPTIONAL[purpose])
    request_id = str(uuid.uuid4())
    requests = caller.running.gateway.stores.requests
    await requests.keep(request_id, asking, open_until=NOW + timedelta(minutes=30), now=NOW)
    visitor = await visited(caller, person, language=language)
    led = await visitor.get(f"/requests/{request_id}")
    assert (await visitor.get(led.headers["location"])).status_code == 200
    said = readable(visitor.page)
    kept = kept_text(purpose, language)
    if os.environ.get("KYOSEI_RENEW_SNAPSHOTS") == "1":
        kept.write_text(said, encoding="utf-8")
    assert said.splitlines() == kept.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("purpose", Purpose)
def test_both_languages_say_as_many_things(purpose: Purpose) -> None:
    texts = [kept_text(purpose, language).read_text(encoding="utf-8") for language in LANGUAGES]
    assert len({len(text.splitlines()) for text in texts}) == 1


def test_no_snapshot_is_left_over() -> None:
    assert set(SNAPSHOTS.iterdir()) == {kept_text(purpose, language) for purpose in Purpose for language in LANGUAGES}
