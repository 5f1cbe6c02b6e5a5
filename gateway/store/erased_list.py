"""Who was erased, in the state directory: what an older database cannot take back. A keyed digest a line.

It says who they were to nobody who does not have the master key and already knows of whom to ask.
"""

import fcntl
import os
import re
from collections.abc import Iterable
from pathlib import Path

from gateway.errors import ConfigurationError
from gateway.store.private_file import write_private_file

ERASED = "erased.list"
_LOCK = "erased.list.lock"
_DIGEST = re.compile("[0-9a-f]{64}")


class ErasedList:
    """Reads the list of a state directory, and writes it whole or not at all. Several processes may share it."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._path = state / ERASED

    def read(self) -> frozenset[str]:
        """The digests. Raises ConfigurationError for what is no such list."""
        try:
            digests = frozenset(self._path.read_text(encoding="utf-8").split())
        except FileNotFoundError:
            return frozenset()
        except UnicodeDecodeError:
            digests = frozenset([""])
        if not all(_DIGEST.fullmatch(digest) for digest in digests):
            raise ConfigurationError(f"{ERASED}: it cannot be read; bring it back as it was")
        return digests

    def add(self, digests: Iterable[str]) -> None:
        """Add who is not on it. Whoever is on it stays."""
        with os.fdopen(os.open(self._state / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = self.read()
            after = before.union(digests)
            if after != before:
                body = "".join(f"{digest}\n" for digest in sorted(after))
                write_private_file(self._path, body.encode(), mode=0o600)
