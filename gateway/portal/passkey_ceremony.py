"""The two ceremonies of passkeys: adding one for whoever is signed in, and signing in with one.

Source: WebAuthn level 3 sections 7.1 and 7.2, as py_webauthn checks them.
"""

import hashlib
import hmac
from typing import Any

from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    bytes_to_base64url,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    RegistrationCredential,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from gateway.errors import AuthenticationError
from gateway.portal.browser import Browser
from gateway.portal.challenge import CHALLENGE_LIFE, Ceremony, Challenges
from gateway.portal.services import PortalServices
from gateway.store.passkeys import Passkey
from gateway.store.sessions import SignedIn

PRODUCT = "Kyosei Gateway"
_TIMEOUT_MS = int(CHALLENGE_LIFE.total_seconds() * 1000)


class PasskeyCeremony:
    """Both ceremonies for one portal. Whatever is wrong with an answer is an AuthenticationError."""

    def __init__(self, given: PortalServices) -> None:
        self._given = given
        self._challenges = Challenges(given.derive("passkey challenge"), given.used_once, given.now)
        self._handle_key = given.derive("passkey handle")

    async def adding_options(self, browser: Browser) -> str:
        """What the browser's script hands to its authenticator to make a passkey, as JSON."""
        owner = owner_of(browser)
        known = await self._given.passkeys.of(owner)
        options = generate_registration_options(
            rp_id=self._given.host,
            rp_name=PRODUCT,
            user_id=self._handle(owner),
            user_name=_shown_name(browser),
            challenge=self._challenges.make(Ceremony.ADDING, browser.secret),
            timeout=_TIMEOUT_MS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.id)) for one in known],
        )
        return options_to_json(options)

    async def add(self, browser: Browser, answer: dict[str, Any]) -> None:
        """Keep the passkey that an authenticator made. Raises AuthenticationError."""
        owner = owner_of(browser)
        try:
            credential = parse_registration_credential_json(answer)
            challenge = await self._used(credential, Ceremony.ADDING, browser)
            made = verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._given.host,
                expected_origin=self._given.public_url,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError) as error:
            raise AuthenticationError("passkey") from error
        passkey_id = bytes_to_base64url(made.credential_id)
        kept = Passkey(passkey_id, owner, made.credential_public_key, made.sign_count, self._given.now())
        if not await self._given.passkeys.add(kept):
            raise AuthenticationError("passkey: known already, or too many")

    def signing_in_options(self, browser: Browser) -> str:
        """What the browser's script hands to its authenticator to sign in with any passkey of ours, as JSON."""
        options = generate_authentication_options(
            rp_id=self._given.host,
            challenge=self._challenges.make(Ceremony.SIGNING_IN, browser.secret),
            timeout=_TIMEOUT_MS,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json(options)

    async def sign_in(self, browser: Browser, answer: dict[str, Any]) -> SignedIn:
        """Whose passkey signed. Raises AuthenticationError; which rule was broken is not told."""
        try:
            credential = parse_authentication_credential_json(answer)
            challenge = await self._used(credential, Ceremony.SIGNING_IN, browser)
            known = await self._given.passkeys.find(bytes_to_base64url(credential.raw_id))
            handle = credential.response.user_handle
            if known is None or handle is None or not hmac.compare_digest(handle, self._handle(known.owner)):
                raise AuthenticationError("passkey")
            verified = verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._given.host,
                expected_origin=self._given.public_url,
                credential_public_key=known.public_key,
                credential_current_sign_count=known.sign_count,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError) as error:
            raise AuthenticationError("passkey") from error
        if not await self._given.passkeys.count_use(known, verified.new_sign_count, now=self._given.now()):
            raise AuthenticationError("passkey: used elsewhere at the same time, or removed")
        return known.owner

    async def _used(
        self, credential: RegistrationCredential | AuthenticationCredential, ceremony: Ceremony, browser: Browser
    ) -> bytes:
        """The challenge that was answered, used up now. Raises AuthenticationError for one that was not ours."""
        challenge = parse_client_data_json(credential.response.client_data_json).challenge
        if not await self._challenges.use(challenge, ceremony, browser.secret):
            raise AuthenticationError("challenge")
        return challenge

    def _handle(self, owner: SignedIn) -> bytes:
        """What the authenticator knows an owner by: it says nothing to anybody else."""
        named = f"{owner.person_id or ''}\n{owner.relying_party_id or ''}"
        return hmac.new(self._handle_key, named.encode(), hashlib.sha256).digest()


def owner_of(browser: Browser) -> SignedIn:
    """Who is signed in. Raises AuthenticationError where nobody is."""
    if browser.person is not None:
        return SignedIn(person_id=browser.person.id)
    if browser.staff_of is not None:
        return SignedIn(relying_party_id=browser.staff_of.id)
    raise AuthenticationError("not signed in")


def _shown_name(browser: Browser) -> str:
    """What an authenticator shows beside the passkey."""
    if browser.person is not None:
        return browser.person.identity.name
    return browser.staff_of.name.en if browser.staff_of else PRODUCT
