"""Do these records belong to one person? Never merged on a guess: doubt stays doubt, per source.

Each `…_record` function gives a source's record as a claim: confirmed only when it is the person's own.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from difflib import SequenceMatcher
from enum import StrEnum

from connectors.evidence import Evidence
from connectors.immigration.evidence import ImmigrationEvidence, ResidenceRecord
from connectors.insurance.evidence import InsuranceEvidence, InsuredRecord
from connectors.interface import IdentityRecord, SourceAuthority
from connectors.japan import card_number, fold_kana, name_tokens, plain_name
from connectors.labor.evidence import EmploymentNotice, LaborEvidence
from connectors.tax.evidence import TaxEvidence, TaxRecord
from resolvers.claim import Claim, Reason, confirmed, evidence_needed
from resolvers.entry import entered_after_levy_day
from resolvers.facts import Absent, Arrived, Facts, absent_claim, asked, derived_once, reply_of
from resolvers.record_confirmation import ConfirmedRecord, is_confirmed_by_person
from resolvers.residence_status import SPECIAL_PERMANENT, status_kind

SIMILAR_KANA = 0.6
"""Least ratio of matching characters for two kana names to be called similar (project parameter)."""

_SPELLINGS = (
    *((re.compile("ヴ" + small), plain) for small, plain in zip("アイエオ", "バビベボ", strict=True)),
    (re.compile("ヴ"), "ブ"),
    *((re.compile("フ" + small), plain) for small, plain in zip("アイエオ", "ハヒヘホ", strict=True)),
    (re.compile("テイ"), "チ"),
    (re.compile("デイ|ヂ"), "ジ"),
    (re.compile("ヅ"), "ズ"),
    (re.compile("(?<=[イキシチニヒミリギジビピ])ヤ"), "ア"),
)
"""Of one foreign sound, in large kana. Source: Cabinet Notification 2 of 1991 (Spelling of Foreign Words), notes."""

LEAST_LATIN_PARTS = 2
"""So many parts in Latin letters are a whole name without the kanji beside them (project parameter)."""

_LATIN = re.compile("[A-Z]")
_KANJI = re.compile("[々〇\u3400-\u9fff\U00020000-\U0003ffff]+")


class RecordMatch(StrEnum):
    """Whether the sources' records could be joined to the person."""

    MATCHED = "MATCHED"
    PROBABLE = "PROBABLE"
    UNRESOLVED = "UNRESOLVED"


def match_residence(identity: IdentityRecord, record: ResidenceRecord) -> RecordMatch:
    """Card number, birth date and the name's token set must all agree."""
    agrees = (
        card_number(record.card_number) == card_number(identity.residence_card_number)
        and record.date_of_birth == identity.date_of_birth
        and _names_agree(record.name, identity.name)
    )
    return RecordMatch.MATCHED if agrees else RecordMatch.UNRESOLVED


def match_notice(identity: IdentityRecord, notice: EmploymentNotice) -> RecordMatch:
    """Card number and birth date agree; the name is a part of the person's, in any order, or the alias."""
    agrees = (
        card_number(notice.card_number) == card_number(identity.residence_card_number)
        and notice.date_of_birth == identity.date_of_birth
        and (_names_agree(notice.name, identity.name, or_a_part=True) or _is_alias(identity, notice.name))
    )
    return RecordMatch.MATCHED if agrees else RecordMatch.UNRESOLVED


def match_tax(identity: IdentityRecord, record: TaxRecord) -> RecordMatch:
    """The name's token set or the alias, and the birth date where it is stated: without it the name in full."""
    born_on = record.date_of_birth
    is_name = _names_agree(record.name, identity.name, in_full=born_on is None) or _is_alias(identity, record.name)
    agrees = is_name and born_on in (None, identity.date_of_birth)
    return RecordMatch.MATCHED if agrees else RecordMatch.UNRESOLVED


def match_insured(
    identity: IdentityRecord, record: InsuredRecord, confirmations: Iterable[ConfirmedRecord] = ()
) -> RecordMatch:
    """Birth date and one kana name; day and month swapped with similar kana is only probable, until the person
    confirms it."""
    kana = fold_kana(record.name_kana)
    own_names = [fold_kana(name) for name in identity.names_kana]
    if record.date_of_birth == identity.date_of_birth and kana and kana in own_names:
        return RecordMatch.MATCHED
    if _is_swapped(record.date_of_birth, identity.date_of_birth) and any(
        SequenceMatcher(None, kana, own).ratio() >= SIMILAR_KANA for own in own_names
    ):
        own = (SourceAuthority.INSURANCE, record.name_kana, record.date_of_birth)
        return RecordMatch.MATCHED if is_confirmed_by_person(confirmations, *own) else RecordMatch.PROBABLE
    return RecordMatch.UNRESOLVED


def matches_of(
    evidence: Evidence, identity: IdentityRecord, confirmations: Iterable[ConfirmedRecord] = ()
) -> list[RecordMatch]:
    """Whose each record of the evidence is, in its order. Raises LookupError for evidence of no source."""
    match evidence:
        case ImmigrationEvidence(record=residence):
            return [match_residence(identity, residence)] if residence else []
        case LaborEvidence(notices=notices):
            return [match_notice(identity, notice) for notice in notices]
        case TaxEvidence(record=tax):
            return [match_tax(identity, tax)] if tax else []
        case InsuranceEvidence(records=insured):
            return [match_insured(identity, one, confirmations) for one in insured]
    raise LookupError("evidence of no source that there is")


@dataclass(frozen=True, slots=True, repr=False)
class ProbableRecord:
    """What identifies a record that is only probably the person's: all of it that they may see."""

    name: str
    date_of_birth: date


def probable_records(
    evidence: Evidence, identity: IdentityRecord, confirmations: Iterable[ConfirmedRecord] = ()
) -> list[ProbableRecord]:
    """The records that the person can confirm: the same name in another spelling, and day and month swapped. None
    beside one that is theirs, nor of two that look the same: others have names alike, and may be strangers."""
    matches = matches_of(evidence, identity, confirmations)
    if not isinstance(evidence, InsuranceEvidence) or RecordMatch.MATCHED in matches:
        return []
    found = [
        (fold_kana(record.name_kana), ProbableRecord(record.name_kana, record.date_of_birth))
        for record, match in zip(evidence.records, matches, strict=True)
        if match is RecordMatch.PROBABLE and _sounds_alike(record.name_kana, identity)
    ]
    names = [name for name, _ in found]
    return [record for name, record in found if names.count(name) == 1]


@derived_once
def residence_record(facts: Facts) -> Claim[ResidenceRecord]:
    """The person's own immigration record. A status that is none (provisional release …) is out of scope."""
    reply = asked(facts.immigration)
    if isinstance(reply, Absent):
        return absent_claim(reply)
    record = reply.evidence.record
    if record is None:
        return evidence_needed(Reason.RECORD_NOT_FOUND_UNEXPECTED)
    if _residence_match(facts).value is not RecordMatch.MATCHED:
        return evidence_needed(Reason.IDENTITY_UNRESOLVED)
    if status_kind(record.residence_status) is None:
        return evidence_needed(Reason.OUT_OF_SCOPE)
    return confirmed(record)


@derived_once
def employment_notices(facts: Facts) -> Claim[tuple[EmploymentNotice, ...]]:
    """All notifications about the person; none is an answer too. One that disagrees leaves all in doubt."""
    reply = asked(facts.labor)
    if isinstance(reply, Absent):
        return absent_claim(reply)
    notices = reply.evidence.notices
    if notices and _labor_match(facts).value is not RecordMatch.MATCHED:
        return evidence_needed(Reason.IDENTITY_UNRESOLVED)
    return confirmed(notices)


@derived_once
def tax_reply(facts: Facts) -> Claim[TaxEvidence]:
    """The municipality's reply, with its record or 該当なし, unless the record is somebody else's."""
    reply = asked(facts.tax)
    if isinstance(reply, Absent):
        return absent_claim(reply)
    record = reply.evidence.record
    if record is not None and _tax_match(facts).value is not RecordMatch.MATCHED:
        return evidence_needed(Reason.IDENTITY_UNRESOLVED)
    return confirmed(reply.evidence)


@derived_once
def insured_record(facts: Facts) -> Claim[InsuredRecord]:
    """The person's one insurance record. Two that both match (split enrolment) settle nothing."""
    reply = asked(facts.insurance)
    if isinstance(reply, Absent):
        return absent_claim(reply)
    records = reply.evidence.records
    if not records:
        return evidence_needed(Reason.RECORD_NOT_FOUND_UNEXPECTED)
    matches = matches_of(reply.evidence, facts.identity, facts.confirmations)
    own = [record for record, match in zip(records, matches, strict=True) if match is RecordMatch.MATCHED]
    return confirmed(own[0]) if len(own) == 1 else evidence_needed(Reason.IDENTITY_UNRESOLVED)


@derived_once
def derive_record_match(facts: Facts) -> Claim[RecordMatch]:
    """The match over the sources of the purpose's match rule; a source that is silent is left out.

    The worst match known wins. Whether a missing record is lawful can hang on another source: while
    that one is silent, so is the match.
    """
    replies = [(authority, asked(reply_of(facts, authority))) for authority in facts.match_over]
    silent = [r for _, r in replies if isinstance(r, Absent) and absent_claim(r).is_awaited]
    matches = [_match_of(facts, authority) for authority, reply in replies if reply not in silent]
    if not matches:
        return absent_claim(silent[0])
    known = {match.known for match in matches if match.is_confirmed}
    for worst in (RecordMatch.UNRESOLVED, RecordMatch.PROBABLE):
        if worst in known:
            return confirmed(worst)
    return next((match for match in matches if not match.is_confirmed), confirmed(RecordMatch.MATCHED))


def _match_of(facts: Facts, authority: SourceAuthority) -> Claim[RecordMatch]:
    if isinstance(reply_of(facts, authority), Absent):
        return confirmed(RecordMatch.UNRESOLVED)
    match authority:
        case SourceAuthority.IMMIGRATION:
            # A match must not tell who has no status of residence from somebody whose record does not match.
            is_out_of_scope = residence_record(facts).reason is Reason.OUT_OF_SCOPE
            return confirmed(RecordMatch.UNRESOLVED) if is_out_of_scope else _residence_match(facts)
        case SourceAuthority.LABOR:
            return _labor_match(facts)
        case SourceAuthority.TAX:
            return _tax_match(facts)
        case SourceAuthority.INSURANCE:
            return confirmed(_insurance_match(facts))


@derived_once
def _residence_match(facts: Facts) -> Claim[RecordMatch]:
    record = facts.immigration.evidence.record if isinstance(facts.immigration, Arrived) else None
    return confirmed(match_residence(facts.identity, record) if record else RecordMatch.UNRESOLVED)


@derived_once
def _labor_match(facts: Facts) -> Claim[RecordMatch]:
    """A notification must exist unless the person is a special permanent resident or declares no work."""
    notices = facts.labor.evidence.notices if isinstance(facts.labor, Arrived) else ()
    if notices:
        matched = all(match_notice(facts.identity, n) is RecordMatch.MATCHED for n in notices)
        return confirmed(RecordMatch.MATCHED if matched else RecordMatch.UNRESOLVED)
    if declares_no_work(facts.identity):
        return confirmed(RecordMatch.MATCHED)
    return _matched_if(residence_record(facts).map(lambda r: status_kind(r.residence_status) == SPECIAL_PERMANENT))


@derived_once
def _tax_match(facts: Facts) -> Claim[RecordMatch]:
    """A record must exist unless the person entered after 1 January of the levy year."""
    if not isinstance(facts.tax, Arrived):
        return confirmed(RecordMatch.UNRESOLVED)
    if facts.tax.evidence.record is not None:
        return confirmed(match_tax(facts.identity, facts.tax.evidence.record))
    return _matched_if(
        entered_after_levy_day(residence_record(facts), facts.tax.evidence.levy_year, today=facts.today)
    )


def _insurance_match(facts: Facts) -> RecordMatch:
    """A record must always exist, and only one."""
    found = facts.insurance.evidence if isinstance(facts.insurance, Arrived) else None
    matches = matches_of(found, facts.identity, facts.confirmations) if found else []
    if RecordMatch.MATCHED in matches:
        return RecordMatch.MATCHED if matches.count(RecordMatch.MATCHED) == 1 else RecordMatch.UNRESOLVED
    return RecordMatch.PROBABLE if RecordMatch.PROBABLE in matches else RecordMatch.UNRESOLVED


def declares_no_work(identity: IdentityRecord) -> bool:
    """The person says that they are not employed; a missing declaration declares nothing."""
    return identity.declared_employment is not None and not identity.declared_employment.employed


def _matched_if(exempt: Claim[bool]) -> Claim[RecordMatch]:
    if exempt.is_awaited:
        return exempt.without_value()
    return confirmed(RecordMatch.MATCHED if exempt.value else RecordMatch.UNRESOLVED)


def _names_agree(name: str, own_name: str, *, or_a_part: bool = False, in_full: bool = False) -> bool:
    """One name in any order. Unless in full, kanji that one alone has beside its Latin parts are left out, which
    takes two such parts at least: a single one may be anybody's family name."""
    tokens, own = name_tokens(name), name_tokens(own_name)
    if not in_full and _kanji(tokens) and not _kanji(own):
        tokens = _without_kanji(tokens)
    elif not in_full and _kanji(own) and not _kanji(tokens):
        own = _without_kanji(own)
    return bool(tokens) and (tokens == own or (or_a_part and tokens <= own))


def _without_kanji(tokens: frozenset[str]) -> frozenset[str]:
    """The other parts where two of them are Latin, else all."""
    rest = tokens - _kanji(tokens)
    return rest if sum(1 for token in rest if _LATIN.search(token)) >= LEAST_LATIN_PARTS else tokens


def _kanji(tokens: frozenset[str]) -> frozenset[str]:
    return frozenset(token for token in tokens if _KANJI.fullmatch(token))


def _sounds_alike(name_kana: str, identity: IdentityRecord) -> bool:
    return _spelling_folded(name_kana) in {_spelling_folded(own) for own in identity.names_kana}


def _spelling_folded(kana: str) -> str:
    folded = fold_kana(kana)
    for spelling, plain in _SPELLINGS:
        folded = spelling.sub(plain, folded)
    return folded


def _is_alias(identity: IdentityRecord, name: str) -> bool:
    own = _in_one_piece(identity.alias or "")
    return own != "" and own == _in_one_piece(name)


def _in_one_piece(name: str) -> str:
    return plain_name(name).replace(" ", "")


def _is_swapped(one: date, other: date) -> bool:
    return one != other and (one.year, one.month, one.day) == (other.year, other.day, other.month)
