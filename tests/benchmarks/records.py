"""The people of the benchmarks, by number, and what each source says of them: about 600 bytes of JSON."""

from datetime import date
from typing import Any

import orjson

from connectors.interface import BindingLevel, IdentityRecord, SourceAuthority

TODAY = date(2026, 11, 20)
ADDRESS = "東京都江東区豊洲一丁目1番1号"
EMPLOYER = "1234567890123"
_FILLED = "この記録は性能測定のためのものです。" * 4


def card_of(number: int) -> str:
    return f"BE{number:08d}NC"


def number_of(card: str) -> int:
    return int(card[2:10])


def name_of(number: int) -> str:
    digits = "ABCDEFGHIJ"
    return "BENCH " + "".join(digits[int(digit)] for digit in f"{number:06d}")


def identity_of(number: int) -> IdentityRecord:
    return IdentityRecord(
        name=name_of(number),
        names_kana=("ベンチ",),
        alias=None,
        date_of_birth=date(1992, 3, 4),
        residence_card_number=card_of(number),
        card_expiry_on=date(2028, 9, 30),
        address_given=ADDRESS,
        tax_municipality="131083",
        identity_binding_level=BindingLevel.IC_VERIFIED,
    )


def record_of(authority: SourceAuthority, card: str) -> dict[str, Any]:
    """What an authority says of who has this card."""
    name = name_of(number_of(card))
    common = {"name": name, "dateOfBirth": "1992-03-04", "card": card, "asOf": "2026-11-19", "remarks": _FILLED}
    match authority:
        case SourceAuthority.IMMIGRATION:
            own: dict[str, Any] = {
                "status": "技術・人文知識・国際業務",
                "stayUntil": "2028-09-30",
                "landedOn": "2021-04-02",
                "address": ADDRESS,
                "revoked": False,
            }
        case SourceAuthority.LABOR:
            own = {
                "employer": "株式会社ベンチ",
                "number": EMPLOYER,
                "hiredOn": "2022-04-01",
                "wage": 280_000,
                "hours": 40.0,
            }
        case SourceAuthority.TAX:
            own = {
                "incomeYear": 2025,
                "salaryIncome": 3_400_000,
                "unpaid": 0,
                "address": ADDRESS,
                "collection": "特別徴収",
            }
        case SourceAuthority.INSURANCE:
            own = {"kana": "ベンチ", "scheme": "協会けんぽ", "firstMonth": "2022-04-01", "months": "2" * 55}
    return common | own


def body_of(authority: SourceAuthority, card: str) -> bytes:
    return orjson.dumps(record_of(authority, card))
