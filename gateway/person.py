"""What a signed-in person may see and do: the PersonActions behind `me` and the mutations."""

import asyncio
import os
import unicodedata
import uuid
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from connectors.interface import SourceAuthority
from connectors.japan import fold_kana
from gateway.admission import away
from gateway.consent.dispute import Dispute, check_closing, check_dispute, disputed_by
from gateway.consenting import ConsentingPerson
from gateway.errors import ConsentRequestError
from gateway.export import Holdings, export_json
from gateway.gather import Holder
from gateway.identity.subject import Person, folded_name
from gateway.own_view import OWN_VIEW_NEEDS, OwnView, own_view
from gateway.pipeline import LEASE_SECONDS
from gateway.views import disclosures_view, dispute_view, record_view
from resolvers import consent, worker
from resolvers.attribute import Attribute
from resolvers.catalogue import ATTRIBUTES
from resolvers.claim import Claim
from resolvers.derive import Needs, attribute_needs
from resolvers.record_confirmation import confirmed_record

OWN_VIEW_KEPT = timedelta(seconds=60)
"""A person's own view is looked up anew after this long, so that a correction shows soon."""

DIGEST_KEY_BYTES = 32


class PersonSession(ConsentingPerson):
    """One person's actions within one request. Implements `resolvers.worker.PersonActions`."""

    @property
    def person_id(self) -> str:
        return self._person.id

    async def name(self) -> str:
        return self._person.identity.name

    async def record(self, authority: SourceAuthority) -> worker.SourceRecord:
        """One source's records of the person, as it holds them."""
        needs = Needs.of((frozenset({authority}), ATTRIBUTES["Immigration.statusLawful"].freshness))
        replies = await self._services.gatherer.gather(self._own_holder(), needs, ends_at=self._ends_at)
        return record_view(authority, replies[authority], self._person)

    async def own_view(self) -> OwnView:
        """What every source holds and what is concluded from it: each is asked once, all under one deadline."""
        replies = await self._services.gatherer.gather(self._own_holder(), OWN_VIEW_NEEDS, ends_at=self._ends_at)
        disputed = disputed_by(await self._services.disputes.of_person(self._person))
        return own_view(replies, self._services.reasoning, person=self._person, disputed=disputed)

    async def claim(self, attribute: Attribute, arguments: Mapping[str, Any]) -> tuple[Claim[Any], date | None]:
        """One's own claim, from sources asked for oneself."""
        needs = attribute_needs(attribute, tuple(SourceAuthority))
        replies = await self._services.gatherer.gather(self._own_holder(), needs, ends_at=self._ends_at)
        return self._services.reasoning.own_claim(attribute, arguments, person=self._person, replies=replies)

    def _own_holder(self) -> Holder:
        async def may_keep() -> bool:
            return True

        person = self._person
        version = person.unfrozen_at.isoformat()
        return Holder(_own_view(person), version, person.key, person.identity, may_keep, keep=OWN_VIEW_KEPT)

    async def grants(self) -> list[consent.ConsentGrant]:
        return [self._given.views.grant(grant) for grant in await self._services.grants.of_person(self._person)]

    async def accesses(self) -> list[worker.Access]:
        return [self._given.views.access(access) for access in await self._given.log.of_person(self._person)]

    async def disclosures(self) -> list[consent.Disclosure]:
        return disclosures_view(await self._services.disclosures.of_person(self._person))

    async def disputes(self) -> list[consent.Dispute]:
        return [dispute_view(dispute) for dispute in await self._services.disputes.of_person(self._person)]

    async def export(self) -> dict[str, Any]:
        held = Holdings(
            person_id=self._person.id,
            identity=self._person.identity,
            confirmations=self._person.confirmations,
            grants=await self._services.grants.of_person(self._person),
            accesses=await self._given.log.of_person(self._person),
            disputes=await self._services.disputes.of_person(self._person),
            disclosures=await self.disclosures(),
            answers=await self._services.answers.of_person(self._person),
        )
        return export_json(
            held,
            relying_parties=self._given.relying_parties,
            purposes=self._services.purposes,
            privacy_notice=self._given.privacy_notice,
            now=self._services.now(),
        )

    async def open_dispute(
        self, *, claim: str | None, record: SourceAuthority | None, statement: str
    ) -> consent.Dispute:
        """Dispute a claim or a record. When this returns, nothing disputed leaves: every lease has run out."""
        check_dispute(claim=claim, record=record, statement=statement)
        text = unicodedata.normalize("NFC", statement.strip())
        dispute = Dispute(str(uuid.uuid4()), claim, record, text, opened_at=self._services.now())
        await asyncio.shield(self._open_dispute(dispute))
        return dispute_view(dispute)

    async def _open_dispute(self, dispute: Dispute) -> None:
        await self._services.disputes.open(dispute, self._person)
        with away():
            await asyncio.sleep(LEASE_SECONDS)

    async def close_dispute(
        self, dispute_id: str, *, outcome: consent.DisputeOutcome, corrected_by: SourceAuthority | None
    ) -> consent.Dispute:
        """Close an open dispute, saying how it ended and who corrected what. Raises ConsentRequestError.

        From then on it is told again, which a minor alone does not let happen.
        """
        self._check_guardian()
        check_closing(outcome, corrected_by)
        own = {dispute.id: dispute for dispute in await self._services.disputes.of_person(self._person)}
        if dispute_id not in own or not await self._services.disputes.close(
            own[dispute_id],
            self._person,
            outcome=outcome,
            corrected_by=corrected_by,
            now=self._services.now(),
        ):
            raise ConsentRequestError("dispute")
        closed = {dispute.id: dispute for dispute in await self._services.disputes.of_person(self._person)}
        return dispute_view(closed[dispute_id])

    async def confirm_record(
        self, source: SourceAuthority, *, record_name: str, born_on: date
    ) -> consent.RecordConfirmation:
        """Confirm that the probable record with this name and birth date is theirs. Raises ConsentRequestError.

        From then on more is told, which a minor alone does not let happen. A record that is not even probable stays
        somebody else's, whoever says what.
        """
        self._check_guardian()
        known = await self.record(source)
        if (fold_kana(record_name), born_on) not in [(fold_kana(r.name), r.date_of_birth) for r in known.probable]:
            raise ConsentRequestError("record: there is none like it to confirm")
        now = self._services.now()
        key = os.urandom(DIGEST_KEY_BYTES)
        confirmed = confirmed_record(source, record_name, born_on, key=key, confirmed_at=now)
        if not await asyncio.shield(self._given.confirmations.confirm(self._person, confirmed)):
            raise ConsentRequestError("person: erased already")
        return consent.RecordConfirmation(source=source, confirmed_at=now)

    async def disown_record(self, source: SourceAuthority) -> consent.RecordConfirmation:
        """Take a confirmation back. When this returns, nothing leaves that rests on it: every lease has run out."""
        if not await asyncio.shield(self._disown_record(source)):
            raise ConsentRequestError("source: no record of it was confirmed")
        return consent.RecordConfirmation(source=source, confirmed_at=None)

    async def _disown_record(self, source: SourceAuthority) -> bool:
        was_confirmed = await self._given.confirmations.withdraw(self._person, source, now=self._services.now())
        with away():
            await asyncio.sleep(LEASE_SECONDS)
        return was_confirmed

    async def erase(self, *, name: str) -> consent.Erasure:
        """Erase everything about the person. Raises ConsentRequestError unless the name is theirs; for a minor alone.

        It cannot be undone, so a guardian decides it with a minor. Source: Civil Code art. 5.
        """
        self._check_guardian()
        if not self.is_name(name):
            raise ConsentRequestError("name")
        return await asyncio.shield(self._erase())

    def is_name(self, name: str) -> bool:
        """Whether this is the person's name, in whatever width, case and spacing."""
        return folded_name(name) == folded_name(self._person.identity.name)

    async def _erase(self) -> consent.Erasure:
        now = self._services.now()
        grants = await self._services.grants.of_person(self._person)
        entry = await self._given.erasure.erase(self._person, now=now)
        for holder in (_own_view(self._person), *(grant.id for grant in grants)):
            await self._services.gatherer.cancel(holder)
        with away():
            await asyncio.sleep(LEASE_SECONDS)
        await self._given.erasure.forget_keys()
        if entry is None:
            raise ConsentRequestError("person: erased already")
        return consent.Erasure(entry=entry, erased_at=now)


def _own_view(person: Person) -> str:
    """Names a person's own view as a holder of evidence."""
    return f"person:{person.id}"
