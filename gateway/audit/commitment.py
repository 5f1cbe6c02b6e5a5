"""Salted commitments: the log holds these instead of facts, so it can be kept when the facts are erased.

A commitment is HMAC-SHA-256 under a salt of 32 random bytes, one salt an entry. The salt is kept sealed
under the person's key: whoever holds it can open the commitment, and erasing the key closes it for ever.
"""

import hmac

SALT_BYTES = 32


def commit(salt: bytes, *, label: str, value: bytes) -> str:
    """The commitment to a value under a label, in hexadecimal."""
    if len(salt) != SALT_BYTES:
        raise ValueError("a commitment takes a salt of 32 bytes")
    return hmac.digest(salt, label.encode() + b"\x00" + value, "sha256").hex()
