"""Everything that is kept, over one database."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from gateway.consent.share_code import hmac_sha256
from gateway.identity.relying_party import RelyingParties, RelyingParty
from gateway.store.alike import AlikePeople
from gateway.store.answers import Answers
from gateway.store.backup import Backups
from gateway.store.confirmations import Confirmations
from gateway.store.counter import Counter
from gateway.store.database import Database
from gateway.store.disclosures import Disclosures
from gateway.store.disputes import Disputes
from gateway.store.envelope import Envelope
from gateway.store.erased_list import ErasedList
from gateway.store.erasure import Erasure
from gateway.store.grants import Grants
from gateway.store.guardians import Guardians
from gateway.store.invitations import Invitations
from gateway.store.log import AuditLog
from gateway.store.passkeys import Passkeys
from gateway.store.people import People
from gateway.store.provider_accounts import ProviderAccounts
from gateway.store.pushed_requests import PushedRequests
from gateway.store.relying_parties import Registrations
from gateway.store.requests import Requests
from gateway.store.sessions import Sessions
from gateway.store.share_codes import ShareCodes
from gateway.store.signing_keys import SigningKeys
from gateway.store.trusted_documents import TrustedDocuments
from gateway.store.used_once import UsedOnce
from gateway.store.writer import Writer

ENGINE_VERSION = version("kyosei-gateway")


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores. `relying_parties`: as they are registered now; `registrations` keeps them so."""

    envelope: Envelope
    log: AuditLog
    people: People
    grants: Grants
    disclosures: Disclosures
    disputes: Disputes
    confirmations: Confirmations
    answers: Answers
    requests: Requests
    share_codes: ShareCodes
    erasure: Erasure
    pushed: PushedRequests
    used_once: UsedOnce
    signing_keys: SigningKeys
    relying_parties: RelyingParties
    registrations: Registrations
    sessions: Sessions
    passkeys: Passkeys
    invitations: Invitations
    counter: Counter
    provider_accounts: ProviderAccounts
    guardians: Guardians
    trusted_documents: TrustedDocuments
    backups: Backups


def make_stores(
    database: Database,
    writer: Writer,
    envelope: Envelope,
    parties: RelyingParties,
    configured: Sequence[RelyingParty],
    erased: ErasedList,
) -> Stores:
    """The stores of a database that has this version's schema. `erased`: who was, whatever the database says."""
    reading = database.reading
    log = AuditLog(reading, envelope, engine_version=ENGINE_VERSION)
    people = People(reading, writer, envelope, log)
    grants = Grants(reading, writer=writer, envelope=envelope, people=people, log=log, is_alone=database.is_sqlite)
    alike = AlikePeople(database, people)
    return Stores(
        envelope=envelope,
        log=log,
        people=people,
        grants=grants,
        disclosures=(disclosures := Disclosures(reading, envelope)),
        disputes=Disputes(reading, writer=writer, envelope=envelope, log=log),
        confirmations=Confirmations(writer, envelope, log),
        answers=Answers(reading, writer=writer, envelope=envelope, grants=grants, disclosures=disclosures, log=log),
        requests=Requests(reading, writer=writer, envelope=envelope, grants=grants, log=log),
        share_codes=ShareCodes(reading, writer=writer, grants=grants, log=log),
        erasure=Erasure(database, writer=writer, people=people, log=log, listed=erased),
        pushed=PushedRequests(reading, writer, grants),
        used_once=UsedOnce(reading, writer, is_alone=database.is_sqlite),
        signing_keys=SigningKeys(reading, writer, envelope),
        relying_parties=parties,
        registrations=Registrations(reading, writer, configured=configured, registered=parties),
        sessions=Sessions(reading, writer),
        passkeys=Passkeys(reading, writer),
        invitations=Invitations(reading, writer, keyed=hmac_sha256(envelope.derive("invitation"))),
        counter=Counter(writer, people, alike),
        provider_accounts=ProviderAccounts(reading, writer=writer, people=people, alike=alike, envelope=envelope),
        guardians=Guardians(reading, writer),
        trusted_documents=TrustedDocuments(reading, writer, is_alone=database.is_sqlite),
        backups=Backups(database, envelope),
    )
