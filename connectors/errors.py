"""The ways asking a source can fail. The type says what to do next.

ConnectorError
├── SourceUnavailableError    try again, after `retry_after_seconds` where the source said so
├── SourceRefusedError        stop, tell the operator: our credentials or legal basis were refused
├── SubjectUnmatchedError     no unique record: becomes a claim state, not a failure
└── EvidenceInvalidError      the reply breaks the format: quarantine, never guess

`fault` is a name for operators (logs, metrics); it never reaches a relying party. Messages carry no
personal data and nothing of the reply.
"""


class ConnectorError(Exception):
    """Base: asking a source authority failed."""

    default_fault = "UPSTREAM_ERROR"

    def __init__(self, message: str, *, fault: str | None = None) -> None:
        super().__init__(message)
        self.fault = fault or self.default_fault


class SourceUnavailableError(ConnectorError):
    """The source is down, slow, closed or speaks nonsense; asking again later may help."""

    default_fault = "UPSTREAM_UNAVAILABLE"

    def __init__(self, message: str, *, fault: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, fault=fault)
        self.retry_after_seconds = retry_after_seconds


class SourceRefusedError(ConnectorError):
    """The source refused our credentials or our legal basis: an operator must act."""

    default_fault = "UPSTREAM_REFUSED"


class SubjectUnmatchedError(ConnectorError):
    """The source answered about somebody else, or could not tell whom we mean."""

    default_fault = "SUBJECT_MISMATCH"


class EvidenceInvalidError(ConnectorError):
    """The reply breaks the documented format."""

    default_fault = "UPSTREAM_INVALID"
