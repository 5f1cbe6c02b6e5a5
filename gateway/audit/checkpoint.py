"""What the log commits to: its size and root, signed. Source: C2SP tlog-checkpoint and signed-note.

kyosei-gateway/log/5f1c…     the origin: the log's name
1234                         its size
NmQuc8JUCrEh…                its root, in base64

— kyosei-gateway/log/5f1c… <base64 of key id and Ed25519 signature>
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAX_NOTE_CHARACTERS = 10_000
ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_HASH_BYTES = 32
_NAME_BYTES = 8
_SIGNED_BY = "\u2014 "


class NoteError(ValueError):
    """A note is none, or nobody known has signed it; the message names the rule."""


class UnknownKeyError(NoteError):
    """A note that was signed, but with other keys."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size of a log and the root over its entries."""

    origin: str
    size: int
    root: bytes

    def to_text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with the name it signs under."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:_KEY_ID_BYTES]

    def to_text(self) -> str:
        """The key as others are given it."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.public_key).decode()}"

    def open(self, note: str) -> str:
        """The text of a note that this key has signed. Raises NoteError."""
        text, signatures = _split(note)
        mine = [body for name, key_id, body in signatures if (name, key_id) == (self.name, self.key_id)]
        if not mine:
            raise UnknownKeyError("signature: none of this key")
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(mine[0], text.encode())
        except InvalidSignature:
            raise NoteError("signature: it does not verify") from None
        return text


class LogKey:
    """The log's own key. Its name holds a part of its hash, so that no two logs have one name."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public_key = self._private.public_key().public_bytes_raw()
        name = f"kyosei-gateway/log/{hashlib.sha256(public_key).digest()[:_NAME_BYTES].hex()}"
        self.verifier = Verifier(name, public_key)

    def __repr__(self) -> str:
        return f"LogKey({self.verifier.name}, redacted)"

    def checkpoint(self, size: int, root: bytes) -> Checkpoint:
        return Checkpoint(self.verifier.name, size, root)

    def sign(self, checkpoint: Checkpoint) -> str:
        """The signed note of a checkpoint."""
        text = checkpoint.to_text()
        signature = self.verifier.key_id + self._private.sign(text.encode())
        return f"{text}\n{_SIGNED_BY}{self.verifier.name} {base64.b64encode(signature).decode()}\n"

    def open(self, note: str) -> Checkpoint:
        """The checkpoint of a note that this log has signed. Raises NoteError."""
        checkpoint = parse_checkpoint(self.verifier.open(note))
        if checkpoint.origin != self.verifier.name:
            raise NoteError("checkpoint: of another log")
        return checkpoint


def parse_checkpoint(text: str) -> Checkpoint:
    """A checkpoint without extensions. Raises NoteError."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise NoteError("checkpoint: not three lines")
    origin, size, encoded, _ = lines
    root = _decoded(encoded)
    if not size.isascii() or not size.isdecimal() or str(int(size)) != size or len(root) != _HASH_BYTES:
        raise NoteError("checkpoint: size or root")
    return Checkpoint(origin, int(size), root)


def _split(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """A note's text, and name, key id and bytes of each of its signatures."""
    text, separator, signed = note.rpartition("\n\n")
    if not separator or not signed.endswith("\n") or len(note) > MAX_NOTE_CHARACTERS:
        raise NoteError("note: text, blank line and signatures")
    signatures = []
    for line in signed.removesuffix("\n").split("\n"):
        name, _, encoded = line.removeprefix(_SIGNED_BY).partition(" ")
        body = _decoded(encoded)
        if not line.startswith(_SIGNED_BY) or not name or len(body) <= _KEY_ID_BYTES:
            raise NoteError("note: a signature's line")
        signatures.append((name, body[:_KEY_ID_BYTES], body[_KEY_ID_BYTES:]))
    return text + "\n", signatures


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("base64") from error
