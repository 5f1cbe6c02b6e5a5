"""The named claims that rules may weigh. A rule pack that names another one is refused when it loads."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connectors.interface import BindingLevel, SourceAuthority
from resolvers.attribute import Freshness
from resolvers.catalogue import derive_identity_binding
from resolvers.claim import Claim
from resolvers.employment import derive_employed, derive_tenure_months
from resolvers.facts import Facts
from resolvers.immigration import (
    FefaResidency,
    derive_address_matches,
    derive_adult,
    derive_card_not_revoked,
    derive_fefa_residency,
    derive_mid_to_long_term_resident,
    derive_months_since_entry,
)
from resolvers.insurance import (
    PremiumLateness,
    Premiums,
    derive_premium_lateness,
    derive_premiums_24m,
)
from resolvers.labor import derive_employment_permitted
from resolvers.linkage import RecordMatch, derive_record_match
from resolvers.rules import InputKind
from resolvers.stay import (
    StayBasis,
    derive_renewal_pending,
    derive_status_lawful,
    derive_stay_basis,
    derive_stay_months_left,
    derive_stay_unlimited,
)
from resolvers.tax import (
    IncomeBasis,
    ResidentTax,
    derive_income_basis,
    derive_resident_tax,
    derive_yearly_income_yen,
)

_I = SourceAuthority.IMMIGRATION
_L = SourceAuthority.LABOR
_T = SourceAuthority.TAX
_S = SourceAuthority.INSURANCE


@dataclass(frozen=True, slots=True)
class RuleInput:
    """A named claim with the values it can take (None: a quantity) and the sources its derivation looks at."""

    derive: Callable[[Facts], Claim[Any]]
    sources: frozenset[SourceAuthority]
    freshness: Freshness
    kind: InputKind
    over_match_rule: bool = False


def _input(
    derive: Callable[[Facts], Claim[Any]],
    values: type[bool] | type[StrEnum] | None,
    *sources: SourceAuthority,
    fresh: Freshness,
) -> RuleInput:
    kinds: tuple[str | bool, ...] | None = None
    if values is bool:
        kinds = (True, False)
    elif values is not None:
        kinds = tuple(str(value) for value in values)
    return RuleInput(derive, frozenset(sources), fresh, InputKind(kinds))


F1, F2, F3, F4 = Freshness.F1, Freshness.F2, Freshness.F3, Freshness.F4

RULE_INPUTS: dict[str, RuleInput] = {
    "status_lawful": _input(derive_status_lawful, bool, _I, fresh=F1),
    "stay_basis": _input(derive_stay_basis, StayBasis, _I, fresh=F1),
    "stay_unlimited": _input(derive_stay_unlimited, bool, _I, fresh=F1),
    "stay_months_left": _input(derive_stay_months_left, None, _I, fresh=F1),
    "renewal_pending": _input(derive_renewal_pending, bool, _I, fresh=F1),
    "card_not_revoked": _input(derive_card_not_revoked, bool, _I, fresh=F1),
    "mid_to_long_term_resident": _input(derive_mid_to_long_term_resident, bool, _I, fresh=F1),
    "months_since_entry": _input(derive_months_since_entry, None, _I, fresh=F4),
    "fefa_residency": _input(derive_fefa_residency, FefaResidency, _I, _L, _S, fresh=F2),
    "adult": _input(derive_adult, bool, _I, fresh=F1),
    "address_matches": _input(derive_address_matches, bool, _I, fresh=F2),
    "identity_binding": _input(derive_identity_binding, BindingLevel, fresh=Freshness.ENROLMENT),
    "record_match": RuleInput(
        derive_record_match,
        frozenset(),
        F1,
        InputKind(tuple(match.value for match in RecordMatch)),
        over_match_rule=True,
    ),
    "employed": _input(derive_employed, bool, _L, _S, fresh=F2),
    "tenure_months": _input(derive_tenure_months, None, _L, _S, fresh=F2),
    "employment_permitted": _input(derive_employment_permitted, bool, _I, _L, _S, fresh=F2),
    "yearly_income_yen": _input(derive_yearly_income_yen, None, _T, _L, _S, fresh=F4),
    "income_basis": _input(derive_income_basis, IncomeBasis, _T, _L, _S, fresh=F4),
    "resident_tax": _input(derive_resident_tax, ResidentTax, _T, _I, fresh=F3),
    "premiums_24m": _input(derive_premiums_24m, Premiums, _S, _I, fresh=F3),
    "premium_lateness": _input(derive_premium_lateness, PremiumLateness, _S, _I, fresh=F3),
}
