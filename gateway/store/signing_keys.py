"""The gateway's own signing keys: sealed under the master key, shared by all processes, rotated with overlap."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from joserfc.jwk import ECKey
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.identity.access_token import SigningKey
from gateway.store.envelope import Envelope
from gateway.store.lookups import Lookups
from gateway.store.tables import signing_key
from gateway.store.writer import Writer

PUBLISHED_BEFORE = timedelta(seconds=10)
"""A new key signs only after every process has read it."""

KEPT_AFTER = timedelta(days=1)
"""A key stays published so long after another has taken its place. Source: security 3.5."""


class SigningKeys:
    """Reads the keys; makes them through the writer."""

    def __init__(self, reading: Lookups, writer: Writer, envelope: Envelope) -> None:
        self._reading = reading
        self._writer = writer
        self._envelope = envelope
        self._sealing_key = envelope.derive("signing keys")
        self._known: tuple[SigningKey, ...] = ()

    def known(self) -> Sequence[SigningKey]:
        """The keys, as they were last read."""
        return self._known

    async def load(self) -> None:
        """Read the keys that there are now."""
        async with self._reading.connect() as connection:
            rows = (await connection.execute(select(signing_key).order_by(signing_key.c.signs_from))).all()
        known = {key.kid: key for key in self._known}
        self._known = tuple(
            known.get(row.kid) or SigningKey(row.kid, self._open(row.kid, row.private_sealed), row.signs_from)
            for row in rows
        )

    async def make_first(self, now: datetime) -> None:
        """Make a key where there is none yet."""
        await self._make(now, only_first=True)

    async def rotate(self, now: datetime) -> SigningKey:
        """Make a key that signs from in a moment on; those replaced long ago go."""
        made = await self._make(now, only_first=False)
        return next(key for key in self._known if key.kid == made)

    async def _make(self, now: datetime, *, only_first: bool) -> str:
        key = ECKey.generate_key("P-256", private=True)
        kid = key.thumbprint()
        sealed = self._envelope.seal(self._sealing_key, key.as_pem(private=True), place=place_of(kid))
        values = {"kid": kid, "private_sealed": sealed, "made_at": now, "signs_from": now + PUBLISHED_BEFORE}

        async def write(connection: AsyncConnection) -> None:
            earlier = select(signing_key.c.signs_from).order_by(signing_key.c.signs_from.desc())
            begun = (await connection.execute(earlier)).scalars().all()
            if begun and only_first:
                return
            replaced = [at for at in begun if at <= now - KEPT_AFTER]
            if replaced:  # the newest of these may still have signed until then
                await connection.execute(delete(signing_key).where(signing_key.c.signs_from < replaced[0]))
            first = {} if begun else {"signs_from": now}  # there is none that could sign meanwhile
            await connection.execute(insert(signing_key).values(values | first))

        await self._writer.write(write)
        await self.load()
        return kid

    def _open(self, kid: str, sealed: bytes) -> ECKey:
        pem = self._envelope.open(self._sealing_key, sealed, place=place_of(kid))
        return ECKey.import_key(pem, {"kid": kid, "alg": "ES256", "use": "sig"})


def place_of(kid: str) -> str:
    """Where a key is sealed for."""
    return f"signing_key/{kid}/private"
