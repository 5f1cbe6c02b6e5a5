"""A person's pseudonym: another for every sector of relying parties, so that no two can join their views.

Source: OpenID Connect Core section 8.1 (pairwise identifiers); protocols 1.
"""

import base64
import hmac

REF_SYMBOLS = 26


def subject_ref(key: bytes, *, sector: str, person_id: str) -> str:
    """`base32(HMAC-SHA-256(key, sector || 0x00 || person))`, its first 26 symbols in lower case: 130 bits."""
    digest = hmac.digest(key, f"{sector}\x00{person_id}".encode(), "sha256")
    return base64.b32encode(digest).decode().lower()[:REF_SYMBOLS]
