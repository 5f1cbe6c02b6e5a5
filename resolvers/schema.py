"""Query and Mutation assembled; nothing else."""

from datetime import date
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from resolvers.attribute import never_executed
from resolvers.day import read_day
from resolvers.mutation import Mutation
from resolvers.subject import ConsentToken, Subject
from resolvers.worker import Me, actions_of


def parse_token(value: object) -> ConsentToken:
    """A token is a string; whether it names anything is not the schema's to say."""
    if not isinstance(value, str):
        raise GraphQLError("a consent token is a string")
    return ConsentToken(value)


def parse_date(value: object) -> date:
    """A day, written in one form alone, so that whoever reads a document reads the same day."""
    day = read_day(value) if isinstance(value, str) else None
    if day is None:
        raise GraphQLError("a Date is a day of the calendar, written YYYY-MM-DD")
    return day


_DATE = strawberry.scalar(
    name="Date", description="A day, YYYY-MM-DD.", serialize=date.isoformat, parse_value=parse_date
)
_CONSENT_TOKEN = strawberry.scalar(
    name="ConsentToken",
    description="The opaque handle to a consent grant; useless to anyone but its relying party.",
    serialize=str,
    parse_value=parse_token,
)


@strawberry.type(description="One operation has one audience: a relying party asks `subject`, a person `me`.")
class Query:
    @strawberry.field(description="Ask about the person behind a consent token.", graphql_type=Subject | None)
    def subject(self, consent: Annotated[ConsentToken, strawberry.argument(description="The consent token.")]) -> Any:
        return never_executed(self)

    @strawberry.field(
        description="Ask the same about several people, each under their own consent; null, with an error, for whom "
        "nothing is answered.",
        graphql_type=list[Subject | None],
    )
    def subjects(
        self,
        consents: Annotated[list[ConsentToken], strawberry.argument(description="Up to 100 consent tokens.")],
    ) -> Any:
        return never_executed(self)

    @strawberry.field(description="Oneself, as this gateway and the sources know it.")
    def me(self, info: strawberry.Info) -> Me:
        return Me(id=strawberry.ID(actions_of(info).person_id))


class QuietSchema(strawberry.Schema):
    """Leaves errors to the gateway: Strawberry would log them with the person's document."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing is logged here."""


schema = QuietSchema(
    query=Query,
    mutation=Mutation,
    config=StrawberryConfig(
        scalar_map={ConsentToken: _CONSENT_TOKEN, date: _DATE}, disable_field_suggestions=True, relay_max_results=0
    ),
    # People's pages ask the same few documents; each is parsed and validated once while there is room.
    extensions=[ParserCache, ValidationCache],
)
