"""Reading a rule pack: from YAML to checked rules. A pack with any fault is refused whole."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.interface import SourceAuthority
from resolvers.conditions import (
    All,
    Always,
    AnyOf,
    Condition,
    Not,
    Threshold,
    at_least,
    is_in,
    is_not_applicable,
    is_unknown,
    is_value,
)
from resolvers.decision import Basis, BasisKind, RuleOutcome, Text
from resolvers.errors import RulePackError
from resolvers.rule_check import check_rule
from resolvers.rules import InputKind, PurposeRules, Row, Rule, RulePack, Variant


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _TextPart(_Part):
    en: str = Field(min_length=1)
    ja: str = Field(min_length=1)

    @property
    def text(self) -> Text:
        return Text(self.en, self.ja)


class _BasisPart(_Part):
    kind: str
    source: str = Field(min_length=1)


class _RowPart(_Part):
    when: dict[str, Any] | None = None
    otherwise: str | None = None
    result: str | None = None
    condition: str | None = None
    person_text: _TextPart | None = None


class _VariantPart(_Part):
    effective_from: date | None = None
    effective_until: date | None = None
    argument: dict[str, str] | None = None
    rows: list[_RowPart] = Field(min_length=1)


class _CurePart(_Part):
    for_results: list[str] = Field(min_length=1)
    en: str = Field(min_length=1)
    ja: str = Field(min_length=1)


class _RulePart(_Part):
    id: str = Field(min_length=1)
    title: _TextPart | None = None
    basis: _BasisPart
    thresholds: dict[str, int] = {}
    rows: list[_RowPart] = Field(min_length=1)
    variants: list[_VariantPart] = []
    unknown_condition: str | None = None
    alike_when_unknown: bool = False
    texts: dict[str, _TextPart] = {}
    cures: list[_CurePart] = []


class _PurposePart(_Part):
    match_over: list[str] = Field(min_length=1)
    arguments: dict[str, list[str] | None] = {}
    exact_recheck: bool = False
    rules: list[_RulePart] = Field(min_length=1)


class _PackPart(_Part):
    name: str
    version: str
    jurisdiction: str
    texts: dict[str, _TextPart]
    purposes: dict[str, _PurposePart]


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML without duplicate keys, anchors or aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's reader is untyped
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise RulePackError("anchors and aliases are not used in rule packs")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(set(keys)) != len(keys):
            raise RulePackError(f"a key stands twice in line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep=deep)


@dataclass(frozen=True, slots=True)
class _Names:
    """What the rows of one rule may name."""

    rule_id: str
    inputs: Mapping[str, InputKind]
    arguments: Mapping[str, list[str] | None]
    thresholds: Mapping[str, int]

    def fault(self, what: str) -> RulePackError:
        return RulePackError(f"{self.rule_id}: {what}")


def load_rule_pack(body: bytes, *, input_kinds: Mapping[str, InputKind]) -> RulePack:
    """Read and check a pack. Raises RulePackError naming the rule and what is wrong with it."""
    raw = _parse(body)
    try:
        part = _PackPart.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise RulePackError(f"{_place(raw, first['loc'])}: {first['msg']}") from error
    defaults = {_result(key, "texts"): text.text for key, text in part.texts.items()}
    ids = [rule.id for purpose in part.purposes.values() for rule in purpose.rules]
    for rule_id in ids:
        if ids.count(rule_id) > 1:
            raise RulePackError(f"{rule_id}: the id stands twice")
    return RulePack(
        name=part.name,
        version=part.version,
        jurisdiction=part.jurisdiction,
        sha256=hashlib.sha256(body).hexdigest(),
        purposes={name: _purpose(name, purpose, defaults, input_kinds) for name, purpose in part.purposes.items()},
    )


def _parse(body: bytes) -> Any:
    try:
        return yaml.load(body, Loader=_StrictLoader)  # noqa: S506 - a safe loader
    except RulePackError:
        raise
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # also no such day, a list as a key
        raise RulePackError("not valid YAML") from error


def _place(raw: Any, steps: tuple[int | str, ...]) -> str:
    """Where a fault lies: from the rule's id on, since a lawyer does not count rules."""
    place: list[str] = []
    for step in steps:
        known = (isinstance(raw, dict) and step in raw) or (isinstance(raw, list) and isinstance(step, int))
        raw = raw[step] if known else None
        place = [raw["id"]] if isinstance(raw, dict) and isinstance(raw.get("id"), str) else [*place, str(step)]
    return ".".join(place)


def _purpose(
    name: str, part: _PurposePart, defaults: Mapping[RuleOutcome, Text], kinds: Mapping[str, InputKind]
) -> PurposeRules:
    try:
        match_over = tuple(SourceAuthority(source) for source in part.match_over)
    except ValueError as error:
        raise RulePackError(f"{name}: match_over names an unknown source") from error
    return PurposeRules(
        match_over=match_over,
        arguments=tuple(part.arguments),
        exact_recheck=part.exact_recheck,
        rules=tuple(_rule(rule, part.arguments, defaults, kinds) for rule in part.rules),
    )


def _rule(
    part: _RulePart,
    arguments: Mapping[str, list[str] | None],
    defaults: Mapping[RuleOutcome, Text],
    kinds: Mapping[str, InputKind],
) -> Rule:
    names = _Names(part.id, kinds, arguments, part.thresholds)
    if part.basis.kind not in BasisKind.__members__:
        raise names.fault(f"unknown basis kind {part.basis.kind}")
    cures: dict[RuleOutcome, tuple[Text, ...]] = {}
    for cure in part.cures:
        for key in cure.for_results:
            result = _result(key, part.id)
            cures[result] = (*cures.get(result, ()), Text(cure.en, cure.ja))
    rule = Rule(
        id=part.id,
        title=part.title.text if part.title else None,
        basis=Basis(BasisKind(part.basis.kind), part.basis.source),
        variants=(*(_variant(v, names) for v in part.variants), Variant(_rows(part.rows, names))),
        unknown_condition=part.unknown_condition,
        texts={**defaults, **{_result(key, part.id): text.text for key, text in part.texts.items()}},
        cures=cures,
        alike_when_unknown=part.alike_when_unknown,
    )
    _check_variants(rule, names)
    _check_texts(rule, names)
    if rule.alike_when_unknown:
        _check_alike(rule, names)
    check_rule(rule, input_kinds=kinds, arguments=arguments)
    return rule


def _variant(part: _VariantPart, names: _Names) -> Variant:
    start, end = part.effective_from, part.effective_until
    if start is not None and end is not None and start > end:
        raise names.fault("a variant ends before it starts")
    argument = None
    if part.argument is not None:
        ((name, value),) = part.argument.items() if len(part.argument) == 1 else (("", ""),)
        if value not in (names.arguments.get(name) or ()):
            raise names.fault(f"a variant names no value of an argument: {name}")
        argument = (name, value)
    return Variant(_rows(part.rows, names), start, end, argument)


def _check_variants(rule: Rule, names: _Names) -> None:
    """Each variant speaks for some case that no variant before it has taken."""
    *special, _ = rule.variants
    for place, variant in enumerate(special):
        if (variant.effective_from, variant.effective_until, variant.argument) == (None, None, None):
            raise names.fault("a variant needs a day or an argument; the rows without either stand under the rule")
        if any(_takes_all_of(before, variant) for before in special[:place]):
            raise names.fault("a variant can never be reached behind the one before it")


def _takes_all_of(before: Variant, variant: Variant) -> bool:
    starts = (before.effective_from or date.min) <= (variant.effective_from or date.min)
    ends = (before.effective_until or date.max) >= (variant.effective_until or date.max)
    return starts and ends and before.argument in (None, variant.argument)


def _check_texts(rule: Rule, names: _Names) -> None:
    people = (row.person_text for variant in rule.variants for row in variant.rows if row.person_text)
    for text in (*rule.texts.values(), *(cure for cures in rule.cures.values() for cure in cures), *people):
        if re.search(r"[{}]", (text.en + text.ja).replace("{date}", "")):
            raise names.fault("a text can fill in {date} and nothing else")
    if rule.title is not None and re.search(r"[{}]", rule.title.en + rule.title.ja):
        raise names.fault("a title fills in nothing")


def _check_alike(rule: Rule, names: _Names) -> None:
    """Every row that is not good news must look like the stop on an unknown claim."""
    for row in (row for variant in rule.variants for row in variant.rows):
        if row.result in (RuleOutcome.PASS, RuleOutcome.NOT_APPLICABLE):
            continue
        if (row.result, row.condition) != (RuleOutcome.EVIDENCE, rule.unknown_condition):
            raise names.fault("a row that must look like the unknown case differs from it")


def _rows(parts: list[_RowPart], names: _Names) -> tuple[Row, ...]:
    rows = tuple(_row(part, names) for part in parts)
    if any(isinstance(row.when, Always) for row in rows[:-1]):
        raise names.fault("a row after `otherwise` can never be reached")
    return rows


def _row(part: _RowPart, names: _Names) -> Row:
    if part.otherwise is not None:
        if part.when is not None or part.result is not None:
            raise names.fault("a row has either `when` and `result`, or `otherwise`")
        when: Condition = Always()
        result = part.otherwise
    elif part.when is not None and part.result is not None:
        when = _condition(part.when, names)
        result = part.result
    else:
        raise names.fault("a row has either `when` and `result`, or `otherwise`")
    person_text = part.person_text.text if part.person_text else None
    return Row(when, _result(result, names.rule_id), part.condition, person_text)


def _condition(raw: Any, names: _Names) -> Condition:
    if not isinstance(raw, dict) or len(raw) != 1:
        raise names.fault("a condition is one operator")
    ((operator, body),) = raw.items()
    if operator in ("all", "any"):
        if not isinstance(body, list) or not body:
            raise names.fault(f"`{operator}` takes a list of conditions")
        parts = tuple(_condition(part, names) for part in body)
        return All(parts) if operator == "all" else AnyOf(parts)
    if operator == "not":
        return Not(_condition(body, names))
    if operator in ("unknown", "not_applicable"):
        _kind(body, names)
        return is_unknown(body) if operator == "unknown" else is_not_applicable(body)
    if not isinstance(body, dict) or len(body) != 1:
        raise names.fault(f"`{operator}` takes one claim")
    ((claim, operand),) = body.items()
    return _test(operator, claim, operand, names)


def _test(operator: str, claim: str, operand: Any, names: _Names) -> Condition:
    kind = _kind(claim, names)
    if operator == "at_least":
        if kind.values is not None:
            raise names.fault(f"{claim} is no quantity")
        return at_least(claim, _threshold(operand, names))
    values = operand if operator == "in" else [operand]
    if operator not in ("is", "in") or not isinstance(values, list) or not values:
        raise names.fault(f"unknown operator `{operator}`, or its list is missing")
    for value in values:
        if kind.values is None or not any(value == v and type(value) is type(v) for v in kind.values):
            raise names.fault(f"{claim} can never be {value}")
    return is_in(claim, tuple(values)) if operator == "in" else is_value(claim, values[0])


def _kind(claim: Any, names: _Names) -> InputKind:
    if not isinstance(claim, str) or claim not in names.inputs:
        raise names.fault(f"unknown claim {claim}")
    return names.inputs[claim]


def _threshold(operand: Any, names: _Names) -> Threshold:
    argument = None
    if isinstance(operand, dict):
        argument = operand.get("argument")
        if set(operand) - {"times", "argument"} or not isinstance(argument, str) or argument not in names.arguments:
            raise names.fault("a threshold names an unknown argument")
        if names.arguments[argument] is not None:
            raise names.fault(f"{argument} is no number")
        operand = operand.get("times", 1)
    number = names.thresholds.get(operand) if isinstance(operand, str) else operand
    if not isinstance(number, int) or isinstance(number, bool):
        raise names.fault(f"a threshold is a number or a name under `thresholds`: {operand}")
    return Threshold(number, argument)


def _result(name: str, place: str) -> RuleOutcome:
    if name not in RuleOutcome.__members__:
        raise RulePackError(f"{place}: unknown result {name}")
    return RuleOutcome(name)
