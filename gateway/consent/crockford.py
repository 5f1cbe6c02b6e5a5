"""Codes that people read, say and type: Crockford base-32 symbols, and two more that notice a slip.

The check symbols are the remainder of the symbols before, read as a number in base 37, by 1021, the largest prime
below 32 x 32: one wrong symbol and an exchange of neighbours are always noticed. Source: Crockford, Base 32.
"""

import hmac
import unicodedata

CHECK_SYMBOLS = 2
_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FORGIVEN = str.maketrans({"O": "0", "I": "1", "L": "1"})
_GAPS = ("Pd", "Cf")  # dashes by their category, and what cannot be seen, such as a soft hyphen
_DASHES = "ー−⁃─━"  # a keyboard for Japanese writes them where a hyphen was meant
_PRIME = 1021
_BASE = 37


def symbols(number: int, count: int) -> str:
    """A number's last `count` symbols."""
    return "".join(_SYMBOLS[number >> 5 * place & 31] for place in reversed(range(count)))


def forgiven(typed: str) -> str | None:
    """What was meant by O for 0 and by I or L for 1; None where a symbol remains that is none."""
    plain = typed.translate(_FORGIVEN)
    return None if any(symbol not in _SYMBOLS for symbol in plain) else plain


def check_symbols(body: str) -> str:
    """The two that follow a body of letters and digits."""
    number = 0
    for symbol in body:
        number = (number * _BASE + ord(symbol)) % _PRIME
    return symbols(number, CHECK_SYMBOLS)


def is_checked(text: str) -> bool:
    """Whether a text ends in the check symbols of what stands before."""
    body, check = text[:-CHECK_SYMBOLS], text[-CHECK_SYMBOLS:]
    return hmac.compare_digest(check_symbols(body).encode(), check.encode())


def without_gaps(text: str) -> str:
    """In plain capitals, whatever width they were typed in, without what people put between groups: spaces, and
    whatever looks like a hyphen. Source: Unicode Standard Annex 15 (NFKC)."""
    return "".join(one for one in unicodedata.normalize("NFKC", text).upper() if not _is_gap(one))


def _is_gap(one: str) -> bool:
    return one.isspace() or one in _DASHES or unicodedata.category(one) in _GAPS
