"""A field repeated two hundred times is refused before validation compares every pair of them."""

import pytest

from gateway.document import read_document
from gateway.errors import RequestError
from gateway.weighing import MAX_SAME_FIELDS
from resolvers.schema import schema

SUBJECT = 'subject(consent: "x")'


@pytest.mark.parametrize(
    "document",
    [
        f"{{ {SUBJECT} {{ {'answer { id } ' * 200} }} }}",
        "{ " + f"{SUBJECT} {{ {'answer { id } ' * 5} }} " * 24 + "}",
        f"{{ {SUBJECT} {{ ...F ...F }} }} fragment F on Subject {{ {'grant { status } ' * 9} }}",
    ],
    ids=["side by side", "under a repeated parent", "through fragments"],
)
def test_repeating_a_field_to_stall_the_gateway_is_too_complex(document: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_document(document, schema._schema)
    assert refused.value.code == "QUERY_TOO_COMPLEX"


def test_repeating_a_field_a_little_is_one_field() -> None:
    read_document(f"{{ {SUBJECT} {{ {'answer { id } ' * MAX_SAME_FIELDS} }} }}", schema._schema)
