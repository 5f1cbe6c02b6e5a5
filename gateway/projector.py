"""From Answers to the response of one document: compiled once, run for every request.

The projector is the only way that data reaches a relying party. For the same Answer it gives what
graphql-core would give; a test holds that for generated documents.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any

from gateway.answer import Answer, moment, to_minute
from gateway.document import Selection
from gateway.errors import PUBLIC_CODES
from resolvers.catalogue import ATTRIBUTES, DECISIONS, DOMAINS

Json = Any
Path = tuple[str | int, ...]
_DOMAIN_FIELDS = {f"Subject.{name.lower()}" for name in DOMAINS}


@dataclass(frozen=True, slots=True)
class GrantView:
    """What a grant's relying party sees of it."""

    status: str
    expires_at: datetime
    uses_left: int | None
    next_refresh_at: datetime | None


@dataclass(slots=True)
class Projection:
    """One person's part of a response in the making. `question_texts`: the canonical text behind each question
    field's node. `grant` and `ref` are made where they are selected. `errors`: those of the whole response."""

    answer: Answer | None
    grant: Callable[[], GrantView]
    ref: Callable[[], str]
    question_texts: Mapping[int, str]
    refused: frozenset[str]
    errors: list[dict[str, Json]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A person about whom nothing is answered. `error`: why; its path is that of the person."""

    error: Mapping[str, Json]


About = Projection | Unanswered
Errors = list[dict[str, Json]]
Project = Callable[[Sequence[About]], tuple[dict[str, Json], Errors]]
Root = Callable[[Sequence[About], Errors], Json]
Field = Callable[[Projection, Path], Json]
Leaf = Callable[[Mapping[str, Json]], Json]


def compile_projector(selections: tuple[Selection, ...]) -> Project:
    """The function from what is known about each person to `data` and `errors`, for one document."""
    fields = [(selection.key, _root_field(selection)) for selection in selections]

    def project(people: Sequence[About]) -> tuple[dict[str, Json], Errors]:
        errors: Errors = []
        for person in people:
            if isinstance(person, Projection):
                person.errors = errors
        return {key: root(people, errors) for key, root in fields}, errors

    return project


def _root_field(selection: Selection) -> Root:
    if selection.name == "__typename":
        return lambda people, errors: "Query"
    key, read = selection.key, _object(selection.children, _subject_field)

    def one(person: About, path: Path, errors: Errors) -> Json:
        if isinstance(person, Projection):
            return read(person, path)
        errors.append({**person.error, "path": list(path)})
        return None

    if selection.name == "subject":
        return lambda people, errors: one(people[0], (key,), errors)
    return lambda people, errors: [one(person, (key, at), errors) for at, person in enumerate(people)]


def _subject_field(selection: Selection) -> Field:
    if selection.name == "__typename":
        return _constant(selection.type_name)
    if selection.coordinate in _DOMAIN_FIELDS:
        return _object(selection.children, _subject_field)
    if selection.coordinate in ATTRIBUTES:
        return _question_field(selection, is_decision=False)
    if selection.coordinate in DECISIONS:
        return _question_field(selection, is_decision=True)
    if selection.coordinate == "Subject.ref":
        return lambda projection, path: projection.ref()
    project = _compile_leaf(selection)
    reader = {"Subject.answer": _answer_view, "Subject.grant": _grant_view}[selection.coordinate]
    return lambda projection, path: project({selection.name: reader(projection)})


def _object(children: tuple[Selection, ...], compile_child: Callable[[Selection], Field]) -> Field:
    fields = [(child.key, compile_child(child)) for child in children]
    return lambda projection, path: {key: project(projection, (*path, key)) for key, project in fields}


def _constant(value: str) -> Field:
    return lambda projection, path: value


def _question_field(selection: Selection, *, is_decision: bool) -> Field:
    """The claim or decision of one question; null with an error where it was never put to the person."""
    project = _compile_leaf(selection)
    node_id = id(selection.node)
    coordinate = selection.coordinate

    def value(projection: Projection, path: Path) -> Json:
        text = projection.question_texts[node_id]
        if text in projection.refused:
            projection.errors.append(_not_consented(path, coordinate))
            return None
        if projection.answer is None:
            return None
        known = projection.answer.decisions if is_decision else projection.answer.claims
        return project({selection.name: known[text]})

    return value


def _not_consented(path: Path, coordinate: str) -> dict[str, Json]:
    row = PUBLIC_CODES["FIELD_NOT_CONSENTED"]
    return {
        "message": row.text,
        "path": list(path),
        "extensions": {"code": row.code, "coordinate": coordinate, "retryable": row.retryable},
    }


def _compile_leaf(selection: Selection) -> Leaf:
    """A field of plain JSON: an object, a list of objects or a scalar, taken from its parent by name."""
    name = selection.name
    if name == "__typename":
        type_name = selection.type_name
        return lambda parent: type_name
    if selection.is_leaf:
        return lambda parent: parent[name]
    one = _compile_fields(selection.children)

    def project(parent: Mapping[str, Json]) -> Json:
        value = parent[name]
        if value is None:
            return None
        return [one(item) for item in value] if isinstance(value, list) else one(value)

    return project


def _compile_fields(children: tuple[Selection, ...]) -> Leaf:
    """The fields of one object of plain JSON."""
    if len(children) > 1 and all(child.is_leaf and child.name != "__typename" for child in children):
        keys, values = [child.key for child in children], itemgetter(*[child.name for child in children])
        return lambda value: dict(zip(keys, values(value), strict=True))
    fields = [(child.key, _compile_leaf(child)) for child in children]
    return lambda value: {key: project(value) for key, project in fields}


def _answer_view(projection: Projection) -> Json:
    answer = projection.answer
    if answer is None:
        return None
    return {"id": answer.id, "recordedAt": answer.recorded_at.replace(second=0, microsecond=0).isoformat()}


def _grant_view(projection: Projection) -> Json:
    grant = projection.grant()
    return {
        "status": grant.status,
        "expiresAt": to_minute(grant.expires_at).isoformat(),
        "usesLeft": grant.uses_left,
        "nextRefreshAt": moment(grant.next_refresh_at),
    }
