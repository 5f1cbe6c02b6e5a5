"""The README's promises, word for word: its commands run, its query gives its answer."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Caller

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


COMMANDS = [
    line
    for block in blocks("sh")
    for line in block.splitlines()
    if line.startswith(".venv/bin/") and "serve" not in line  # it does not end: test_several_processes.py runs it
]


NEEDED_BEFORE = {
    "relying-party suspend": ["migrate", "relying-party add examples/relying_party.json"],
    "relying-party": ["migrate"],
    "document list": ["migrate", "document add bank examples/account_opening.graphql"],
    "document": ["migrate"],
    "keys": ["migrate"],
    "sandbox key": ["migrate"],
    "doctor": ["migrate", "keys rotate"],
    "log": ["migrate", "keys rotate"],
    "backup": ["migrate", "keys rotate"],
}
"""What has been done before in a state directory of the test's own."""


def masked(answer: Any) -> Any:
    text = json.dumps(answer)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    return json.loads(re.sub(r'"recordedAt": "[^"]+"', '"recordedAt": "TIME"', text))


@pytest.fixture(scope="module", name="states")
def make_states(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[str]], Path]:
    """State directories in which these commands have been given; each made once, to be copied."""

    @cache
    def made(commands: tuple[str, ...]) -> Path:
        state = tmp_path_factory.mktemp("made") / "state"
        for command in commands:
            given = [".venv/bin/kyosei", *command.split(), "--state", str(state)]
            subprocess.run(given, cwd=ROOT, check=True, timeout=60)
        return state

    return lambda commands: made(tuple(commands))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command: str, tmp_path: Path, states: Callable[[Sequence[str]], Path]) -> None:
    arguments = command.split()
    state = ["--state", str(tmp_path / "state")]
    kept = ("migrate", "relying-party", "keys", "document", "doctor", "log", "backup")
    if arguments[1] in kept or arguments[1:] == ["sandbox", "key", "bank"]:
        arguments += state
    if arguments[1] == "backup":
        arguments[2] = str(tmp_path / Path(arguments[2]).name)
    before = NEEDED_BEFORE.get(" ".join(arguments[1:3]), NEEDED_BEFORE.get(arguments[1], ()))
    if before:
        shutil.copytree(states(before), tmp_path / "state")
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_make_run_prints_a_query_that_gives_the_answer_of_the_readme(tmp_path: Path) -> None:
    environment = os.environ | {"KYOSEI_SERVER__PORT": "0", "PYTHONUNBUFFERED": "1"}
    output = tmp_path / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            ["bash", "-c", f"{blocks('sh')[0].strip()}"],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    try:
        command = wait_for_curl(output)
        answered = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=30)
    assert masked(json.loads(answered.stdout)) == masked(json.loads(blocks("json")[0]))


def wait_for_curl(output: Path) -> str:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        for line in output.read_text().splitlines():
            if line.startswith("curl "):
                return line
        time.sleep(0.1)
    raise AssertionError(output.read_text())


async def test_what_the_readme_shows_a_person_works(caller: Caller) -> None:
    shown = [block for block in blocks("graphql") if "me {" in block or "mutation" in block]
    assert len(shown) == 2
    for document in shown:
        body = await caller.as_person("P02", document)
        assert "errors" not in body, body
