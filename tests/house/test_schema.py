"""The rules of the house about the schema: exported, described, and closed to what may not be asked."""

from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_specified_scalar_type,
)

from resolvers.catalogue import ATTRIBUTES, DECISIONS
from resolvers.schema import schema

ROOT = Path(__file__).parents[2]
SDL = schema.as_str()
BUILT: GraphQLSchema = build_schema(SDL)

REFUSED_WORDS = (
    *("nationality", "region", "race", "ethnic", "religion", "birthplace", "passport", "visa", "mynumber"),
    *("pensionnumber", "insurancenumber", "cardnumber", "photo", "sex", "gender", "dateofbirth", "birthdate"),
    *("address", "wage", "amount", "employername", "family", "medical", "union", "refugee", "asylum", "deport"),
    *("criminal", "hours", "statusname", "residencestatus"),
)
ALLOWED_DESPITE = {"Immigration.addressMatches", "Immigration.addressStability"}


def reachable_from(root: str) -> dict[str, GraphQLNamedType]:
    found: dict[str, GraphQLNamedType] = {}
    waiting = [BUILT.type_map[root]]
    while waiting:
        named = waiting.pop()
        if named.name in found:
            continue
        found[named.name] = named
        if isinstance(named, GraphQLObjectType):
            waiting += [get_named_type(field.type) for field in named.fields.values()]
    return found


def own_types() -> list[GraphQLNamedType]:
    return [t for n, t in BUILT.type_map.items() if not n.startswith("__") and not is_specified_scalar_type(t)]


def test_the_exported_schema_is_the_schema() -> None:
    assert (ROOT / "schema.graphql").read_text(encoding="utf-8").strip() == SDL.strip(), "run `make schema`"


@pytest.mark.parametrize("named", own_types(), ids=lambda t: t.name)
def test_everything_in_the_schema_is_described(named: GraphQLNamedType) -> None:
    missing = [] if named.description else [named.name]
    if isinstance(named, GraphQLObjectType):
        for name, field in named.fields.items():
            missing += [] if field.description else [f"{named.name}.{name}"]
            missing += [f"{named.name}.{name}({a})" for a, arg in field.args.items() if not arg.description]
    if isinstance(named, GraphQLEnumType):
        missing += [f"{named.name}.{name}" for name, value in named.values.items() if not value.description]
    assert not missing


def test_below_subject_only_attributes_and_decisions_take_arguments() -> None:
    taking = {
        f"{named.name}.{name}"
        for named in reachable_from("Subject").values()
        if isinstance(named, GraphQLObjectType)
        for name, field in named.fields.items()
        if field.args
    }
    assert taking <= set(ATTRIBUTES) | set(DECISIONS)


def test_arguments_below_subject_are_integers_enums_or_dates() -> None:
    for named in reachable_from("Subject").values():
        if isinstance(named, GraphQLObjectType):
            for field in named.fields.values():
                for argument in field.args.values():
                    kind = get_named_type(argument.type)
                    assert kind.name in ("Int", "Date") or isinstance(kind, GraphQLEnumType)


def test_person_only_attributes_are_not_reachable_from_subject() -> None:
    types = reachable_from("Subject")
    for coordinate, attribute in ATTRIBUTES.items():
        type_name, _, name = coordinate.partition(".")
        subject_type = types[type_name]
        assert isinstance(subject_type, GraphQLObjectType)
        assert (name in subject_type.fields) is not attribute.person_only, coordinate


def test_the_fine_reason_is_not_reachable_from_subject() -> None:
    for named in reachable_from("Subject").values():
        if isinstance(named, GraphQLObjectType):
            assert not {"reason", "trace", "personExplanation"} & set(named.fields)


def test_nothing_on_the_refuse_list_is_reachable_from_subject() -> None:
    for named in reachable_from("Subject").values():
        if isinstance(named, GraphQLObjectType):
            for name in named.fields:
                coordinate = f"{named.name}.{name}"
                hits = [word for word in REFUSED_WORDS if word in name.lower()]
                assert not hits or coordinate in ALLOWED_DESPITE, coordinate


def test_every_attribute_of_the_specification_has_its_field() -> None:
    expected = """
        Subject.identityBinding Subject.recordMatch Immigration.adult Immigration.statusLawful
        Immigration.cardNotRevoked Immigration.stayBasis Immigration.stayRemaining Immigration.stayCoversUntil
        Immigration.stayUnlimited Immigration.renewalPending Immigration.stayRecheckBy
        Immigration.midToLongTermResident Immigration.timeSinceEntry Immigration.fefaResidency
        Immigration.workPermission Labor.employmentPermitted Labor.hoursWithinPermission
        Labor.affiliationNoticeCurrent Immigration.addressMatches Immigration.addressStability Labor.employed
        Labor.tenure Labor.employmentGap Labor.employmentKind Labor.employmentCoversUntil Labor.weeklyHours
        Labor.employerVerified Labor.employmentInsurance Tax.incomeMeets Tax.income Tax.incomeBasis
        Tax.certificate Tax.residentTax Tax.nationalTaxClear Tax.residentTaxPaidLate Insurance.healthEnrolled
        Insurance.pensionEnrolled Insurance.healthScheme Insurance.pensionCategory Insurance.premiums24m
        Insurance.premiumLateness
    """
    assert set(ATTRIBUTES) == set(expected.split())
