"""Checks of what the gateway runs on: files that are its own alone, space, file descriptors."""

import os
import resource
import shutil
from pathlib import Path

from gateway.doctor.finding import AttentionError
from gateway.errors import ConfigurationError

FREE_BYTES_WARNING = 2 * 1024**3
FREE_BYTES_ERROR = 128 * 1024**2
FILE_DESCRIPTORS = 4096
"""Enough for a thousand callers at a time, with what the sources and the database take."""

_OTHERS = 0o077


def check_private(state: Path) -> str:
    """The state directory and its keys are their owner's alone, and the master key is there."""
    keys = state / "keys"
    if not state.is_dir():
        raise ConfigurationError("there is none; `kyosei serve` makes it")
    if not (keys / "master.key").is_file():
        raise ConfigurationError("keys/master.key is missing; bring it back: without it nothing can be read")
    for path in (state, keys, *sorted(keys.iterdir())):
        status = path.stat()
        name = str(path.relative_to(state)) if path != state else "it"
        if status.st_mode & _OTHERS:
            raise ConfigurationError(f"{name} is open to others; chmod go= it, and think of the keys as known")
        if status.st_uid != os.geteuid():
            raise ConfigurationError(f"{name} belongs to another account; chown it to the one that runs the gateway")
    return "it and its keys are their owner's alone"


def free_bytes(state: Path) -> int:
    """What is free on the disk of the state directory, or where it will be."""
    return shutil.disk_usage(next(path for path in (state, *state.absolute().parents) if path.is_dir())).free


def check_space(free: int) -> str:
    """Whether the disk has room for the record. `free`: bytes."""
    says = f"{free // 1024**2} MiB are free"
    if free < FREE_BYTES_ERROR:
        raise ConfigurationError(f"{says}; make room: without it nothing can be recorded, and nothing is answered")
    if free < FREE_BYTES_WARNING:
        raise AttentionError(f"{says}; make room")
    return says


def check_file_descriptors() -> str:
    """How many files and connections a process of this account may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILE_DESCRIPTORS:
        raise AttentionError(f"a process may open {soft}; raise it to {FILE_DESCRIPTORS} (ulimit -n, LimitNOFILE)")
    return "enough"
