"""Other people can be swapped into the sandbox authorities without touching code."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.immigration.evidence import ImmigrationEvidence
from connectors.insurance.evidence import InsuranceEvidence
from connectors.interface import SourceAuthority
from connectors.sandbox import SandboxRecordsError
from connectors.tax.evidence import TaxEvidence
from tests.connectors.authorities import AT_ONCE, BUILDERS, PEOPLE, evidence_of
from tests.connectors.sources import TODAY

each_authority = pytest.mark.parametrize("authority", list(SourceAuthority))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the sandbox people that a test may change."""
    for name in ("people.json", "immigration.xml", "labor.csv", "tax.jsonl", "insurance.xml"):
        shutil.copyfile(PEOPLE / name, tmp_path / name)
    return tmp_path


def _rewrite(path: Path, change: Callable[[str], str], *, encoding: str = "utf-8") -> None:
    path.write_bytes(change(path.read_bytes().decode(encoding)).encode(encoding))


async def test_other_order_other_width_and_other_case_find_the_same_people(folder: Path) -> None:
    def turned(text: str) -> str:
        head, *rows = text.rstrip("\r\n").split("\r\n")
        return "\r\n".join([head, *reversed(rows)]) + "\r\n"

    _rewrite(folder / "labor.csv", lambda text: turned(text).replace("ZZ2026", "ｚｚ２０２６"), encoding="cp932")
    _rewrite(folder / "immigration.xml", lambda text: text.replace("ＺＺ２０２６", "zz2026"))
    _rewrite(folder / "tax.jsonl", lambda text: "\n".join(reversed(text.splitlines())) + "\n\n")
    _rewrite(folder / "insurance.xml", lambda text: text.replace("ｼﾕﾚｽﾀ", "シュレスタ"))
    usual = await evidence_of(PEOPLE, ("P01", "P04", "P19"))
    other = await evidence_of(folder, ("P01", "P04", "P19"))
    for key, evidence in usual.items():
        assert type(other[key]) is type(evidence), key
        assert getattr(other[key], "as_of", 0) == getattr(evidence, "as_of", 0)
    immigration = other["P01", SourceAuthority.IMMIGRATION]
    assert isinstance(immigration, ImmigrationEvidence)
    assert immigration == ImmigrationEvidence(immigration.observed_at, immigration.as_of, immigration.record)
    assert immigration.record == getattr(usual["P01", SourceAuthority.IMMIGRATION], "record", None)


async def test_people_may_be_fewer_or_more(folder: Path) -> None:
    _rewrite(folder / "insurance.xml", lambda _: "<List/>")
    _rewrite(folder / "labor.csv", lambda text: text.split("\r\n")[0] + "\r\n", encoding="cp932")
    _rewrite(folder / "tax.jsonl", lambda _: "")
    found = await evidence_of(folder, ("P01",))
    assert getattr(found["P01", SourceAuthority.INSURANCE], "records", None) == ()
    assert getattr(found["P01", SourceAuthority.LABOR], "notices", None) == ()
    tax = found["P01", SourceAuthority.TAX]
    assert isinstance(tax, TaxEvidence)
    assert tax.record is None


async def test_at_most_five_insurance_records_are_given(folder: Path) -> None:
    def sevenfold(text: str) -> str:
        start, end = text.index("<Hihokensha"), text.index("</Hihokensha>") + len("</Hihokensha>")
        return text[:start] + text[start:end] * 7 + text[end:]

    _rewrite(folder / "insurance.xml", sevenfold)
    found = await evidence_of(folder, ("P01",))
    evidence = found["P01", SourceAuthority.INSURANCE]
    assert isinstance(evidence, InsuranceEvidence)
    assert len(evidence.records) == 5


@pytest.mark.parametrize(
    ("authority", "name", "content", "message"),
    [
        (SourceAuthority.IMMIGRATION, "immigration.xml", b"<List>", "immigration.xml"),
        (SourceAuthority.LABOR, "labor.csv", b"\x81", "labor.csv"),
        (SourceAuthority.LABOR, "labor.csv", b"a,b\r\n", "labor.csv: line 1"),
        (SourceAuthority.LABOR, "labor.csv", "在留カード番号,b\r\n1,2\r\n1\r\n".encode("cp932"), "labor.csv: line 3"),
        (
            SourceAuthority.TAX,
            "tax.jsonl",
            b'{"person": "P01", "status": 200, "json": {}}\n{',
            "tax.jsonl: line 2: it is not JSON",
        ),
        (SourceAuthority.TAX, "tax.jsonl", b'{"person": "P01", "status": 503}', "line 1: text: it is missing"),
        (SourceAuthority.TAX, "tax.jsonl", b'{"status": 200, "json": {}}', "line 1: person: it is missing"),
        (SourceAuthority.TAX, "tax.jsonl", b'{"person": ["P01"], "status": 200, "json": {}}', "person: not a text"),
        (
            SourceAuthority.TAX,
            "tax.jsonl",
            b'\n{"person": "P01", "status": 200, "json": []}',
            "line 2: json: not an obj",
        ),
        (SourceAuthority.TAX, "tax.jsonl", b'["P01"]', "line 1: it is not an object"),
        (SourceAuthority.TAX, "people.json", b"[]", "people.json"),
        (SourceAuthority.INSURANCE, "insurance.xml", b"<!DOCTYPE a><List/>", "insurance.xml"),
        (SourceAuthority.INSURANCE, "insurance.xml", b"<List><Hihokensha/></List>", "insurance.xml: record 1"),
    ],
)
def test_a_broken_file_is_named_with_its_line(
    folder: Path, authority: SourceAuthority, name: str, content: bytes, message: str
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(SandboxRecordsError, match=message):
        BUILDERS[authority](folder, AT_ONCE, TODAY)


@each_authority
def test_a_missing_file_is_named(tmp_path: Path, authority: SourceAuthority) -> None:
    with pytest.raises(SandboxRecordsError, match="No such file"):
        BUILDERS[authority](tmp_path, AT_ONCE, TODAY)
