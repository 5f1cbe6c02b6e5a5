"""What forbids a gateway to start: exit 78 and one line that names the key, never its value."""

import os
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from tests.conftest import ROOT
from tests.gateway.sandboxes import changed, copied_config, own_sandbox, settings_for

KYOSEI = ROOT / ".venv/bin/kyosei"
EX_CONFIG = 78
SECRET = "hunter2-canary"


@dataclass(frozen=True, slots=True)
class Case:
    """A change that forbids to start, and what the one line has to name."""

    names: str
    change: Callable[[Path], None] = lambda config: None
    environment: Mapping[str, str] = field(default_factory=dict)


def appended(name: str, text: str) -> Callable[[Path], None]:
    def change(config: Path) -> None:
        with (config / name).open("a", encoding="utf-8") as file:
            file.write(text)

    return change


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda config: changed(config / name, old, new)


def without(name: str) -> Callable[[Path], None]:
    return lambda config: (config / name).unlink()


def written(name: str, body: bytes) -> Callable[[Path], None]:
    def change(config: Path) -> None:
        (config / name).write_bytes(body)

    return change


CASES = {
    "sandbox mode on every interface": Case("server.host", environment={"KYOSEI_SERVER__HOST": "0.0.0.0"}),
    "sandbox mode on an address": Case("server.host", environment={"KYOSEI_SERVER__HOST": "192.0.2.17"}),
    "sandbox mode on a name": Case("server.host", environment={"KYOSEI_SERVER__HOST": f"{SECRET}.example"}),
    "sandbox mode with a real authority": Case(
        "authorities.labor.sandbox",
        lambda config: changed(
            config / "connectors.toml", "[authorities.labor]\nsandbox = true", "[authorities.labor]\nsandbox = false"
        ),
    ),
    "an authority that is not on this machine": Case(
        "authorities.tax", replaced("connectors.toml", "http://127.0.0.1:8103", f"http://{SECRET}.example")
    ),
    "an unknown key": Case("server.hosst", replaced("gateway.toml", "[server]", f'[server]\nhosst = "{SECRET}"')),
    "an unknown table": Case("secrets", appended("gateway.toml", f'\n[secrets]\nkey = "{SECRET}"\n')),
    "an unknown key from the environment": Case("server.hosst", environment={"KYOSEI_SERVER__HOSST": SECRET}),
    "an environment variable that cannot be read": Case("server", environment={"KYOSEI_SERVER": f"{{{SECRET}"}),
    "a port that is no number": Case("server.port", environment={"KYOSEI_SERVER__PORT": SECRET}),
    "a deadline of nothing": Case("query.deadline_seconds", environment={"KYOSEI_QUERY__DEADLINE_SECONDS": "0"}),
    "a key twice": Case("gateway.toml", appended("gateway.toml", f'\n[server]\nhost = "{SECRET}"\n')),
    "no TOML": Case("gateway.toml", appended("gateway.toml", SECRET)),
    "no text": Case("gateway.toml", written("gateway.toml", b"\xff\xfe\x00")),
    "no configuration": Case("gateway.toml", without("gateway.toml")),
    "no purposes": Case("purposes.toml", without("purposes.toml")),
    "a missing pack": Case("rules.current", replaced("gateway.toml", '"jp-2026.11.yaml"', f'"{SECRET}.yaml"')),
    "a pack that is no pack": Case(
        "jp-2026.11.yaml", written("rules/jp-2026.11.yaml", f"name: {SECRET}\n".encode())
    ),
    "a pack that is no YAML": Case("jp-2026.11.yaml", written("rules/jp-2026.11.yaml", b"{ a: [")),
    "a purpose that discloses what only the person may know": Case(
        "TENANCY",
        replaced("purposes.toml", '"Tax.incomeMeets", "Tax.incomeBasis",\n]\noptional_attributes = [\n'
                 '  "Immigration.stayCoversUntil", "Immigration.stayUnlimited", "Immigration.stayRecheckBy"',
                 '"Tax.incomeMeets", "Tax.incomeBasis",\n]\noptional_attributes = [\n  "Labor.weeklyHours",\n'
                 '  "Immigration.stayCoversUntil", "Immigration.stayUnlimited", "Immigration.stayRecheckBy"'),
    ),
    "an unknown purpose": Case("GOSSIP", replaced("purposes.toml", "[LENDING]", "[GOSSIP]")),
    "a purpose without a life": Case("TENANCY", replaced("purposes.toml", 'decision = "Subject.tenancy"',
                                                         f'decision = "Subject.tenancy"\nlifee = "{SECRET}"')),
    "data kept for no day": Case(
        "LENDING.data_life_days",
        lambda config: _last(config / "purposes.toml", "data_life_days = 30", "data_life_days = 0"),
    ),
    "a relying party without a Japanese name": Case(
        "bank.name",
        replaced("relying_parties.toml", ', ja = "ひかり銀行（サンドボックス）" }', " }"),
    ),
    "a purpose without a Japanese name": Case(
        "LENDING.name", replaced("purposes.toml", '"Lending", ja = "融資" }', f'"{SECRET}" }}')
    ),
    "a relying party with an unknown key": Case(
        "bank", replaced("relying_parties.toml", '"hikari-bank"', f'"hikari-bank"\nsecret = "{SECRET}"')
    ),
}  # fmt: skip


def _last(path: Path, old: str, new: str) -> None:
    before, mark, after = path.read_text(encoding="utf-8").rpartition(old)
    assert mark
    path.write_text(before + new + after, encoding="utf-8")


def start(state: Path, config: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`kyosei run`, which must not come up."""
    return subprocess.run(
        [KYOSEI, "run", "--port", "0", "--state", state],
        env=os.environ | {"KYOSEI_CONFIG": str(config)} | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def assert_told(done: subprocess.CompletedProcess[str], names: str) -> None:
    assert done.returncode == EX_CONFIG, done.stderr[-500:]
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert names in lines[0]
    assert SECRET not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


BY_THE_COMMAND = (
    "sandbox mode on every interface",
    "sandbox mode with a real authority",
    "an unknown key",
    "a missing pack",
)


@pytest.mark.parametrize("name", BY_THE_COMMAND)
def test_the_command_ends_with_one_line_and_78(tmp_path: Path, name: str) -> None:
    config = copied_config(tmp_path)
    CASES[name].change(config)
    assert_told(start(tmp_path / "state", config, **CASES[name].environment), CASES[name].names)


@pytest.mark.parametrize("name", CASES)
async def test_a_gateway_that_is_not_configured_right_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = copied_config(tmp_path)
    CASES[name].change(config)
    for variable, value in CASES[name].environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as refused:
        async with own_sandbox(settings_for(tmp_path / "state", config=config)):
            pass
    assert CASES[name].names in refused.value.detail
    assert "\n" not in refused.value.detail
    assert SECRET not in refused.value.detail, "it names the key, never the value"


async def made(state: Path) -> Path:
    """A state directory that has been in use."""
    async with own_sandbox(settings_for(state)):
        return state


async def test_a_master_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    state = await made(tmp_path / "state")
    (state / "keys" / "master.key").chmod(0o644)
    assert_told(start(state, ROOT / "config"), "master.key")


async def refusal(state: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        async with own_sandbox(settings_for(state)):
            pass
    return refused.value.detail


async def test_sandbox_keys_that_others_can_read_are_not_used(tmp_path: Path) -> None:
    state = await made(tmp_path / "state")
    (state / "keys" / "sandbox_keys.json").chmod(0o640)
    assert "sandbox_keys.json" in await refusal(state)


async def test_a_master_key_that_is_cut_short_is_not_used(tmp_path: Path) -> None:
    state = await made(tmp_path / "state")
    key = state / "keys" / "master.key"
    body = key.read_bytes()
    key.chmod(0o600)
    key.write_bytes(body[:31])
    assert "master key" in await refusal(state)


async def test_the_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path / "state")):
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state" / "keys").iterdir()}
    assert modes == {"master.key": 0o400, "sandbox_keys.json": 0o600}


async def test_two_processes_never_share_a_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with own_sandbox(settings_for(state)) as caller:
        assert_told(start(state, ROOT / "config"), "state directory")
        assert "errors" not in await caller.as_person("P01", "{ me { id } }"), "the first one is not disturbed"


async def test_a_database_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    state = await made(tmp_path / "state")
    connection = sqlite3.connect(state / "kyosei.sqlite")
    connection.execute("UPDATE alembic_version SET version_num = '9999_future'")
    connection.commit()
    connection.close()
    assert "database" in await refusal(state)
