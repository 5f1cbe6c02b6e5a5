"""Many people who differ in their income alone: copies of P01, told apart by their cards and their days of birth."""

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from tests.gateway.sandboxes import CONFIG

SANDBOX = CONFIG / "sandbox"
CARD = "ZZ20260001ZZ"
FIRST_BORN_ON = date(1990, 1, 1)


@dataclass(frozen=True, slots=True)
class Earner:
    """Somebody with a certificate over so many yen; None: without work and without a certificate's amount."""

    number: int
    yearly_yen: int | None

    @property
    def id(self) -> str:
        return f"R{self.number:04}"

    @property
    def income_yen(self) -> int:
        return self.yearly_yen or 0

    @property
    def card(self) -> str:
        return f"ZZ30{self.number:06}ZZ"

    @property
    def born_on(self) -> date:
        return FIRST_BORN_ON + timedelta(days=self.number)


def write_earners(folder: Path, earners: Iterable[Earner]) -> Path:
    """The five record files of these people."""
    earners = list(earners)
    folder.mkdir(parents=True)
    people = json.loads((SANDBOX / "people.json").read_text(encoding="utf-8"))
    first = people["people"][0]
    listed = [_identity(first, earner) for earner in earners]
    (folder / "people.json").write_text(json.dumps({"clock": people["clock"], "people": listed}), encoding="utf-8")
    for name in ("immigration.xml", "insurance.xml"):
        record = (SANDBOX / name).read_text(encoding="utf-8").splitlines()[2]
        records = "\n".join(_copied(record, earner) for earner in earners)
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<List>\n{records}\n</List>\n'
        (folder / name).write_text(text, encoding="utf-8")
    header, row = (SANDBOX / "labor.csv").read_bytes().decode("cp932").splitlines()[:2]
    rows = [_copied(row, earner) for earner in earners if earner.yearly_yen is not None]
    (folder / "labor.csv").write_bytes(("\n".join([header, *rows]) + "\n").encode("cp932"))
    record = (SANDBOX / "tax.jsonl").read_text(encoding="utf-8").splitlines()[0]
    (folder / "tax.jsonl").write_text("".join(_certificate(record, e) + "\n" for e in earners), encoding="utf-8")
    return folder


def _identity(first: dict[str, object], earner: Earner) -> dict[str, object]:
    declared = {"employed": False} if earner.yearly_yen is None else None
    return first | {
        "id": earner.id,
        "residence_card_number": earner.card,
        "date_of_birth": earner.born_on.isoformat(),
        "declared_employment": declared,
    }


def _copied(record: str, earner: Earner) -> str:
    """P01's record with another card and day of birth, in each source's way of writing them."""
    year, born_on = earner.born_on.year - 1988, earner.born_on
    written = {
        CARD: earner.card,
        "ＺＺ２０２６０００１ＺＺ": earner.card,
        "H09.05.21": f"H{year:02}.{born_on:%m.%d}",
        "4-090521": f"4-{year:02}{born_on:%m%d}",
        "<SeinenYmd>7090521": f"<SeinenYmd>7{year:02}{born_on:%m%d}",
        "平成9年5月21日": f"平成{year}年{born_on.month}月{born_on.day}日",
    }
    for old, new in written.items():
        record = record.replace(old, new)
    return record


def _certificate(record: str, earner: Earner) -> str:
    body = json.loads(_copied(record, earner))
    body["person"] = earner.id
    if earner.yearly_yen is None:
        del body["json"]["給与収入"]
    else:
        body["json"]["給与収入"] = unicodedata.normalize("NFKC", f"{earner.yearly_yen:,}")
    return json.dumps(body, ensure_ascii=False)
