"""Hashes of the audit log as a Merkle tree. Source: RFC 9162 section 2.1.1."""

import hashlib


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256 over 0x00 and the entry."""
    return hashlib.sha256(b"\x00" + entry).digest()
