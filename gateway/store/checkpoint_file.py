"""The last checkpoint of the log, in the state directory: what the database cannot take back.

Several processes may share it: the largest stays.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.audit.checkpoint import Checkpoint, LogKey, NoteError
from gateway.errors import NotVerifiedError
from gateway.store.envelope import Envelope
from gateway.store.private_file import open_private, write_private_file

CHECKPOINT = "log.checkpoint"
_LOCK = "log.checkpoint.lock"


def log_key(envelope: Envelope) -> LogKey:
    """The key that signs the log's checkpoints: whoever has the master key has it too, wherever they restore."""
    return LogKey(envelope.derive("log key"))


class CheckpointFile:
    """Reads the checkpoint of a state directory, and writes it whole or not at all."""

    def __init__(self, state: Path, key: LogKey) -> None:
        self._state = state
        self._path = state / CHECKPOINT
        self.key = key

    def read(self) -> Checkpoint | None:
        """The last checkpoint; None before the first. Raises NotVerifiedError if the log's key did not sign it."""
        try:
            return self.key.open(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (NoteError, UnicodeDecodeError):
            raise NotVerifiedError(f"log: {CHECKPOINT} does not verify; bring it back as it was") from None

    def advance(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, unless there is one as large or larger."""
        with self._locked():
            last = self.read()
            if last is None or last.size < checkpoint.size:
                self._write(checkpoint)

    def replace(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint whatever there is: an operator has accepted it."""
        with self._locked():
            self._write(checkpoint)

    def _write(self, checkpoint: Checkpoint) -> None:
        write_private_file(self._path, self.key.sign(checkpoint).encode(), mode=0o600)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open_private(self._state / _LOCK) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
