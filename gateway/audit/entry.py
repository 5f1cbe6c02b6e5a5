"""One entry of the audit log: that something moved, when, for whom, under which rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from msgspec.structs import replace

from connectors.value import Value
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.commitment import commit
from gateway.audit.merkle import leaf_hash
from resolvers.worker import AccessKind

ENTRY_VERSION = 1


@dataclass(frozen=True, slots=True)
class Recovery:
    """What an operator accepted when the log was found to be older than its last checkpoint, or might be.

    `lost`: what that checkpoint said, None if there was none; `found`: what there was instead. `reason`: one line, in
    the clear.
    """

    lost: Checkpoint | None
    found: Checkpoint
    reason: str

    def to_json(self) -> dict[str, object]:
        both = {"lost": self.lost, "found": self.found}
        return {
            "reason": self.reason,
            **{name: {"size": one.size, "root": one.root.hex()} if one else None for name, one in both.items()},
        }


class EntryFacts(Value, frozen=True):
    """What an entry is about, before it has a number. The facts themselves go only into commitments.

    `relying_party_id` is empty for what a person did alone. `about`: what a dispute is about. `recovery`: of the
    log itself, and of nobody.
    """

    kind: AccessKind
    relying_party_id: str = ""
    person_id: str | None = None
    grant_id: str | None = None
    purpose: str | None = None
    questions: Sequence[str] = ()
    refused: Sequence[str] = ()
    code: str | None = None
    answer_id: str | None = None
    outcome: bytes = b""
    rule_pack_sha256: str | None = None
    about: str | None = None
    recovery: Recovery | None = None

    def of_nobody(self) -> "EntryFacts":
        """The same without the person, and what is theirs."""
        return replace(self, person_id=None, grant_id=None, purpose=None, rule_pack_sha256=None, answer_id=None)

    def detail(self) -> dict[str, object]:
        """What the person may read of the entry later; never a value."""
        return {
            "grant": self.grant_id,
            "purpose": self.purpose,
            "questions": list(self.questions),
            "refused": list(self.refused),
            "code": self.code,
            "answer": self.answer_id,
            "about": self.about,
        }


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A numbered entry. Field names and their meaning are hashed: append only, never change."""

    sequence: int
    at: datetime
    kind: AccessKind
    relying_party_id: str
    commitments: Mapping[str, str]
    rule_pack_sha256: str | None
    engine_version: str
    recovery: Recovery | None = None

    def to_bytes(self) -> bytes:
        """Canonical JSON (RFC 8785: sorted names, no spaces; the values are strings and integers)."""
        return orjson.dumps(
            {
                "v": ENTRY_VERSION,
                "sequence": self.sequence,
                "at": self.at.astimezone(UTC).isoformat(timespec="milliseconds"),
                "kind": self.kind.value,
                "relyingParty": self.relying_party_id,
                "commitments": dict(self.commitments),
                "rulePack": self.rule_pack_sha256,
                "engine": self.engine_version,
                **({"recovery": self.recovery.to_json()} if self.recovery else {}),
            },
            option=orjson.OPT_SORT_KEYS,
        )

    def leaf_hash(self) -> bytes:
        return leaf_hash(self.to_bytes())


def make_entry(facts: EntryFacts, *, sequence: int, at: datetime, salt: bytes, engine_version: str) -> AuditEntry:
    """The entry for these facts: person, grant, questions and outcome only as commitments under the salt."""
    committed = {
        "person": (facts.person_id or "").encode(),
        "detail": orjson.dumps(facts.detail(), option=orjson.OPT_SORT_KEYS),
        "outcome": facts.outcome,
    }
    return AuditEntry(
        sequence=sequence,
        at=at,
        kind=facts.kind,
        relying_party_id=facts.relying_party_id,
        commitments={label: commit(salt, label=label, value=value) for label, value in committed.items()},
        rule_pack_sha256=facts.rule_pack_sha256,
        engine_version=engine_version,
        recovery=facts.recovery,
    )
