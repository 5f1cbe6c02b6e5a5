"""English for the Japanese terms of records that come from closed lists; what is not listed has none.

Source: the Immigration Services Agency's English names of the statuses; domain notes 1 to 4 for the rest.
"""

import unicodedata
from collections.abc import Mapping

from resolvers.residence_status import status_kind

STATUSES: Mapping[str, str] = {
    "DIPLOMAT": "Diplomat",
    "OFFICIAL": "Official",
    "PROFESSOR": "Professor",
    "ARTIST": "Artist",
    "RELIGIOUS": "Religious Activities",
    "JOURNALIST": "Journalist",
    "HSP1": "Highly Skilled Professional (i)",
    "HSP1A": "Highly Skilled Professional (i)(a)",
    "HSP1B": "Highly Skilled Professional (i)(b)",
    "HSP1C": "Highly Skilled Professional (i)(c)",
    "HSP2": "Highly Skilled Professional (ii)",
    "BUSINESS": "Business Manager",
    "LEGAL": "Legal/Accounting Services",
    "MEDICAL": "Medical Services",
    "RESEARCHER": "Researcher",
    "INSTRUCTOR": "Instructor",
    "ESI": "Engineer/Specialist in Humanities/International Services",
    "ICT": "Intra-company Transferee",
    "CARE": "Nursing Care",
    "ENTERTAINER": "Entertainer",
    "SKILLED": "Skilled Labor",
    "SSW1": "Specified Skilled Worker (i)",
    "SSW2": "Specified Skilled Worker (ii)",
    **{
        f"TITP{stage}{track}": f"Technical Intern Training ({'i' * stage}){letter}"
        for stage in (1, 2, 3)
        for track, letter in (("イ", "(a)"), ("ロ", "(b)"), ("", ""))
    },
    "ESD": "Employment for Skill Development",
    "CULTURAL": "Cultural Activities",
    "TEMP": "Temporary Visitor",
    "STUDENT": "Student",
    "TRAINEE": "Trainee",
    "DEPENDENT": "Dependent",
    "DESIGNATED": "Designated Activities",
    "PR": "Permanent Resident",
    "SPOUSE_JP": "Spouse or Child of Japanese National",
    "SPOUSE_PR": "Spouse or Child of Permanent Resident",
    "LTR": "Long-Term Resident",
    "SPR": "Special Permanent Resident",
}
"""By `StatusKind.code`."""

WHOLE: Mapping[str, Mapping[str, str]] = {
    "applications.result": {"許可": "Granted", "不許可": "Refused"},
    "instalments.status": {
        "未納": "Not paid",
        "納付済": "Paid",
        "納期未到来": "Not due yet",
        "一部納付": "Paid in part",
        "分納": "In agreed instalments",
        "猶予": "Put off",
    },
}
"""By field, what is the whole of its value."""

PARTS: Mapping[str, Mapping[str, str]] = {
    "applications.kind": {
        "在留期間更新": "Extension of the period of stay",
        "在留資格変更": "Change of the status of residence",
    },
    "collection": {
        "年金": "Withheld from the pension",
        "特別徴収": "Withheld from pay by the employer",
        "普通徴収": "Paid directly",
        "非課税": "No tax is due",
        "分納": "In agreed instalments",
        "未申告": "No income was declared",
    },
    "employment_type": {
        "派遣": "Dispatched by an agency",
        "パート": "Part-time",
        "アルバイト": "Part-time, casual",
        "無期": "Without a fixed term",
        "有期": "For a fixed term",
        "業務委託": "A contract for work",
        "内定": "An offer",
    },
    "health_scheme": {
        "適用証明": "Insured abroad under a treaty",
        "未加入": "Not enrolled",
        "国保": "National health insurance",
        "国民健康保険": "National health insurance",
        "被扶養": "As a dependant",
        "協会": "Employees' insurance of the national association",
        "組合": "Employees' insurance of a society",
        "共済": "Employees' insurance of a mutual aid association",
        "健保": "Employees' insurance",
    },
}
"""By field, what a value says or begins with, before the rest of its name; the first that is found there."""


def in_english(field: str, value: str) -> str:
    """What a field's value says, in English; "" where it comes from no list."""
    if field == "residence_status":
        kind = status_kind(value)
        return STATUSES[kind.code] if kind else ""
    if field in WHOLE:
        return WHOLE[field].get(value, "")
    plain = unicodedata.normalize("NFKC", value)
    found = [english for part, english in PARTS.get(field, {}).items() if part in plain]
    if field == "collection":  # such as 普通徴収（分納） and 公的年金特別徴収, which is no employer's
        said = [english for english in found if "年金" not in value or english != PARTS[field]["特別徴収"]]
        return ", ".join([*said[:1], *(english[0].lower() + english[1:] for english in said[1:])])
    return found[0] if found else ""
