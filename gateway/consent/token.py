"""The consent token: an opaque handle to a grant, stored as a digest.

Format: `kct_` and 26 base-32 symbols that carry 128 random bits. Source: protocols 1.
"""

import base64
import hashlib

TOKEN_RANDOM_BYTES = 16


def make_token(randomness: bytes) -> str:
    """The token for 16 random bytes."""
    if len(randomness) != TOKEN_RANDOM_BYTES:
        raise ValueError("a consent token takes 16 random bytes")
    return "kct_" + base64.b32encode(randomness).decode().rstrip("=").lower()


def token_digest(token: str) -> str:
    """What is stored and looked up. A malformed token has a digest too, so that it costs the same look-up."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
