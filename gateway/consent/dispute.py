"""Disputes: what a person says is wrong is withheld from relying parties until the dispute is closed."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime

from connectors.interface import SourceAuthority
from gateway.errors import ConsentRequestError
from resolvers.catalogue import ATTRIBUTES
from resolvers.consent import DisputeOutcome
from resolvers.disclosed import fact_of

MAX_STATEMENT = 2_000
"""Characters of a statement: a page, not a document."""


@dataclass(frozen=True, slots=True, repr=False)
class Dispute:
    """One dispute: about a claim (its schema coordinate) or about all that a source holds."""

    id: str
    claim: str | None
    record: SourceAuthority | None
    statement: str
    opened_at: datetime
    closed_at: datetime | None = None
    outcome: DisputeOutcome | None = None
    corrected_by: SourceAuthority | None = None

    def __repr__(self) -> str:
        return f"Dispute({self.id}, redacted)"


@dataclass(frozen=True, slots=True)
class Disputed:
    """What is under dispute: facts, and whole sources."""

    facts: frozenset[str] = frozenset()
    sources: frozenset[SourceAuthority] = frozenset()

    @property
    def is_any(self) -> bool:
        return bool(self.facts or self.sources)

    def covers(self, fact: str, sources: Set[SourceAuthority]) -> bool:
        return fact in self.facts or not self.sources.isdisjoint(sources)


def disputed_by(disputes: Iterable[Dispute]) -> Disputed:
    """What the open ones among these put in doubt."""
    still_open = [dispute for dispute in disputes if dispute.closed_at is None]
    return Disputed(
        facts=frozenset(fact_of(dispute.claim) for dispute in still_open if dispute.claim),
        sources=frozenset(dispute.record for dispute in still_open if dispute.record),
    )


def check_dispute(*, claim: str | None, record: SourceAuthority | None, statement: str) -> None:
    """One claim or one record, and why. Raises ConsentRequestError."""
    if (claim is None) == (record is None):
        raise ConsentRequestError("claim or record")
    if claim is not None and claim not in ATTRIBUTES:
        raise ConsentRequestError("claim")
    if not is_statement(statement):
        raise ConsentRequestError("statement")


def is_statement(text: str) -> bool:
    """Whether a text says something, on a page at most, and could be read as it was written."""
    if not text.strip() or len(text) > MAX_STATEMENT:
        return False
    if any(not character.isprintable() and character not in "\n\t" for character in text):
        return False
    return "\ufffd" not in text  # a letter of it was lost on its way here


def check_closing(outcome: DisputeOutcome, corrected_by: SourceAuthority | None) -> None:
    """A correction says who made it, and nothing else does. Raises ConsentRequestError."""
    if (outcome is DisputeOutcome.CORRECTED) != (corrected_by is not None):
        raise ConsentRequestError("correctedBy")
