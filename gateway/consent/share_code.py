"""Share codes: a consent handed over by word or paper. Source: protocols 1.

Format: the purpose's letter, 8 Crockford base-32 symbols (40 random bits) and 2 check symbols, in groups as
people write them: `T-8F3K-2Q9Z-5M`.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from gateway.consent.crockford import CHECK_SYMBOLS, check_symbols, forgiven, is_checked, symbols, without_gaps
from resolvers.catalogue import Purpose

CODE_RANDOM_BYTES = 5
MAX_DAYS = 30

_LETTERS = {
    Purpose.ACCOUNT_OPENING: "O",
    Purpose.ACCOUNT_MAINTENANCE: "M",
    Purpose.TENANCY: "T",
    Purpose.LENDING: "L",
}
_BODY = 8


@dataclass(frozen=True, slots=True, repr=False)
class ShareCode:
    """A well-formed code: eleven symbols whose check symbols agree."""

    text: str

    def grouped(self) -> str:
        """As it is shown."""
        return "-".join((self.text[0], self.text[1:5], self.text[5:9], self.text[9:]))


def make_share_code(purpose: Purpose, randomness: bytes) -> ShareCode:
    """The code for 5 random bytes."""
    if len(randomness) != CODE_RANDOM_BYTES:
        raise ValueError("a share code takes 5 random bytes")
    body = _LETTERS[purpose] + symbols(int.from_bytes(randomness), _BODY)
    return ShareCode(body + check_symbols(body))


def read_share_code(text: str) -> ShareCode | None:
    """The code that somebody typed: lower case, full width, spaces, any dashes, O for 0, I or L for 1 are forgiven.

    None if it cannot be one: another length, another letter or symbol, or check symbols that disagree.
    """
    if len(text) > 64:
        return None
    plain = without_gaps(text)
    if len(plain) != 1 + _BODY + CHECK_SYMBOLS:
        return None
    letter, rest = _letter(plain[0]), forgiven(plain[1:])
    if letter not in _LETTERS.values() or rest is None:
        return None
    return ShareCode(letter + rest) if is_checked(letter + rest) else None


def code_digest(code: ShareCode, born_on: date, *, keyed: Callable[[bytes], bytes]) -> str:
    """What is stored and looked up: keyed over code and date of birth; with either wrong nothing is found."""
    return keyed(f"{code.text}\n{born_on.isoformat()}".encode()).hex()


def hmac_sha256(key: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA-256 under a key. Source: RFC 2104."""
    return lambda message: hmac.new(key, message, hashlib.sha256).digest()


def _letter(typed: str) -> str:
    """The purpose's letter; a zero or a one typed for the letter O or L is forgiven too."""
    return {"0": "O", "1": "L", "I": "L"}.get(typed, typed)
