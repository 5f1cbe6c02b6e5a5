"""The rules of the house about code: sizes, words, layers, no patching of our own code."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.operator_log import FIELDS
from tests.house.logger_calls import logger_calls

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "resolvers", "connectors")
PRODUCTION = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 40
BANNED_WORDS = {
    *("manager", "helper", "helpers", "util", "utils", "common", "misc", "data", "user", "client"),
    *("permit", "contract", "policy", "coverage", "partner", "requester"),
}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


@pytest.mark.parametrize("path", PRODUCTION, ids=relative)
def test_a_module_fits_the_house(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES


@pytest.mark.parametrize("path", PRODUCTION, ids=relative)
def test_every_function_fits_the_house(path: Path) -> None:
    too_long = [
        f"{node.name}: {(node.end_lineno or 0) - node.lineno + 1}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert not too_long


@pytest.mark.parametrize("path", PRODUCTION, ids=relative)
def test_no_module_or_class_has_a_banned_word_in_its_name(path: Path) -> None:
    classes = [
        node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ClassDef)
    ]
    names = [*classes, *([] if path.name == "client.py" else [path.stem])]
    assert not {name: words(name) & BANNED_WORDS for name in names if words(name) & BANNED_WORDS}


@pytest.mark.parametrize("path", [p for p in PRODUCTION if p.name != "__init__.py"], ids=relative)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", [p for p in TESTS if p != Path(__file__)], ids=relative)
def test_no_test_patches_our_own_code(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert "mock.patch" not in source
    assert "monkeypatch.setattr" not in source


def logged_fields(path: Path) -> set[str]:
    """The names of what a module gives to its logger."""
    return {keyword.arg or "**" for call in logger_calls(path) for keyword in call.keywords}


@pytest.mark.parametrize("path", PRODUCTION, ids=relative)
def test_what_is_logged_is_on_the_list_and_so_reaches_the_operator(path: Path) -> None:
    assert logged_fields(path) <= FIELDS


def test_what_is_on_the_list_is_logged() -> None:
    logged = set().union(*map(logged_fields, PRODUCTION))
    assert FIELDS - logged == {"event", "level", "timestamp", "at"}, "what every line has, and a library's"


def test_the_layers_hold() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
