"""JSON is read once where that is enough, and never reads otherwise than by the slow way."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import RequestError
from gateway.http.strict_json import parse_json

WORDS = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"a\\\\"', '"\\":"', '"a\\":"', '":"', '"\\u0000"', '"\\ufffd"'])
GAPS = st.sampled_from(["", "", " ", "\n\t ", "\r"])
PLAIN = WORDS | st.sampled_from(["1", "-2.5e3", "true", "null"])


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.tuples(WORDS, GAPS, GAPS, values, GAPS).map(lambda part: f"{part[0]}{part[1]}:{''.join(part[2:])}")
    return st.lists(member, max_size=3).map(lambda members: "{" + ",".join(members) + "}")


def arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=3).map(lambda found: "[" + ",".join(found) + "]")


TEXTS = st.recursive(PLAIN, lambda values: objects(values) | arrays(values), max_leaves=12)


def read_the_slow_way(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return json.loads(text.replace("\\u0000", "\\ufffd"), object_pairs_hook=unique)


@settings(max_examples=2_000, deadline=None)
@given(TEXTS)
def test_a_name_that_stands_twice_is_found_wherever_and_however_it_is_written(text: str) -> None:
    try:
        expected = read_the_slow_way(text)
    except AssertionError:
        with pytest.raises(RequestError) as caught:
            parse_json(text.encode())
        assert caught.value.code == "BAD_JSON"
    else:
        assert parse_json(text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"a":1,"a" :2}', "BAD_JSON"),
        ('{"a":1,"\\u0061":2}', "BAD_JSON"),
        ('{"a\\u0000":1,"a\\ufffd":2}', "BAD_JSON"),
        (f'{{"y":{"9" * 400}}}', "VALIDATION_FAILED"),
        (f'{{"y":-{"9" * 60_000}}}', "VALIDATION_FAILED"),
        (f'{{"y":{"9" * 400},"y":1}}', "BAD_JSON"),
        (f'{{"y":{"9" * 400}.5}}', "BAD_JSON"),
        (f'{{"y":0{"9" * 400}}}', "BAD_JSON"),
        (f'{{"y":{"9" * 400}', "BAD_JSON"),
        (f'{{"y":{"9" * 400},"z":1e999}}', "BAD_JSON"),
        (f'{{"y":"{"9" * 400}\\"{"9" * 400}","z":1e999}}', "BAD_JSON"),
    ],
)
def test_what_is_wrong_with_a_body_has_its_name(text: str, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_json(text.encode())
    assert caught.value.code == code


@pytest.mark.parametrize(
    "body",
    [b'"' * 65_000, b'"\\"' * 21_000, b'"' + b'\\"' * 32_000, (b'"' + b" " * 99) * 650, b"1 " * 32_000,
     (b"9" * 308 + b" ") * 210, b"9" * 64_000 + b".x", b"[" * 65_000, b"{" + b'"a":1,' * 9_000 + b'"a":1}',
     b"9" * 400 + b'"' * 65_000, (b"9" * 301 + b".") * 200, (b'"' + b"9" * 301) * 200],
)  # fmt: skip
def test_no_body_takes_long_to_refuse(body: bytes) -> None:
    took = []
    for _ in range(5):
        began_at = time.perf_counter()
        with pytest.raises(RequestError):
            parse_json(body)
        took.append(time.perf_counter() - began_at)
    assert min(took) < 0.05
