"""Which closed questions does a document ask, about whom? Read from the document before anything is fetched."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from graphql.execution.values import VariableValues

from gateway.document import RELYING_PARTY_QUERIES, Selection
from gateway.errors import RequestError
from resolvers.catalogue import ATTRIBUTES, DECISIONS

ArgumentValue = bool | int | str | date

MAX_SUBJECTS = 100
MAX_THRESHOLDS = 8
"""People in one operation, and questions with arguments about each. Source: security 3.9."""


@dataclass(frozen=True, slots=True)
class Question:
    """A schema coordinate with its arguments. Two questions are the same if their canonical text is."""

    coordinate: str
    arguments: Mapping[str, ArgumentValue] = field(compare=False)
    text: str

    @property
    def is_decision(self) -> bool:
        return self.coordinate in DECISIONS


@dataclass(frozen=True, slots=True)
class Plan:
    """What one operation asks about one person: its questions in order, each once.

    `texts`: the canonical text behind each question field, by the id of its node. `coordinates`: of its questions.
    """

    consent_token: str = field(repr=False)
    questions: tuple[Question, ...]
    texts: Mapping[int, str] = field(compare=False)
    coordinates: frozenset[str] = field(compare=False)


def make_question(selection: Selection, variables: VariableValues) -> Question:
    """The closed question that a selected attribute or decision field asks."""
    arguments = selection.arguments(variables)
    return Question(selection.coordinate, arguments, canonical_text(selection.coordinate, arguments))


def canonical_text(coordinate: str, arguments: Mapping[str, ArgumentValue]) -> str:
    """`Type.field(a:1,b:"2027-03-31",c:ENUM)`: names sorted, values coerced, no spaces."""
    if not arguments:
        return coordinate
    listed = ",".join(f"{name}:{_literal(arguments[name])}" for name in sorted(arguments))
    return f"{coordinate}({listed})"


def _literal(value: ArgumentValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return f'"{value.isoformat()}"'
    return str(value)


def is_question(selection: Selection) -> bool:
    """Whether the field asks something about the person."""
    return selection.coordinate in ATTRIBUTES or selection.coordinate in DECISIONS


def questions_in(selections: tuple[Selection, ...]) -> Iterator[Selection]:
    """The selected attribute and decision fields, depth first."""
    for selection in selections:
        if is_question(selection):
            yield selection
        else:
            yield from questions_in(selection.children)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a document asks under one set of variables, about whomever: what all its plans have in common.

    `about`: the fields that name consents.
    """

    about: tuple[Selection, ...]
    questions: tuple[Question, ...]
    texts: Mapping[int, str]
    coordinates: frozenset[str]

    def plans(self, variables: VariableValues) -> tuple[Plan, ...]:
        """The plan for each person whose consent these variables name, in order.

        Raises RequestError unless it asks about one person, or once about several.
        """
        tokens = _tokens(self.about, variables)
        return tuple(Plan(token, self.questions, self.texts, self.coordinates) for token in tokens)


def make_asked(selections: tuple[Selection, ...], variables: VariableValues) -> Asked:
    """What a relying party's operation asks. Raises RequestError for too many thresholds."""
    about = tuple(selection for selection in selections if selection.name in RELYING_PARTY_QUERIES)
    questions: OrderedDict[str, Question] = OrderedDict()
    texts: dict[int, str] = {}
    for selection in questions_in(about):
        question = make_question(selection, variables)
        questions.setdefault(question.text, question)
        texts[id(selection.node)] = question.text
    asked = tuple(questions.values())
    if sum(bool(question.arguments) for question in asked) > MAX_THRESHOLDS:
        raise RequestError("thresholds", code="QUERY_TOO_COMPLEX")
    return Asked(about, asked, texts, frozenset(question.coordinate for question in asked))


def make_plans(selections: tuple[Selection, ...], variables: VariableValues) -> tuple[Plan, ...]:
    """The plan for each person whom a relying party's operation asks about. Raises RequestError."""
    return make_asked(selections, variables).plans(variables)


def _tokens(about: tuple[Selection, ...], variables: VariableValues) -> list[str]:
    """The consent tokens, one a person; an operation that selects nobody asks nothing of nobody."""
    named: list[Any] = [selection.arguments(variables) for selection in about]
    if any(selection.name == "subjects" for selection in about):
        if len(about) > 1:
            raise RequestError("one operation asks once about several people", code="VALIDATION_FAILED")
        tokens = [str(token) for token in named[0]["consents"]]
        if len(tokens) > MAX_SUBJECTS:
            raise RequestError("subjects", code="QUERY_TOO_COMPLEX")
        return tokens
    distinct = {str(arguments["consent"]) for arguments in named}
    if len(distinct) > 1:
        raise RequestError("one operation asks about one person", code="VALIDATION_FAILED")
    return [*(distinct or {""})]
