"""What is kept of sign-in, on both databases: bound to its person, once, erased with them, and not for ever."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import func, select

from connectors.interface import BindingLevel, IdentityRecord
from gateway.consent.invitation_code import (
    CODE_RANDOM_BYTES,
    INVITATION_LIFE,
    make_invitation_code,
    read_invitation_code,
)
from gateway.errors import RequestError
from gateway.identity.relying_party import RelyingParties
from gateway.portal.challenge import CHALLENGE_LIFE, Ceremony, Challenges
from gateway.sandbox import read_people
from gateway.store.database import Database, migrate, open_database
from gateway.store.envelope import Envelope
from gateway.store.erased_list import ErasedList
from gateway.store.passkeys import MAX_PASSKEYS, Passkey
from gateway.store.retention import Retention
from gateway.store.sessions import SESSION_LIFE, Session, SignedIn
from gateway.store.tables import metadata
from gateway.store.writer import Writer
from gateway.stores import Stores, make_stores
from tests.conftest import FreshDatabase
from tests.gateway.sandboxes import CONFIG

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
HUONG, RAHMAN = "P01", "P02"
IDENTITIES = {one: read_people(CONFIG / "sandbox").identities[one] for one in (HUONG, RAHMAN)}
OF_SIGN_IN = ("portal_session", "passkey", "invitation", "provider_account", "guardianship", "used_once")
NEW = IdentityRecord(
    name="GARCIA MARIA",
    names_kana=(),
    alias=None,
    date_of_birth=date(1990, 2, 3),
    residence_card_number="AB12345678CD",
    card_expiry_on=None,
    address_given=None,
    tax_municipality=None,
    identity_binding_level=BindingLevel.JPKI,
)


@asynccontextmanager
async def opened(url: str, folder: Path) -> AsyncIterator[tuple[Stores, Database, Writer]]:
    await migrate(url)
    database = open_database(url)
    writer = Writer(database.writing)
    writer.start()
    try:
        yield (
            make_stores(
                database, writer, Envelope(bytes(32)), RelyingParties([], sandbox_keys={}), [], ErasedList(folder)
            ),
            database,
            writer,
        )
    finally:
        await writer.close()
        await database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def kept(fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[tuple[Stores, Database, Writer]]:
    async with opened(fresh_database(), tmp_path) as made:
        await made[0].people.enrol(IDENTITIES, now=NOW)
        yield made


@pytest.fixture
def stores(kept: tuple[Stores, Database, Writer]) -> Stores:
    return kept[0]


async def counted(database: Database) -> dict[str, int]:
    """How many rows there are of signing in."""
    async with database.reading.connect() as connection:
        tables = {name: select(func.count()).select_from(metadata.tables[name]) for name in OF_SIGN_IN}
        return {name: (await connection.execute(count)).scalar_one() for name, count in tables.items()}


def a_passkey(passkey_id: str, person: str = HUONG, *, sign_count: int = 0) -> Passkey:
    return Passkey(passkey_id, SignedIn(person_id=person), b"a public key", sign_count, NOW)


async def with_everything(stores: Stores, person: str) -> None:
    """A person who has signed in in every way."""
    await stores.sessions.open(f"cookie of {person}", SignedIn(person_id=person), now=NOW)
    await stores.passkeys.add(a_passkey(f"passkey of {person}", person))
    await stores.invitations.invite_person(person, IDENTITIES[person].date_of_birth, NOW)
    await stores.provider_accounts.bind("https://id.example", person, IDENTITIES[person], now=NOW)


async def test_erasure_takes_every_row_of_signing_in_with_it(kept: tuple[Stores, Database, Writer]) -> None:
    stores, database, _ = kept
    for person in (HUONG, RAHMAN):
        await with_everything(stores, person)
    await stores.guardians.record(minor_id=HUONG, guardian_id=RAHMAN, now=NOW)
    await stores.guardians.record(minor_id=RAHMAN, guardian_id=HUONG, now=NOW)
    huong = await stores.people.find(HUONG)
    assert huong is not None
    assert await stores.erasure.erase(huong, now=NOW) is not None
    left = await counted(database)
    assert left == dict.fromkeys(OF_SIGN_IN, 1) | {"guardianship": 0, "used_once": 0}
    assert await stores.sessions.find(f"cookie of {RAHMAN}", now=NOW) == Session(SignedIn(person_id=RAHMAN), NOW)


async def test_the_sweep_deletes_what_has_expired_and_nothing_else(kept: tuple[Stores, Database, Writer]) -> None:
    stores, database, writer = kept
    await with_everything(stores, HUONG)
    await stores.used_once.use("a challenge", expires_at=NOW + timedelta(minutes=5), now=NOW)
    retention = Retention(writer, stores.erasure, probing_window=timedelta(days=90))
    await retention.sweep(NOW + timedelta(minutes=4))
    left = await counted(database)
    assert {name for name, count in left.items() if not count} == {"guardianship"}
    await retention.sweep(NOW + max(SESSION_LIFE, INVITATION_LIFE))
    left = await counted(database)
    assert {name for name, count in left.items() if count} == {"passkey", "provider_account"}


async def test_ten_who_enter_one_code_at_once_are_one(stores: Stores) -> None:
    born_on = IDENTITIES[HUONG].date_of_birth
    code = read_invitation_code(await stores.invitations.invite_person(HUONG, born_on, NOW))
    assert code is not None
    accepted = await asyncio.gather(*(stores.invitations.accept(code, born_on, now=NOW) for _ in range(10)))
    assert [who for who in accepted if who is not None] == [SignedIn(person_id=HUONG)]


async def test_recovery_ends_passkeys_and_sessions_and_leaves_everybody_elses(
    kept: tuple[Stores, Database, Writer],
) -> None:
    stores, database, _ = kept
    for person in (HUONG, RAHMAN):
        await with_everything(stores, person)
    born_on = IDENTITIES[HUONG].date_of_birth
    code = read_invitation_code(await stores.invitations.invite_person(HUONG, born_on, NOW))
    assert code is not None
    await stores.invitations.accept(code, born_on, now=NOW)
    assert await stores.passkeys.of(SignedIn(person_id=HUONG)) == []
    assert await stores.sessions.find(f"cookie of {HUONG}", now=NOW) is None
    left = await counted(database)
    assert (left["passkey"], left["portal_session"]) == (1, 1)


async def test_nobody_is_invited_who_is_not_enrolled(stores: Stores) -> None:
    with pytest.raises(RequestError):
        await stores.invitations.invite_person("P99", date(2000, 1, 1), NOW)


async def test_a_passkey_is_kept_once_and_not_without_end(stores: Stores) -> None:
    assert await stores.passkeys.add(a_passkey("one"))
    assert not await stores.passkeys.add(a_passkey("one", RAHMAN))
    added = [await stores.passkeys.add(a_passkey(str(number))) for number in range(MAX_PASSKEYS)]
    assert added == [True] * (MAX_PASSKEYS - 1) + [False]


async def test_two_uses_at_one_count_are_one(stores: Stores) -> None:
    used = a_passkey("one", sign_count=7)
    await stores.passkeys.add(used)
    counted_uses = await asyncio.gather(*(stores.passkeys.count_use(used, 8, now=NOW) for _ in range(5)))
    assert sorted(counted_uses) == [False] * 4 + [True]


async def test_the_last_passkey_goes_only_where_an_account_stays(stores: Stores) -> None:
    await stores.passkeys.add(a_passkey("one"))
    assert not await stores.passkeys.remove("one", SignedIn(person_id=HUONG))
    await stores.provider_accounts.bind("https://id.example", "x", IDENTITIES[HUONG], now=NOW)
    assert await stores.passkeys.remove("one", SignedIn(person_id=HUONG))


async def test_nobody_removes_a_passkey_of_somebody_else(stores: Stores) -> None:
    for passkey_id, person in (("one", HUONG), ("two", RAHMAN), ("three", RAHMAN)):
        await stores.passkeys.add(a_passkey(passkey_id, person))
    await stores.passkeys.remove("one", SignedIn(person_id=RAHMAN))
    assert await stores.passkeys.find("one") is not None


async def test_a_challenge_is_for_one_ceremony_of_one_browser_once_within_five_minutes(stores: Stores) -> None:
    clock = [NOW]
    challenges = Challenges(bytes(32), stores.used_once, lambda: clock[0])
    made = challenges.make(Ceremony.SIGNING_IN, "cookie")
    assert not await challenges.use(made, Ceremony.ADDING, "cookie")
    assert not await challenges.use(made, Ceremony.SIGNING_IN, "another cookie")
    assert not await challenges.use(made[:-1] + bytes([made[-1] ^ 1]), Ceremony.SIGNING_IN, "cookie")
    assert not await challenges.use(b"", Ceremony.SIGNING_IN, "cookie")
    at_once = (challenges.use(made, Ceremony.SIGNING_IN, "cookie") for _ in range(5))
    assert sorted(await asyncio.gather(*at_once)) == [False] * 4 + [True]
    late = challenges.make(Ceremony.SIGNING_IN, "cookie")
    clock[0] += CHALLENGE_LIFE
    assert not await challenges.use(late, Ceremony.SIGNING_IN, "cookie")


async def test_a_guardian_finds_their_wards_until_it_ends(stores: Stores) -> None:
    for _ in range(2):
        await stores.guardians.record(minor_id=HUONG, guardian_id=RAHMAN, now=NOW)
    assert await stores.guardians.wards_of(RAHMAN) == [HUONG]
    assert await stores.guardians.wards_of(HUONG) == []
    await stores.guardians.end(minor_id=HUONG, guardian_id=RAHMAN)
    assert await stores.guardians.wards_of(RAHMAN) == []
    with pytest.raises(RequestError):
        await stores.guardians.record(minor_id=HUONG, guardian_id="P99", now=NOW)


async def test_two_accounts_that_verify_one_new_card_at_once_are_one_person(stores: Stores) -> None:
    accounts = stores.provider_accounts
    bound = await asyncio.gather(
        *(accounts.bind("https://id.example", str(number), NEW, now=NOW) for number in range(4))
    )
    assert len(set(bound)) == 1
    assert len(await stores.people.all()) == 3
    person = await stores.people.find(str(bound[0]))
    assert person is not None
    assert person.identity == NEW


@pytest.mark.parametrize("change", [{"name": "SOMEBODY ELSE"}, {"date_of_birth": date(1990, 2, 4)}], ids=str)
async def test_one_card_number_with_another_name_or_birthday_binds_nobody(
    stores: Stores, change: dict[str, str | date]
) -> None:
    await stores.provider_accounts.bind("https://id.example", "one", NEW, now=NOW)
    changed = replace(NEW, **change)  # type: ignore[arg-type]  # one of its fields
    assert await stores.provider_accounts.bind("https://id.example", "two", changed, now=NOW) is None
    assert await stores.provider_accounts.find("https://id.example", "two") is None
    assert len(await stores.people.all()) == 3


async def test_a_record_that_was_corrected_between_looking_and_writing_is_looked_at_again(stores: Stores) -> None:
    """Whoever was given the card's number meanwhile is found."""
    corrected = {RAHMAN: replace(IDENTITIES[RAHMAN], residence_card_number=NEW.residence_card_number)}
    bound, _ = await asyncio.gather(
        stores.provider_accounts.bind("https://id.example", "one", NEW, now=NOW),
        stores.people.enrol(corrected, now=NOW + timedelta(seconds=1)),
    )
    holders = [one for one in await stores.people.all() if one.identity.residence_card_number == "AB12345678CD"]
    assert bound is None or len(holders) == 2  # one after the other, whichever came first


def test_one_wrong_symbol_or_two_exchanged_ones_are_noticed() -> None:
    for _ in range(50):
        text = make_invitation_code(os.urandom(CODE_RANDOM_BYTES)).text
        assert read_invitation_code(text) is not None
        for place in range(len(text)):
            for symbol in "0123456789ABCDEFGHJKMNPQRSTVWXYZ":
                wrong = text[:place] + symbol + text[place + 1 :]
                assert (read_invitation_code(wrong) is None) == (wrong != text)
        for place in range(15):
            swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
            assert (read_invitation_code(swapped) is None) == (swapped != text)


@pytest.mark.parametrize(
    "text", ["", "8F3K", "8F3K-2Q9Z-7T4M-1XWB-5N", "x" * 65, "８Ｆ３Ｋ" * 5, "\x00" * 18, "U" * 18]
)
def test_what_cannot_be_a_code_is_none(text: str) -> None:
    assert read_invitation_code(text) is None
