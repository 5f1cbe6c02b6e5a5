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
        ("神奈川県横浜市鶴見区1-2", "神奈川縣横浜市鶴見區1-2"),
        ("山形県山形市旅篭町2-3-25", "山形県山形市旅籠町2-3-25"),
        ("茨城県龍ケ崎市3710", "茨城県竜ヶ崎市3710"),
        ("東京都千代田区一番町5-6", "東京都千代田区1番町5番地6"),
        ("岩手県滝沢市滝沢第3地割12", "岩手県滝沢市滝沢３地割１２番地"),
        ("北海道上川郡東川町西10号北5番地", "北海道上川郡東川町西十号北五番地"),
        ("北海道虻田郡倶知安町字山田76-1", "北海道倶知安町山田76番地1"),
    ],
)
def test_a_place_whose_name_is_spelt_in_several_ways_is_the_same(registered: str, given: str) -> None:
    assert same_address(given, registered) is True
    assert same_address(registered, given) is True


def test_a_town_without_its_county_is_known_in_its_prefecture_alone() -> None:
    assert same_address("田川郡川崎町大字川崎1-2", "宮城県川崎町大字川崎1-2") is None
    assert same_address("長野県北佐久郡軽井沢町大字長倉2381", "軽井沢町長倉2381番地") is None
    assert same_address("長野県北佐久郡軽井沢町大字長倉2381", "長野県軽井沢町長倉2381番地") is True


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
        pytest.param("〒136-0071 東京都江東区亀戸1-2-3", id="with its postal code"),
        pytest.param("〒１３６００７１東京都江東区亀戸1-2-3", id="with its postal code without a hyphen"),
        pytest.param("136-0071　江東区亀戸1-2-3", id="with its postal code alone"),
        pytest.param("日本、東京都江東区亀戸1-2-3", id="with the country"),
        pytest.param("〒136-0071 日本国東京都江東区亀戸1-2-3", id="with postal code and country"),
        pytest.param("東京都、江東区、亀戸1-2-3", id="with commas"),
        pytest.param("東京都江東区亀戸1、2、3", id="commas between the numbers"),
        pytest.param("東京都江東区亀戸一丁目二番三号", id="all numbers in kanji"),
        pytest.param("東京都江東区亀戸一ー二ー三", id="kanji and long vowel marks"),
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
        pytest.param("〒136-0071 東京都江東区亀戸1-2-4", id="the next house, with a postal code"),
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


@pytest.mark.parametrize(
    "registered",
    ["未定", "不明", "＊＊＊＊＊", "********", "住居地未届出", "住所不定", "東京都江東区未定", "", "　", "亀" * 300],
)
def test_a_register_that_states_no_place_is_doubt(registered: str) -> None:
    assert same_address(REGISTERED, registered) is None
    assert same_address(registered, REGISTERED) is None


@pytest.mark.parametrize(
    ("given", "registered"),
    [
        pytest.param("Koto-ku, Tokyo", REGISTERED, id="Latin letters"),
        pytest.param("1-2-3 Kameido, Koto-ku, Tokyo", REGISTERED, id="Latin letters, the block first"),
        pytest.param("東京都Koto区亀戸1-2-3", REGISTERED, id="Latin letters among kanji"),
        pytest.param("とうきょうとこうとうく", REGISTERED, id="kana"),
        pytest.param("コウトウク カメイド 1-2-3", REGISTERED, id="katakana"),
        pytest.param("亀戸1-2-3", REGISTERED, id="the municipality left out"),
        pytest.param("埼玉県さいたま市岸町1-2-3", "埼玉県さいたま市浦和区岸町1-2-3", id="the ward left out"),
        pytest.param("京都市中京区烏丸通御池上る二条殿町538", "京都市中京区二条殿町538", id="the streets left out"),
        pytest.param(
            "京都市中京区烏丸通御池上ル二条殿町538", "京都市中京区室町通二条下る二条殿町538", id="other streets"
        ),
        pytest.param("岩手県滝沢市滝沢3-12", "岩手県滝沢市滝沢第3地割12", id="a lot's division as a number"),
    ],
)
def test_what_cannot_be_compared_is_doubt(given: str, registered: str) -> None:
    assert same_address(given, registered) is None
    assert same_address(registered, given) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("岩手県滝沢市滝沢第3地割12", "岩手県滝沢市滝沢第3地割99", id="lots of one division"),
        pytest.param("岩手県滝沢市滝沢第3地割字沢12", "岩手県滝沢市滝沢第3地割字沢99", id="lots of one hamlet"),
        pytest.param("岩手県滝沢市滝沢第3地割12", "岩手県滝沢市滝沢第4地割12", id="divisions"),
        pytest.param("北海道上川郡東川町西10号北5番地", "北海道上川郡東川町西10号北8番地", id="lots on one line"),
        pytest.param("北海道上川郡東川町西10号北5番地", "北海道上川郡東川町西11号北5番地", id="lines"),
        pytest.param("北海道美瑛町東3線北12号5番地", "北海道美瑛町東4線北12号5番地", id="numbered roads"),
        pytest.param("愛媛県松山市二番町4-7-2", "愛媛県松山市二番町4-7-3", id="houses in a numbered town"),
        pytest.param("愛媛県松山市二番町4-7-2", "愛媛県松山市三番町4-7-2", id="numbered towns"),
        pytest.param("北海道上川郡清水町1-2", "北海道虻田郡清水町1-2", id="towns of one name in two counties"),
        pytest.param("京都市中京区烏丸通御池上る二条殿町538", "京都市中京区室町通二条下る少将井町538", id="Kyoto"),
        pytest.param("埼玉県川口市芝新町1-2-3", "埼玉県川口市芝1-2-3", id="a name that begins alike"),
    ],
)
def test_places_told_apart_by_a_number_or_a_name_are_two(one: str, other: str) -> None:
    assert same_address(one, other) is False
    assert same_address(other, one) is False


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
