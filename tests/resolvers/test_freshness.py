"""Of several classes of freshness the first to end counts."""

from datetime import UTC, datetime, timedelta
from itertools import chain, combinations

import pytest

from resolvers.attribute import Freshness, binding_classes

SETS = list(chain.from_iterable(combinations(Freshness, count) for count in range(1, len(Freshness) + 1)))
OBSERVED = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days, hours=days) for days in range(0, 400, 9)]


@pytest.mark.parametrize("classes", SETS, ids=lambda classes: "+".join(one.name for one in classes))
def test_no_class_that_is_left_out_ends_before_those_that_bind(classes: tuple[Freshness, ...]) -> None:
    binding = binding_classes(frozenset(classes))
    assert set(binding) <= set(classes)
    for at in OBSERVED:
        assert min(one.fresh_until(at) for one in binding) == min(one.fresh_until(at) for one in classes)
