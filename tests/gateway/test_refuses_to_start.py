"""What forbids a gateway to start: exit 78 and one line that names the key, never its value."""

import re
import sqlite3
import stat
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigurationError
from gateway.http.server import listening_socket
from gateway.opening import make_shared_keys
from gateway.settings import load_settings
from gateway.settings_checks import check_secret
from gateway.store.clock import check_clock
from gateway.store.database import Database, open_database, sqlite_url
from gateway.store.envelope import read_master_key
from tests.command_line import run_kyosei
from tests.conftest import ROOT
from tests.gateway.sandboxes import Clock, changed, copied_config, outside_config, own_sandbox, rows, settings_for

EX_CONFIG = 78
SECRET = "hunter2-canary"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DOCUMENT = "query($consent: ConsentToken!) { subject(consent: $consent) { immigration { adult { value } } } }"


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


AUTHORITIES = ("immigration", "labor", "tax", "insurance")
LABOR = 'base_url = "http://127.0.0.1:8102"'


def real_labor(base_url: str) -> Callable[[Path], None]:
    """Labor is no sandbox, and is to be found there."""
    return replaced("connectors.toml", f"sandbox = true\n{LABOR}", f'sandbox = false\nbase_url = "{base_url}"')


def preceded(text: str) -> Callable[[Path], None]:
    def change(config: Path) -> None:
        path = config / "purposes.toml"
        path.write_text(text + path.read_text(encoding="utf-8"), encoding="utf-8")

    return change


CASES = {
    "sandbox mode on every interface": Case("server.host", environment={"KYOSEI_SERVER__HOST": "0.0.0.0"}),
    "sandbox mode on an address": Case("server.host", environment={"KYOSEI_SERVER__HOST": "192.0.2.17"}),
    "sandbox mode on a name": Case("server.host", environment={"KYOSEI_SERVER__HOST": f"{SECRET}.example"}),
    "sandbox mode with a real authority": Case(
        "authorities.labor.sandbox",
        replaced("connectors.toml", f"sandbox = true\n{LABOR}", 'sandbox = false\nbase_url = "https://labor.example"'),
    ),
    "debugging on every interface": Case(
        "server.debug", environment={"KYOSEI_SERVER__DEBUG": "true", "KYOSEI_SERVER__HOST": "0.0.0.0"}
    ),
    "a database password that stands in examples": Case(
        "database.url: a placeholder",
        environment={"KYOSEI_DATABASE__URL": f"postgresql+asyncpg://{SECRET}:changeme@127.0.0.1/{SECRET}"},
    ),
    "a counter password that stands in examples": Case(
        "limits.storage_url: a placeholder",
        environment={"KYOSEI_LIMITS__STORAGE_URL": f"async+redis://:secret@{SECRET}.example"},
    ),
    "a cache password that stands in examples": Case(
        "evidence.storage_url: a placeholder",
        environment={"KYOSEI_EVIDENCE__STORAGE_URL": f"redis://:secret@{SECRET}.example"},
    ),
    "more places under overload than at other times": Case(
        "admission.relying_parties.overloaded_busy",
        environment={
            "KYOSEI_ADMISSION__RELYING_PARTIES__BUSY": "8",
            "KYOSEI_ADMISSION__RELYING_PARTIES__OVERLOADED_BUSY": "9",
            "KYOSEI_ADMISSION__RELYING_PARTIES__WAITING": "0",
            "KYOSEI_ADMISSION__RELYING_PARTIES__WAIT_SECONDS": "1",
            "KYOSEI_ADMISSION__RELYING_PARTIES__OVERLOADED_WAITING": "0",
        },
    ),
    "a source over http": Case("authorities.labor", real_labor(f"http://{SECRET}.example")),
    "a source on this machine": Case("allow_private", real_labor("http://127.0.0.1:8102")),
    "a source in a private network": Case("allow_private", real_labor("https://10.0.0.7")),
    "a source on a link-local address": Case("allow_private", real_labor("https://169.254.169.254")),
    "a source on a private IPv6 address": Case("allow_private", real_labor("https://[fd00::7]:8443/api")),
    "a source on a mapped address": Case("allow_private", real_labor("https://[::ffff:10.0.0.7]")),
    "a source on a short address": Case("allow_private", real_labor("https://127.1")),
    "a source on an address as a number": Case("allow_private", real_labor("https://0x7f000001")),
    "a source on a private name": Case("allow_private", real_labor(f"https://{SECRET}.internal")),
    "two authorities at one address": Case(
        "authorities.tax.base_url", replaced("connectors.toml", "http://127.0.0.1:8103", "http://127.0.0.1:8102/")
    ),
    "an authority twice": Case(
        "connectors.toml", appended("connectors.toml", f'\n[authorities.tax]\nbase_url = "{SECRET}"\n')
    ),
    "an authority twice in other letters": Case(
        "authorities", replaced("connectors.toml", "[profiles.brisk.immigration]",
                                '[authorities.Tax]\nbase_url = "https://tax.example"\ndeadline_seconds = 1\n'
                                "retry_after_seconds = 1\n[profiles.brisk.immigration]"),
    ),
    "an unknown key of an authority": Case(
        "authorities.labor.surplus", replaced("connectors.toml", LABOR, f'{LABOR}\nsurplus = "{SECRET}"')
    ),
    "an attribute that no purpose may ask": Case("Tax.income ", replaced("purposes.toml", '"Tax.income", ', "")),
    "an attribute that is asked and kept back": Case("Tax.income", preceded('not_disclosed = ["Tax.income"]\n')),
    "an unknown attribute kept back": Case("not_disclosed", preceded(f'not_disclosed = ["{SECRET}"]\n')),
    "attributes kept back that are no list": Case("not_disclosed", preceded("not_disclosed = 1\n")),
    "probing remembered for no day": Case("probing.window_days", environment={"KYOSEI_PROBING__WINDOW_DAYS": "0"}),
    "a relying party under a name that is turned round": Case(
        "bank.name.en", replaced("relying_parties.toml", "Hikari Bank (sandbox)", "Hikari\u202e knaB")
    ),
    "a relying party under another's name": Case(
        "name", replaced("relying_parties.toml", "Tsubasa Bank (sandbox)", "H1kari Bank (5andbox)")
    ),
    "a pack with a key twice": Case(
        "a key stands twice", replaced("rules/jp-2026.11.yaml", "\njurisdiction:", f"\nname: {SECRET}\njurisdiction:")
    ),
    "a pack in JSON with a key twice": Case(
        "a key stands twice", written("rules/jp-2026.11.yaml", f'{{"name": "{SECRET}", "name": "b"}}'.encode())
    ),
    "an authority that is not on this machine": Case(
        "authorities.tax", replaced("connectors.toml", "http://127.0.0.1:8103", f"http://{SECRET}.example")
    ),
    "an unknown key": Case(
        "server.hosst: unknown key", replaced("gateway.toml", "[server]", f'[server]\nhosst = "{SECRET}"')
    ),
    "an unknown table": Case("secrets", appended("gateway.toml", f'\n[secrets]\nkey = "{SECRET}"\n')),
    "an unknown key from the environment": Case("server.hosst", environment={"KYOSEI_SERVER__HOSST": SECRET}),
    "an environment variable that cannot be read": Case("server", environment={"KYOSEI_SERVER": f"{{{SECRET}"}),
    "a variable with one underscore": Case(
        "KYOSEI_DATABASE_URL: unknown; two underscores", environment={"KYOSEI_DATABASE_URL": f"postgresql://{SECRET}"}
    ),
    "a variable with one underscore and then two": Case(
        "KYOSEI_SERVER_PORT__X", environment={"KYOSEI_SERVER_PORT__X": SECRET}
    ),
    "a variable of an unknown table": Case("KYOSEI_SERVR__PORT", environment={"KYOSEI_SERVR__PORT": SECRET}),
    "a port that is no number": Case(
        "server.port: not a whole number", environment={"KYOSEI_SERVER__PORT": SECRET}
    ),
    "a deadline of nothing": Case(
        "query.deadline_seconds: it has to be greater than 0", environment={"KYOSEI_QUERY__DEADLINE_SECONDS": "0"}
    ),
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


def start(
    state: Path, config: Path, command: str = "run", *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`kyosei run`, or another command, which must not come up."""
    given = (command, *(options or ("--port", "0")), "--state", str(state))
    return run_kyosei(*given, environment={"KYOSEI_CONFIG": str(config)} | environment)


def assert_told(done: subprocess.CompletedProcess[str], names: str) -> None:
    assert done.returncode == EX_CONFIG, done.stderr[-500:]
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert names in lines[0]
    assert SECRET not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "KYOSEI_PROVIDER_SECRET_A__B",
        "KYOSEI_SOAK",
        "KYOSEI_URL",
        "KYOSEI_BANK_KEY",
        "kyosei_server__port",
    ):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("KYOSEI_SERVER", '{"debug": true}')
    server = load_settings(tmp_path / "state").gateway.server
    assert (server.port, server.debug) == (1, True), "a whole table, and small letters, are settings as before"


BY_THE_COMMAND = (
    "sandbox mode on every interface",
    "sandbox mode with a real authority",
    "an unknown key",
    "a variable with one underscore",
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


def outside_the_sandbox(folder: Path) -> Path:
    """A configuration for real authorities, of which there are none."""
    config = outside_config(folder)
    connectors = (config / "connectors.toml").read_text(encoding="utf-8").replace("\nallow_private = true", "")
    connectors = re.sub(r"http://127\.0\.0\.1:(\d+)", r"https://authority-\1.example", connectors)
    (config / "connectors.toml").write_text(connectors, encoding="utf-8")
    return config


def test_outside_the_sandbox_each_setting_of_the_sandbox_forbids_to_start_on_a_line_of_its_own(
    tmp_path: Path,
) -> None:
    done = start(tmp_path / "state", ROOT / "config", "serve", KYOSEI_SANDBOX__ENABLED="false")
    assert done.returncode == EX_CONFIG
    assert [line.split(": ")[1:3] for line in done.stderr.strip().splitlines()] == [
        ["server.public_url", "it is missing, and this is no sandbox"],
        *([f"authorities.{name}.sandbox", "it is true, and this is no sandbox"] for name in AUTHORITIES),
        *(["relying_parties.toml", party] for party in ("bank", "landlord", "lender", "other-bank")),
    ]
    assert not (tmp_path / "state").exists()


def test_outside_the_sandbox_no_master_key_is_made(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert_told(start(state, outside_the_sandbox(tmp_path), "serve"), "master.key is missing")
    assert not (state / "keys" / "master.key").exists()
    assert not (state / "kyosei.sqlite").exists()


def test_a_master_key_is_made_only_where_it_may_be(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    with pytest.raises(ConfigurationError, match=r"keys/master\.key is missing"):
        read_master_key(path, may_make=False)
    assert not path.exists()
    made = read_master_key(path, may_make=True)
    assert read_master_key(path, may_make=False) == made


def test_a_real_source_at_a_private_address_has_to_be_allowed(tmp_path: Path) -> None:
    config = outside_the_sandbox(tmp_path)
    changed(config / "connectors.toml", "https://authority-8102.example", "https://10.0.0.7")
    with pytest.raises(ConfigurationError, match=r"authorities\.labor: .*allow_private"):
        load_settings(tmp_path / "state", folder=config)
    changed(config / "connectors.toml", '"https://10.0.0.7"', '"https://10.0.0.7"\nallow_private = true')
    load_settings(tmp_path / "state", folder=config)


def test_an_attribute_that_is_kept_back_does_not_forbid_to_start(tmp_path: Path) -> None:
    config = copied_config(tmp_path)
    CASES["an attribute that no purpose may ask"].change(config)
    preceded('not_disclosed = ["Tax.income"]\n')(config)
    settings = load_settings(tmp_path / "state", folder=config)
    assert not any(bounds.allows("Tax.income") for bounds in settings.purposes.values())


def test_debugging_on_this_machine_does_not_forbid_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYOSEI_SERVER__DEBUG", "true")
    assert load_settings(tmp_path / "state").gateway.server.debug


@pytest.mark.parametrize(
    "value",
    [
        *("changeme", "ChangeMe123", "change-me", "secret", "password1", "example", " secret ", "xxxxxxxxxxxx", ""),
        *("0000", "12345678", "<your secret>", "${CLIENT_SECRET}", "{{ secret }}", "%SECRET%", "your-client-secret"),
    ],
)
def test_a_placeholder_is_no_secret(value: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_secret("providers.secret", value)
    assert refused.value.detail == "providers.secret: a placeholder stands where a secret belongs"


@pytest.mark.parametrize(
    "value", ["kP3-vT9_xQ", "hunter2-canary", "correct horse battery staple", "9f86d081884c7d65"]
)
def test_a_secret_is_accepted(value: str) -> None:
    check_secret("providers.secret", value)


@asynccontextmanager
async def opened(state: Path, **settings: Any) -> AsyncIterator[Database]:
    database = open_database(sqlite_url(state / "kyosei.sqlite"), **settings)
    try:
        yield database
    finally:
        await database.close()


@pytest.mark.parametrize("level", ["OFF", "NORMAL", "EXTRA"])
async def test_a_database_that_does_not_write_durably_is_not_used(tmp_path: Path, level: str) -> None:
    async with opened(tmp_path, pragmas=("PRAGMA journal_mode=WAL", f"PRAGMA synchronous={level}")) as database:
        for engine in (database.writing, database.reading):
            with pytest.raises(ConfigurationError, match="database: synchronous"):
                async with engine.connect():
                    pass


async def test_a_clock_that_went_back_behind_the_record_forbids_to_start(tmp_path: Path) -> None:
    state, clock = tmp_path / "state", Clock()
    clock.pass_by(days=1)
    async with own_sandbox(settings_for(state), clock=clock) as caller:
        await caller.consent("P01", "landlord", "TENANCY", DOCUMENT)
    assert "clock" in await refusal(state)
    assert_told(start(state, ROOT / "config"), "clock")
    async with own_sandbox(settings_for(state), clock=clock):
        """The right clock opens it again."""


async def test_only_a_clock_in_utc_near_the_record_or_after_it_is_used(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with own_sandbox(settings_for(state)) as caller:
        await caller.consent("P01", "landlord", "TENANCY", DOCUMENT)
    last = EPOCH + timedelta(microseconds=rows(state, "SELECT max(at) AS at FROM audit_entry")[0]["at"])
    async with opened(state) as database:
        for ahead in (timedelta(seconds=-60), timedelta(0), timedelta(days=365)):
            await check_clock(database, last + ahead)
        with pytest.raises(ConfigurationError, match="clock: it is behind"):
            await check_clock(database, last - timedelta(seconds=60, microseconds=1))
        later = last + timedelta(days=1)
        for other in (later.replace(tzinfo=None), later.astimezone(timezone(timedelta(hours=9)))):
            with pytest.raises(ConfigurationError, match="clock: it is not in UTC"):
                await check_clock(database, other)


async def test_a_state_directory_that_others_may_enter_is_closed_to_them(tmp_path: Path) -> None:
    state = await made(tmp_path / "state")
    state.chmod(0o755)
    await made(state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


@pytest.mark.parametrize("document", ["README.md", "docs/operations.md"])
def test_the_documented_command_makes_a_master_key_that_nobody_else_can_reach(tmp_path: Path, document: str) -> None:
    (command,) = re.findall(r"^ *(.*> STATE/keys/master\.key.*)$", (ROOT / document).read_text("utf-8"), re.MULTILINE)
    subprocess.run(["bash", "-c", f"umask 022; {command}"], cwd=tmp_path, check=True)
    modes = [stat.S_IMODE((tmp_path / path).stat().st_mode) for path in ("STATE", "STATE/keys")]
    assert modes == [0o700, 0o700]
    assert len(read_master_key(tmp_path / "STATE" / "keys" / "master.key", may_make=False)) == 32


def test_the_keys_that_several_processes_share_are_made_where_nobody_else_can_reach_them(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "new" / "state")
    make_shared_keys(settings)
    for folder in (settings.state, settings.state.parent, settings.state / "keys"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_port_that_is_taken_is_named_with_what_chooses_another(tmp_path: Path) -> None:
    with closing(listening_socket("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        for command in ("run", "serve"):
            done = start(tmp_path / command, ROOT / "config", command, "--port", port)
            assert_told(done, "--port or KYOSEI_SERVER__PORT")


def test_several_processes_do_not_say_that_they_listen_before_they_do(tmp_path: Path) -> None:
    nowhere = "postgresql+asyncpg://kyosei@127.0.0.1:1/kyosei"
    done = start(
        tmp_path / "state", ROOT / "config", "serve", "--workers", "2", "--port", "0", KYOSEI_DATABASE__URL=nowhere
    )
    assert done.returncode == EX_CONFIG
    assert "listens" not in done.stdout
    assert set(done.stderr.strip().splitlines()) == {
        "kyosei: database.url: the database on 127.0.0.1:1 cannot be reached"
    }
