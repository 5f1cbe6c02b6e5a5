"""Nobody tells who is released, supervised or sheltered, without a status of residence. Source: Immigration Act."""

import pytest

from connectors.interface import SourceAuthority
from resolvers.catalogue import ATTRIBUTES
from resolvers.facts import Facts
from resolvers.inputs import RULE_INPUTS
from tests.builders import a_residence_record, facts_of

ARGUMENTS = {"yearlyYen": 1_200_000, "on": "2027-03-31"}


def seen(facts: Facts) -> dict[str, tuple[object, ...]]:
    """All that a relying party can be told of claims, and all that its decisions weigh."""
    rules = {name: rule_input.derive(facts) for name, rule_input in RULE_INPUTS.items()}
    asked = {
        coordinate: attribute.claim(facts, {a.name: ARGUMENTS[a.name] for a in attribute.arguments})
        for coordinate, attribute in ATTRIBUTES.items()
        if not attribute.person_only
    }
    return {name: (claim.state, claim.value, claim.retry_at) for name, claim in (rules | asked).items()}


@pytest.mark.parametrize("status", ["仮放免", "監理措置", "仮滞在", "一時庇護"])
@pytest.mark.parametrize("match_over", [(SourceAuthority.IMMIGRATION,), tuple(SourceAuthority)])
def test_who_has_no_status_of_residence_looks_like_whoever_a_record_does_not_match(
    status: str, match_over: tuple[SourceAuthority, ...]
) -> None:
    without = facts_of(residence=a_residence_record(residence_status=status), match_over=match_over)
    mismatched = facts_of(residence=a_residence_record(name="SOMEBODY ELSE"), match_over=match_over)
    assert seen(without) == seen(mismatched)
