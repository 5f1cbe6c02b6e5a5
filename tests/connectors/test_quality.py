"""Every fact in a connector's quality.toml is true."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import connectors
from connectors.interface import SourceAuthority
from connectors.restricted import NumberKind
from tests.connectors.scripted import scripted
from tests.connectors.sources import IMMIGRATION, INSURANCE, LABOR, SOURCES, TAX, Source, all_text, ask
from tests.connectors.test_shared_suite import CHECKS

KEYS = {"authority", "dialect", "encoding", "as_of", "dropped_fields", "restricted_fields", "checks"}

Edit = tuple[str, str]

# How to put something else into each field that is never read, and a number into each restricted one.
OTHER_CONTENT: dict[tuple[SourceAuthority, str], Edit] = {
    (SourceAuthority.IMMIGRATION, "KokusekiChiiki"): ("ベトナム", "ネパール"),
    (SourceAuthority.IMMIGRATION, "Keitai"): ("ONLINE", "MADOGUCHI"),
    (SourceAuthority.IMMIGRATION, "UketsukeNo"): ("東京支局-電-26-104417", "x"),
    (SourceAuthority.LABOR, "フリガナ"): ("雇入,ホウ　グエンティ,", "雇入,x,"),
    (SourceAuthority.LABOR, "性別"): ("4-090521,,ベトナム", "4-090521,2,ベトナム"),
    (SourceAuthority.LABOR, "国籍・地域"): (",ベトナム,", ",ネパール,"),
    (SourceAuthority.LABOR, "在留資格"): ("特定技能1号", "x"),
    (SourceAuthority.LABOR, "在留期間満了日"): ("5-090930", "x"),
    (SourceAuthority.LABOR, "資格外活動許可"): ("ZZ20260001ZZ,2,", "ZZ20260001ZZ,9,"),
    (SourceAuthority.LABOR, "備考"): ("特記なし", "x"),
    (SourceAuthority.TAX, "理由"): ('"なし"', '{"x": [1]}'),
    (SourceAuthority.INSURANCE, "TekiyoShomei"): ('kuni="DE"', 'kuni="FR"'),
    (SourceAuthority.INSURANCE, "kigen"): ("20260731", "x"),
    (SourceAuthority.INSURANCE, "nofu"): ("20261023", "x"),
    (SourceAuthority.INSURANCE, "hojinNo"): ("6999901000010", "x"),
}
NUMBERS: dict[tuple[SourceAuthority, str], tuple[Edit, NumberKind]] = {
    (SourceAuthority.LABOR, "雇用保険被保険者番号"): (
        ("ZZ20260001ZZ,2,,", "ZZ20260001ZZ,2,@,"),
        NumberKind.EMPLOYMENT_INSURANCE,
    ),
    (SourceAuthority.INSURANCE, "kisoNenkinNo"): (
        ('kisoNenkinNo=""', 'kisoNenkinNo="@"'),
        NumberKind.BASIC_PENSION,
    ),
}


def facts_of(source: Source) -> dict[str, Any]:  # Any: what tomllib gives back
    path = Path(connectors.__file__).parent / str(source) / "quality.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _fields(key: str) -> list[tuple[Source, str]]:
    return [(source, name) for source in SOURCES for name in facts_of(source)[key]]


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_the_file_states_the_same_facts_for_every_connector(source: Source) -> None:
    facts = facts_of(source)
    assert set(facts) == KEYS
    assert facts["authority"] == source.authority
    assert facts["encoding"] == source.encoding


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_every_listed_check_runs_for_this_connector_and_none_is_left_out(source: Source) -> None:
    assert set(facts_of(source)["checks"]) == set(CHECKS)
    for check, test in CHECKS.items():
        asked = [
            value
            for mark in getattr(test, "pytestmark", [])
            if mark.name == "parametrize" and "source" in mark.args[0]
            for value in mark.args[1]
        ]
        covered = {getattr(value, "values", (value,))[0].authority for value in asked}
        assert source.authority in covered, check


@pytest.mark.parametrize(("source", "name"), _fields("dropped_fields"))
async def test_a_dropped_field_changes_nothing_in_the_evidence(source: Source, name: str) -> None:
    changed = source.changed(*OTHER_CONTENT[source.authority, name])
    async with scripted(*source.good(), *source.answer(changed)) as server:
        usual = await ask(source, server.base_url)
        other = await ask(source, server.base_url)
    assert usual.error is None
    assert other.error is None
    assert all_text(other.evidence) == all_text(usual.evidence)


@pytest.mark.parametrize("number", ["8801-234567", "8801234567", "8801-234567-1", "８８０１－２３４５６７－１", "x"])
@pytest.mark.parametrize(("source", "name"), _fields("restricted_fields"))
async def test_a_restricted_field_is_dropped_and_told_however_it_is_filled(
    source: Source, name: str, number: str
) -> None:
    (old, new), kind = NUMBERS[source.authority, name]
    async with scripted(*source.answer(source.changed(old, new.replace("@", number)))) as server:
        asked = await ask(source, server.base_url)
    assert asked.error is None
    assert [kind in incident.number_kinds for incident in asked.incidents] == [True]
    if len(number) > 1:
        assert number not in all_text(asked.evidence) + repr(asked.incidents)


@pytest.mark.parametrize("source", SOURCES, ids=str)
async def test_the_as_of_day_comes_from_the_stated_field_or_is_missing(source: Source) -> None:
    async with scripted(*source.good()) as server:
        asked = await ask(source, server.base_url)
    assert asked.evidence is not None
    assert (asked.evidence.as_of is not None) == bool(facts_of(source)["as_of"])


def test_no_connector_reads_nationality_or_sex() -> None:
    for source in (IMMIGRATION, LABOR, TAX, INSURANCE):
        code = (Path(connectors.__file__).parent / str(source) / "client.py").read_text(encoding="utf-8")
        assert not re.search(r"""(?:row\[|_text\(\w+, |_child\(\w+, )["'](?:KokusekiChiiki|国籍・地域|性別)""", code)
