"""A consent is used as often as was agreed, whoever asks at once, on either database; and no more can be agreed."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.asking import read_example
from resolvers.catalogue import Purpose
from tests.conftest import Caller, FreshDatabase
from tests.gateway.sandboxes import codes, difference, own_sandbox, settings_for

OPENING = read_example(Purpose.ACCOUNT_OPENING)
KEEPING = read_example(Purpose.ACCOUNT_MAINTENANCE)
FIELDS = (
    "statusLawful", "adult", "cardNotRevoked", "stayUnlimited",
    "renewalPending", "midToLongTermResident", "fefaResidency",
)  # fmt: skip
QUESTION_SETS = [chosen for size in (1, 2, 3) for chosen in combinations(FIELDS, size)] + [FIELDS]
PREVIEW = """mutation($document: String!, $variables: JSON, $party: ID, $purpose: Purpose!, $terms: ConsentTerms) {
  previewConsent(document: $document, variables: $variables, relyingParty: $party, purpose: $purpose, terms: $terms) {
    id uses fetchType timesPerDay dataLifeDays expiresAt } }"""
REQUEST = """mutation($document: String!, $variables: JSON, $purpose: Purpose!, $terms: ConsentTerms) {
  requestConsent(document: $document, variables: $variables, purpose: $purpose, terms: $terms) { id expiresAt } }"""
OPEN = "mutation($id: ID!) { openConsentRequest(request: $id) { id relyingParty { id } } }"
GRANT = """mutation($id: ID!) { grantConsent(preview: $id) {
  consentToken grant { status usesLeft fetchType timesPerDay dataLifeDays expiresAt } } }"""


def asking(names: Sequence[str], more: str = "") -> str:
    listed = " ".join(f"{name} {{ value }}" for name in names)
    return f"query($consent: ConsentToken!) {{ subject(consent: $consent) {{ immigration {{ {listed} }} {more} }} }}"


async def consent(caller: Caller) -> str:
    return (await caller.consent("P10", "bank", "ACCOUNT_OPENING", asking(FIELDS)))[0]


async def all_at_once(
    callers: Sequence[Caller], token: str, sets: Sequence[Sequence[str]] = QUESTION_SETS
) -> list[dict[str, Any]]:
    """Different question sets; whoever finds no room asks again."""

    async def ask(number: int) -> dict[str, Any]:
        document = asking(sets[number], "answer { id }")
        for _ in range(200):
            body = await callers[number % len(callers)].as_party("bank", document, {"consent": token})
            if codes(body) != ["OVERLOADED"]:
                return body
            await asyncio.sleep(0.05)
        raise AssertionError("no room for ten seconds")

    return await asyncio.gather(*(ask(number) for number in range(len(sets))))


def check_three_of_64(bodies: list[dict[str, Any]]) -> None:
    released = [body["data"]["subject"]["answer"]["id"] for body in bodies if not codes(body)]
    assert len(released) == len(set(released)) == 3
    refused = [body for body in bodies if codes(body)]
    assert all((body["data"], codes(body)) == ({"subject": None}, ["CONSENT_ENDED"]) for body in refused)


@pytest.fixture(name="database", params=["SQLite", "PostgreSQL"])
def make_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let gateways that are opened now use this database."""
    if request.param == "PostgreSQL":
        monkeypatch.setenv("KYOSEI_DATABASE__URL", request.getfixturevalue("fresh_postgres")())
    name: str = request.param
    return name


# --- uses ----------------------------------------------------------------------------------------------------


async def test_of_64_different_questions_at_once_exactly_three_are_answered(tmp_path: Path, database: str) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        token = await consent(caller)
        bodies = await all_at_once([caller], token)
        check_three_of_64(bodies)
        await check_answered_again(caller, token, bodies)


async def check_answered_again(caller: Caller, token: str, bodies: list[dict[str, Any]]) -> None:
    """What was answered is answered again, by the same Answer, at no cost and without a look at any source."""
    before = await caller.calls()
    for names, body in zip(QUESTION_SETS, bodies, strict=False):
        again = await caller.as_party("bank", asking(names, "answer { id } grant { usesLeft }"), {"consent": token})
        if codes(body):
            assert codes(again) == ["CONSENT_ENDED"]
        else:
            assert again["data"]["subject"]["answer"] == body["data"]["subject"]["answer"]
            assert again["data"]["subject"]["grant"] == {"usesLeft": 0}
    assert difference(before, await caller.calls()) == {}


async def test_64_who_ask_the_same_at_once_share_one_answer_and_one_use(tmp_path: Path, database: str) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        token = await consent(caller)
        asked = asking(FIELDS, "answer { id } grant { usesLeft }")
        bodies = await asyncio.gather(*(caller.as_party("bank", asked, {"consent": token}) for _ in range(64)))
        assert {code for body in bodies for code in codes(body)} <= {"OVERLOADED"}
        subjects = [body["data"]["subject"] for body in bodies if not codes(body)]
        assert len({subject["answer"]["id"] for subject in subjects}) == 1
        assert {subject["grant"]["usesLeft"] for subject in subjects} == {2}


async def test_of_21_different_questions_at_once_a_frequency_of_three_a_day_answers_three(
    tmp_path: Path, database: str
) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        names = ("statusLawful", "cardNotRevoked", "stayBasis", "stayUnlimited", "renewalPending", "stayRecheckBy")
        terms = {"fetchType": "PERIODIC", "timesPerDay": 3}
        previewed = await asked_by(caller, "person", asking(names), purpose="ACCOUNT_MAINTENANCE", terms=terms)
        granted = await caller.as_person("P10", GRANT, {"id": previewed["data"]["previewConsent"]["id"]})
        token = granted["data"]["grantConsent"]["consentToken"]
        sets = [chosen for size in (1, 2) for chosen in combinations(names, size)]
        bodies = await all_at_once([caller], token, sets)
        assert sum(not codes(body) for body in bodies) == 3
        assert [codes(body) for body in bodies if codes(body)] == [["RATE_LIMITED"]] * (len(sets) - 3)
        assert len({body["data"]["subject"]["answer"]["id"] for body in bodies if not codes(body)}) == 3


# --- two gateways --------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="two")
async def make_two(
    tmp_path_factory: pytest.TempPathFactory, fresh_postgres: FreshDatabase
) -> AsyncIterator[tuple[Caller, Caller]]:
    """Two gateways on one PostgreSQL, with the same keys."""
    root = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KYOSEI_DATABASE__URL", fresh_postgres())
        one, other = settings_for(root / "one"), settings_for(root / "other")
    async with own_sandbox(one) as first:
        other.state.mkdir(mode=0o700)
        shutil.copytree(one.state / "keys", other.state / "keys")
        async with own_sandbox(other) as second:
            yield first, second


async def test_two_gateways_on_one_database_release_three_between_them(two: tuple[Caller, Caller]) -> None:
    for _ in range(2):
        check_three_of_64(await all_at_once(two, await consent(two[0])))


async def test_what_one_gateway_is_told_the_other_knows_at_once(two: tuple[Caller, Caller]) -> None:
    here, there = two
    asked = asking(FIELDS[:1])
    token, grant_id = await here.consent("P18", "bank", "ACCOUNT_OPENING", asked)
    for action, told in (("pause", ["CONSENT_PAUSED"]), ("resume", []), ("revoke", ["CONSENT_ENDED"])):
        acted = await here.as_person(
            "P18", f"mutation($id: ID!) {{ {action}Consent(grant: $id) {{ id }} }}", {"id": grant_id}
        )
        assert "errors" not in acted
        assert codes(await there.as_party("bank", asked, {"consent": token})) == told


async def test_where_others_change_consents_too_nothing_is_concluded_from_what_one_gateway_has_written(
    two: tuple[Caller, Caller],
) -> None:
    assert [one.running.gateway.stores.grants.changes for one in two] == [None, None]


async def test_who_is_erased_at_one_gateway_is_unknown_to_the_other(two: tuple[Caller, Caller]) -> None:
    here, there = two
    asked = asking(FIELDS[:1])
    token, _ = await there.consent("P19", "bank", "ACCOUNT_OPENING", asked)
    assert "errors" not in await there.as_party("bank", asked, {"consent": token})
    name = here.running.people.identities["P19"].name
    erased = await here.as_person(
        "P19", "mutation($name: String!) { eraseMe(name: $name) { entry } }", {"name": name}
    )
    assert "errors" not in erased
    assert codes(await there.as_party("bank", asked, {"consent": token})) == ["CONSENT_INVALID"]
    assert (await there.post("Person P19", "{ me { id } }")).status_code == 401


# --- what may be agreed --------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="quick")
async def make_quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


def from_now(**duration: float) -> str:
    return (datetime.now(UTC) + timedelta(**duration)).isoformat()


TOO_MUCH: dict[str, tuple[str, dict[str, Any]]] = {
    "four uses of three": (OPENING, {"uses": 4}),
    "no use": (OPENING, {"uses": 0}),
    "fewer than no use": (OPENING, {"uses": -1}),
    "a frequency for one occasion": (OPENING, {"timesPerDay": 1}),
    "again and again for one occasion": (OPENING, {"fetchType": "PERIODIC"}),
    "to the year 2099": (OPENING, {"expiresAt": "2099-12-31T00:00:00+00:00"}),
    "a day beyond the purpose": (OPENING, {"expiresAt": from_now(days=31)}),
    "to yesterday": (OPENING, {"expiresAt": from_now(days=-1)}),
    "kept a day too long": (OPENING, {"dataLifeDays": 31}),
    "not kept at all": (OPENING, {"dataLifeDays": 0}),
    "all day long": (KEEPING, {"timesPerDay": 2_147_483_647}),
    "never a day": (KEEPING, {"timesPerDay": 0}),
    "to a day beyond a longer purpose": (KEEPING, {"expiresAt": from_now(days=91)}),
}


async def asked_by(
    caller: Caller, who: str, document: str, *, party: str = "bank", purpose: str = "", **more: Any
) -> dict[str, Any]:
    """The body of a request for consent that a person starts, or a relying party."""
    purpose = purpose or ("ACCOUNT_OPENING" if document == OPENING else "ACCOUNT_MAINTENANCE")
    given = {"document": document, "purpose": purpose, **more}
    if who == "person":
        return await caller.as_person("P10", PREVIEW, {**given, "party": party})
    return await caller.as_party(party, REQUEST, given)


async def grants_of(caller: Caller) -> Any:
    return (await caller.as_person("P10", "{ me { grants { id } } }"))["data"]["me"]["grants"]


@pytest.mark.parametrize("who", ["person", "relying party"])
@pytest.mark.parametrize("case", TOO_MUCH)
async def test_terms_beyond_the_purpose_are_refused_before_anybody_sees_them(
    quick: Caller, case: str, who: str
) -> None:
    document, terms = TOO_MUCH[case]
    before = (await grants_of(quick), await quick.calls())
    body = await asked_by(quick, who, document, terms=terms)
    assert (list(body["data"].values()), codes(body)) == ([None], ["CONSENT_REQUEST_INVALID"])
    assert body["errors"][0]["extensions"]["detail"] in {f"terms.{name}" for name in terms}, "which of them it is"
    assert before == (await grants_of(quick), await quick.calls())


ODD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no question": (
        {"document": "query($c: ConsentToken!) { subject(consent: $c) { grant { status } } }"},
        ["CONSENT_REQUEST_INVALID"],
    ),
    "a question that is skipped": (
        {"document": "query($c: ConsentToken!) { subject(consent: $c) { accountOpening @skip(if: true) { outcome } "
         "grant { status } } }"},
        ["CONSENT_REQUEST_INVALID"],
    ),
    "an empty purpose": ({"document": OPENING, "purpose": " "}, ["VALIDATION_FAILED"]),
    "no such purpose": ({"document": OPENING, "purpose": "MARKETING"}, ["VALIDATION_FAILED"]),
    "a purpose not its own": ({"document": OPENING, "purpose": "TENANCY"}, ["PURPOSE_FORBIDS"]),
    "a question of another purpose": (
        {"document": "query($c: ConsentToken!) { subject(consent: $c) { tax { income { value } } } }"},
        ["PURPOSE_FORBIDS"],
    ),
    "a question about oneself": ({"document": "{ me { id } }"}, ["CONSENT_REQUEST_INVALID"]),
    "no document": ({"document": ""}, ["VALIDATION_FAILED"]),
}  # fmt: skip


@pytest.mark.parametrize("who", ["person", "relying party"])
@pytest.mark.parametrize("case", ODD)
async def test_a_request_that_asks_nothing_or_for_no_purpose_is_refused(quick: Caller, case: str, who: str) -> None:
    asked, expected = ODD[case]
    body = await asked_by(quick, who, **{"purpose": "ACCOUNT_OPENING", **asked})
    assert codes(body) == expected
    assert not any((body.get("data") or {}).values())


@pytest.mark.parametrize("party", ["", "nobody", "BANK", "bank ", "\u202ebank", "<script>", "P01"])
async def test_a_relying_party_that_is_not_registered_cannot_be_named(quick: Caller, party: str) -> None:
    body = await asked_by(quick, "person", OPENING, party=party)
    assert (body["data"], codes(body)) == ({"previewConsent": None}, ["CONSENT_REQUEST_INVALID"])


NARROWER: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "its own": (OPENING, {}, {"usesLeft": 3, "fetchType": "ONETIME", "timesPerDay": None, "dataLifeDays": 30}),
    "fewer uses": (OPENING, {"uses": 1}, {"usesLeft": 1}),
    "kept shorter": (OPENING, {"dataLifeDays": 7}, {"dataLifeDays": 7}),
    "so often a day": (KEEPING, {"timesPerDay": 1}, {"timesPerDay": 1, "fetchType": "PERIODIC", "usesLeft": None}),
    "for one occasion": (KEEPING, {"fetchType": "ONETIME"}, {"fetchType": "ONETIME", "timesPerDay": None}),
}


@pytest.mark.parametrize("case", NARROWER)
async def test_terms_within_the_purpose_are_those_of_the_consent(quick: Caller, case: str) -> None:
    document, terms, expected = NARROWER[case]
    previewed = (await asked_by(quick, "person", document, terms=terms))["data"]["previewConsent"]
    shown = {"usesLeft" if name == "uses" else name: value for name, value in previewed.items()}
    assert shown == {**shown, **expected}
    grant = (await quick.as_person("P10", GRANT, {"id": previewed["id"]}))["data"]["grantConsent"]["grant"]
    assert grant == {**grant, **expected, "status": "ACTIVE"}


async def test_a_consent_can_be_made_to_end_sooner(quick: Caller) -> None:
    until = from_now(days=3)
    previewed = (await asked_by(quick, "person", OPENING, terms={"expiresAt": until}))["data"]["previewConsent"]
    grant = (await quick.as_person("P10", GRANT, {"id": previewed["id"]}))["data"]["grantConsent"]["grant"]
    for shown in (previewed["expiresAt"], grant["expiresAt"]):
        assert abs(datetime.fromisoformat(shown) - datetime.fromisoformat(until)) <= timedelta(minutes=1)


async def test_a_relying_partys_request_is_opened_once_by_whoever_comes_first(quick: Caller) -> None:
    requested = (await asked_by(quick, "relying party", OPENING))["data"]["requestConsent"]
    assert datetime.fromisoformat(requested["expiresAt"]) > datetime.now(UTC)
    bodies = await asyncio.gather(*(quick.as_person("P10", OPEN, {"id": requested["id"]}) for _ in range(6)))
    (opened,) = [body["data"]["openConsentRequest"] for body in bodies if not codes(body)]
    assert opened["relyingParty"] == {"id": "bank"}
    for person in ("P10", "P01"):
        later = await quick.as_person(person, OPEN, {"id": requested["id"]})
        assert (later["data"], codes(later)) == ({"openConsentRequest": None}, ["CONSENT_REQUEST_INVALID"])
    granted = await quick.as_person("P10", GRANT, {"id": opened["id"]})
    assert granted["data"]["grantConsent"]["grant"]["status"] == "ACTIVE"


@pytest.mark.parametrize("request_id", ["", "x", "00000000-0000-0000-0000-000000000000"])
async def test_a_request_that_was_never_made_cannot_be_opened(quick: Caller, request_id: str) -> None:
    body = await quick.as_person("P10", OPEN, {"id": request_id})
    assert (body["data"], codes(body)) == ({"openConsentRequest": None}, ["CONSENT_REQUEST_INVALID"])
