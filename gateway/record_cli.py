"""kyosei backup | restore | log | doctor: the record is kept, brought back, verified, and looked after."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import keeping
from gateway.doctor.examination import examine
from gateway.doctor.finding import Level
from gateway.errors import ConfigurationError, NotVerifiedError
from gateway.operating import DEFAULT_STATE, AsJson, State
from gateway.operator_log import configure_logging
from gateway.settings import Settings
from gateway.store.checkpoint_file import CHECKPOINT

BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="The file of the backup.")]
_KEY_APART = (
    "The master key is not in it: keep a copy of {key} apart from the backup. "
    "Without the key nothing in it can be read; with both, everything."
)
_OLDER = (
    "The log is older than, or another than, its last checkpoint: "
    "run `kyosei log recover --reason TEXT` for the same --state to go on."
)
_PAUSED = "Every consent is paused until its person resumes it."
_AS_IT_WAS = "Consents stand as they did at the backup: one that was taken back after that is in force again."
_UNKNOWN = (
    f"There was no {CHECKPOINT} here, so nobody knows whether anything was taken back since the backup. If it may "
    "have been, restore again with --replace --pause before anybody is answered."
)
AGAIN = (
    "What was done after the backup has to be done again: disputes, erasures that do not stand in erased.list, "
    "suspensions and registrations of relying parties, removals of documents, ended passkeys and guardians, "
    "corrected identity records, confirmed or disowned records, rotated keys."
)

Load = Callable[[Path], Settings]
Run = Callable[..., Any]


def add_record_commands(app: typer.Typer, *, act: Callable[..., Any], load: Load, run: Run) -> None:
    """Add the commands; the arguments are those of `add_operator_commands`."""

    @app.command()
    def backup(file: BackupFile, state: State = DEFAULT_STATE) -> None:
        """Write all that is kept, as it is at one moment, to a new file; the gateway may run."""
        made = act(state, "backup", file=str(file.absolute()))
        typer.echo(f"{file} holds a log of {made['size']} entries with the root {made['root']}.")
        typer.echo(_KEY_APART.format(key=state / "keys" / "master.key"))

    _add_restore(app, load, run)
    log_commands = typer.Typer(
        help="The log: whether it is whole, and going on from an older one.", no_args_is_help=True
    )
    _add_verify(log_commands, load, run)
    _add_recover(log_commands, load, run)
    app.add_typer(log_commands, name="log")
    _add_doctor(app, run)


def _add_restore(app: typer.Typer, load: Load, run: Run) -> None:
    @app.command()
    def restore(
        file: BackupFile,
        state: State = DEFAULT_STATE,
        replace: Annotated[bool, typer.Option("--replace", help="Give up what the database holds.")] = False,
        pause: Annotated[
            bool, typer.Option("--pause", help="Let every consent wait until its person resumes it.")
        ] = False,
    ) -> None:
        """Verify a backup, then put it into the database; no gateway may run."""

        async def main() -> None:
            moment = datetime.now(UTC)
            restored = await keeping.restore_backup(load(state), file, may_replace=replace, pauses=pause, now=moment)
            at = restored.last_entry_at
            until = f", the last of {at.isoformat(timespec='seconds')}" if at else ""
            typer.echo(f"Restored and verified: a log of {restored.checkpoint.size} entries{until}.")
            typer.echo("Browsers are signed out, one-time codes are void, and what was proved before is used up.")
            typer.echo(_PAUSED if pause else _AS_IT_WAS)
            typer.echo(AGAIN)
            if restored.is_older:
                typer.echo(_OLDER)
            if restored.is_unknown and not pause:
                typer.echo(_UNKNOWN, err=True)

        run(main())


def _add_verify(commands: typer.Typer, load: Load, run: Run) -> None:
    @commands.command()
    def verify(
        file: Annotated[
            Path | None, typer.Argument(metavar="[FILE]", help="A backup instead of the database.")
        ] = None,
        state: State = DEFAULT_STATE,
    ) -> None:
        """Verify every entry, and the whole log against its checkpoint; exit 1 if anything is wrong, 78 if it cannot
        be looked at."""

        async def main() -> None:
            settings = load(state)
            try:
                tree = await keeping.verify(settings, file)
            except NotVerifiedError as error:
                typer.echo(f"NOT VERIFIED: {error.detail}")
                raise typer.Exit(1) from None
            except ConfigurationError as error:
                raise ConfigurationError(f"the log could not be looked at: {error.detail}") from error
            typer.echo(f"size {tree.size}\nroot {tree.root().hex()}\nVERIFIED")

        run(main())


def _add_recover(commands: typer.Typer, load: Load, run: Run) -> None:
    @commands.command()
    def recover(
        reason: Annotated[
            str, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the log in the clear.")
        ],
        state: State = DEFAULT_STATE,
    ) -> None:
        """Go on from a log older than its last checkpoint: on record, every consent paused; no gateway may run."""

        async def main() -> None:
            done = await keeping.recover(load(state), reason=reason, now=lambda: datetime.now(UTC))
            lost = done.lost.size if done.lost else 0
            typer.echo(f"The log goes on from {done.found.size} entries; its last checkpoint covered {lost}.")
            typer.echo("Every consent is paused until its person resumes it; browsers are signed out.")
            typer.echo(AGAIN)

        run(main())


def _add_doctor(app: typer.Typer, run: Run) -> None:
    @app.command()
    def doctor(state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
        """Check all that a gateway needs, a line each, with what to do; exit 1 if there is an error."""
        configure_logging(sys.stderr)

        async def main() -> None:
            found = []
            async for finding in examine(state, now=datetime.now(UTC)):
                found.append(finding)
                if not as_json:
                    typer.echo(f"{finding.level:<8} {finding.check}: {finding.says}")
            if as_json:
                typer.echo(json.dumps([asdict(finding) for finding in found], indent=1))
            if any(finding.level is Level.ERROR for finding in found):
                raise typer.Exit(1)

        run(main())
