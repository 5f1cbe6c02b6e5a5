"""People with random working lives: jobs, wages, certificates and declarations, and what each truly earns.

All are P01 but for their cards, days of birth and working lives. A folder of them is what the sandbox reads.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from random import Random

from tests.gateway.sandboxes import CONFIG

SANDBOX = CONFIG / "sandbox"
FIRST_BORN_ON = date(1990, 1, 1)
LEVIED_YEAR = 2025
NO_RECORD = "該当なし"
PAID_ABROAD = "国内払給与のみ。国外払分は確定申告（未反映）"
EMPLOYERS = ("7999901000001", "6999901000002", "5999901000003")


@dataclass(frozen=True, slots=True)
class Job:
    """One employment as the employer notified it. `left_on` None: it goes on. `wage_yen` None: not stated."""

    hired_on: date
    left_on: date | None
    wage_yen: int | None


@dataclass(frozen=True, slots=True)
class RandomPerson:
    """One person. `certified_yen` None: the certificate has no amount. `declares_work` None: declares nothing."""

    number: int
    jobs: tuple[Job, ...] = ()
    has_certificate: bool = True
    certified_yen: int | None = None
    is_paid_abroad: bool = False
    declares_work: bool | None = None
    is_insured: bool = True

    @property
    def id(self) -> str:
        return f"R{self.number:04}"

    @property
    def card(self) -> str:
        return f"ZZ40{self.number:06}ZZ"

    @property
    def born_on(self) -> date:
        return FIRST_BORN_ON + timedelta(days=self.number)

    @property
    def income_yen(self) -> int | None:
        """The yearly income by specification 9.8, told again; None where the records settle none."""
        certified = self.certified_yen if self.has_certificate else None
        if self.has_certificate and self.is_paid_abroad:
            return None
        if certified is not None and self._worked_all_year():
            return certified
        if self.declares_work is False and certified is None:
            return 0
        wages = [job.wage_yen for job in self.jobs if job.left_on is None]
        stated = [wage for wage in wages if wage is not None]
        return 12 * sum(stated) if wages and len(stated) == len(wages) else None

    def _worked_all_year(self) -> bool:
        first, last = date(LEVIED_YEAR, 1, 1), date(LEVIED_YEAR, 12, 31)
        if not self.jobs:
            return self.is_insured
        return any(job.hired_on <= first and (job.left_on or date.max) >= last for job in self.jobs)

    def at_another_time(self, random: Random) -> "RandomPerson":
        """The same person with another working life."""
        return replace(a_person(random, self.number), declares_work=self.declares_work)


def a_person(random: Random, number: int) -> RandomPerson:
    return RandomPerson(
        number=number,
        jobs=tuple(_job(random) for _ in range(random.choice([0, 1, 1, 1, 2]))),
        has_certificate=random.random() < 0.8,
        certified_yen=_some_yen(random) if random.random() < 0.8 else None,
        is_paid_abroad=random.random() < 0.05,
        declares_work=random.choice([None, True, False, False]),
        is_insured=random.random() < 0.7,
    )


def _job(random: Random) -> Job:
    hired_on = date(random.choice([2020, 2022, 2024, 2025, 2026]), random.randint(1, 9), random.randint(1, 28))
    left_on = hired_on + timedelta(days=random.randint(30, 900)) if random.random() < 0.2 else None
    if left_on is not None and left_on > date(2026, 10, 31):
        left_on = None
    return Job(hired_on, left_on, _some_yen(random) // 12 if random.random() < 0.9 else None)


def _some_yen(random: Random) -> int:
    """Incomes as they are, and just at, below and above the thresholds that can be asked."""
    near = random.choice([36_000 * random.randrange(1, 300), 300_000 * random.randrange(1, 40)])
    return random.choice([random.randrange(0, 12_000_000), near - 1, near, near + 1])


def write_people(folder: Path, people: Iterable[RandomPerson]) -> Path:
    """The five record files of these people."""
    people = list(people)
    folder.mkdir(parents=True)
    sandbox = json.loads((SANDBOX / "people.json").read_text(encoding="utf-8"))
    listed = [_identity(sandbox["people"][0], person) for person in people]
    (folder / "people.json").write_text(json.dumps({**sandbox, "people": listed}), encoding="utf-8")
    for name in ("immigration.xml", "insurance.xml"):
        first = (SANDBOX / name).read_text(encoding="utf-8").splitlines()[2]
        records = "\n".join(_as_own(first, person) for person in people)
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<List>\n{records}\n</List>\n'
        (folder / name).write_text(text, encoding="utf-8")
    header, first = (SANDBOX / "labor.csv").read_bytes().decode("cp932").splitlines()[:2]
    rows = [_notice(first, person, place) for person in people for place in range(len(person.jobs))]
    (folder / "labor.csv").write_bytes(("\n".join([header, *rows]) + "\n").encode("cp932"))
    first = (SANDBOX / "tax.jsonl").read_text(encoding="utf-8").splitlines()[0]
    lines = "".join(_certificate(first, person) + "\n" for person in people)
    (folder / "tax.jsonl").write_text(lines, encoding="utf-8")
    return folder


def _identity(first: dict[str, object], person: RandomPerson) -> dict[str, object]:
    return first | {
        "id": person.id,
        "residence_card_number": person.card,
        "date_of_birth": person.born_on.isoformat(),
        "declared_employment": None if person.declares_work is None else {"employed": person.declares_work},
    }


def _as_own(record: str, person: RandomPerson) -> str:
    """P01's record of immigration or insurance, as this person's."""
    born_on, year = person.born_on, person.born_on.year - 1988
    months = "2" * 23 if person.is_insured else "." * 23
    written = {
        "ZZ20260001ZZ": person.card,
        "ＺＺ２０２６０００１ＺＺ": person.card,
        "H09.05.21": f"H{year:02}.{born_on:%m.%d}",
        "<SeinenYmd>7090521": f"<SeinenYmd>7{year:02}{born_on:%m%d}",
        "2" * 23 + "-": months + "-",
    }
    for old, new in written.items():
        record = record.replace(old, new)
    return record


def _notice(first: str, person: RandomPerson, place: int) -> str:
    """One employer's notification in the columns of P01's, each job at an employer of its own."""
    job, cells, born_on = person.jobs[place], first.split(","), person.born_on
    cells[0] = "雇入" if job.left_on is None else "離職"
    cells[3] = f"4-{born_on.year - 1988:02}{born_on:%m%d}"
    cells[8] = person.card
    cells[11:13] = [f"第{place}サンプル株式会社", EMPLOYERS[place]]
    cells[13] = _reiwa(job.hired_on)
    cells[14] = "" if job.left_on is None else _reiwa(job.left_on)
    cells[17] = "" if job.wage_yen is None else f"{job.wage_yen:,}".replace(",", "，")
    cells[19] = ""
    return ",".join(cells)


def _reiwa(day: date) -> str:
    return f"5-{day.year - 2018:02}{day:%m%d}"


def _certificate(first: str, person: RandomPerson) -> str:
    body = json.loads(first)
    body["person"] = person.id
    if not person.has_certificate:
        body["json"] = {"受付番号": "1", "状態": NO_RECORD, "課税年度": body["json"]["課税年度"], "理由": "なし"}
        return json.dumps(body, ensure_ascii=False)
    born_on = person.born_on
    body["json"]["生年月日"] = f"平成{born_on.year - 1988}年{born_on.month}月{born_on.day}日"
    body["json"]["給与収入"] = "＊＊＊＊＊" if person.certified_yen is None else f"{person.certified_yen:,}"
    if person.is_paid_abroad:
        body["json"]["摘要"] = PAID_ABROAD
    return json.dumps(body, ensure_ascii=False)
