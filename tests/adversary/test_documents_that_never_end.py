"""A small document must not keep the gateway busy: what it costs to read grows with its size, never faster."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

GUARD_SECONDS = 40
"""Not a measure of speed: without a bound these documents take longer than anybody lives."""

READ = """
import sys
from gateway.document import read_document
from gateway.errors import RequestError
from resolvers.schema import schema
for line in sys.stdin:
    try:
        document = read_document(line, schema._schema)
        document.select(document.coerce({}))
        print("READ")
    except RequestError as error:
        print(error.code)
"""


def fragments(levels: int, spreads: int, *, on: str, last: str) -> str:
    """Fragments that each spread the next one many times."""
    chain = " ".join(f"fragment F{i} on {on} {{ {f'...F{i + 1} ' * spreads} }}" for i in range(levels))
    return f"{chain} fragment F{levels} on {on} {{ {last} }}"


DOCUMENTS = {
    "fragments of the root": '{ subject(consent: "x") { answer { id } } ...F0 } '
    + fragments(11, 35, on="Query", last="__typename"),
    "nothing but fragments": "{ ...F0 } " + fragments(11, 35, on="Query", last="__typename"),
    "fragments of a subject": '{ subject(consent: "x") { ...F0 } } '
    + fragments(11, 35, on="Subject", last="__typename"),
    "fragments of oneself": "{ me { ...F0 } } " + fragments(11, 35, on="Me", last="id"),
    "fragments that are left out": '{ subject(consent: "x") { ...F0 @skip(if: true) } } '
    + fragments(11, 35, on="Subject", last="__typename"),
}


def test_fragments_that_multiply_are_counted_and_not_walked() -> None:
    """In a process of its own, which can be ended."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ],
            input="\n".join(DOCUMENTS.values()),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=GUARD_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"one of {', '.join(DOCUMENTS)} is still being read: each has less than 2 500 bytes")
    found = dict(zip(DOCUMENTS, done.stdout.split(), strict=True))
    assert set(found.values()) == {"QUERY_TOO_COMPLEX"}
