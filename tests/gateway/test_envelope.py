"""Sealed values open only where, and with the key, that they were sealed for; the master key is made once."""

import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.store.envelope import KEY_BYTES, NONCE_BYTES, Envelope, read_master_key

MASTER = bytes(range(KEY_BYTES))
ENVELOPE = Envelope(MASTER)
KEY = bytes(reversed(range(KEY_BYTES)))
PLACE = "answer/7/body"


def _flip(sealed: bytes, bit: int) -> bytes:
    changed = bytearray(sealed)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(plaintext=st.binary(max_size=200), place=st.text(max_size=60))
def test_a_value_opens_in_the_place_that_it_was_sealed_for(plaintext: bytes, place: str) -> None:
    assert Envelope.open(KEY, ENVELOPE.seal(KEY, plaintext, place=place), place=place) == plaintext


@pytest.mark.parametrize(
    "place",
    [
        "answer/8/body",
        "audit_entry/7/body",
        "answer/7/request",
        "",
        "answer/7/body ",
        "answer/7/bod",
        "ANSWER/7/body",
    ],
)
def test_a_value_moved_to_another_row_table_or_field_does_not_open(place: str) -> None:
    sealed = ENVELOPE.seal(KEY, b"eligible", place=PLACE)
    with pytest.raises(ValueError, match="does not verify"):
        Envelope.open(KEY, sealed, place=place)


@pytest.mark.parametrize("key", [MASTER, KEY[:-1] + b"\xff", KEY[:16], KEY[:24], b"", KEY + b"\x00"])
def test_another_key_or_a_key_of_the_wrong_length_does_not_open(key: bytes) -> None:
    sealed = ENVELOPE.seal(KEY, b"eligible", place=PLACE)
    with pytest.raises(ValueError):  # noqa: PT011 - the promise is the type alone
        Envelope.open(key, sealed, place=PLACE)


def test_a_value_cut_short_anywhere_does_not_open() -> None:
    sealed = ENVELOPE.seal(KEY, b"eligible", place=PLACE)
    for length in range(len(sealed)):
        with pytest.raises(ValueError):  # noqa: PT011 - the promise is the type alone
            Envelope.open(KEY, sealed[:length], place=PLACE)


def test_a_value_with_any_one_bit_flipped_does_not_open() -> None:
    sealed = ENVELOPE.seal(KEY, b"eligible", place=PLACE)
    for bit in range(len(sealed) * 8):
        with pytest.raises(ValueError, match="does not verify"):
            Envelope.open(KEY, _flip(sealed, bit), place=PLACE)


def test_the_same_value_never_looks_the_same_twice() -> None:
    sealed = [ENVELOPE.seal(KEY, b"eligible", place=PLACE) for _ in range(1000)]
    assert len({one[:NONCE_BYTES] for one in sealed}) == len(sealed)
    assert len({one[NONCE_BYTES:] for one in sealed}) == len(sealed)


def test_a_person_key_unwraps_for_its_own_person_and_gateway_alone() -> None:
    wrapped = ENVELOPE.new_person_key("P01")
    key = ENVELOPE.unwrap(wrapped, "P01")
    assert len(key) == KEY_BYTES
    assert key not in wrapped
    assert key != ENVELOPE.unwrap(ENVELOPE.new_person_key("P01"), "P01")
    attempts: list[Callable[[], bytes]] = [
        lambda: ENVELOPE.unwrap(wrapped, "P02"),
        lambda: Envelope(KEY).unwrap(wrapped, "P01"),
        lambda: ENVELOPE.unwrap(_flip(wrapped, 200), "P01"),
        lambda: ENVELOPE.unwrap(wrapped[:-1], "P01"),
        lambda: ENVELOPE.unwrap(b"", "P01"),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError):  # noqa: PT011 - the promise is the type alone
            attempt()


@given(first=st.text(max_size=20), second=st.text(max_size=20))
def test_keys_for_two_uses_are_alike_only_if_the_use_is_the_same(first: str, second: str) -> None:
    assert (ENVELOPE.derive(first) == ENVELOPE.derive(second)) == (first == second)


def test_no_derived_key_is_the_master_key_or_another_gateways() -> None:
    labels = ("wrap", "evidence", "questions")
    derived = {ENVELOPE.derive(label) for label in labels} | {Envelope(KEY).derive(label) for label in labels}
    assert len(derived) == 2 * len(labels)
    assert not derived & {MASTER, KEY}


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_master_key_of_another_length_forbids_to_start(length: int) -> None:
    with pytest.raises(ConfigurationError, match="32 bytes"):
        Envelope(bytes(length))


def test_a_repr_shows_no_key() -> None:
    assert MASTER.hex() not in repr(ENVELOPE)
    assert str(MASTER) not in repr(ENVELOPE)


def test_the_master_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "keys" / "master.key"
    made = read_master_key(path, may_make=True)
    assert len(made) == KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert read_master_key(path, may_make=True) == made, "the second start reads what the first made"
    assert read_master_key(tmp_path / "other" / "master.key", may_make=True) != made


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o444, 0o640, 0o777])
def test_a_key_that_others_can_read_forbids_to_start(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    read_master_key(path, may_make=True)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="readable by others"):
        read_master_key(path, may_make=True)


def test_a_start_that_could_not_write_the_key_leaves_nothing_that_forbids_the_next(tmp_path: Path) -> None:
    """A file-size limit of 0 is the disk that is full, or the kill between making the file and filling it."""
    path = tmp_path / "keys" / "master.key"
    script = f"from pathlib import Path; from {Envelope.__module__} import *; "
    script += f"read_master_key(Path({str(path)!r}), may_make=True)"

    def no_space() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    failed = subprocess.run([sys.executable, "-c", script], preexec_fn=no_space, capture_output=True, check=False)
    assert failed.returncode != 0, "the limit was reached"

    assert len(read_master_key(path, may_make=True)) == KEY_BYTES
