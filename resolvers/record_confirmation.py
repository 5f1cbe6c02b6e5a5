"""A person's word that a record which is only probably theirs is theirs. Nobody else can give it.

Source: domain notes 7 (record linkage): what is probable needs the worker's confirmation.
"""

import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from connectors.interface import SourceAuthority
from connectors.japan import fold_kana


@dataclass(frozen=True, slots=True, repr=False)
class ConfirmedRecord:
    """One confirmation. `digest`: of what identifies the record, under `key`, which serves nothing else; both in
    hexadecimal.

    A record whose name or birth date has changed since is another one.
    """

    source: SourceAuthority
    key: str
    digest: str
    confirmed_at: datetime

    def covers(self, source: SourceAuthority, name: str, born_on: date) -> bool:
        """Whether this is the record that was confirmed."""
        return source is self.source and hmac.compare_digest(self.digest, _digest(self.key, source, name, born_on))

    def __repr__(self) -> str:
        return f"ConfirmedRecord({self.source}, redacted)"


def confirmed_record(
    source: SourceAuthority, name: str, born_on: date, *, key: bytes, confirmed_at: datetime
) -> ConfirmedRecord:
    """The confirmation of the record with this name and birth date. `key`: random, for this one alone."""
    return ConfirmedRecord(source, key.hex(), _digest(key.hex(), source, name, born_on), confirmed_at)


def is_confirmed_by_person(
    confirmations: Iterable[ConfirmedRecord], source: SourceAuthority, name: str, born_on: date
) -> bool:
    return any(one.covers(source, name, born_on) for one in confirmations)


def _digest(key: str, source: SourceAuthority, name: str, born_on: date) -> str:
    identifying = json.dumps([source.value, fold_kana(name), born_on.isoformat()])
    return hmac.new(bytes.fromhex(key), identifying.encode(), "sha256").hexdigest()
