"""What the municipality of 1 January holds: one levy year's resident tax record."""

from dataclasses import dataclass
from datetime import date

from connectors.evidence import Evidence


@dataclass(frozen=True, slots=True, repr=False)
class Instalment:
    """One instalment (期別) of an ordinary collection."""

    number: int
    due_on: date
    status: str


@dataclass(frozen=True, slots=True, repr=False)
class TaxRecord:
    """A completed (完了) reply. Amounts are None where the source prints `＊＊＊＊＊` (not stated, never zero).

    `collection`: in the municipality's words, such as `普通徴収（分納）`; "" where it states none.
    """

    income_year: int
    name: str
    date_of_birth: date | None
    address: str
    salary_income_yen: int | None
    collection: str
    unpaid_yen: int | None
    remarks: str
    instalments: tuple[Instalment, ...]


@dataclass(frozen=True, slots=True, repr=False)
class TaxEvidence(Evidence):
    """The reply to one application; `record` is None for 該当なし (no record here for that levy year).

    `levy_year` is None where the reply does not state it in a form that can be read.
    """

    levy_year: int | None
    record: TaxRecord | None
