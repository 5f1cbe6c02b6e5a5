"""Share codes: what a slip of the pen does to one, and what is forgiven."""

from random import Random

import pytest

from gateway.consent.invitation_code import make_invitation_code, read_invitation_code
from gateway.consent.share_code import make_share_code, read_share_code
from resolvers.catalogue import Purpose

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def codes(count: int) -> list[str]:
    random = Random(1)
    return [make_share_code(random.choice(list(Purpose)), random.randbytes(5)).text for _ in range(count)]


def test_one_wrong_symbol_is_always_noticed() -> None:
    for code in codes(40):
        for place in range(1, len(code)):
            for symbol in SYMBOLS:
                if symbol != code[place]:
                    assert read_share_code(code[:place] + symbol + code[place + 1 :]) is None


def test_two_neighbours_exchanged_are_always_noticed() -> None:
    for code in codes(200):
        for place in range(1, len(code) - 1):
            swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
            assert swapped == code or read_share_code(swapped) is None


def test_what_people_do_to_a_code_is_forgiven() -> None:
    for code in codes(200):
        grouped = f" {code[0]} {code[1:5]}-{code[5:9]} {code[9:]} "
        slips = grouped.lower().replace("0", "o").replace("1", "l")
        for typed in (code, grouped, grouped.lower(), slips, slips.upper(), slips.replace("l", "i", 1)):
            read = read_share_code(typed)
            if typed is slips.replace("l", "i", 1) and code[0] == "L":
                continue  # it was the letter of lending
            assert read is not None, typed
            assert read.text == code


FULL_WIDTH = str.maketrans({symbol: chr(ord(symbol) + 0xFEE0) for symbol in SYMBOLS + SYMBOLS.lower()})


@pytest.mark.parametrize("gap", [*"-－ーｰ–—‐‑‒−―─", " ", "\u3000", "\u00a0", "\u00ad", "\u200b", " － "], ids=ascii)
@pytest.mark.parametrize("is_wide", [False, True], ids=["plain", "full width"])
def test_a_code_in_any_width_with_any_dash_or_space_is_the_code(gap: str, is_wide: bool) -> None:
    share, invitation = make_share_code(Purpose.TENANCY, b"kyose"), make_invitation_code(b"kyosei 123")
    for shown in (share.grouped(), share.grouped().lower(), invitation.grouped(), invitation.grouped().lower()):
        typed = shown.translate(FULL_WIDTH if is_wide else {}).replace("-", gap)
        read = read_share_code(typed) if shown.upper() == share.grouped() else read_invitation_code(typed)
        assert read is not None, typed
        assert read.grouped() == shown.upper()


@pytest.mark.parametrize(
    "typed", ["", "T", "T-0000", "X-0000-0000-00", "T" * 11, "Ｔ０００００００００", "\x00" * 11, "T" * 100_000]
)
def test_what_cannot_be_a_code_is_none(typed: str) -> None:
    assert read_share_code(typed) is None


def test_the_letter_names_the_purpose() -> None:
    letters = {make_share_code(purpose, bytes(5)).text[0] for purpose in Purpose}
    assert letters == set("OMTL")
