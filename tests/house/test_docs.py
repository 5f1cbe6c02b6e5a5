"""The rules of the house about what is written for people: it names what there is, and all of it."""

import ast
import re
from pathlib import Path

from pydantic import TypeAdapter

import connectors.addresses
import connectors.standing
import connectors.transport
from connectors.errors import ConnectorError
from connectors.interface import BindingLevel, IdentityRecord
from gateway.metrics import Metrics
from tests.house.logger_calls import logger_calls

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SOURCE_MODULES = (connectors.addresses, connectors.standing, connectors.transport)


def kinds(of: type[ConnectorError]) -> set[type[ConnectorError]]:
    """What is raised: the classes below this one."""
    return set(of.__subclasses__()).union(*map(kinds, of.__subclasses__()))


def test_every_fault_of_a_source_is_explained_to_operators() -> None:
    told_by_transports = {name for module in SOURCE_MODULES for name in vars(module) if name.startswith("UPSTREAM_")}
    faults = told_by_transports | {kind.default_fault for kind in kinds(ConnectorError)}
    assert {"UPSTREAM_CLOSED", "SUBJECT_MISMATCH"} <= faults
    assert not [fault for fault in sorted(faults) if f"`{fault}`" not in OPERATIONS]


def logged_events(path: Path) -> set[str]:
    """The names of the events that a module logs: what it gives first to its logger."""
    given = [call.args[0] for call in logger_calls(path) if call.args]
    return {str(first.value) for first in given if isinstance(first, ast.Constant)}


def test_every_event_of_the_log_is_explained_to_operators_and_no_other() -> None:
    code = [path for package in ("gateway", "connectors", "resolvers") for path in (ROOT / package).rglob("*.py")]
    events = set().union(*map(logged_events, code))
    (table,) = re.findall(r"^\| event \|.*?(?=\n\n)", OPERATIONS, re.DOTALL | re.MULTILINE)
    explained = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert "commit_failed" in events
    assert explained == events


def test_every_metric_of_ours_is_explained_to_operators_and_no_other() -> None:
    families = {family.name for family in Metrics().registry.collect() if family.name.startswith("kyosei_")}
    named = set(re.findall(r"`(kyosei_[a-z_]*[a-z])[`{]", OPERATIONS))
    assert {name.removesuffix("_total") for name in named} == families


def test_the_readme_names_places_that_are_there() -> None:
    named = set(re.findall(r"`((?:gateway|resolvers|connectors|config|docs|tests|examples)/[\w./]*)`", README))
    assert named
    assert not [path for path in sorted(named) if not (ROOT / path).exists()]


def test_the_readme_names_functions_where_they_are() -> None:
    named = re.findall(r"`(\w+)`\s+\(`([\w/]+\.py)`\)", README)
    assert named
    for function, path in named:
        assert f"def {function}(" in (ROOT / path).read_text(encoding="utf-8")


def test_the_identity_record_that_is_shown_to_operators_is_one() -> None:
    (shown,) = re.findall(r"^```json\n(.*?)^```", OPERATIONS, re.DOTALL | re.MULTILINE)
    record = TypeAdapter(IdentityRecord).validate_json(shown)
    assert record.name == "NGUYEN THI HUONG"
    assert all(f"`{level}`" in OPERATIONS for level in BindingLevel)


def test_no_file_is_cited_that_is_not_here() -> None:
    places = [ROOT / name for name in ("README.md", "docs", "config", "connectors", "gateway", "resolvers", "deploy")]
    files = [path for place in places for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file()]
    cited = {name for path in files for name in re.findall(rb"\b[\w-]+\.md\b", path.read_bytes())}
    there = {path.name.encode() for path in ROOT.glob("*.md")} | {path.name.encode() for path in ROOT.glob("*/*.md")}
    assert cited <= there
