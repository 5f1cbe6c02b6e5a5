"""What an operator does while the gateway runs or stands still: relying parties, keys, people, backups.

SQLite has one process: the command line asks the running gateway over a socket in the state directory that only
its owner can reach. Without one, and on PostgreSQL, the command line does it itself.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import structlog

from connectors.interface import IdentityRecord
from gateway.errors import ConfigurationError, GatewayError
from gateway.identity.counter_record import is_card_long_over, read_record
from gateway.identity.registration import names_of, read_registration
from gateway.identity.relying_party import RelyingParty
from gateway.identity.subject import PERSON_ID_WORDS, is_person_id
from gateway.manifest import check_documents, read_manifest
from gateway.store.counter import AnotherPerson, CardTaken, Enrolled, ErasedBefore
from gateway.store.sessions import SignedIn
from gateway.store.trusted_documents import plain_id
from gateway.stores import Stores
from resolvers.schema import schema

SOCKET = "operator.sock"
MAX_LINE_BYTES = 8 * 1024 * 1024
ASKED_SECONDS = 30.0

_ERASED = "person: whoever had this id was erased, and it is not free again; use another id"
_ANOTHER = (
    "person: under this id somebody of another name and another date of birth is on record; check the id, "
    "and give --correct only where that record was wrong"
)
_log = structlog.get_logger("kyosei.operator")

LOOKS = frozenset({"relying-party list", "document list", "keys list", "status"})

Answered = dict[str, Any]
Act = Callable[[str, Mapping[str, Any]], Awaitable[Answered]]


class Operator:
    """The actions by name; arguments and answers are JSON. Raises ConfigurationError that names what is wrong."""

    def __init__(
        self,
        stores: Stores,
        *,
        now: Callable[[], datetime],
        today: Callable[[], date],
        url: str | None = None,
        sources: Mapping[str, str] | None = None,
    ) -> None:
        """`url`: where the gateway listens, if one runs. `sources`: where it finds authorities, if elsewhere than
        configured."""
        self._stores = stores
        self._url = url
        self._sources = sources or {}
        self._today = today
        self.now = now
        self._actions: dict[str, Callable[..., Awaitable[Answered]]] = {
            "relying-party add": self._add,
            "relying-party list": self._list,
            "relying-party suspend": self._suspend,
            "relying-party invite": self._invite_staff,
            "document add": self._add_documents,
            "document list": self._list_documents,
            "document remove": self._remove_document,
            "keys rotate": self._rotate,
            "keys list": self._list_keys,
            "person invite": self._invite,
            "person guardian": self._record_guardian,
            "backup": self._back_up,
            "status": self._tell,
        }

    async def act(self, action: str, arguments: Mapping[str, Any]) -> Answered:
        """Do it; what is more than a look leaves a line in the log, once it is done."""
        answered = await self._actions[action](**arguments)
        if action not in LOOKS:
            party_id = answered["id"] if action == "relying-party add" else arguments.get("party_id")
            _log.info("operator_acted", action=_as_typed(action, arguments), relying_party=party_id)
        return answered

    async def _add(self, registration: Mapping[str, Any]) -> Answered:
        party = read_registration(registration)
        await self._stores.registrations.load()
        known = self._stores.relying_parties.find(party.id)
        await self._stores.registrations.add(party, now=self.now())
        return {"id": party.id, "updated": known is not None, "suspended": known is not None and known.is_suspended}

    async def _list(self) -> Answered:
        await self._stores.registrations.load()
        return {"relying_parties": [_listed(party) for party in self._stores.relying_parties.all()]}

    async def _suspend(self, party_id: str, suspended: bool) -> Answered:
        if not await self._stores.registrations.suspend(party_id, suspended=suspended, now=self.now()):
            raise ConfigurationError("relying party: there is none of this id")
        if suspended:
            await self._stores.sessions.close_all(SignedIn(relying_party_id=party_id))
        return {"id": party_id, "suspended": suspended}

    async def _invite_staff(self, party_id: str) -> Answered:
        """A code for somebody of a relying party's staff; they could do nothing with it while that is suspended."""
        if (await self._check_party(party_id)).is_suspended:
            raise ConfigurationError("relying party: it is suspended, so its staff are not let in; lift that first")
        return {"code": await self._stores.invitations.invite_staff(party_id, self.now())}

    async def _add_documents(self, party_id: str, manifest: str) -> Answered:
        """Register the documents of a file: one document, or the manifest of Apollo's or Relay's compiler."""
        await self._check_party(party_id)
        texts = read_manifest(manifest)
        check_documents(texts, schema._schema)  # the graphql-core schema behind Strawberry's
        await self._stores.trusted_documents.add(party_id, texts, now=self.now())
        return {"ids": sorted(texts)}

    async def _list_documents(self, party_id: str) -> Answered:
        await self._check_party(party_id)
        return {"documents": await self._stores.trusted_documents.of_party(party_id)}

    async def _remove_document(self, party_id: str, document_id: str) -> Answered:
        removed = plain_id(document_id)
        if not await self._stores.trusted_documents.remove(party_id, removed):
            raise ConfigurationError("document: there is none of this id")
        return {"id": removed}

    async def _check_party(self, party_id: str) -> RelyingParty:
        await self._stores.registrations.load()
        party = self._stores.relying_parties.find(party_id)
        if party is None:
            raise ConfigurationError("relying party: there is none of this id")
        return party

    async def _rotate(self) -> Answered:
        made = await self._stores.signing_keys.rotate(self.now())
        return {"kid": made.kid, "signs_from": made.signs_from.isoformat()}

    async def _list_keys(self) -> Answered:
        await self._stores.signing_keys.load()
        known = self._stores.signing_keys.known()
        return {"keys": [{"kid": key.kid, "signs_from": key.signs_from.isoformat()} for key in known]}

    async def _invite(
        self, person_id: str, identity: Mapping[str, Any] | None = None, correct: bool = False
    ) -> Answered:
        """A code for somebody at the counter; with `identity` they are enrolled, or their record is corrected.

        `correct`: even to another name and date of birth.
        """
        if correct and identity is None:
            raise ConfigurationError("--correct: it goes with --identity")
        record = None if identity is None else read_record(identity, today=self._today())
        enrolled = Enrolled() if record is None else await self._enrol(person_id, record, may_correct=correct)
        person = await self._stores.people.find(person_id)
        if person is None:
            is_erased = await self._stores.people.is_erased(person_id)
            raise ConfigurationError(_ERASED if is_erased else "person: nobody of this id is enrolled")
        born_on = person.identity.date_of_birth
        code = await self._stores.invitations.invite_person(person_id, born_on, self.now())
        return {
            "code": code,
            "namesakes": list(enrolled.namesakes),
            "is_new": enrolled.is_new,
            "corrected": list(enrolled.corrected),
            "is_card_long_over": record is not None and is_card_long_over(record, self._today()),
        }

    async def _enrol(self, person_id: str, record: IdentityRecord, *, may_correct: bool) -> Enrolled:
        if not is_person_id(person_id) and await self._stores.people.find(person_id) is None:
            raise ConfigurationError(f"person: {PERSON_ID_WORDS}")
        match await self._stores.counter.enrol(person_id, record, may_correct=may_correct, now=self.now()):
            case CardTaken():
                raise ConfigurationError("identity: residence_card_number: it is on record for another person's id")
            case ErasedBefore():
                raise ConfigurationError(_ERASED)
            case AnotherPerson():
                raise ConfigurationError(_ANOTHER)
            case Enrolled() as enrolled:
                return enrolled

    async def _record_guardian(self, minor_id: str, guardian_id: str, ended: bool = False) -> Answered:
        if not ended:
            await self._check_minor(minor_id, guardian_id)
        if ended:
            await self._stores.guardians.end(minor_id=minor_id, guardian_id=guardian_id)
        else:
            await self._stores.guardians.record(minor_id=minor_id, guardian_id=guardian_id, now=self.now())
        return {"minor": minor_id, "guardian": guardian_id}

    async def _back_up(self, file: str) -> Answered:
        checkpoint = await self._stores.backups.make(Path(file), now=self.now())
        return {"size": checkpoint.size, "root": checkpoint.root.hex()}

    async def _tell(self) -> Answered:
        return {"url": self._url, "sources": dict(self._sources)}

    async def _check_minor(self, minor_id: str, guardian_id: str) -> None:
        """People swapped by mistake would let a child decide for a parent. Source: Civil Code art. 4, 818, 847."""
        minor, guardian = [await self._stores.people.find(one) for one in (minor_id, guardian_id)]
        if minor is None or guardian is None or minor_id == guardian_id:
            raise ConfigurationError("person: two enrolled people are needed, the minor first")
        if not minor.is_minor(self._today()):
            raise ConfigurationError("minor: the first person is of age; a guardian decides only for a minor")
        if guardian.is_minor(self._today()):
            raise ConfigurationError("guardian: the second person is a minor too")


def _as_typed(action: str, arguments: Mapping[str, Any]) -> str:
    """The command, with those of its options that make another thing of it; without anything of a person."""
    options = {
        "--lift": arguments.get("suspended") is False,
        "--end": bool(arguments.get("ended")),
        "--identity": arguments.get("identity") is not None,
        "--correct": bool(arguments.get("correct")),
    }
    return " ".join([action, *(option for option, is_given in options.items() if is_given)])


def _listed(party: RelyingParty) -> Answered:
    return {
        "id": party.id,
        "names": names_of(party),
        "sector": party.sector,
        "purposes": sorted(party.purposes),
        "oauth": party.oauth is not None,
        "suspended": party.is_suspended,
    }


@contextmanager
def near(folder: Path) -> Iterator[Path]:
    """A short path to a folder: the name of a socket has 107 bytes at most. Source: unix(7)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


@asynccontextmanager
async def listening_operator(state: Path, operator: Operator) -> AsyncIterator[None]:
    """Take the command line's requests while the context lasts: a line of JSON in, a line of JSON out."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASKED_SECONDS):
                asked = json.loads(await reader.readline())
            try:
                answered: Answered = {"answer": await operator.act(asked["action"], asked["arguments"])}
            except GatewayError as error:
                answered = {"refused": error.detail}
            writer.write(json.dumps(answered).encode() + b"\n")
            await writer.drain()
        except Exception as error:
            _log.error("operator_request_failed", error=type(error).__name__)
        finally:
            writer.close()

    with near(state) as folder:
        path = folder / SOCKET
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(path))
        finally:
            os.umask(before)
        server = await asyncio.start_unix_server(serve, sock=listener, limit=MAX_LINE_BYTES)
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()
            path.unlink(missing_ok=True)


async def ask_running(state: Path, action: str, arguments: Mapping[str, Any]) -> Answered | None:
    """What the running gateway of a state directory answers; None if there is none.

    Raises ConfigurationError for what it refuses.
    """
    with near(state) as folder:
        try:
            reader, writer = await asyncio.open_unix_connection(str(folder / SOCKET), limit=MAX_LINE_BYTES)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
    writer.write(json.dumps({"action": action, "arguments": dict(arguments)}).encode() + b"\n")
    await writer.drain()
    line = await reader.readline()
    writer.close()
    failed = {"refused": "the gateway could not do it; its log says why"}
    said: Answered = json.loads(line) if line else failed
    if "refused" in said:
        raise ConfigurationError(said["refused"])
    answer: Answered = said["answer"]
    return answer
