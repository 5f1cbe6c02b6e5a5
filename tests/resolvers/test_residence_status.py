"""The statuses of residence by the names that sources print. Table: domain notes 1.1."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        pytest.param("特定技能1号（造船・舶用工業分野）", "特定技能1号", id="with its field, which has a middle dot"),
        pytest.param("家族滞在（配偶者・子）", "家族滞在", id="two kinds"),
        pytest.param("技能（３年）", "技能", id="with its period"),
        pytest.param("特定活動４６号", "特定活動", id="designated activities with their number, without brackets"),
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
        *(
            f"定住者（{words}）"
            for words in ("退去強制手続中", "退去命令", "なし", "予定", "大学", "永住者", "日系三世、死亡")
        ),
        *(
            f"永住者（{words}）"
            for words in ("出国済", "死亡", "抹消", "返納", "３年", "留学から変更申請中", "見込から変更")
        ),
        "留学（期限切れ）",
        "永住者の配偶者等（離婚）",
        "定住者（日系三世）（出国済）",
        "特定技能1号（2号）",
        "高度専門職1号ロ（イ）",
        "特定活動ではない",
        *(
            f"特定活動（{words}）"
            for words in ("仮放免", "出国準備", "出国準備・就労不可・仮放免", "６月・期限切れ", "２５号")
        ),
        *(
            f"特定活動（{words}）"
            for words in ("就労可・就労不可", "就労可否不明", "就労可（取消）", "就労許可申請中")
        ),
    ],
)
def test_what_is_no_status_of_residence_has_no_kind(name: str) -> None:
    assert status_kind(name) is None


LISTED = (
    "日系三世",
    "配偶者",
    "大学",
    "介護",
    "食品製造",
    "技人国",
    "定住者から変更",
    "３年",
    "就労可",
    "就労不可",
    "イ",
    "",
)
UNLISTED = st.text("済前後予定中待未不非無失亡離婚取消退去出国期限切抹返納申請可許否？ー", min_size=1, max_size=6)


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(TABLE)),
    brackets=st.sampled_from(["（）", "［］", "〔〕", "【】", "「」"]),
    listed=st.sampled_from(LISTED),
    unlisted=UNLISTED,
)
def test_a_known_status_with_words_in_brackets_that_are_on_no_list_has_no_kind(
    name: str, brackets: str, listed: str, unlisted: str
) -> None:
    assert status_kind(f"{name}{brackets[0]}{listed}{unlisted}{brackets[1]}") is None
    assert status_kind(f"{name}{brackets[0]}{unlisted}{listed}{brackets[1]}") is None


@pytest.mark.parametrize(
    "qualifier",
    ["就労不可", "出国準備・就労不可", "就労は不可", "３月・就労なし", "就労不許可", "就労を認めない", "就職活動"],
)
def test_designated_activities_without_work_allow_none(qualifier: str) -> None:
    kind = status_kind(f"特定活動（{qualifier}）")
    assert kind is not None
    assert kind.work is NONE
    assert not kind.tied


@pytest.mark.parametrize("qualifier", ["就労可", "就労制限なし", "６月・就労可", "４６号", "６月"])
def test_designated_activities_with_work_allow_what_was_designated(qualifier: str) -> None:
    assert status_kind(f"特定活動（{qualifier}）") == status_kind("特定活動")
