"""What the immigration record means besides the stay itself, and the attributes of its domain.

Source: Immigration Control and Refugee Recognition Act art. 19-3 (mid-to-long-term residents);
specification 9.8.
"""

from datetime import date
from enum import StrEnum
from functools import partial

from connectors.immigration.evidence import OtherActivity, ResidenceRecord
from connectors.interface import SourceAuthority
from resolvers.address import same_address
from resolvers.attribute import Argument, ClaimSource, Freshness, attribute, described
from resolvers.claim import Claim, Quantity, Reason, confirmed, evidence_needed
from resolvers.employment import derive_employed
from resolvers.entry import entered_on
from resolvers.facts import Facts
from resolvers.linkage import residence_record
from resolvers.months import add_months, birthday, months_between
from resolvers.residence_status import WorkPermission
from resolvers.stay import (
    StayBasis,
    StayRemaining,
    derive_renewal_pending,
    derive_status_lawful,
    derive_stay_basis,
    derive_stay_covers_until,
    derive_stay_recheck_by,
    derive_stay_remaining,
    derive_stay_unlimited,
    kind_of,
)

ADULT_AGE = 18
"""Age of majority. Source: Civil Code art. 4."""

FEFA_RESIDENCE_MONTHS = 6
"""Six months after entry a person is presumed resident. Source: FEFA interpretation circular (1980)."""

SHORT_PERIOD_MONTHS = 3
"""Holders of a period of three months or less are not mid-to-long-term residents. Source: art. 19-3(1)."""


class TimeSinceEntry(StrEnum):
    """How long ago the person entered Japan; each band includes its lower bound."""

    LT_6M = "LT_6M"
    M6_12 = "M6_12"
    M12_36 = "M12_36"
    M36_60 = "M36_60"
    M60_120 = "M60_120"
    GE_120M = "GE_120M"


class FefaResidency(StrEnum):
    """Resident or not in the sense of the Foreign Exchange and Foreign Trade Act."""

    RESIDENT = "RESIDENT"
    NON_RESIDENT = "NON_RESIDENT"


def derive_card_not_revoked(facts: Facts) -> Claim[bool]:
    return residence_record(facts).map(lambda record: not record.card_revoked)


def derive_mid_to_long_term_resident(facts: Facts) -> Claim[bool]:
    """Looks at the kind of status last held, not at whether it has ended."""

    def holds_card(record: ResidenceRecord) -> Claim[bool]:
        if not kind_of(record).mid_to_long_term:
            return confirmed(False)
        if record.stay_until is None or record.stay_until > add_months(facts.today, SHORT_PERIOD_MONTHS):
            return confirmed(True)  # whenever it began
        stay_until = record.stay_until
        return entered_on(residence_record(facts), today=facts.today).map(
            lambda day: stay_until > add_months(day, SHORT_PERIOD_MONTHS)
        )

    return residence_record(facts).then(holds_card)


class AddressStability(StrEnum):
    """Time at the present address; each band includes its lower bound."""

    LT_6M = "LT_6M"
    M6_24 = "M6_24"
    GE_24M = "GE_24M"


def derive_months_since_entry(facts: Facts) -> Claim[Quantity]:
    return entered_on(residence_record(facts), today=facts.today).map(
        lambda day: Quantity(months_between(day, facts.today))
    )


def derive_time_since_entry(facts: Facts) -> Claim[TimeSinceEntry]:
    bands = (
        (120, TimeSinceEntry.GE_120M),
        (60, TimeSinceEntry.M60_120),
        (36, TimeSinceEntry.M36_60),
        (12, TimeSinceEntry.M12_36),
        (6, TimeSinceEntry.M6_12),
    )
    return derive_months_since_entry(facts).map(
        lambda m: next((band for least, band in bands if m.amount >= least), TimeSinceEntry.LT_6M)
    )


def derive_fefa_residency(facts: Facts) -> Claim[FefaResidency]:
    """Resident by status, else after six whole months, else by working in Japan."""

    def residency(record: ResidenceRecord) -> Claim[FefaResidency]:
        months = derive_months_since_entry(facts)
        if kind_of(record).settled or (months.is_confirmed and months.known.amount >= FEFA_RESIDENCE_MONTHS):
            return confirmed(FefaResidency.RESIDENT)
        return derive_employed(facts).then(
            lambda employed: (
                confirmed(FefaResidency.RESIDENT) if employed else months.map(lambda _: FefaResidency.NON_RESIDENT)
            )
        )

    return residence_record(facts).then(residency)


def derive_adult(facts: Facts) -> Claim[bool]:
    return residence_record(facts).map(lambda r: facts.today >= birthday(r.date_of_birth, ADULT_AGE))


def derive_address_matches(facts: Facts) -> Claim[bool]:
    """The address given to the relying party against the registered one; None on either side is doubt."""

    def matches(record: ResidenceRecord) -> Claim[bool]:
        same = same_address(facts.identity.address_given or "", record.address)
        return evidence_needed(Reason.NOT_STATED) if same is None else confirmed(same)

    return residence_record(facts).then(matches)


_BESIDE_THE_STATUS = {
    OtherActivity.NOT_PERMITTED: WorkPermission.NONE,
    OtherActivity.COMPREHENSIVE: WorkPermission.PART_TIME_ONLY,
    OtherActivity.INDIVIDUAL: WorkPermission.INDIVIDUAL,
}


def derive_work_permission(facts: Facts) -> Claim[WorkPermission]:
    """What work the status and a permission for other activities allow."""

    def permission(record: ResidenceRecord) -> Claim[WorkPermission]:
        work = kind_of(record).work
        if work is not WorkPermission.NONE:
            return confirmed(work)
        if record.other_activity is None:
            return evidence_needed(Reason.NOT_STATED)
        return confirmed(_BESIDE_THE_STATUS[record.other_activity])

    return residence_record(facts).then(permission)


def derive_address_stability(facts: Facts) -> Claim[AddressStability]:
    """The resident register could tell; it is not connected."""
    return evidence_needed(Reason.SOURCE_NOT_CONNECTED)


_immigration = partial(attribute, source=ClaimSource.IMMIGRATION, fresh=Freshness.F1)

ATTRIBUTES = (
    _immigration("adult", bool, derive_adult, en="Is the person 18 or older?", ja="18歳以上ですか。"),
    _immigration(
        "statusLawful",
        bool,
        derive_status_lawful,
        en="Is the present stay lawful, a pending renewal included?",
        ja="更新審査中を含め、現在の在留は適法ですか。",
    ),
    _immigration(
        "cardNotRevoked",
        bool,
        derive_card_not_revoked,
        en="Is the residence card number still in use?",
        ja="在留カードの番号は現在も有効ですか。",
    ),
    _immigration(
        "stayBasis",
        StayBasis,
        derive_stay_basis,
        en="On what does the stay rest today?",
        ja="現在の在留の根拠は何ですか。",
    ),
    _immigration(
        "stayRemaining",
        StayRemaining,
        derive_stay_remaining,
        en="Roughly how long does the period of stay still run?",
        ja="在留期間はおおよそどのくらい残っていますか。",
    ),
    _immigration(
        "stayCoversUntil",
        bool,
        derive_stay_covers_until,
        arguments=(Argument("on", date, "The day that the stay should reach."),),
        en="Does the stay on record reach this day?",
        ja="在留期間はこの日まで及びますか。",
    ),
    _immigration(
        "stayUnlimited",
        bool,
        derive_stay_unlimited,
        en="Is the stay without a time limit?",
        ja="在留期間は無期限ですか。",
    ),
    _immigration(
        "renewalPending",
        bool,
        derive_renewal_pending,
        en="Is a timely application to extend or change the status being examined?",
        ja="期間内にした更新・変更の申請が審査中ですか。",
    ),
    _immigration(
        "stayRecheckBy",
        date,
        derive_stay_recheck_by,
        en="By which day should the stay be looked at again?",
        ja="在留をいつまでに再確認すべきですか。",
    ),
    _immigration(
        "midToLongTermResident",
        bool,
        derive_mid_to_long_term_resident,
        en="Is the person a mid-to-long-term or special permanent resident?",
        ja="中長期在留者または特別永住者ですか。",
    ),
    _immigration(
        "timeSinceEntry",
        TimeSinceEntry,
        derive_time_since_entry,
        fresh=Freshness.F4,
        en="Roughly how long ago did the person enter Japan?",
        ja="入国からおおよそどのくらいたちましたか。",
    ),
    _immigration(
        "fefaResidency",
        FefaResidency,
        derive_fefa_residency,
        fresh=Freshness.F2,
        also=(SourceAuthority.LABOR, SourceAuthority.INSURANCE),
        en="Is the person a resident under the foreign exchange act?",
        ja="外為法上の居住者ですか。",
    ),
    _immigration(
        "workPermission",
        WorkPermission,
        derive_work_permission,
        person_only=True,
        en="What work does the status allow?",
        ja="在留資格でどのような就労ができますか。",
    ),
    _immigration(
        "addressMatches",
        bool,
        derive_address_matches,
        fresh=Freshness.F2,
        en="Does the address given agree with the registered one?",
        ja="申告した住所は登録された住所と一致しますか。",
    ),
    _immigration(
        "addressStability",
        AddressStability,
        derive_address_stability,
        fresh=Freshness.F4,
        connected=False,
        en="Roughly how long has the person lived at the present address?",
        ja="現住所におおよそどのくらい住んでいますか。",
    ),
)

described(
    StayBasis,
    "On what a stay rests today.",
    ON_PERIOD="The period of stay has not ended.",
    SPECIAL_PERIOD="The period has ended while a timely application is examined; the stay remains lawful.",
    UNLIMITED="The status has no period of stay.",
    NONE="No current basis is on record.",
)
described(
    StayRemaining,
    "How long the period of stay still runs, in whole months; a band includes its lower bound.",
    UNLIMITED="The status has no period of stay.",
    GE_36M="36 months or more.",
    M12_36="12 to under 36 months.",
    M6_12="6 to under 12 months.",
    M3_6="3 to under 6 months.",
    LT_3M="Under 3 months, or ended.",
)
described(
    TimeSinceEntry,
    "Time since entry into Japan, in whole months; a band includes its lower bound.",
    LT_6M="Under 6 months.",
    M6_12="6 to under 12 months.",
    M12_36="12 to under 36 months.",
    M36_60="36 to under 60 months.",
    M60_120="60 to under 120 months.",
    GE_120M="120 months or more.",
)
described(
    FefaResidency,
    "Residency under the Foreign Exchange and Foreign Trade Act.",
    RESIDENT="Treated as a resident.",
    NON_RESIDENT="Treated as a non-resident for now.",
)
described(
    WorkPermission,
    "What work a status of residence allows.",
    UNRESTRICTED="Any work.",
    WITHIN_STATUS="Work within the activity of the status.",
    PART_TIME_ONLY="Part-time work under a permission for other activities.",
    NONE="No work.",
    INDIVIDUAL="As designated individually.",
)
described(
    AddressStability,
    "Time at the present address; a band includes its lower bound.",
    LT_6M="Under 6 months.",
    M6_24="6 to under 24 months.",
    GE_24M="24 months or more.",
)
