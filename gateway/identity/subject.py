"""People: who has signed in."""

from dataclasses import dataclass

from gateway.errors import AuthenticationError


@dataclass(frozen=True, slots=True)
class SignedInPerson:
    """A person whose identity is established for this request."""

    id: str


def sandbox_sign_in(person_id: str, *, known: bool) -> SignedInPerson:
    """Sign in by id: in sandbox mode alone, where every person is invented.

    Raises AuthenticationError(TOKEN_INVALID) for an id that nobody enrolled with.
    """
    if not known:
        raise AuthenticationError("person", code="TOKEN_INVALID")
    return SignedInPerson(person_id)
