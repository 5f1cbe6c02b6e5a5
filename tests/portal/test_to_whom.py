"""To whom the pages speak: "you" is who reads, and never the ward that a page is about."""

import re

import pytest

from gateway.portal.language import LANGUAGES
from resolvers.catalogue import ATTRIBUTES, DECISIONS
from tests.conftest import Caller
from tests.portal.consenting import GUARDIAN, HUONG, MINOR, UNKNOWN, granted, previewed, staff, visited
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock
from tests.portal.own_pages import close, disputed
from tests.portal.readable import readable
from tests.portal.stage import Visitor

YOU = {"en": re.compile(r"\b[Yy]ou(r|rs|rself)?\b"), "ja": re.compile("あなた")}
MEANT = {
    "en": (
        "(only you see this)",
        "A request for your consent",
        "If you decline, they learn none of these answers; at most they are told that you declined.",
        "In your own words",
        "Enter the code that you were given at the counter",
        "Only you see this.",
        "What you can do",
        "and you decide what they learn",
        "Whoever you give the share code to",
        "You can decline the whole request.",
        "You can take your consent back at any time under My consents.",
        "You may leave it out",
        "You, SANTOS MARIA LOURDES, decide for REYES ANGELA MAE.",
        "Your consent is given",
        "Your decision",
        "Your share code",
        "in your own words",
        "Once you dispute it",
        "Once you dispute them",
        "until you close the dispute",
    ),
    "ja": ("あなただけに表示", "あなたが見たことも", "あなたの決定", "あなたが決めます"),
}
"""Where the guardian is meant: who reads, decides, disputes and hands over."""
QUESTIONS = [*(one.text.en for one in ATTRIBUTES.values()), *(one.text.en for one in DECISIONS.values())]


async def wards_pages(guardian: Visitor, grant_id: str) -> dict[str, str]:
    """What a guardian reads about a ward, page by page, once the ward has a consent and disputes."""
    ending = f"?for={MINOR}"
    places = ["/consents", "/consents/new", f"/consents/{grant_id}", "/accesses", "/records", "/disputes", "/my-data"]
    shown = {place: (await guardian.get(place + ending)).text for place in places}
    for about in ("claim=Tax.income", "record=TAX"):
        shown[about] = (await guardian.get(f"/disputes/new?{about}&for={MINOR}")).text
    for done in ("open", "close"):
        shown[done] = (await guardian.get(f"/disputes?for={MINOR}&done={done}")).text
    await guardian.get(f"/consents/{grant_id}{ending}")
    shown["share code"] = (await guardian.post(f"/consents/{grant_id}/share-code{ending}", {})).text
    await guardian.get(f"/my-data{ending}")
    shown["wrong name"] = (await guardian.post(f"/my-data/erase{ending}", {"name": "X"})).text
    return shown


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("party", ["landlord", None])
async def test_no_page_about_a_ward_calls_the_ward_you(caller: Caller, language: str, party: str | None) -> None:
    minor, guardian = await visited(caller, MINOR), await visited(caller, GUARDIAN, language=language)
    for about in ({"claim": "Labor.employed"}, {"record": "INSURANCE"}):
        await minor.get("/disputes/new?record=TAX")
        await minor.post("/disputes", {**about, "statement": "Wrong."})
    before = (await guardian.get(f"/consents?for={MINOR}")).text
    grant_id = await previewed(caller, person=MINOR, party=party)
    place = f"/consents/{grant_id}/decide?for={MINOR}"
    screen = (await guardian.get(place)).text
    await granted(guardian, place, share=["Immigration.statusLawful"] if party is None else None)
    shown = {"before": before, "screen": screen, "granted": guardian.page} | await wards_pages(guardian, grant_id)
    assert not [name for name, page in shown.items() if "<code>INTERNAL" in page]
    said = []
    for name, page in shown.items():
        text = readable(page)
        for meant in MEANT[language]:
            text = text.replace(meant, "")
        said += [f"{name}: {line}" for line in text.splitlines() if YOU[language].search(line)]
    assert said == []


async def test_no_answer_and_no_state_calls_who_reads_it_the_person(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    screen = (await visitor.get(f"/consents/{grant_id}/decide")).text
    await granted(visitor, f"/consents/{grant_id}/decide")
    for ended in ("WITHDRAWN", "UPHELD", "CORRECTED LABOR"):
        await close(visitor, await disputed(visitor, claim="Labor.employed"), ended)
    await disputed(visitor, record="TAX")
    places = [
        "/consents",
        "/consents/new",
        f"/consents/{grant_id}",
        "/accesses",
        "/records",
        "/disputes",
        "/my-data",
        "/passkeys",
    ]
    places += ["/disputes/new?claim=Tax.income", "/disputes/new?record=TAX"]
    for page in [screen, *[(await visitor.get(place)).text for place in places]]:
        text = readable(page)
        for question in QUESTIONS:
            text = text.replace(question, "")
        assert [line for line in text.splitlines() if re.search("the person", line, re.IGNORECASE)] == []


SIGNED_IN = {
    "en": ("Signed in: ", "SANTOS MARIA LOURDES, guardian of REYES ANGELA MAE", "Sumai Rentals (sandbox)"),
    "ja": (
        "サインイン中：",
        "SANTOS MARIA LOURDES（REYES ANGELA MAEさんの法定代理人）",
        "すまい賃貸（サンドボックス）",
    ),
}
OWN_PLACES = ("/consents", "/accesses", "/records", "/disputes", "/my-data", "/disputes/new?claim=Tax.income")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_says_above_it_who_is_signed_in(caller: Caller, language: str) -> None:
    begun, both, party = SIGNED_IN[language]
    person = await visited(caller, HUONG, language=language)
    guardian = await visited(caller, GUARDIAN, language=language)
    landlord = await staff(caller, "landlord", language=language)
    places = (*OWN_PLACES, "/passkeys", f"/consents/{await previewed(caller)}", f"/consents/{UNKNOWN}")
    shown = [(person, "NGUYEN THI HUONG", place) for place in places]
    shown += [(guardian, both, f"{place}{'&' if '?' in place else '?'}for={MINOR}") for place in OWN_PLACES]
    shown += [(guardian, "SANTOS MARIA LOURDES", "/consents")]
    shown += [(landlord, party, place) for place in ("/check-code", "/passkeys", "/sign-in")]
    for visitor, name, place in shown:
        header = (await visitor.get(place)).text.partition("<header>")[2].partition("</header>")[0]
        assert f"<li>{begun}{name}</li>" in header, place
