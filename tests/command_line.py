"""`kyosei` as tests run it: each command in a process of its own, forked from one that has imported everything.

Importing takes longer than most commands do. That the installed script works is what `tests/journeys/test_readme.py`
sees.
"""

import asyncio
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.__main__ import main
from tests.conftest import ROOT

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["gateway.cli", "alembic.command", "tests.command_line"])

LONGEST_SECONDS = 60.0
_STREAMS = (("said", os.O_RDONLY), ("output", os.O_WRONLY), ("errors", os.O_WRONLY))


def run_kyosei(
    *arguments: str, said: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What a command ends with. `said`: on its standard input. Raises TimeoutExpired."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / stream for stream, _ in _STREAMS]
        for file, text in zip(files, (said, "", ""), strict=True):
            file.write_text(text, encoding="utf-8")
        process = FORKS.Process(target=_command, args=(folder, arguments, {**os.environ, **(environment or {})}))
        process.start()
        process.join(LONGEST_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, LONGEST_SECONDS)
        _, output, errors = (file.read_text(encoding="utf-8") for file in files)
        return subprocess.CompletedProcess(arguments, process.exitcode, output, errors)


async def kyosei(
    *arguments: str, said: str = "", environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """The same while other things go on here: its status, and what it wrote, without blanks around it."""
    done = await asyncio.to_thread(partial(run_kyosei, *arguments, said=said, environment=environment))
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def _command(folder: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    for number, (stream, flags) in enumerate(_STREAMS):
        os.dup2(os.open(folder / stream, flags), number)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)  # multiprocessing has closed the one before
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = ["kyosei", *arguments]
    main()
