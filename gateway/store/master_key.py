"""Whether the master key is the one that a database was written under: else nothing may be written there."""

from sqlalchemy import select

from gateway.store.database import Database
from gateway.store.envelope import Envelope
from gateway.store.signing_keys import place_of
from gateway.store.tables import person, signing_key

OTHER_KEY = "it does not open this database; bring the right keys/master.key back"


async def opens(envelope: Envelope, database: Database) -> bool:
    """Whether it opens what is there; what another key seals, this one's owner could never open.

    Of the signing keys the oldest tells: a newer one may have been made under a wrong master key.
    """
    async with database.reading.connect() as connection:
        one = (await connection.execute(select(person.c.id, person.c.wrapped_key).limit(1))).first()
        key = (await connection.execute(select(signing_key).order_by(signing_key.c.signs_from).limit(1))).first()
    try:
        if one is not None:
            envelope.unwrap(one.wrapped_key, one.id)
        if key is not None:
            envelope.open(envelope.derive("signing keys"), key.private_sealed, place=place_of(key.kid))
    except ValueError:
        return False
    return True
