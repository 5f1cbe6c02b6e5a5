"""Which closed questions does a document ask? Read from the document before anything is fetched."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from graphql.execution.values import VariableValues

from gateway.document import Selection
from gateway.errors import RequestError
from resolvers.catalogue import ATTRIBUTES, DECISIONS

ArgumentValue = bool | int | str | date


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
    """What one operation asks: its questions in order, each once.

    `texts`: the canonical text behind each question field, by the id of its node.
    """

    consent_token: str = field(repr=False)
    questions: tuple[Question, ...]
    texts: Mapping[int, str] = field(compare=False)


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


def make_plan(selections: tuple[Selection, ...], variables: VariableValues) -> Plan:
    """The plan of a relying party's root selections. Raises RequestError unless they ask about one person."""
    subjects = tuple(selection for selection in selections if selection.name == "subject")
    tokens = {str(selection.arguments(variables)["consent"]) for selection in subjects}
    if len(tokens) > 1:
        raise RequestError("one operation asks about one person", code="VALIDATION_FAILED")
    questions: OrderedDict[str, Question] = OrderedDict()
    texts: dict[int, str] = {}
    for selection in questions_in(subjects):
        question = make_question(selection, variables)
        questions.setdefault(question.text, question)
        texts[id(selection.node)] = question.text
    return Plan(consent_token=tokens.pop() if tokens else "", questions=tuple(questions.values()), texts=texts)
