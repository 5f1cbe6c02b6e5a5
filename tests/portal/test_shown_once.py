"""What a page shows once is not lost by a click on another language."""

import re

from tests.conftest import Caller
from tests.portal.consenting import CONSENT_TOKEN, HUONG, SHARE_CODE, previewed, staff, ticked, visited
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock

BORN = "1997-05-21"
TO_ANOTHER_LANGUAGE = re.compile(r'/language/|name="language"')


async def test_no_page_that_shows_something_once_leads_to_another_language(caller: Caller) -> None:
    visitor, landlord = await visited(caller, HUONG), await staff(caller, "landlord")
    shown: dict[str, str] = {}
    place = f"/consents/{await previewed(caller)}"
    await visitor.get(f"{place}/decide")
    assert TO_ANOTHER_LANGUAGE.search(visitor.page), "other pages lead there"
    kept = [("share", question) for question in ticked(visitor.page)]
    shown["granted"] = (await visitor.post(f"{place}/decide", [("decision", "grant"), *kept])).text
    await visitor.get(place)
    shown["share code"] = (await visitor.post(f"{place}/share-code", {})).text
    code = SHARE_CODE.search(shown["share code"])
    assert code is not None
    await landlord.get("/check-code")
    shown["answer"] = (await landlord.post("/check-code", {"code": code[0], "born_on": BORN})).text
    token = CONSENT_TOKEN.search(shown["answer"])
    assert token is not None
    await visitor.get(place)
    await visitor.post(f"{place}/pause", {})
    shown["no answer"] = (await landlord.post("/check-code", {"consent_token": token[0]})).text
    assert "The consent is paused." in shown["no answer"]
    assert all(CONSENT_TOKEN.search(page) or SHARE_CODE.search(page) for page in shown.values())
    assert [name for name, page in shown.items() if TO_ANOTHER_LANGUAGE.search(page)] == []
