"""The address given against the registered one: municipality and block, nothing after it (domain notes 6, rule 6)."""

import pytest

from resolvers.address import same_address
from resolvers.claim import Reason
from resolvers.immigration import derive_address_matches
from tests.builders import a_residence_record, an_identity, facts_of, needs_evidence, told

REGISTERED = "東京都江東区亀戸1-2-3"


@pytest.mark.parametrize(
    ("registered", "given"),
    [
        ("茨城県龍ケ崎市3710", "茨城県龍ヶ崎市3710"),
        ("東京都千代田区霞が関1-1", "東京都千代田区霞ヶ関1-1"),
        ("愛知県名古屋市中区三の丸3-1", "愛知県名古屋市中区三ノ丸3-1"),
        ("茨城県つくば市大字上ノ室1-2", "茨城県つくば市上の室1-2"),
        ("埼玉県秩父市字山1-2", "埼玉県秩父市山1-2"),
        ("東京都新宿区四ツ谷1-2", "東京都新宿区四つ谷1-2"),
        ("北海道札幌市中央区北1条西2丁目", "北海道札幌市中央区北一条西二丁目"),
    ],
)
def test_a_place_whose_name_is_spelt_in_several_ways_is_the_same(registered: str, given: str) -> None:
    assert same_address(given, registered) is True
    assert same_address(registered, given) is True


def test_spelling_alone_makes_no_two_places_one() -> None:
    assert same_address("神奈川県横浜市神奈川区三ツ沢1-1", "神奈川県横浜市神奈川区三ノ沢1-1") is False
    assert same_address("北海道札幌市中央区北1条西2丁目", "北海道札幌市中央区北二条西二丁目") is False


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("東京都江東区亀戸1-2-3", id="the same text"),
        pytest.param("江東区亀戸1-2-3", id="prefecture left out"),
        pytest.param("東京都江東区亀戸１－２－３", id="full width"),
        pytest.param("東京都江東区亀戸1丁目2番3号", id="spelled out"),
        pytest.param("東京都江東区亀戸１丁目２番地３", id="with 番地"),
        pytest.param("東京都江東区亀戸一丁目2番3号", id="chome in kanji"),
        pytest.param("東京都江東区亀戸1ー2ー3", id="long vowel marks as hyphens"),
        pytest.param("東京都江東区亀戸1−2−3", id="minus signs as hyphens"),
        pytest.param("東京都江東区亀戸1の2の3", id="with の"),
        pytest.param("東京都　江東区　亀戸　１－２－３", id="with spaces"),
        pytest.param("東京都江東区亀戸1-2-3 サンハイツ101", id="a building after the block"),
        pytest.param("東京都江東区亀戸1-2-3-101", id="a room after the block"),
        pytest.param("東京都江東区亀戸1-2-3 101号室", id="a room after a space"),
        pytest.param("東京都江東区亀戸１－２－３　１０１", id="a room after a full-width space"),
    ],
)
def test_the_same_place_is_the_same_however_it_is_written(given: str) -> None:
    assert same_address(given, REGISTERED) is True
    assert same_address(REGISTERED, given) is True


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("東京都江東区亀戸1-2-4", id="the next house"),
        pytest.param("東京都江東区亀戸1-3-3", id="another block"),
        pytest.param("東京都江東区亀戸11-2-3", id="another chome"),
        pytest.param("東京都江東区大島1-2-3", id="another part of the city"),
        pytest.param("東京都墨田区亀戸1-2-3", id="another municipality"),
        pytest.param("大阪府江東区亀戸1-2-3", id="another prefecture"),
        pytest.param("埼玉県川口市", id="another city without a block"),
    ],
)
def test_another_place_is_another(given: str) -> None:
    assert same_address(given, REGISTERED) is False
    assert same_address(REGISTERED, given) is False


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("", id="nothing"),
        pytest.param("東京都", id="a prefecture"),
        pytest.param("東京都江東区", id="a municipality"),
        pytest.param("東京都江東区亀戸", id="a part of the city"),
        pytest.param("東京都江東区亀戸1丁目", id="a chome"),
        pytest.param("東京都江東区亀戸1-2", id="a block without the house"),
    ],
)
def test_an_address_that_stops_short_of_the_other_is_doubt(given: str) -> None:
    assert same_address(given, REGISTERED) is None
    assert same_address(REGISTERED, given) is None


def test_two_municipalities_alone_are_compared_as_they_are() -> None:
    assert same_address("東京都江東区", "江東区") is True
    assert same_address("埼玉県川口市", "埼玉県さいたま市") is False


def test_cities_of_one_name_in_two_prefectures_are_two() -> None:
    assert same_address("東京都府中市宮西町2-24", "広島県府中市宮西町2-24") is False


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("札幌市中央区北1条西2丁目3番", "札幌市中央区北1条西2-3", True, id="the same"),
        pytest.param("札幌市中央区北1条西2丁目3番", "札幌市中央区北1条西9丁目9番", False, id="another block"),
        pytest.param("札幌市中央区北1条西2丁目3番", "札幌市中央区北3条西2丁目3番", False, id="another street"),
    ],
)
def test_a_numbered_street_is_no_block(one: str, other: str, same: bool) -> None:
    assert same_address(one, other) is same


@pytest.mark.parametrize(
    ("given", "registered", "value"),
    [
        pytest.param("江東区亀戸1-2-3", REGISTERED, True, id="the same place"),
        pytest.param("埼玉県川口市本町1-1-1", "埼玉県川口市青木2-1-1", False, id="moved, immigration not yet told"),
        pytest.param(None, REGISTERED, needs_evidence(Reason.NOT_STATED), id="no address given"),
        pytest.param("東京都江東区", REGISTERED, needs_evidence(Reason.NOT_STATED), id="only the municipality given"),
    ],
)
def test_the_address_claim_says_yes_no_or_nothing(given: str | None, registered: str, value: object) -> None:
    facts = facts_of(identity=an_identity(address_given=given), residence=a_residence_record(address=registered))
    assert told(derive_address_matches(facts)) == value
