"""Share codes: a consent handed over by word or paper. Source: protocols 1.

Format: the purpose's letter, 8 Crockford base-32 symbols (40 random bits) and 2 check symbols, in groups as
people write them: `T-8F3K-2Q9Z-5M`. The check symbols are the remainder of the nine before, read as a number in base
37, by 1021, the largest prime below 32 x 32: one wrong symbol and an exchange of neighbours are always noticed.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from resolvers.catalogue import Purpose

CODE_RANDOM_BYTES = 5
DEFAULT_DAYS = 7
MAX_DAYS = 30

_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FORGIVEN = str.maketrans({"O": "0", "I": "1", "L": "1"})
_LETTERS = {
    Purpose.ACCOUNT_OPENING: "O",
    Purpose.ACCOUNT_MAINTENANCE: "M",
    Purpose.TENANCY: "T",
    Purpose.LENDING: "L",
}
_PRIME = 1021
_BASE = 37
_BODY, _CHECK = 8, 2


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
    number = int.from_bytes(randomness)
    body = _LETTERS[purpose] + _symbols(number, _BODY)
    return ShareCode(body + _symbols(_check_number(body), _CHECK))


def read_share_code(text: str) -> ShareCode | None:
    """The code that somebody typed: lower case, spaces, hyphens, O for 0 and I or L for 1 are forgiven.

    None if it cannot be one: another length, another letter or symbol, or check symbols that disagree.
    """
    if len(text) > 64:
        return None
    plain = "".join(text.upper().split()).replace("-", "")
    if len(plain) != 1 + _BODY + _CHECK or not plain.isascii():
        return None
    plain = _letter(plain[0]) + plain[1:].translate(_FORGIVEN)
    if plain[0] not in _LETTERS.values() or any(symbol not in _SYMBOLS for symbol in plain[1:]):
        return None
    body, check = plain[:-_CHECK], plain[-_CHECK:]
    return ShareCode(plain) if hmac.compare_digest(_symbols(_check_number(body), _CHECK), check) else None


def code_digest(code: ShareCode, born_on: date, *, keyed: Callable[[bytes], bytes]) -> str:
    """What is stored and looked up: keyed over code and date of birth; with either wrong nothing is found."""
    return keyed(f"{code.text}\n{born_on.isoformat()}".encode()).hex()


def hmac_sha256(key: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA-256 under a key. Source: RFC 2104."""
    return lambda message: hmac.new(key, message, hashlib.sha256).digest()


def _letter(typed: str) -> str:
    """The purpose's letter; a zero or a one typed for the letter O or L is forgiven too."""
    return {"0": "O", "1": "L", "I": "L"}.get(typed, typed)


def _check_number(body: str) -> int:
    number = 0
    for symbol in body:
        number = (number * _BASE + ord(symbol)) % _PRIME
    return number


def _symbols(number: int, count: int) -> str:
    return "".join(_SYMBOLS[number >> 5 * place & 31] for place in reversed(range(count)))
