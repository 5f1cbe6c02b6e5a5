"""What is known in memory of registered documents: their digests, and the texts that were used last."""

import hashlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

MAX_TEXT_BYTES = 16 * 1024 * 1024
"""Of all relying parties' texts together that are at hand; the one that was not used for longest goes first."""


@dataclass(frozen=True, slots=True)
class Known:
    """A document, without its text: the SHA-256 and the length of that, and when it was registered."""

    digest: bytes
    size_bytes: int
    added_at: datetime


class DocumentRegister:
    """Remembers and forgets relying parties' documents."""

    def __init__(self) -> None:
        self._known: defaultdict[str, dict[str, Known]] = defaultdict(dict)
        self._digests: defaultdict[str, Counter[bytes]] = defaultdict(Counter)
        self._texts: OrderedDict[bytes, str] = OrderedDict()
        self._text_bytes = 0

    def parties(self) -> frozenset[str]:
        return frozenset(self._known)

    def of_party(self, party_id: str) -> Mapping[str, Known]:
        """A relying party's documents by their ids."""
        return self._known.get(party_id, {})

    def size_bytes(self, party_id: str) -> int:
        """Of all that a relying party has registered."""
        return sum([known.size_bytes for known in self.of_party(party_id).values()])

    def names(self, party_id: str, given_id: str, text: str) -> bool:
        """Whether this id names this text."""
        known = self.of_party(party_id).get(given_id)
        return known is not None and known.digest == digest_of(text)

    def has(self, party_id: str, text: str) -> bool:
        """Whether any id of this relying party names this text."""
        return party_id in self._digests and digest_of(text) in self._digests[party_id]

    def find(self, party_id: str, given_id: str) -> str | None:
        """The text that an id of this relying party names, if it is at hand."""
        known = self.of_party(party_id).get(given_id)
        text = self._texts.get(known.digest) if known else None
        if known and text is not None:
            self._texts.move_to_end(known.digest)
        return text

    def remember(self, party_id: str, given_id: str, text: str, *, added_at: datetime) -> None:
        self.forget(party_id, given_id)
        known = Known(digest_of(text), len(text.encode()), added_at)
        self._known[party_id][given_id] = known
        self._digests[party_id][known.digest] += 1
        self._keep(known, text)

    def forget(self, party_id: str, given_id: str) -> None:
        """A text may stay at hand: by then no id leads to it."""
        known = self._known[party_id].pop(given_id, None)
        if known is not None:
            self._digests[party_id] -= Counter([known.digest])

    def _keep(self, known: Known, text: str) -> None:
        if known.digest not in self._texts:
            self._text_bytes += known.size_bytes
        self._texts[known.digest] = text
        self._texts.move_to_end(known.digest)
        while self._text_bytes > MAX_TEXT_BYTES:
            _, dropped = self._texts.popitem(last=False)
            self._text_bytes -= len(dropped.encode())


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
