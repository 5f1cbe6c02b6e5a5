"""What a relying party asks for in `authorization_details` (RFC 9396): one object of our own type, one consent."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from gateway.errors import ConsentRequestError
from resolvers.catalogue import Purpose
from resolvers.consent import ConsentTerms, FetchType

DETAILS_TYPE = "urn:kyosei:compliance-check:1"
MAX_DETAILS_BYTES = 32_768
_HOURS_A_DAY = 24

Count = Annotated[int, Field(ge=1, le=10_000)]


class _Part(BaseModel):
    """Strict: a number is no text that looks like one, nor a yes."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class KeptFor(_Part):
    """How long what is learned may be kept."""

    unit: Literal["DAY"]
    value: Count


class Frequency(_Part):
    """How many complete answers in a unit of time."""

    unit: Literal["HOUR", "DAY"]
    value: Count

    @property
    def times_per_day(self) -> int:
        return self.value * (_HOURS_A_DAY if self.unit == "HOUR" else 1)


class AuthorizationDetails(_Part):
    """One request for consent. The questions are compiled from the document, never listed by hand."""

    type: Literal["urn:kyosei:compliance-check:1"]
    locations: tuple[str, ...] = ()
    purpose: Purpose
    document: str
    variables: dict[str, Any] = {}
    optional: tuple[str, ...] = ()
    fetch_type: FetchType | None = None
    uses: Count | None = None
    frequency: Frequency | None = None
    data_life: KeptFor | None = None
    consent_expiry: datetime | None = None

    @property
    def terms(self) -> ConsentTerms:
        return ConsentTerms(
            fetch_type=self.fetch_type,
            uses=self.uses,
            times_per_day=self.frequency.times_per_day if self.frequency else None,
            expires_at=self.consent_expiry,
            data_life_days=self.data_life.value if self.data_life else None,
        )


_ONE_OBJECT = TypeAdapter(list[AuthorizationDetails])


def read_authorization_details(text: str, *, location: str) -> AuthorizationDetails:
    """The one object of a request. `location`: where it may be used. Raises ConsentRequestError naming the member."""
    if len(text) > MAX_DETAILS_BYTES:
        raise ConsentRequestError("authorization_details: too long")
    try:
        listed = _ONE_OBJECT.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        raise ConsentRequestError(f"authorization_details: {place or 'a list of one object'}") from None
    if len(listed) != 1:
        raise ConsentRequestError("authorization_details: one object for one consent")
    details = listed[0]
    if details.locations and details.locations != (location,):
        raise ConsentRequestError("authorization_details: locations")
    if details.consent_expiry is not None and details.consent_expiry.tzinfo is None:
        raise ConsentRequestError("authorization_details: consentExpiry")
    return details
