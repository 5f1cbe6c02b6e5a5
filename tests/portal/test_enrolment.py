"""Enrolment by a code from the counter: once, within seven days, with the date of birth, and never told why not."""

import re

import pytest

from tests.gateway.sandboxes import rows
from tests.portal.stage import BORN, HUONG, RAHMAN, Portal

NOT_A_CODE = "8F3K-2Q9Z-7T4M-1XWB-5N"
BYTES_THAT_DIFFER = re.compile(r"[0-9a-f]{64}|nonce=\"[^\"]*\"")


async def test_a_code_and_the_date_of_birth_sign_in_and_lead_to_passkeys(portal: Portal) -> None:
    visitor = portal.visitor()
    done = await visitor.enrol(await portal.code_for(HUONG), BORN[HUONG])
    assert (done.status_code, done.headers["location"]) == (303, "/passkeys")
    assert await visitor.signed_in_as() == "NGUYEN THI HUONG"


@pytest.mark.parametrize(
    "slip",
    [str.lower, lambda code: code.replace("-", " "), lambda code: code.replace("0", "O").replace("1", "l")],
    ids=["lower case", "spaces", "O and l"],
)
async def test_a_code_is_read_as_people_type_it(portal: Portal, slip: object) -> None:
    assert callable(slip)
    visitor = portal.visitor()
    done = await visitor.enrol(slip(await portal.code_for(HUONG)), BORN[HUONG])
    assert done.status_code == 303


async def test_staff_enrol_without_a_date_of_birth(portal: Portal) -> None:
    visitor = portal.visitor()
    assert (await visitor.enrol(await portal.staff_code("bank"), "")).status_code == 303
    assert (await visitor.get("/")).headers["location"] == "/check-code"


async def test_staff_of_a_suspended_party_are_told_so_and_led_in_no_circle(portal: Portal) -> None:
    """However they sign in: to do it again would change nothing."""
    visitor, act = portal.visitor(), portal.operator.act
    code = await portal.staff_code("landlord")
    await act("relying-party suspend", {"party_id": "landlord", "suspended": True})
    led = await visitor.enrol(code, "")
    pages = [await visitor.get(place) for place in (led.headers["location"], "/check-code")]
    for page in pages:
        assert (page.status_code, "Your organisation is suspended here" in page.text) == (403, True)
    assert (await visitor.get("/")).headers["location"] == "/check-code"
    await act("relying-party suspend", {"party_id": "landlord", "suspended": False})
    assert (await visitor.get("/check-code")).status_code == 200


async def test_staff_of_a_suspended_party_can_sign_out(portal: Portal) -> None:
    visitor, act = portal.visitor(), portal.operator.act
    code = await portal.staff_code("landlord")
    await act("relying-party suspend", {"party_id": "landlord", "suspended": True})
    await visitor.enrol(code, "")
    assert 'action="/sign-out"' in (await visitor.get("/check-code")).text
    assert (await visitor.post("/sign-out", {})).headers["location"] == "/sign-in"
    assert (await visitor.get("/")).headers["location"] == "/sign-in"
    await act("relying-party suspend", {"party_id": "landlord", "suspended": False})
    assert (await visitor.get("/check-code")).headers["location"].partition("?")[0] == "/sign-in"


async def test_a_code_works_once(portal: Portal) -> None:
    code = await portal.code_for(HUONG)
    assert (await portal.visitor().enrol(code, BORN[HUONG])).status_code == 303
    again = portal.visitor()
    assert (await again.enrol(code, BORN[HUONG])).status_code == 422
    assert await again.signed_in_as() is None


async def test_a_newer_code_ends_the_older_one(portal: Portal) -> None:
    older = await portal.code_for(HUONG)
    newer = await portal.code_for(HUONG)
    assert (await portal.visitor().enrol(older, BORN[HUONG])).status_code == 422
    assert (await portal.visitor().enrol(newer, BORN[HUONG])).status_code == 303


async def test_why_a_code_cannot_be_used_is_not_told(portal: Portal) -> None:
    used = await portal.code_for(HUONG)
    await portal.visitor().enrol(used, BORN[HUONG])
    expired = await portal.code_for(RAHMAN)
    portal.clock.pass_by(days=7, seconds=1)
    fresh = await portal.code_for(HUONG)
    attempts = [
        (used, BORN[HUONG]),
        (expired, BORN[RAHMAN]),
        (fresh, BORN[RAHMAN]),
        (fresh, ""),
        (fresh, "yesterday"),
        (fresh, BORN[HUONG].replace("-", "")),
        (NOT_A_CODE, BORN[HUONG]),
        ("", ""),
    ]
    pages = set()
    for code, born_on in attempts:
        visitor = portal.visitor()
        done = await visitor.enrol(code, born_on)
        pages.add((done.status_code, BYTES_THAT_DIFFER.sub("", done.text)))
        assert await visitor.signed_in_as() is None
    assert len(pages) == 1
    assert next(iter(pages))[0] == 422
    assert (await portal.visitor().enrol(fresh, BORN[HUONG])).status_code == 303


async def test_who_found_a_paper_cannot_try_every_date_of_birth_and_locks_out_nobody_else(portal: Portal) -> None:
    found, others = await portal.code_for(HUONG), await portal.code_for(RAHMAN)
    for day in range(1, 6):
        assert (await portal.visitor().enrol(found, f"1990-01-{day:02}")).status_code == 422
    refused = await portal.visitor().enrol(found, BORN[HUONG])
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 600
    assert (await portal.visitor().enrol(others, BORN[RAHMAN])).status_code == 303


async def test_recovery_ends_every_earlier_session(portal: Portal) -> None:
    earlier, other = portal.visitor(), portal.visitor()
    await earlier.enrol(await portal.code_for(RAHMAN), BORN[RAHMAN])
    await other.enrol(await portal.staff_code("bank"), "")
    await portal.visitor().enrol(await portal.code_for(RAHMAN), BORN[RAHMAN])
    assert await earlier.signed_in_as() is None
    assert await other.signed_in_as() is not None


async def test_a_code_is_kept_as_a_digest_alone(portal: Portal) -> None:
    code = await portal.code_for(HUONG)
    plain = code.replace("-", "")
    kept = rows(portal.state, "SELECT * FROM invitation")
    assert kept
    for file in portal.state.rglob("*"):
        if file.is_file():
            assert plain.encode() not in file.read_bytes()
            assert code.encode() not in file.read_bytes()


@pytest.mark.parametrize("place", ["/enrol/8F3K-2Q9Z-7T4M-1XWB-5M", "/enrol?code=8F3K-2Q9Z-7T4M-1XWB-5M"])
async def test_a_code_in_an_address_is_nothing_and_is_not_logged(
    portal: Portal, place: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert (await portal.visitor().get(place)).status_code == 404
    logged = "".join(capfd.readouterr()) + caplog.text
    assert "8F3K" not in logged


async def test_whoever_enrols_on_the_way_to_a_request_finds_the_way_back(portal: Portal) -> None:
    visitor = portal.visitor()
    code = await portal.code_for(HUONG)
    await visitor.get("/sign-in?next=/authorizations/abc")
    assert 'href="/enrol?next=/authorizations/abc"' in visitor.page
    await visitor.get("/enrol?next=/authorizations/abc")
    wrong = await visitor.post("/enrol", {"code": code, "born_on": "1990-01-01", "next": "/authorizations/abc"})
    assert wrong.status_code == 422
    assert 'value="/authorizations/abc"' in visitor.page
    done = await visitor.post("/enrol", {"code": code, "born_on": BORN[HUONG], "next": "/authorizations/abc"})
    assert done.headers["location"] == "/passkeys?next=%2Fauthorizations%2Fabc"
    await visitor.get(done.headers["location"])
    assert 'href="/authorizations/abc"' in visitor.page
    await visitor.get("/passkeys?next=//evil.example")
    assert 'href="//evil' not in visitor.page
