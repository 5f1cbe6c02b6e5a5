"""What a person does with their consents: see a request, grant it or not, pause, renew, hand over, take back."""

import asyncio
import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import segno
import strawberry

from gateway.admission import away
from gateway.consent.dispute import disputed_by
from gateway.consent.grant import Grant, GrantEvent
from gateway.consent.share_code import CODE_RANDOM_BYTES, MAX_DAYS, code_digest, make_share_code
from gateway.consent.token import TOKEN_RANDOM_BYTES, make_token, token_digest
from gateway.errors import ConsentRequestError, LinkOverError, RequestError
from gateway.identity.relying_party import RelyingParties
from gateway.identity.subject import Person
from gateway.pipeline import LEASE_SECONDS, Services, grant_holder
from gateway.reasoning import Circumstances
from gateway.requesting import CheckedRequest, Requesting, terms_json
from gateway.store.confirmations import Confirmations
from gateway.store.erasure import Erasure
from gateway.store.log import AuditLog
from gateway.store.requests import Asking, ConsentRequest, Probing, RequestOutcome, Requests
from gateway.store.share_codes import ShareCodes
from gateway.views import Views, previewed_question
from resolvers import consent
from resolvers.catalogue import Purpose
from resolvers.disclosed import Comparison
from resolvers.subject import ConsentToken, GrantStatus, LocalizedText

_MANY_THRESHOLDS = LocalizedText(
    en="Several thresholds on one amount tell more about it than a yes or no.",
    ja="同じ金額に複数の基準を示すと、はい・いいえよりも多くのことが伝わります。",
)


@dataclass(frozen=True, slots=True)
class PersonServices:
    """What a person's actions work with, besides the pipeline's services.

    `keyed`: the keyed hash that share codes are stored under.
    """

    services: Services
    log: AuditLog
    relying_parties: RelyingParties
    requesting: Requesting
    requests: Requests
    share_codes: ShareCodes
    confirmations: Confirmations
    erasure: Erasure
    views: Views
    privacy_notice: str
    keyed: Callable[[bytes], bytes]


class ConsentingPerson:
    """One person with their consents, within one request.

    `stands_for_both`: a minor decides as if the guardian did, too; only in the sandbox. `ends_at`: until when
    sources are waited for, on the event loop's clock; None: as long as usual.
    """

    def __init__(
        self,
        person: Person,
        given: PersonServices,
        *,
        guardian: Person | None = None,
        stands_for_both: bool = False,
        ends_at: float | None = None,
    ) -> None:
        self._person = person
        self._given = given
        self._guardian = guardian
        self._stands_for_both = stands_for_both
        self._ends_at = ends_at
        self._services = given.services

    async def preview(
        self,
        document: str,
        *,
        variables: Mapping[str, Any],
        relying_party: str | None,
        purpose: Purpose,
        terms: consent.ConsentTerms | None,
    ) -> consent.ConsentPreview:
        """What a relying party would learn: the questions, each with the answer that it would get today.

        Raises ConsentRequestError (PURPOSE_FORBIDS, OFF_GRID, CONSENT_REQUEST_INVALID) or RequestError.
        """
        asking = Asking(relying_party, purpose, document, variables, terms_json(terms))
        checked = self._given.requesting.check(asking, now=self._services.now())
        return await self._previewed(checked, probing=None)

    async def open_request(self, request_id: str) -> consent.ConsentPreview:
        """A relying party's request, opened once: its thresholds are charged to its budget.

        Raises ConsentRequestError(PROBE_BUDGET_EXCEEDED), or LinkOverError where there is none to open.
        """
        now = self._services.now()
        asking = await self._given.requests.find(request_id, now=now)
        if asking is None:
            raise LinkOverError("request")
        checked = self._given.requesting.check(asking, now=now)
        return await self._previewed(checked, probing=checked.probing(request_id, self._given.requesting.limits))

    async def _previewed(self, checked: CheckedRequest, *, probing: Probing | None) -> consent.ConsentPreview:
        now = self._services.now()
        request = ConsentRequest(
            grant_id=str(uuid.uuid4()),
            person=self._person,
            asking=checked.asking,
            rule_pack_sha256=self._services.reasoning.current_pack.sha256,
            questions=[question.text for question in checked.plan.questions],
            optional=checked.optional,
            terms=checked.terms,
            open_until=now + self._given.requesting.open_for,
        )
        outcome = await self._given.requests.record(request, probing=probing, now=now)
        if outcome is RequestOutcome.OVER_BUDGET:
            raise ConsentRequestError("thresholds", code="PROBE_BUDGET_EXCEEDED")
        if outcome is RequestOutcome.CLOSED:
            raise LinkOverError("request")
        return await self._preview(checked, request.grant_id, request.rule_pack_sha256)

    async def pending(self, preview_id: str) -> consent.ConsentPreview:
        """A request that the person has opened and not decided, with the answers that it would get now.

        Raises ConsentRequestError where there is none.
        """
        grant = await self._own(preview_id)
        if grant.status(self._services.now()) is not GrantStatus.PENDING:
            raise ConsentRequestError("preview: it is not open any more")
        return await self._preview(self._given.requesting.reopen(grant), grant.id, grant.rule_pack_sha256)

    async def _preview(self, checked: CheckedRequest, grant_id: str, rule_pack_sha256: str) -> consent.ConsentPreview:
        now = self._services.now()
        expires_at = checked.terms.expires_at(self._given.requesting.bounds(checked.asking.purpose), now)
        return consent.ConsentPreview(
            id=strawberry.ID(grant_id),
            relying_party=self._given.views.party(checked.asking.relying_party_id),
            purpose=checked.asking.purpose,
            questions=await self._preview_questions(checked, grant_id, rule_pack_sha256, expires_at),
            expires_at=expires_at,
            uses=checked.terms.uses,
            fetch_type=checked.terms.fetch,
            times_per_day=checked.terms.times_per_day,
            data_life_days=checked.terms.data_life_days,
            warnings=await self._warnings(checked),
            rule_pack=self._given.views.pack(rule_pack_sha256),
        )

    async def _preview_questions(
        self, checked: CheckedRequest, grant_id: str, pack: str, expires_at: datetime
    ) -> list[consent.PreviewedQuestion]:
        reasoning = self._services.reasoning
        purpose = checked.asking.purpose
        needs = reasoning.needs(checked.plan.questions, purpose=purpose, rule_pack_sha256=pack)
        keep = self._given.requesting.open_for  # of a request that nobody grants no evidence is kept
        grants, now = self._services.grants, self._services.now
        holder = grant_holder(grant_id, self._person, may_keep=lambda: grants.is_open(grant_id, now()), keep=keep)
        replies = await self._services.gatherer.gather(holder, needs, ends_at=self._ends_at)
        disputed = disputed_by(await self._services.disputes.of_person(self._person))
        person = self._person
        circumstances = Circumstances(
            person.identity, purpose, pack, expires_at, disputed=disputed, confirmations=person.confirmations
        )
        concluded = reasoning.conclude(checked.plan.questions, circumstances, replies)
        return [
            previewed_question(
                question,
                concluded[question.text],
                reasoning.needs([question], purpose=purpose, rule_pack_sha256=pack),
                replies=replies,
                may_leave_out=checked.optional is None or question.text in checked.optional,
            )
            for question in checked.plan.questions
        ]

    async def _warnings(self, checked: CheckedRequest) -> list[LocalizedText]:
        """What a person who starts this themself should think about: nothing is refused to them."""
        sector = checked.party.sector if checked.party else ""
        is_much = await self._given.requests.is_much(
            self._person,
            sector,
            checked.compared | (await self._compared_by_own_consents(sector) if checked.compared else set()),
            limits=self._given.requesting.limits,
            now=self._services.now(),
        )
        return [_MANY_THRESHOLDS] if is_much else []

    async def _compared_by_own_consents(self, sector: str) -> set[Comparison]:
        """What was granted lately and may come together at one sector; a share code without a name fits any."""
        requesting, since = self._given.requesting, self._services.now() - self._given.requesting.limits.window
        compared: set[Comparison] = set()
        for grant in await self._services.grants.of_person(self._person):
            has_threshold = any("(" in question for question in grant.questions)
            if not has_threshold or grant.granted_at is None or grant.granted_at < since:
                continue
            with suppress(ConsentRequestError, RequestError):  # whoever may not ask any more learns no more
                earlier = requesting.reopen(grant)
                if not (sector and earlier.party) or earlier.party.sector == sector:
                    compared |= earlier.compared
        return compared

    async def grant(
        self, preview_id: str, *, leave_out: list[str], hands_over_token: bool = True
    ) -> consent.GrantedConsent:
        """Grant a previewed request, but for the questions left out. Raises ConsentRequestError.

        `hands_over_token`: whether the person gets a token to hand over, where it is known to whom.
        """
        self._check_guardian()
        grant = await self._services.grants.find_of_person(preview_id, self._person)
        if grant is None or not grant.may_leave_out(leave_out):
            raise ConsentRequestError("preview or left out")
        now = self._services.now()
        is_handed_over = hands_over_token and grant.relying_party_id is not None
        token = make_token(os.urandom(TOKEN_RANDOM_BYTES)) if is_handed_over else None
        expires_at = grant.terms.expires_at(self._given.requesting.bounds(grant.purpose), now)
        is_granted = expires_at > now and await self._services.grants.grant(
            grant,
            self._person,
            token_digest=token_digest(token) if token else None,
            left_out=[question for question in grant.questions if question in leave_out],
            guardian=self._guardian.identity.name if self._guardian else None,
            expires_at=expires_at,
            now=now,
        )
        if not is_granted:
            raise ConsentRequestError("preview: it is not open any more")
        view = await self._view(preview_id)
        return consent.GrantedConsent(consent_token=ConsentToken(token) if token else None, grant=view)

    async def reject(self, preview_id: str) -> consent.ConsentGrant:
        """Decline a previewed request. Raises ConsentRequestError unless it is pending."""
        grant = await self._changed(preview_id, GrantEvent.REJECTED)
        await self._services.gatherer.cancel(grant.id)
        return await self._view(preview_id)

    async def pause(self, grant_id: str) -> consent.ConsentGrant:
        """Suspend a consent. When this returns, nothing leaves under it: every lease has run out."""
        grant = await self._own(grant_id)
        if not await asyncio.shield(self._stop(grant, GrantEvent.PAUSED)):
            raise ConsentRequestError("grant: it is not active")
        return await self._view(grant_id)

    async def resume(self, grant_id: str) -> consent.ConsentGrant:
        """Let a paused consent be used again. Raises ConsentRequestError."""
        self._check_guardian()
        await self._changed(grant_id, GrantEvent.RESUMED)
        return await self._view(grant_id)

    async def renew(self, grant_id: str) -> consent.ConsentGrant:
        """Let a consent last as long as if it were granted now. Raises ConsentRequestError once it has ended."""
        self._check_guardian()
        grant = await self._own(grant_id)
        now = self._services.now()
        bounds = self._given.requesting.bounds(grant.purpose)
        if grant.rule_pack_sha256 not in self._services.reasoning.usable_packs:
            raise ConsentRequestError("grant: it has ended with its rules")
        await self._changed(grant_id, GrantEvent.RENEWED, expires_at=now + timedelta(days=bounds.life_days))
        return await self._view(grant_id)

    async def revoke(self, grant_id: str) -> consent.ConsentGrant:
        """Take a consent back. When this returns, nothing leaves under it: every lease has run out."""
        grant = await self._own(grant_id)
        await asyncio.shield(self._stop(grant, GrantEvent.REVOKED))
        return await self._view(grant_id)

    @property
    def needs_guardian(self) -> bool:
        """Whether a minor is here alone, who lets nothing more be told. Source: Civil Code art. 5."""
        is_alone = self._guardian is None and not self._stands_for_both
        return is_alone and self._person.is_minor(self._services.reasoning.today())

    def _check_guardian(self) -> None:
        """Raises ConsentRequestError for a minor who would let more be told, alone."""
        if self.needs_guardian:
            raise ConsentRequestError("guardian")

    async def _own(self, grant_id: str) -> Grant:
        grant = await self._services.grants.find_of_person(grant_id, self._person)
        if grant is None:
            raise ConsentRequestError("grant")
        return grant

    async def _view(self, grant_id: str) -> consent.ConsentGrant:
        return self._given.views.grant(await self._own(grant_id))

    async def _changed(self, grant_id: str, event: GrantEvent, *, expires_at: datetime | None = None) -> Grant:
        grant = await self._own(grant_id)
        now = self._services.now()
        if not await self._services.grants.change(grant, self._person, event, now=now, expires_at=expires_at):
            raise ConsentRequestError("grant: it does not stand like that")
        return grant

    async def _stop(self, grant: Grant, event: GrantEvent) -> bool:
        """Pause or end a grant, drop what is gathered for it, and wait until every lease has run out."""
        has_happened = await self._services.grants.change(grant, self._person, event, now=self._services.now())
        await self._services.gatherer.cancel(grant.id)
        with away():
            await asyncio.sleep(LEASE_SECONDS)
        return has_happened

    async def make_share_code(self, grant_id: str, *, valid_days: int) -> consent.ShareCode:
        """A code for a consent that is in force. Raises ConsentRequestError."""
        self._check_guardian()
        grant = await self._own(grant_id)
        now = self._services.now()
        if not 1 <= valid_days <= MAX_DAYS:
            raise ConsentRequestError("validDays")
        code = make_share_code(grant.purpose, os.urandom(CODE_RANDOM_BYTES))
        digest = code_digest(code, self._person.identity.date_of_birth, keyed=self._given.keyed)
        expires_at = min(grant.expires_at, now + timedelta(days=valid_days))
        if grant.status(now) is not GrantStatus.ACTIVE or not await self._given.share_codes.make(
            grant, self._person, digest=digest, expires_at=expires_at, now=now
        ):
            raise ConsentRequestError("grant: it is not active")
        qr_svg = segno.make_qr(code.grouped(), error="m").svg_inline(scale=4, border=4)
        return consent.ShareCode(code=code.grouped(), qr_svg=qr_svg, expires_at=expires_at)
