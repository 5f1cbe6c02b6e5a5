"""Envelope encryption: a key for each person, wrapped by the gateway's master key.

AES-256-GCM with a random 96-bit nonce before the ciphertext; the additional data names the table, the row
and the field, so that a value cannot be moved. Source: NIST SP 800-38D.
"""

import hmac
import os
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from gateway.errors import ConfigurationError
from gateway.store.private_file import read_private_file, write_private_file

KEY_BYTES = 32
NONCE_BYTES = 12
MAX_KEPT_CIPHERS = 4
"""Several values of one person are opened or sealed in a row, and the gateway's own key is used in between. A key is
kept until so many others were used, or somebody is erased."""

_cipher_of = lru_cache(maxsize=MAX_KEPT_CIPHERS)(AESGCM)


class Envelope:
    """Seals values under people's keys and derives the gateway's own keys."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != KEY_BYTES:
            raise ConfigurationError("the master key does not have 32 bytes")
        self._master_key = master_key
        self._derived: dict[str, bytes] = {}
        self._keyed: dict[str, hmac.HMAC] = {}

    def __repr__(self) -> str:
        return "Envelope(redacted)"

    def derive(self, label: str) -> bytes:
        """A key for one use, from the master key. Source: RFC 5869 section 2.3 (the key is already random)."""
        if label not in self._derived:
            self._derived[label] = HKDFExpand(SHA256(), KEY_BYTES, label.encode()).derive(self._master_key)
        return self._derived[label]

    def digest(self, label: str, message: str) -> str:
        """HMAC-SHA-256 of a message under the key for one use, in hexadecimal."""
        if label not in self._keyed:
            self._keyed[label] = hmac.new(self.derive(label), digestmod="sha256")
        keyed = self._keyed[label].copy()  # a key that has been taken in costs as much as the message
        keyed.update(message.encode())
        return keyed.hexdigest()

    def new_person_key(self, person_id: str) -> bytes:
        """A fresh key for a person, wrapped for storage."""
        return self._seal(self.derive("wrap"), AESGCM.generate_key(256), f"person/{person_id}/key")

    def unwrap(self, wrapped: bytes, person_id: str) -> bytes:
        """A person's key. Raises ValueError if the wrapping does not verify."""
        return self.open(self.derive("wrap"), wrapped, place=f"person/{person_id}/key")

    def seal(self, key: bytes, plaintext: bytes, *, place: str) -> bytes:
        """Encrypt for one place: `table/row/field`."""
        return self._seal(key, plaintext, place)

    @staticmethod
    def open(key: bytes, sealed: bytes, *, place: str) -> bytes:
        """Decrypt what was sealed for this place. Raises ValueError if it does not verify."""
        nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return _cipher_of(key).decrypt(nonce, ciphertext, place.encode())
        except InvalidTag as error:
            raise ValueError("a sealed value does not verify") from error

    @staticmethod
    def _seal(key: bytes, plaintext: bytes, place: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + _cipher_of(key).encrypt(nonce, plaintext, place.encode())


def forget_ciphers() -> None:
    """Let no key outlive its person here."""
    _cipher_of.cache_clear()


def read_master_key(path: Path, *, may_make: bool) -> bytes:
    """The master key of a state directory, a file that its owner alone can read. `may_make`: on first use.

    Raises ConfigurationError if others can read it, or if it is missing and may not be made.
    """
    if not path.exists():
        if not may_make:
            raise ConfigurationError(
                f"state directory: keys/{path.name} is missing; bring it back, "
                f"or for a new gateway put {KEY_BYTES} random bytes there, mode 0400"
            )
        write_private_file(path, os.urandom(KEY_BYTES), mode=0o400)
    return read_private_file(path)
