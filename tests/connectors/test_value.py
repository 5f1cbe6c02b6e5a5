"""Values show their kind alone, and stay as they were made."""

import pytest
from rich.pretty import pretty_repr

from connectors.value import Value

SECRET = "CANARY NGUYEN"


class Holding(Value, frozen=True):
    """A value of a person."""

    name: str


@pytest.mark.parametrize("shown", [repr, str, "{!r}".format, "{}".format, pretty_repr])
def test_a_value_shows_nothing_of_what_it_holds(shown: object) -> None:
    assert callable(shown)
    text = shown(Holding(SECRET))
    assert "Holding" in text
    assert SECRET not in text


def test_a_value_cannot_be_changed() -> None:
    value = Holding(SECRET)
    with pytest.raises(AttributeError):
        value.name = "another"  # type: ignore[misc]
    assert value == Holding(SECRET)
    assert len({value, Holding(SECRET)}) == 1
