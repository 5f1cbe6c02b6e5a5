"""What a caller can be told: the error tree and the one table of public codes.

GatewayError
├── AuthenticationError     who is asking is not known, or may not ask
├── RequestError            the request itself cannot be served
│   └── HeaderError         one of its headers is to blame, which the caller is told
├── ConsentRequestError     a consent may not be asked for, or granted, like this
├── RateLimitedError        too many requests
├── OverloadedError         no room now; ask again
├── DeadlineExceededError   nothing was answered in time
├── RecordUnavailableError  could not record, therefore nothing was disclosed
└── ConfigurationError      start-up only, names the key

Callers see the table's code and text, never `str(exc)`. An exception without a row is INTERNAL.
"""

from dataclasses import dataclass
from datetime import datetime

from connectors.errors import (
    ConnectorError,
    EvidenceInvalidError,
    SourceRefusedError,
    SourceUnavailableError,
    SubjectUnmatchedError,
)
from resolvers.errors import DerivationError, RulePackError


@dataclass(frozen=True, slots=True)
class PublicCode:
    """One row: the code, its HTTP status, its fixed text, and whether asking again can help."""

    code: str
    status: int
    text: str
    retryable: bool = False


_ROWS = (
    PublicCode("BAD_REQUEST", 400, "The request is not a GraphQL request."),
    PublicCode("BAD_JSON", 400, "The body is not valid JSON."),
    PublicCode("VALIDATION_FAILED", 400, "The document or its variables are not valid for this schema."),
    PublicCode("OPERATION_AMBIGUOUS", 400, "Send one operation in a document."),
    PublicCode("BATCHING_DISABLED", 400, "Send one request at a time."),
    PublicCode("QUERY_TOO_COMPLEX", 400, "The document is too large or too deep."),
    PublicCode("INTROSPECTION_DISABLED", 400, "Introspection is not available here."),
    PublicCode("OPERATION_NOT_REGISTERED", 403, "This operation is not registered."),
    PublicCode("NOT_FOUND", 404, "There is nothing here."),
    PublicCode("METHOD_NOT_ALLOWED", 405, "Use POST."),
    PublicCode("NOT_ACCEPTABLE", 406, "Accept application/graphql-response+json or application/json."),
    PublicCode("REQUEST_TIMEOUT", 408, "The request did not arrive in time.", retryable=True),
    PublicCode("PAYLOAD_TOO_LARGE", 413, "The body is too large."),
    PublicCode("UNSUPPORTED_MEDIA_TYPE", 415, "Send application/json."),
    PublicCode("UNSUPPORTED_ENCODING", 415, "Send the body without a content encoding."),
    PublicCode("HEADERS_TOO_LARGE", 431, "The headers are too large."),
    PublicCode("TOKEN_MISSING", 401, "Say who is asking: the Authorization header is missing."),
    PublicCode("TOKEN_INVALID", 401, "The credentials are not valid here."),
    PublicCode("TOKEN_EXPIRED", 401, "The access token has expired."),
    PublicCode("TOKEN_NOT_SENDER_CONSTRAINED", 401, "The access token must be presented with its proof."),
    PublicCode("DPOP_INVALID", 401, "The proof of possession is not valid."),
    PublicCode("DPOP_REPLAYED", 401, "The proof of possession was used before."),
    PublicCode("TOKEN_IN_QUERY", 400, "Credentials belong in the Authorization header."),
    PublicCode("RELYING_PARTY_SUSPENDED", 403, "This relying party is suspended."),
    PublicCode("CSRF_FAILED", 403, "The form could not be verified."),
    PublicCode("CONSENT_INVALID", 200, "No consent of this name is held for you."),
    PublicCode("CONSENT_ENDED", 200, "The consent has ended."),
    PublicCode("CONSENT_PAUSED", 200, "The consent is paused."),
    PublicCode("FIELD_NOT_CONSENTED", 200, "The person was not asked for consent to this question."),
    PublicCode("PURPOSE_FORBIDS", 422, "The purpose does not allow this question."),
    PublicCode("OFF_GRID", 422, "The threshold does not lie on the published grid."),
    PublicCode("PROBE_BUDGET_EXCEEDED", 422, "Too many different thresholds were asked about this person."),
    PublicCode("CONSENT_REQUEST_INVALID", 422, "A consent cannot be asked for, given or changed like this."),
    PublicCode("RATE_LIMITED", 429, "Too many requests.", retryable=True),
    PublicCode("OVERLOADED", 503, "No room now; ask again.", retryable=True),
    PublicCode(
        "RECORD_UNAVAILABLE",
        503,
        "The record could not be read or written, so nothing was disclosed.",
        retryable=True,
    ),
    PublicCode("DEADLINE_EXCEEDED", 504, "The deadline passed.", retryable=True),
    PublicCode("IDEMPOTENCY_CONFLICT", 409, "The key was used with another request."),
    PublicCode("INTERNAL", 500, "Something broke here."),
)

PUBLIC_CODES: dict[str, PublicCode] = {row.code: row for row in _ROWS}
"""The one table of public codes."""


class GatewayError(Exception):
    """Base: the caller is told `code`; `detail` names a place or a rule, never a value or a person."""

    default_code = "INTERNAL"

    def __init__(self, detail: str = "", *, code: str | None = None) -> None:
        super().__init__(detail)
        self.code = code or self.default_code
        self.detail = detail


class AuthenticationError(GatewayError):
    """Who is asking is not known, or may not ask."""

    default_code = "TOKEN_INVALID"

    def __init__(self, detail: str = "", *, code: str | None = None, challenge: str = "invalid_token") -> None:
        """`challenge`: what WWW-Authenticate names. Source: RFC 6750 section 3.1; RFC 9449 section 7.1."""
        super().__init__(detail, code=code)
        self.challenge = challenge


class ReplayedError(AuthenticationError):
    """A proof that was used before."""

    default_code = "DPOP_REPLAYED"

    def __init__(self) -> None:
        super().__init__("proof", challenge="invalid_dpop_proof")


class RequestError(GatewayError):
    """The request itself cannot be served."""

    default_code = "BAD_REQUEST"


class HeaderError(RequestError):
    """A header of the request is not as it must be. Callers are told which, and by `detail` what belongs there."""

    def __init__(self, header: str, detail: str) -> None:
        super().__init__(detail)
        self.header = header


class ConsentRequestError(GatewayError):
    """A consent may not be asked for, or granted, like this."""

    default_code = "CONSENT_REQUEST_INVALID"


class LinkOverError(ConsentRequestError):
    """A link to a request for consent that was used, has expired or never was one: nobody is told which."""


class ShareCodeUsedError(ConsentRequestError):
    """A share code that this relying party itself has redeemed before: no wrong guess."""

    default_code = "CONSENT_INVALID"

    def __init__(self, redeemed_at: datetime) -> None:
        super().__init__("code")
        self.redeemed_at = redeemed_at


class RateLimitedError(GatewayError):
    """Too many requests."""

    default_code = "RATE_LIMITED"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class OverloadedError(GatewayError):
    """No room now; ask again."""

    default_code = "OVERLOADED"


class DeadlineExceededError(GatewayError):
    """The deadline passed before anything could be answered."""

    default_code = "DEADLINE_EXCEEDED"


class RecordUnavailableError(GatewayError):
    """Could not record, therefore nothing was disclosed."""

    default_code = "RECORD_UNAVAILABLE"


class OAuthError(Exception):
    """What an OAuth endpoint refuses: `error` as RFC 6749 section 5.2 and its extensions name it.

    `description` names a parameter or a public code, never a value.
    """

    def __init__(self, error: str, description: str = "", *, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status


class ConfigurationError(GatewayError):
    """The gateway may not start: `detail` names the key, never its value."""


class NotVerifiedError(ConfigurationError):
    """The log, its checkpoint or a backup was looked at, and is not what it has to be."""


PUBLIC_CODE_OF: dict[type[Exception], str] = {
    **dict.fromkeys(
        (
            ConnectorError,
            SourceUnavailableError,
            SourceRefusedError,
            SubjectUnmatchedError,
            EvidenceInvalidError,
            DerivationError,
            RulePackError,
            OAuthError,
        ),
        "INTERNAL",
    ),
    **{
        error: error.default_code
        for error in (
            GatewayError,
            AuthenticationError,
            ReplayedError,
            RequestError,
            HeaderError,
            ConsentRequestError,
            LinkOverError,
            ShareCodeUsedError,
            RateLimitedError,
            OverloadedError,
            DeadlineExceededError,
            RecordUnavailableError,
            ConfigurationError,
            NotVerifiedError,
        )
    },
}
"""From exception to public code. What a source did is a claim's state before it can reach this table, and what an
OAuth endpoint refuses is told in OAuth's own words."""


def public_code(error: BaseException) -> PublicCode:
    """What a caller may be told of an exception."""
    if isinstance(error, GatewayError):
        return PUBLIC_CODES[error.code]
    return PUBLIC_CODES[PUBLIC_CODE_OF.get(type(error), "INTERNAL")]  # type: ignore[arg-type]  # only keys matter
