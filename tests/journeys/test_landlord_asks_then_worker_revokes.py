"""A landlord asks, the worker sees it, takes the consent back, and nothing leaves any more."""

from gateway.asking import read_example
from resolvers.catalogue import Purpose
from tests.conftest import Caller

TENANCY = read_example(Purpose.TENANCY)
RENT = {"rentYenPerMonth": 62000}


async def test_a_landlord_is_answered_until_the_worker_revokes(caller: Caller) -> None:
    token, grant_id = await caller.consent("P01", "landlord", "TENANCY", TENANCY, RENT)

    answered = await caller.as_party("landlord", TENANCY, {**RENT, "consent": token})
    assert "errors" not in answered
    assert answered["data"]["subject"]["tenancy"]["outcome"] == "ELIGIBLE"
    assert answered["data"]["subject"]["tax"]["incomeBasis"]["value"] == "TAX_CERT"

    revoked = await caller.revoke("P01", grant_id)
    assert revoked["data"]["revokeConsent"]["status"] == "REVOKED"

    refused = await caller.as_party("landlord", TENANCY, {**RENT, "consent": token})
    assert refused["data"] == {"subject": None}
    assert refused["errors"][0]["extensions"]["code"] == "CONSENT_ENDED"

    seen = await caller.as_person(
        "P01", "{ me { accesses { kind relyingParty { id } purpose questions refused code } } }"
    )
    kinds = [access["kind"] for access in seen["data"]["me"]["accesses"][:5]]
    assert kinds == ["REFUSED", "CONSENT_REVOKED", "RELEASED", "CONSENT_GRANTED", "CONSENT_REQUESTED"]
    assert "TAX_CERT" not in str(seen), "the access log never holds a value"
