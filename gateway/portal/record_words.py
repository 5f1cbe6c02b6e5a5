"""A source's record in plain words: what its fields are called, and what they say where that is a code."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from connectors.immigration.evidence import OtherActivity
from connectors.labor.evidence import NoticeKind
from gateway.portal.record_terms import in_english
from gateway.portal.wording import NO, YES
from resolvers.months import add_months
from resolvers.worker import RecordEntry


def _(text: str) -> str:
    """Marks a text for the catalogue."""
    return text


_NAMES = {
    "name": _("Name"),
    "name_kana": _("Name in kana"),
    "date_of_birth": _("Date of birth"),
    "address": _("Address"),
    "card_number": _("Residence card number"),
    "card_valid_until": _("Card valid until"),
    "card_revoked": _("Card number no longer in use"),
    "residence_status": _("Status of residence"),
    "stay_until": _("Period of stay until"),
    "landed_on": _("Entered Japan on"),
    "other_activity": _("Permission for other activities"),
    "applications.kind": _("Application"),
    "applications.received_on": _("Received on"),
    "applications.result": _("Result"),
    "designated_organisation.name": _("Organisation that the status is tied to"),
    "designated_organisation.corporate_number": _("The organisation's corporate number"),
    "kind": _("What the employer notified"),
    "employer_name": _("Employer"),
    "corporate_number": _("The employer's corporate number"),
    "hired_on": _("Hired on"),
    "left_on": _("Left on"),
    "weekly_hours": _("Hours contracted a week"),
    "employment_type": _("Kind of contract"),
    "monthly_wage_yen": _("Monthly wage"),
    "employment_insured": _("Employment insurance on the notice"),
    "as_of": _("Data as of"),
    "income_year": _("Year of the income"),
    "salary_income_yen": _("Salary"),
    "collection": _("How the tax is collected"),
    "unpaid_yen": _("Unpaid"),
    "remarks": _("Remarks"),
    "instalments.number": _("Instalment"),
    "instalments.due_on": _("Due on"),
    "instalments.status": _("Standing"),
    "health_scheme": _("Health insurance"),
    "month_codes": _("Pension, month by month"),
    "lost_on": _("Insurance lost on"),
    "employer_late_months": _("Paid late by the employer for"),
}
"""Every field of every source's evidence, by the name that `me { records }` gives it; the months begin with
`first_month`."""

_DAYS = {
    *("date_of_birth", "card_valid_until", "stay_until", "landed_on", "applications.received_on", "hired_on"),
    *("left_on", "as_of", "instalments.due_on", "lost_on"),
}
_MONTHS = {"employer_late_months"}
_YEN = {"monthly_wage_yen", "salary_income_yen", "unpaid_yen"}
_CODES: dict[str, dict[str, str]] = {
    "card_revoked": {"True": YES, "False": NO},
    "employment_insured": {"True": YES, "False": NO},
    "applications.result": {"": _("Still being examined")},
    "kind": {NoticeKind.HIRED: _("A hiring"), NoticeKind.LEFT: _("A leaving")},
    "other_activity": {
        OtherActivity.NOT_PERMITTED: _("None"),
        OtherActivity.COMPREHENSIVE: _("For 28 hours a week"),
        OtherActivity.INDIVIDUAL: _("For what its own certificate names"),
    },
}
_OF_MONTH = {
    "2": _("Employees' pension"),
    "3": _("Dependent spouse"),
    "A": _("Paid"),
    "L": _("Paid late"),
    "Z": _("Exempted"),
    "S": _("Postponed as a student"),
    "*": _("Not paid"),
    ".": _("Not covered"),
    "T": _("Exempt under a treaty"),
    "-": _("Not due yet"),
}
"""What is known of a month. Source: `InsuredRecord.month_codes`."""
_NO_KNOWN_CODE = _("A code whose meaning is not known")


@dataclass(frozen=True, slots=True)
class Run:
    """Months in a row of which the same is known."""

    first: date
    last: date
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """One field: its name, and what it says, which is one of these. `label`, `word`: texts of the catalogue, but for
    a field that has none. `english`: what `plain` says, where that is a Japanese term of a list."""

    label: str
    plain: str = ""
    english: str = ""
    word: str = ""
    yen: int | None = None
    day: date | None = None
    month: date | None = None
    runs: tuple[Run, ...] = ()


def entry_words(entry: RecordEntry) -> Iterator[Said]:
    """What a record says, field by field; what it leaves empty is left out."""
    values = {field.name: field.value for field in entry.fields}
    for field in entry.fields:
        if field.name == "month_codes":
            yield Said(_NAMES[field.name], runs=tuple(_runs(date.fromisoformat(values["first_month"]), field.value)))
        elif field.name != "first_month":
            said = _said(field.name, field.value)
            if said != Said(said.label):
                yield said


def _said(name: str, value: str) -> Said:
    label = _NAMES.get(name, name)
    if name in _CODES:
        word = _CODES[name].get(value, "")
        return Said(label, word=word) if word else Said(label, plain=value, english=in_english(name, value))
    if name in _DAYS:
        return Said(label, day=date.fromisoformat(value))
    if name in _MONTHS:
        return Said(label, month=date.fromisoformat(value))
    if name in _YEN:
        return Said(label, yen=int(value))
    plain = value.removesuffix(".0") if name == "weekly_hours" else value
    return Said(label, plain=plain, english=in_english(name, value))


def _runs(first_month: date, codes: str) -> Iterator[Run]:
    index = 0
    for code, alike in groupby(codes):
        length = len(list(alike))
        yield Run(
            add_months(first_month, index),
            add_months(first_month, index + length - 1),
            _OF_MONTH.get(code, _NO_KNOWN_CODE),
        )
        index += length
