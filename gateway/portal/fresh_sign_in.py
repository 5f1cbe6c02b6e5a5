"""What only whoever signed in just now may do: erase somebody, and add or remove a way in.

Source: OWASP ASVS 5.0, 7.5.1 and 7.5.3; NIST SP 800-63B.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode

from gateway.portal.browser import Browser
from gateway.portal.services import PortalServices
from gateway.store.sessions import SignedIn

FRESH_SIGN_IN = timedelta(minutes=5)
FRESH_MINUTES = FRESH_SIGN_IN // timedelta(minutes=1)
LONG_AGO = datetime.fromtimestamp(0, UTC)
"""When somebody signed in whose identity provider does not say it."""


class Because(StrEnum):
    """Why somebody signs in again, as it stands in an address."""

    ERASURE = "erasure"
    PASSKEY = "passkey"


def has_to_sign_in_again(given: PortalServices, browser: Browser) -> bool:
    """Before what cannot be undone. In the sandbox anybody signs in as anybody, so it would prove nothing."""
    return not given.sandbox and not browser.has_signed_in_since(given.now() - FRESH_SIGN_IN)


async def has_to_sign_in_for_passkeys(given: PortalServices, browser: Browser, owner: SignedIn) -> bool:
    """Before a way in is added or removed. Who has none yet, and used up a code, could not sign in again."""
    return has_to_sign_in_again(given, browser) and await given.passkeys.has_way_in(owner)


def is_of_no_known_time(browser: Browser) -> bool:
    """Whether the identity provider did not say when somebody signed in, so that doing it again there is no help."""
    return browser.signed_in_at == LONG_AGO


def sign_in_again_place(place: str, *, because: Because) -> str:
    """Where somebody signs in again who then comes back to this page of ours."""
    return "/sign-in?" + urlencode({"next": place, "because": because})
