"""The rules of the house about errors: each has a public code, and the table is complete."""

import pytest

import connectors.errors
import gateway.errors
import resolvers.errors
from gateway.errors import PUBLIC_CODE_OF, PUBLIC_CODES, GatewayError, public_code

MODULES = (connectors.errors, resolvers.errors, gateway.errors)
ERRORS = sorted(
    {
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == module.__name__
    },
    key=lambda error: error.__name__,
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_class_has_a_row_in_the_table(error: type[Exception]) -> None:
    assert PUBLIC_CODE_OF[error] in PUBLIC_CODES


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_class_ends_in_error(error: type[Exception]) -> None:
    assert error.__name__.endswith("Error")


def test_an_unknown_exception_is_internal_and_its_text_stays_inside() -> None:
    row = public_code(ZeroDivisionError("secret"))
    assert row.code == "INTERNAL"
    assert "secret" not in row.text


def test_a_gateway_error_is_told_by_its_code_and_never_by_its_detail() -> None:
    row = public_code(GatewayError("somebody's name", code="TOKEN_MISSING"))
    assert row.status == 401
    assert "somebody" not in row.text


def test_the_table_has_exactly_the_published_codes() -> None:
    published = """
        BAD_REQUEST BAD_JSON VALIDATION_FAILED OPERATION_AMBIGUOUS BATCHING_DISABLED QUERY_TOO_COMPLEX
        INTROSPECTION_DISABLED OPERATION_NOT_REGISTERED NOT_FOUND METHOD_NOT_ALLOWED NOT_ACCEPTABLE
        REQUEST_TIMEOUT PAYLOAD_TOO_LARGE UNSUPPORTED_MEDIA_TYPE UNSUPPORTED_ENCODING HEADERS_TOO_LARGE
        TOKEN_MISSING TOKEN_INVALID TOKEN_EXPIRED TOKEN_NOT_SENDER_CONSTRAINED DPOP_INVALID DPOP_REPLAYED
        TOKEN_IN_QUERY RELYING_PARTY_SUSPENDED CSRF_FAILED CONSENT_INVALID CONSENT_ENDED CONSENT_PAUSED
        FIELD_NOT_CONSENTED PURPOSE_FORBIDS OFF_GRID PROBE_BUDGET_EXCEEDED CONSENT_REQUEST_INVALID RATE_LIMITED
        OVERLOADED RECORD_UNAVAILABLE DEADLINE_EXCEEDED IDEMPOTENCY_CONFLICT INTERNAL
    """
    assert set(PUBLIC_CODES) == set(published.split())
