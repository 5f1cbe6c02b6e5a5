"""A worker hands a consent over by word or paper; whoever redeems the code first is bound to it."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
import segno
from defusedxml.ElementTree import fromstring

from gateway.asking import example_variables, read_example
from gateway.sandbox import default_people_folder, open_authorities, read_people
from gateway.sandbox_keys import read_sandbox_keys
from resolvers.catalogue import Purpose
from tests.conftest import Caller
from tests.gateway.gateway_process import GatewayProcess, Launch, quick_settings
from tests.gateway.sandboxes import codes, own_sandbox, settings_for

PREVIEW = """mutation($document: String!, $variables: JSON, $party: ID, $purpose: Purpose!) {
  previewConsent(document: $document, variables: $variables, relyingParty: $party, purpose: $purpose) { id }
}"""
GRANT = """mutation($id: ID!, $out: [String!]) { grantConsent(preview: $id, leaveOut: $out) {
  consentToken grant { id status expiresAt relyingParty { id } questions } } }"""
CREATE = "mutation($grant: ID!) { createShareCode(grant: $grant) { code qrSvg expiresAt } }"
CREATE_FOR = """mutation($grant: ID!, $days: Int!) {
  createShareCode(grant: $grant, validDays: $days) { code qrSvg expiresAt } }"""
REDEEM = """mutation($code: String!, $born: Date!) {
  redeemShareCode(code: $code, dateOfBirth: $born) { consentToken purpose questions expiresAt } }"""
LETTERS = {
    Purpose.ACCOUNT_OPENING: ("O", "bank"),
    Purpose.ACCOUNT_MAINTENANCE: ("M", "bank"),
    Purpose.TENANCY: ("T", "landlord"),
    Purpose.LENDING: ("L", "lender"),
}
TENANCY = read_example(Purpose.TENANCY)
RENT = {"rentYenPerMonth": 62000}
GRANTS = "{ me { grants { id status relyingParty { id } } accesses { kind relyingParty { id } } } }"
CODE = re.compile(r"[OMTL][0-9A-HJKMNP-TV-Z]{10}")


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A grant with a share code for it. `token`: the person's own, where a relying party was named."""

    grant_id: str
    token: str | None
    code: str
    person: str

    @property
    def plain(self) -> str:
        return self.code.replace("-", "").replace(" ", "")


async def grant_for(
    caller: Caller, *, person: str = "P01", party: str | None = None, purpose: Purpose = Purpose.TENANCY
) -> dict[str, Any]:
    """Grant a purpose's own example; `party` None: to whoever redeems the share code first."""
    given = {
        "document": read_example(purpose),
        "variables": example_variables(purpose, caller.running.people.asks[person], person_id=person),
        "party": party,
        "purpose": purpose.value,
    }
    previewed = await caller.as_person(person, PREVIEW, given)
    granted = await caller.as_person(person, GRANT, {"id": previewed["data"]["previewConsent"]["id"]})
    assert "errors" not in granted, granted
    return dict(granted["data"]["grantConsent"])


async def new_code(caller: Caller, grant_id: str, *, person: str = "P01") -> dict[str, Any]:
    body = await caller.as_person(person, CREATE, {"grant": grant_id})
    assert "errors" not in body, body
    return dict(body["data"]["createShareCode"])


async def hand_over(
    caller: Caller, *, person: str = "P01", party: str | None = None, purpose: Purpose = Purpose.TENANCY
) -> HandedOver:
    """Grant, and make a share code for it."""
    granted = await grant_for(caller, person=person, party=party, purpose=purpose)
    code = (await new_code(caller, granted["grant"]["id"], person=person))["code"]
    return HandedOver(granted["grant"]["id"], granted["consentToken"], code, person)


async def redeem(
    caller: Caller, party: str, code: str, *, person: str = "P01", born: str | None = None
) -> dict[str, Any]:
    """The body of a redemption, with the person's own date of birth unless told another."""
    born = born or caller.running.people.identities[person].date_of_birth.isoformat()
    return await caller.as_party(party, REDEEM, {"code": code, "born": born})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


async def test_a_code_made_beside_a_token_gives_its_party_another_token_to_the_same_consent(quick: Caller) -> None:
    given = await hand_over(quick, party="landlord")
    assert given.token is not None
    redeemed = (await redeem(quick, "landlord", given.code))["data"]["redeemShareCode"]
    assert redeemed["purpose"] == "TENANCY"
    assert redeemed["consentToken"] != given.token
    asked = [
        await quick.as_party("landlord", TENANCY, {**RENT, "consent": token})
        for token in (given.token, redeemed["consentToken"])
    ]
    assert [body["data"]["subject"]["tenancy"]["outcome"] for body in asked] == ["ELIGIBLE"] * 2
    assert asked[0]["data"]["subject"]["answer"] == asked[1]["data"]["subject"]["answer"], "it is one consent"


async def test_a_consent_for_nobody_yet_binds_to_whoever_redeems_its_code_first(quick: Caller) -> None:
    granted = await grant_for(quick, purpose=Purpose.LENDING)
    assert granted["consentToken"] is None
    assert (granted["grant"]["status"], granted["grant"]["relyingParty"]) == ("ACTIVE", None)
    grant_id = granted["grant"]["id"]
    code = (await new_code(quick, grant_id))["code"]
    assert await party_of(quick, grant_id) is None

    redeemed = (await redeem(quick, "lender", code))["data"]["redeemShareCode"]
    assert redeemed["questions"] == granted["grant"]["questions"]
    assert await party_of(quick, grant_id) == {"id": "lender"}
    document, variables = lending(quick)
    asked = {**variables, "consent": redeemed["consentToken"]}
    assert "errors" not in await quick.as_party("lender", document, asked)
    for other in ("bank", "other-bank", "landlord"):
        assert codes(await quick.as_party(other, document, asked)) == ["CONSENT_INVALID"]
    later = await new_code(quick, grant_id)
    assert codes(await redeem(quick, "bank", later["code"])) == ["CONSENT_INVALID"], "it stays the lender's"
    assert "errors" not in await redeem(quick, "lender", later["code"])


async def party_of(caller: Caller, grant_id: str) -> dict[str, Any] | None:
    grants = (await caller.as_person("P01", GRANTS))["data"]["me"]["grants"]
    (found,) = [grant for grant in grants if grant["id"] == grant_id]
    party: dict[str, Any] | None = found["relyingParty"]
    return party


def lending(caller: Caller) -> tuple[str, dict[str, Any]]:
    variables = example_variables(Purpose.LENDING, caller.running.people.asks["P01"], person_id="P01")
    return read_example(Purpose.LENDING), variables


@pytest.mark.parametrize("purpose", Purpose)
async def test_a_code_is_eleven_symbols_that_begin_with_its_purpose(quick: Caller, purpose: Purpose) -> None:
    letter, party = LETTERS[purpose]
    given = await hand_over(quick, purpose=purpose)
    assert CODE.fullmatch(given.plain), given.plain
    assert given.plain[0] == letter
    redeemed = await redeem(quick, party, given.plain.lower())
    assert redeemed["data"]["redeemShareCode"]["purpose"] == purpose.value


SPELLINGS: dict[str, tuple[str, Callable[[str], str]]] = {
    "as shown": ("", lambda code: code),
    "plain": ("", lambda code: re.sub("[- ]", "", code)),
    "lower case": ("", str.lower),
    "with spaces": ("", lambda code: " ".join(re.sub("[- ]", "", code))),
    "with spaces around": ("", lambda code: f"  {code}\t"),
    "with hyphens": ("", lambda code: "-".join(re.sub("[- ]", "", code))),
    "O for 0": ("0", lambda code: code[0] + code[1:].replace("0", "O")),
    "o for 0": ("0", lambda code: code[0] + code[1:].replace("0", "o")),
    "I for 1": ("1", lambda code: code[0] + code[1:].replace("1", "I")),
    "i for 1": ("1", lambda code: code[0] + code[1:].replace("1", "i")),
    "L for 1": ("1", lambda code: code[0] + code[1:].replace("1", "L")),
    "l for 1": ("1", lambda code: code[0] + code[1:].replace("1", "l")),
    "all at once": ("01", lambda code: " ".join(code[0] + code[1:].replace("0", "o").replace("1", "l")).lower()),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_every_forgiven_spelling_redeems_the_code(quick: Caller, spelling: str) -> None:
    holds, spell = SPELLINGS[spelling]
    granted = await grant_for(quick)
    code = ""
    while not code or not set(holds) <= set(code[1:]):
        code = (await new_code(quick, granted["grant"]["id"]))["code"]
    redeemed = await redeem(quick, "landlord", spell(code))
    assert "errors" not in redeemed, spell(code)
    token = redeemed["data"]["redeemShareCode"]["consentToken"]
    assert "errors" not in await quick.as_party("landlord", TENANCY, {**RENT, "consent": token})


async def test_the_qr_code_is_a_picture_of_the_same_code_and_of_nothing_else(quick: Caller) -> None:
    granted = await grant_for(quick)
    made = await new_code(quick, granted["grant"]["id"])
    picture = fromstring(made["qrSvg"])
    assert picture.tag in ("svg", "{http://www.w3.org/2000/svg}svg")
    tags = {element.tag.rpartition("}")[2] for element in picture.iter()}
    assert tags <= {"svg", "path", "rect", "g", "title", "desc"}, "nothing that runs or is fetched"
    for element in picture.iter():
        assert not [name for name in element.attrib if name.startswith("on") or "href" in name]
    drawn = re.sub("[^0-9a-zA-Z. -]", "", "".join(e.attrib.get("d", "") for e in picture.iter()))
    plain = made["code"].replace("-", "").replace(" ", "")
    candidates = [segno.make(text, error=error, boost_error=boost, micro=False)
                  for text in (made["code"], plain) for error in "lmqh" for boost in (True, False)]  # fmt: skip
    paths = [re.search(r' d="([^"]*)"', candidate.svg_inline(border=4, omitsize=True)) for candidate in candidates]
    assert drawn in [re.sub("[^0-9a-zA-Z. -]", "", path[1]) for path in paths if path]


@pytest.mark.parametrize("days", [0, -1, 31, 365, 2_147_483_647, -2_147_483_648])
async def test_a_code_is_valid_for_one_day_at_least_and_thirty_at_most(quick: Caller, days: int) -> None:
    granted = await grant_for(quick, purpose=Purpose.ACCOUNT_MAINTENANCE)
    body = await quick.as_person("P01", CREATE_FOR, {"grant": granted["grant"]["id"], "days": days})
    assert (body["data"], codes(body)) == ({"createShareCode": None}, ["CONSENT_REQUEST_INVALID"])


@pytest.mark.parametrize("days", [None, 1, 2, 30])
async def test_a_code_ends_when_it_was_said_to_and_after_seven_days_if_nothing_was(
    quick: Caller, days: int | None
) -> None:
    granted = await grant_for(quick, purpose=Purpose.ACCOUNT_MAINTENANCE)
    given = {"grant": granted["grant"]["id"]} | ({} if days is None else {"days": days})
    body = await quick.as_person("P01", CREATE if days is None else CREATE_FOR, given)
    expires_at = datetime.fromisoformat(body["data"]["createShareCode"]["expiresAt"])
    expected = datetime.now(UTC) + timedelta(days=days or 7)
    assert abs(expires_at - expected) < timedelta(minutes=2)


async def test_a_code_never_outlives_its_consent(quick: Caller) -> None:
    terms_until = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    preview = """mutation($document: String!, $purpose: Purpose!, $until: DateTime!) {
      previewConsent(document: $document, purpose: $purpose, terms: { expiresAt: $until }) { id } }"""
    given = {"document": read_example(Purpose.ACCOUNT_OPENING), "purpose": "ACCOUNT_OPENING", "until": terms_until}
    previewed = await quick.as_person("P01", preview, given)
    granted = await quick.as_person("P01", GRANT, {"id": previewed["data"]["previewConsent"]["id"]})
    grant = granted["data"]["grantConsent"]["grant"]
    made = (await new_code(quick, grant["id"]))["expiresAt"]
    assert datetime.fromisoformat(made) <= datetime.fromisoformat(grant["expiresAt"])


STANDING = {
    "paused": "mutation($grant: ID!) { pauseConsent(grant: $grant) { id } }",
    "revoked": "mutation($grant: ID!) { revokeConsent(grant: $grant) { id } }",
}


@pytest.mark.parametrize("standing", STANDING)
async def test_only_an_active_consent_is_handed_over(quick: Caller, standing: str) -> None:
    granted = await grant_for(quick)
    given = {"grant": granted["grant"]["id"]}
    assert "errors" not in await quick.as_person("P01", STANDING[standing], given)
    body = await quick.as_person("P01", CREATE, given)
    assert (body["data"], codes(body)) == ({"createShareCode": None}, ["CONSENT_REQUEST_INVALID"])


async def test_only_their_own_consent_can_a_person_hand_over(quick: Caller) -> None:
    granted = await grant_for(quick)
    bodies = [
        await quick.as_person("P18", CREATE, {"grant": grant_id})
        for grant_id in (granted["grant"]["id"], "00000000-0000-0000-0000-000000000000", "x")
    ]
    assert [codes(body) for body in bodies] == [["CONSENT_REQUEST_INVALID"]] * 3


async def test_a_request_that_is_not_granted_yet_cannot_be_handed_over(quick: Caller) -> None:
    previewed = await quick.preview("P01", "landlord", "TENANCY", TENANCY, RENT)
    body = await quick.as_person("P01", CREATE, {"grant": previewed["data"]["previewConsent"]["id"]})
    assert codes(body) == ["CONSENT_REQUEST_INVALID"]


async def test_the_person_sees_when_the_code_was_made_and_who_redeemed_it(quick: Caller) -> None:
    given = await hand_over(quick, person="P05")
    await redeem(quick, "landlord", given.code, person="P05")
    accesses = (await quick.as_person("P05", GRANTS))["data"]["me"]["accesses"]
    told = [(access["kind"], access["relyingParty"]) for access in reversed(accesses)]
    assert told == [
        ("CONSENT_REQUESTED", None),
        ("CONSENT_GRANTED", None),
        ("SHARE_CODE_MADE", None),
        ("SHARE_CODE_REDEEMED", {"id": "landlord"}),
    ]


@pytest.mark.parametrize("asker", ["Person P01", "Bearer nobody"])
async def test_only_a_relying_party_redeems(quick: Caller, asker: str) -> None:
    given = await hand_over(quick)
    born = quick.running.people.identities["P01"].date_of_birth.isoformat()
    response = await quick.post(asker, REDEEM, {"code": given.code, "born": born})
    assert (response.status_code, codes(response.json())) == (401, ["TOKEN_INVALID"])
    assert "errors" not in await redeem(quick, "landlord", given.code)


# --- where a code must not be --------------------------------------------------------------------------------


async def test_a_code_in_an_address_is_not_found_and_is_written_down_nowhere(tmp_path: Path) -> None:
    settings = quick_settings(tmp_path / "state")
    people = read_people(default_people_folder())
    async with open_authorities(settings, people.folder, today=people.clock_on, profile="brisk") as urls:
        process = GatewayProcess(Launch(settings.state, urls, settings.state / "operator.log"))
        settings.state.mkdir(mode=0o700)
        try:
            url = await process.start()
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as http:
                code = await code_in(http)
                for address in (
                    f"/{code}",
                    f"/redeem/{code}",
                    f"/share/{code}",
                    f"/graphql/{code}",
                    f"/?code={code}",
                ):
                    for method in ("GET", "POST"):
                        assert (await http.request(method, address)).status_code in (404, 405), (method, address)
                await http.post(f"/graphql?code={code}", content=b"{}")
                key, born = f"Bearer {read_sandbox_keys(settings)['landlord']}", {"born": "1997-05-21"}
                for asker, tried in ((key, code[:-1]), ("Bearer nobody", code), (key, code), (key, code)):
                    await send(http, asker, REDEEM, {"code": tried, **born})
                await send(http, "Person P01", "mutation { x }", {"code": code})
        finally:
            await process.stop()
    files = [path for path in settings.state.rglob("*") if path.is_file()]
    assert {"kyosei.sqlite", "operator.log"} <= {path.name for path in files}
    for path in files:
        body = path.read_bytes().lower()
        for spelled in (code, code.replace("-", "")):
            assert spelled.lower().encode() not in body, path.name


async def send(http: httpx.AsyncClient, who: str, query: str, variables: dict[str, Any]) -> Any:
    body = orjson.dumps({"query": query, "variables": variables})
    return (
        (
            await http.post(
                "/graphql", content=body, headers={"authorization": who, "content-type": "application/json"}
            )
        )
        .json()
        .get("data")
    )


async def code_in(http: httpx.AsyncClient) -> str:
    asked = {"document": TENANCY, "variables": RENT, "party": None, "purpose": "TENANCY"}
    preview = (await send(http, "Person P01", PREVIEW, asked))["previewConsent"]["id"]
    granted = (await send(http, "Person P01", GRANT, {"id": preview}))["grantConsent"]
    made = await send(http, "Person P01", CREATE, {"grant": granted["grant"]["id"]})
    code: str = made["createShareCode"]["code"]
    return code
