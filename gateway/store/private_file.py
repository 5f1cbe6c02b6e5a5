"""Files that only their owner may read, written whole or not at all, and folders that only their owner may enter."""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from gateway.errors import ConfigurationError

_OWNER_ALONE = 0o600
_OTHERS = 0o077


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, each its owner's alone."""
    for folder in reversed([path, *path.parents]):
        if not folder.exists():
            folder.mkdir(exist_ok=True, mode=0o700)


def make_state_folder(path: Path) -> None:
    """Make the state directory, and shut others out of one that is there. Raises ConfigurationError where that is not
    ours to do."""
    make_private_folder(path)
    mode = path.stat().st_mode
    if mode & _OTHERS:
        try:
            path.chmod(mode & ~_OTHERS)
        except OSError as error:
            raise ConfigurationError("state directory: others may enter it, and it is not ours to change") from error


def write_private_file(path: Path, body: bytes, *, mode: int) -> None:
    """Write a file that never exists half-written, nor readable by others for a moment."""
    make_private_folder(path.parent)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    make_durable(path.parent)


def make_private(path: Path) -> None:
    """An empty file where there is none."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE))


def open_private(path: Path) -> BinaryIO:
    """A file to lock; it is made where there is none."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, _OWNER_ALONE), "wb")


def make_durable(path: Path) -> None:
    """Wait until a file, or what a folder lists, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_private_file(path: Path) -> bytes:
    """Read it. Raises ConfigurationError if others can read it too."""
    if path.stat().st_mode & _OTHERS:
        raise ConfigurationError(f"state directory: {path.name} is readable by others")
    return path.read_bytes()
