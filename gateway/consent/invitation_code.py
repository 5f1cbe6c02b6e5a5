"""Invitation codes: what an operator hands out at the counter, once, to whom it has identified.

Format: 16 Crockford base-32 symbols (80 random bits) and 2 check symbols, in groups as people write them:
`8F3K-2Q9Z-7T4M-1XWB-5M`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from gateway.consent.crockford import CHECK_SYMBOLS, check_symbols, forgiven, is_checked, symbols, without_gaps

CODE_RANDOM_BYTES = 10
INVITATION_LIFE = timedelta(days=7)
_BODY = 16
_GROUP = 4


@dataclass(frozen=True, slots=True, repr=False)
class InvitationCode:
    """A well-formed code: eighteen symbols whose check symbols agree."""

    text: str

    def grouped(self) -> str:
        """As it is shown."""
        return "-".join(self.text[start : start + _GROUP] for start in range(0, len(self.text), _GROUP))


def make_invitation_code(randomness: bytes) -> InvitationCode:
    """The code for 10 random bytes."""
    if len(randomness) != CODE_RANDOM_BYTES:
        raise ValueError("an invitation code takes 10 random bytes")
    body = symbols(int.from_bytes(randomness), _BODY)
    return InvitationCode(body + check_symbols(body))


def read_invitation_code(text: str) -> InvitationCode | None:
    """The code that somebody typed: lower case, full width, spaces, any dashes, O for 0, I or L for 1 are forgiven.

    None if it cannot be one.
    """
    if len(text) > 64:
        return None
    plain = forgiven(without_gaps(text))
    if plain is None or len(plain) != _BODY + CHECK_SYMBOLS or not is_checked(plain):
        return None
    return InvitationCode(plain)


def invitation_digest(code: InvitationCode, born_on: date | None, *, keyed: Callable[[bytes], bytes]) -> str:
    """What is stored and looked up: keyed over code and date of birth; staff of a relying party tell none."""
    born = "" if born_on is None else born_on.isoformat()
    return keyed(f"{code.text}\n{born}".encode()).hex()
