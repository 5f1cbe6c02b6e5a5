"""The statuses of residence by the names that sources print. Table: domain notes 1.1."""

import pytest

from resolvers.residence_status import WorkPermission, status_kind

WITHIN, NONE = WorkPermission.WITHIN_STATUS, WorkPermission.NONE
FREE, INDIVIDUAL = WorkPermission.UNRESTRICTED, WorkPermission.INDIVIDUAL

UNLIMITED = {"永住者", "特別永住者", "高度専門職2号"}
SETTLED = {"永住者", "特別永住者", "日本人の配偶者等", "永住者の配偶者等", "定住者"}
WITHOUT_CARD = {"外交", "公用", "短期滞在"}

TABLE = {
    **dict.fromkeys(("外交", "公用", "教授", "芸術", "宗教", "報道"), WITHIN),
    **dict.fromkeys(("高度専門職1号イ", "高度専門職1号ロ", "高度専門職1号ハ", "高度専門職2号"), WITHIN),
    **dict.fromkeys(("経営・管理", "法律・会計業務", "医療", "研究", "教育"), WITHIN),
    **dict.fromkeys(("技術・人文知識・国際業務", "企業内転勤", "介護", "興行", "技能"), WITHIN),
    **dict.fromkeys(("特定技能1号", "特定技能2号", "育成就労"), WITHIN),
    **{f"技能実習{stage}号{track}": WITHIN for stage in "123" for track in "イロ"},
    **dict.fromkeys(("文化活動", "短期滞在", "留学", "研修", "家族滞在"), NONE),
    "特定活動": INDIVIDUAL,
    **dict.fromkeys(("永住者", "日本人の配偶者等", "永住者の配偶者等", "定住者", "特別永住者"), FREE),
}


@pytest.mark.parametrize("name", sorted(TABLE))
def test_a_status_allows_the_work_of_the_table(name: str) -> None:
    kind = status_kind(name)
    assert kind is not None
    assert kind.work is TABLE[name]


@pytest.mark.parametrize("name", sorted(TABLE))
def test_only_permanent_residents_and_the_highest_professionals_have_no_period(name: str) -> None:
    kind = status_kind(name)
    assert kind is not None
    assert kind.unlimited is (name in UNLIMITED)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_only_permanent_spouse_and_long_term_residents_are_settled(name: str) -> None:
    kind = status_kind(name)
    assert kind is not None
    assert kind.settled is (name in SETTLED)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_everybody_holds_a_card_but_visitors_diplomats_and_officials(name: str) -> None:
    kind = status_kind(name)
    assert kind is not None
    assert kind.mid_to_long_term is (name not in WITHOUT_CARD)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_only_a_student_is_a_student(name: str) -> None:
    kind = status_kind(name)
    assert kind is not None
    assert kind.student is (name == "留学")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        pytest.param("技術･人文知識･国際業務", "技術・人文知識・国際業務", id="half-width middle dots"),
        pytest.param("技人国", "技術・人文知識・国際業務", id="short form"),
        pytest.param("特定技能１号", "特定技能1号", id="full-width digit"),
        pytest.param("技術・人文知識・国際業務（技人国）", "技術・人文知識・国際業務", id="with its short form"),
        pytest.param("高度専門職二号", "高度専門職2号", id="kanji numeral"),
        pytest.param("ＥＳＩ", "技術・人文知識・国際業務", id="code, full width"),
        pytest.param("HSP1B", "高度専門職1号ロ", id="code of a highly skilled professional"),
        pytest.param("PR", "永住者", id="code of a permanent resident"),
        pytest.param("TEMP", "短期滞在", id="code of a visitor"),
        pytest.param("特定技能第1号", "特定技能1号", id="with 第"),
        pytest.param("高度専門職1号（ロ）", "高度専門職1号ロ", id="letter in brackets"),
        pytest.param("技能実習２号 ロ", "技能実習2号ロ", id="with a space"),
        pytest.param("特定活動（６月・就労可）", "特定活動", id="designated activities with their kind"),
        pytest.param("　永住者", "永住者", id="full-width space before it"),
        pytest.param("定住者（日系三世）", "定住者", id="what kind of long-term resident"),
        pytest.param("日本人の配偶者等 （ 配偶者 ）", "日本人の配偶者等", id="spouse or child"),
        pytest.param("特定技能１号（介護）", "特定技能1号", id="with its field"),
        pytest.param("技能実習2号（ロ）（食品製造）", "技能実習2号ロ", id="letter and trade in brackets"),
        pytest.param("経営・管理［スタートアップ］", "経営・管理", id="square brackets"),
        pytest.param("留学【大学】", "留学", id="lenticular brackets"),
        pytest.param("永住者〔定住者から変更〕", "永住者", id="how it came about"),
    ],
)
def test_a_status_is_known_however_it_is_written(written: str, name: str) -> None:
    assert status_kind(written) == status_kind(name)


@pytest.mark.parametrize(
    "name",
    [
        "仮放免",
        "監理措置",
        "仮滞在",
        "一時庇護",
        "",
        "永住",
        "永住者ではない",
        "不明",
        "（定住者）",
        "永住者（仮放免）",
        "留学（取消手続中）",
        "定住者（申請中）",
        "元（永住者）",
    ],
)
def test_what_is_no_status_of_residence_has_no_kind(name: str) -> None:
    assert status_kind(name) is None


@pytest.mark.parametrize("qualifier", ["就労不可", "出国準備・就労不可", "就労は不可", "３月・就労なし"])
def test_designated_activities_without_work_allow_none(qualifier: str) -> None:
    kind = status_kind(f"特定活動（{qualifier}）")
    assert kind is not None
    assert kind.work is NONE
    assert not kind.tied


@pytest.mark.parametrize("qualifier", ["就労可", "就労制限なし", "６月・就労可", "４６号"])
def test_designated_activities_with_work_allow_what_was_designated(qualifier: str) -> None:
    assert status_kind(f"特定活動（{qualifier}）") == status_kind("特定活動")
