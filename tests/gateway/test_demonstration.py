"""What the command line's demonstrations say where they cannot go on."""

import pytest

from gateway.demonstration import check_asker
from gateway.errors import ConfigurationError
from gateway.identity.relying_party import RelyingParties, RelyingParty
from gateway.sandbox_keys import key_of
from resolvers.catalogue import Purpose
from resolvers.decision import Text

KEYS = {"landlord": "sk_1", "bank": "sk_2", "gone": "sk_3"}


def parties() -> RelyingParties:
    registered = {
        "landlord": [Purpose.TENANCY],
        "bank": [Purpose.LENDING, Purpose.ACCOUNT_OPENING],
        "oauth-alone": [Purpose.TENANCY],
    }
    made = [
        RelyingParty(party_id, Text(party_id, party_id), party_id, frozenset(purposes))
        for party_id, purposes in registered.items()
    ]
    return RelyingParties(made, sandbox_keys=KEYS)


@pytest.mark.parametrize(
    ("party", "purpose", "said"),
    [
        ("landlord", "LENDING", "--purpose: landlord is not registered for LENDING, only for TENANCY"),
        ("bank", "TENANCY", "--purpose: bank is not registered for TENANCY, only for ACCOUNT_OPENING, LENDING"),
        ("nobody", "TENANCY", "--as: there is no relying party nobody"),
        ("gone", "TENANCY", "--as: there is no relying party gone"),
        ("oauth-alone", "TENANCY", "--as: there is no relying party oauth-alone"),
    ],
)
def test_who_is_not_registered_for_a_purpose_is_told_so(party: str, purpose: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_asker(party, Purpose(purpose), parties(), KEYS)
    assert refused.value.detail == said


def test_who_is_registered_for_a_purpose_may_ask() -> None:
    check_asker("bank", Purpose.LENDING, parties(), KEYS)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "no relying party has a sandbox key: relying_parties.toml names none"),
        ({"lender": "sk_1", "bank": "sk_2"}, "there is no relying party nobody; there are bank, lender"),
    ],
)
def test_a_key_that_there_is_not_is_refused_in_whole_words(keys: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        key_of("nobody", keys)
    assert refused.value.detail == said
