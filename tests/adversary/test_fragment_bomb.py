"""A document whose fragments double, or worse, at every level costs next to nothing to refuse."""

import pytest

from gateway.document import read_document
from gateway.errors import RequestError
from resolvers.schema import schema


@pytest.mark.parametrize("spreads", [2, 8])
def test_a_bomb_of_fragments_is_refused_before_it_goes_off(spreads: int) -> None:
    """Eleven levels of eight spreads are eight thousand million fields: walking them would never end."""
    levels = [
        f"fragment F{n} on Query {{ {f'...F{n + 1} ' * spreads} }}"
        if n < 11
        else f"fragment F{n} on Query {{ me {{ id }} }}"
        for n in range(12)
    ]
    document = read_document("{ ...F0 } " + " ".join(levels), schema._schema)
    with pytest.raises(RequestError) as refused:
        document.select(document.coerce({}))
    assert refused.value.code == "QUERY_TOO_COMPLEX"
