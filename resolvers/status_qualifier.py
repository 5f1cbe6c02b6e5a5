"""What a source adds in brackets behind a status of residence, and whether it leaves the status as it is.

Only words that are known do: 定住者（日系三世）. Others that stand there may undo it (仮放免, 出国済) and are doubt.
Sources: Immigration Control Act, appended tables, with the ordinance on the criteria of landing permission; fields of
specified skills (basic policy of 29 March 2024); Notice 131 of 1990, Ministry of Justice (designated activities);
occupations of the Act on Proper Technical Intern Training; domain notes 1.1.
"""

import re
from enum import Enum

_PERIOD = r"(?:在留期間)?(?:\d+年(?:\d+(?:[かヶカヵ]?月))?|\d+(?:[かヶカヵ]?月)|\d+日)"
_PARTS = re.compile(r"[()\[\]〔〕【】「」、,/]+")

_FIELDS = (
    "介護 ビルクリーニング 工業製品製造業 素形材・産業機械・電気電子情報関連製造業 素形材産業 産業機械製造業 "
    "電気電子情報関連産業 建設 造船・舶用工業 自動車整備 航空 宿泊 自動車運送業 鉄道 農業 漁業 "
    "飲食料品製造業 外食業 林業 木材産業"
)
_TRADES = (
    "企業単独型 団体監理型 農業 林業 漁業 建設 食品製造 繊維・衣服 機械・金属 耕種農業 畜産農業 漁船漁業 "
    "養殖業 建築板金 建築大工 型枠施工 鉄筋施工 とび 石材施工 タイル張り 左官 配管 内装仕上げ施工 防水施工 "
    "コンクリート圧送施工 建設機械施工 缶詰巻締 食鳥処理加工業 水産練り製品製造 "
    "ハム・ソーセージ・ベーコン製造 パン製造 そう菜製造業 紡績運転 婦人子供服製造 紳士服製造 縫製 鋳造 鍛造 "
    "ダイカスト 機械加工 金属プレス加工 鉄工 工場板金 めっき 仕上げ 機械検査 機械保全 電子機器組立て "
    "家具製作 印刷 製本 プラスチック成形 強化プラスチック成形 塗装 溶接 工業包装 介護 リネンサプライ 宿泊 "
    "自動車整備 ビルクリーニング"
)
_FAMILY = "配偶者 妻 夫 子 実子 養子 特別養子"
_SCHOOLS = (
    "大学 大学院 短期大学 高等専門学校 専修学校 専門学校 各種学校 高等学校 高校 中学校 小学校 日本語学校 "
    "日本語教育機関 研究生 交換留学"
)
_KNOWN: dict[str, str] = {
    "LTR": "日系人 日系一世 日系二世 日系三世 日系四世 日系1世 日系2世 日系3世 日系4世 難民 条約難民 第三国定住難民 "
    f"補完的保護対象者 告示 告示外 {_FAMILY}",
    "SPOUSE_JP": _FAMILY,
    "SPOUSE_PR": _FAMILY,
    "DEPENDENT": _FAMILY,
    "STUDENT": _SCHOOLS,
    "SSW1": _FIELDS,
    "SSW2": _FIELDS,
    "ESD": _FIELDS,
    "TITP": _TRADES,
    "ESI": "技術 人文知識 国際業務 通訳 翻訳",
    "BUSINESS": "経営 管理 スタートアップ 起業",
    "SKILLED": "調理 調理師 コック 外国料理 建築技術 スポーツ指導 航空機操縦 パイロット",
    "ENTERTAINER": "1号 2号 3号 演劇 演芸 歌謡 舞踊 演奏 スポーツ",
    "CARE": "介護福祉士",
    "MEDICAL": "医師 歯科医師 薬剤師 保健師 助産師 看護師 准看護師 理学療法士 作業療法士",
    "TEMP": "観光 商用 親族訪問 知人訪問 保養",
}
"""By the status's code, or what it begins with."""

_WITH_WORK = re.compile(
    "就労(?:可能?|許可|を?認める|制限なし)|指定書により指定された就労活動のみ可|"
    "(?:告示)?(?:1|2|5|9|12|16|17|20|21|27|28|36|37|43|46|50)号|本邦大学卒業者|家事使用人|ワーキング・?ホリデー|インターンシップ|"
    "サマージョブ|EPA(?:看護師|介護福祉士)?(?:候補者)?|日系四世|特定技能(?:1号)?(?:移行|移行準備)"
)
_WITHOUT_WORK = re.compile(
    "就労[はを]?(?:不可|不許可|不能|なし|無し?|禁止|でき(?:ない|ません)|認め(?:ない|ません|られない))|"
    "(?:継続)?就職活動"
)
"""Who looks for a job may work by a permission for other activities alone. Source: the Act, art. 19(2)."""
_NOTHING_OF_WORK = re.compile("出国準備")
"""Designated activities of which work follows only if it is said beside them."""


class Work(Enum):
    """What is told of work under designated activities."""

    NOT_TOLD = "NOT_TOLD"
    ALLOWED = "ALLOWED"
    NOT_ALLOWED = "NOT_ALLOWED"


def is_known_qualifier(code: str, text: str, *, is_unlimited: bool) -> bool:
    """Whether the text, without width and spaces, leaves the status of this code what it is.

    Example: is_known_qualifier("LTR", "日系三世", is_unlimited=False)
    """
    words = next((words for start, words in _KNOWN.items() if code.startswith(start)), "")
    known = "|".join([*map(re.escape, words.split()), *([] if is_unlimited else [_PERIOD])])
    return bool(known) and _all_of(f"(?:{known})(?:分野|関係|職種)?", text)


def work_told(text: str) -> Work | None:
    """What stands behind 特定活動, without width and spaces, tells of work; None where some of it is not known."""
    told = {_told_by(one) for part in _PARTS.split(text) for one in _each(part) if one}
    if None in told or {Work.ALLOWED, Work.NOT_ALLOWED} <= told:
        return None
    for work in (Work.ALLOWED, Work.NOT_ALLOWED):
        if work in told:
            return work
    return None if _NOTHING_OF_WORK.search(text) else Work.NOT_TOLD


def _told_by(part: str) -> Work | None:
    if _WITHOUT_WORK.fullmatch(part):
        return Work.NOT_ALLOWED
    if _WITH_WORK.fullmatch(part):
        return Work.ALLOWED
    return Work.NOT_TOLD if re.fullmatch(_PERIOD, part) or _NOTHING_OF_WORK.fullmatch(part) else None


def _each(part: str) -> list[str]:
    """The words between middle dots, unless the dot belongs to one."""
    return [part] if _WITH_WORK.fullmatch(part) else part.split("・")


def _all_of(pattern: str, text: str) -> bool:
    return re.fullmatch(f"{pattern}(?:[・、,/]{pattern})*", text) is not None
