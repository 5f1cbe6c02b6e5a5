"""kyosei: run | serve | ask | migrate | schema | sandbox … and the operator's commands."""

import json
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress

from connectors.interface import SourceAuthority
from connectors.profile import USUAL_PROFILE
from gateway.app import open_gateway, serving
from gateway.asking import example_variables
from gateway.demonstration import check_asker, introduce, print_decision
from gateway.errors import ConfigurationError, GatewayError
from gateway.http.server import listening_socket, url_of
from gateway.keeping import migrate_database
from gateway.matrix import ask_everybody, differences, matrix_table, read_expected
from gateway.opening import check_is_there, make_shared_keys
from gateway.operating import DEFAULT_STATE, State
from gateway.operator_cli import add_operator_commands
from gateway.operator_log import configure_logging
from gateway.process import until_stopped
from gateway.sandbox import (
    RunningSandbox,
    default_people_folder,
    open_authorities,
    open_sandbox,
    open_sandbox_gateway,
    read_people,
)
from gateway.sandbox_keys import key_of, read_sandbox_keys
from gateway.settings import Settings, load_settings
from gateway.store.database import is_sqlite
from gateway.store.private_file import make_state_folder
from gateway.tracing import send_traces
from gateway.workers import run_workers, tell_ready
from resolvers.catalogue import Purpose
from resolvers.day import read_day
from resolvers.schema import schema as graphql_schema

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

EXIT_CONFIGURATION = 78
"""sysexits.h EX_CONFIG: the gateway may not start like this."""

OPERATOR_LOG = "operator.log"

app = typer.Typer(
    help="Kyosei Gateway: consented, minimal, recorded answers from four authorities.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
sandbox_commands = typer.Typer(
    help="The sandbox: invented people, four authorities on loopback.", no_args_is_help=True
)
app.add_typer(sandbox_commands, name="sandbox")

_console = Console(soft_wrap=True)
_errors = Console(stderr=True)


def _parse_day(text: str) -> date:
    day = read_day(text)
    if day is None:
        raise typer.BadParameter("a day is written YYYY-MM-DD")
    return day


Port = Annotated[
    int | None, typer.Option("--port", min=0, max=65535, help="The gateway's port; 0 takes any free one.")
]
People = Annotated[Path | None, typer.Option("--people", metavar="DIR", help="A folder with the five record files.")]
Day = Annotated[
    date | None,
    typer.Option("--day", parser=_parse_day, metavar="YYYY-MM-DD", help="The day in Japan; wins over people.json."),
]
Profile = Annotated[str, typer.Option("--profile", help="How the sandbox authorities behave: brisk or realistic.")]


@app.command()
def run(
    port: Port = None,
    state: State = DEFAULT_STATE,
    people: People = None,
    day: Day = None,
    profile: Profile = USUAL_PROFILE,
) -> None:
    """Run the four sandbox authorities and the gateway, with everybody enrolled, and print a ready query."""
    settings = _settings(state, operator_log=True)

    async def main() -> None:
        chosen = settings.gateway.server.port if port is None else port
        async with open_sandbox(settings, people_folder=people, day=day, profile=profile, port=chosen) as running:
            await introduce(running, _console, state=state)
            await until_stopped(running.gateway)

    _run(main())


@app.command()
def serve(
    port: Port = None,
    state: State = DEFAULT_STATE,
    people: People = None,
    day: Day = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="How many processes; more than 1 need PostgreSQL.")
    ] = 1,
    listen_fd: Annotated[int | None, typer.Option("--listen-fd", hidden=True)] = None,
    ready_fd: Annotated[int | None, typer.Option("--ready-fd", hidden=True)] = None,
) -> None:
    """Run the gateway alone; the sources are where config/connectors.toml says.

    In sandbox mode the calendar stands still and the invented people are enrolled.
    """
    settings = _settings(state)
    chosen = settings.gateway.server.port if port is None else port
    host = settings.gateway.server.host
    if workers > 1:
        _serve_together(settings, workers, port=chosen, people=people, day=day)

    async def main() -> None:
        listener = socket.socket(fileno=listen_fd) if listen_fd is not None else listening_socket(host, chosen)
        opened = open_gateway(settings, listens_on=url_of(listener))
        if settings.gateway.sandbox.enabled:
            enrolled = read_people(people or default_people_folder())
            today = day or enrolled.clock_on
            opened = open_sandbox_gateway(settings, enrolled, today=today, listens_on=url_of(listener))
        async with AsyncExitStack() as stack:
            gateway = await stack.enter_async_context(opened)
            url = await stack.enter_async_context(
                serving(gateway, listener, drain_seconds=settings.gateway.operations.drain_seconds)
            )
            if ready_fd is not None:
                tell_ready(ready_fd)
            else:
                _console.print(f"Kyosei Gateway listens on {url}/graphql")
            await until_stopped(gateway)

    _run(main())


def _serve_together(
    settings: Settings, workers: int, *, port: int, people: Path | None, day: date | None
) -> NoReturn:
    """Several processes: on PostgreSQL only. The keys are made once, before they start."""
    if is_sqlite(settings.database_url):
        _fail(
            "--workers: SQLite has one writer, so it means one gateway process; "
            "for more set database.url to a PostgreSQL database"
        )
    _checked(lambda: make_shared_keys(settings))
    given = ["--state", str(settings.state)]
    given += ["--people", str(people)] if people else []
    given += ["--day", day.isoformat()] if day else []
    host = settings.gateway.server.host
    raise SystemExit(_checked(lambda: run_workers(workers, given, host=host, port=port)))


@app.command()
def ask(
    person: Annotated[str, typer.Option("--person", help="The sandbox person, such as P02.")],
    party: Annotated[str, typer.Option("--as", help="The relying party: bank, landlord, lender or other-bank.")],
    purpose: Annotated[Purpose, typer.Option("--purpose", help="What for.")],
    port: Port = 0,
    state: Annotated[Path | None, typer.Option("--state", metavar="DIR", help="Default: a temporary one.")] = None,
    people: People = None,
    day: Day = None,
    profile: Profile = USUAL_PROFILE,
) -> None:
    """As the person grant a consent, as the relying party ask under it, and print the answer in plain words."""

    async def main(running: RunningSandbox) -> None:
        if person not in running.people.identities:
            raise ConfigurationError(f"--person: there is no {person} in this folder of people")
        if person in await running.erased():
            raise ConfigurationError(f"--person: {person} was erased in this state directory")
        check_asker(party, purpose, running.gateway.stores.relying_parties, running.keys)
        variables = example_variables(purpose, running.people.asks[person], person_id=person)
        token = await running.caller.give_consent(running.deciding(person), party, purpose, variables=variables)
        subject = await running.caller.ask(running.keys[party], purpose, consent_token=token, variables=variables)
        print_decision(_console, subject, title=f"{person}, {party}, {purpose.value}")

    _run_in_sandbox(main, state=state, people=people, day=day, profile=profile, port=port or 0)


@app.command()
def migrate(state: State = DEFAULT_STATE) -> None:
    """Bring the state directory's database to this version's schema."""
    _run(migrate_database(_settings(state)))
    _console.print("The database has this version's schema.")


@app.command()
def schema() -> None:
    """Print the GraphQL schema."""
    typer.echo(graphql_schema.as_str())


@sandbox_commands.command()
def key(
    party: Annotated[str, typer.Argument(help="bank, landlord, lender or other-bank")], state: State = DEFAULT_STATE
) -> None:
    """Print a relying party's bearer key."""
    settings = _settings(state)
    _checked(lambda: check_is_there(settings))
    keys = _checked(lambda: read_sandbox_keys(settings))
    typer.echo(_checked(lambda: key_of(party, keys)))


@sandbox_commands.command()
def authorities(people: People = None, day: Day = None, profile: Profile = USUAL_PROFILE) -> None:
    """Run the four authorities alone, where config/connectors.toml says, for `kyosei serve`."""
    settings = _settings(DEFAULT_STATE)

    async def main() -> None:
        folder = people or default_people_folder()
        ports = {
            authority: urlsplit(settings.connectors.settings_of(authority).base_url).port or 80
            for authority in SourceAuthority
        }
        today = day or read_people(folder).clock_on
        async with open_authorities(settings, folder, today=today, profile=profile, ports=ports) as urls:
            for authority, url in urls.items():
                _console.print(f"{authority.value.lower():<12} {url}")
            await until_stopped()

    _run(main())


@sandbox_commands.command()
def matrix(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON alone.")] = False,
    port: Port = 0,
    state: Annotated[Path | None, typer.Option("--state", metavar="DIR", help="Default: a temporary one.")] = None,
    people: People = None,
    day: Day = None,
    profile: Profile = USUAL_PROFILE,
) -> None:
    """Ask for everybody and every purpose through real HTTP; compare with expected.json where there is one."""

    async def main(running: RunningSandbox) -> None:
        with Progress(console=_errors, transient=True) as progress:
            task = progress.add_task("asking", total=len(running.people.identities) * len(Purpose))
            found = await ask_everybody(running, progressed=lambda: progress.advance(task))
        if as_json:
            typer.echo(json.dumps(found, indent=1))
            return
        _console.print(matrix_table(found))
        expected = read_expected(running)
        if expected is not None:
            unlike = differences(found, expected)
            _console.print(f"Unlike expected.json: {', '.join(unlike)}" if unlike else "All as expected.json says.")

    _run_in_sandbox(main, state=state, people=people, day=day, profile=profile, port=port or 0)


add_operator_commands(app, load=lambda state: _settings(state), run=lambda main: _run(main))


def _run_in_sandbox(
    main: Callable[[RunningSandbox], Awaitable[None]],
    *,
    state: Path | None,
    people: Path | None,
    day: date | None,
    profile: str,
    port: int,
) -> None:
    """Start what is needed, do the work, stop everything; in a temporary state directory unless one is named."""
    with tempfile.TemporaryDirectory(prefix="kyosei-") as temporary:
        settings = _settings(state or Path(temporary), operator_log=True)

        async def whole() -> None:
            async with open_sandbox(settings, people_folder=people, day=day, profile=profile, port=port) as running:
                await main(running)

        _run(whole())


def _settings(state: Path, *, operator_log: bool = False) -> Settings:
    """The settings; the operator's log goes to a file of the state directory, or to standard error."""
    settings = _checked(lambda: load_settings(state))
    if operator_log:
        _checked(lambda: make_state_folder(state))
        descriptor = os.open(state / OPERATOR_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        stream = os.fdopen(descriptor, "a", encoding="utf-8", buffering=1)
        configure_logging(stream, is_debug=settings.gateway.server.debug, is_final=True)
    else:
        configure_logging(sys.stderr, is_debug=settings.gateway.server.debug, is_final=True)
    telemetry = settings.gateway.telemetry
    if telemetry.otlp_endpoint:
        _checked(lambda: send_traces(telemetry.otlp_endpoint, telemetry.service_name))
    return settings


def _checked(function: Callable[[], T]) -> T:
    try:
        return function()
    except ConfigurationError as error:
        _fail(error.detail)


def _run(main: Coroutine[Any, Any, None]) -> None:
    try:
        uvloop.run(main)
    except* ConfigurationError as errors:
        _fail(_first(errors).detail)
    except* GatewayError as errors:
        error = _first(errors)
        _fail(f"{error.code}: {error.detail}", status=1)
    except* OSError as errors:
        _fail(f"cannot listen: {_first(errors).strerror}", status=1)
    except* KeyboardInterrupt:
        sys.exit(130)


def _first(errors: BaseExceptionGroup[E]) -> E:
    """The first exception inside a group."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error  # type: ignore[return-value]  # the leaves of a group of E are E


def _fail(message: str, *, status: int = EXIT_CONFIGURATION) -> NoReturn:
    """End with a line that names the key, never a value; with one for each where several are wrong."""
    for line in message.splitlines():
        _errors.print(f"kyosei: {line}", markup=False, highlight=False, soft_wrap=True)
    raise SystemExit(status)
