"""kyosei relying-party | document | keys | person: what an operator does, whether the gateway runs or not."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.consent.invitation_code import INVITATION_LIFE
from gateway.operating import DEFAULT_STATE, AsJson, State, operate
from gateway.operator import Answered
from gateway.record_cli import add_record_commands
from gateway.settings import Settings

PartyId = Annotated[str, typer.Argument(help="The relying party's id.")]
PersonId = Annotated[str, typer.Argument(help="The person's id.")]
JsonFile = Annotated[Path, typer.Argument(metavar="FILE", help="A JSON file; - reads standard input.")]

_NAMESAKE = (
    "Warning: {other} has the same name and date of birth under another card number. If they are one person, "
    "one of the numbers is mistyped."
)

_CARD_OVER = (
    "Warning: card_expiry_on is more than two months ago: a card over so long proves no stay. If it is mistyped, "
    "correct it."
)
_STAFF_CODE = f"For one person, once, at /enrol; valid {INVITATION_LIFE.days} days."
_CODE = (
    f"For once, at /enrol, with their date of birth; valid {INVITATION_LIFE.days} days. "
    "An earlier code of theirs is void."
)


def add_operator_commands(app: typer.Typer, *, load: Callable[[Path], Settings], run: Callable[..., Any]) -> None:
    """Add the commands. `load`: the settings of a state directory; `run`: runs a coroutine, ends on its errors."""

    def act(state: Path, action: str, **arguments: Any) -> Answered:
        done: list[Answered] = []

        async def main() -> None:
            done.append(await operate(load(state), action, arguments))

        run(main())
        return done[0]

    app.add_typer(_relying_party_commands(act), name="relying-party")
    app.add_typer(_document_commands(act), name="document")
    app.add_typer(_keys_commands(act), name="keys")
    app.add_typer(_person_commands(act), name="person")
    add_record_commands(app, act=act, load=load, run=run)


Act = Callable[..., Answered]


def _relying_party_commands(act: Act) -> typer.Typer:
    commands = typer.Typer(help="Relying parties: who may ask, with which keys.", no_args_is_help=True)

    @commands.command()
    def add(file: JsonFile, state: State = DEFAULT_STATE) -> None:
        """Register a relying party, or change its registration; see the README for the members."""
        made = act(state, "relying-party add", registration=_read_json(file))
        stays = " It stays suspended." if made.get("suspended") else ""
        typer.echo(f"{made['id']} is {'updated' if made.get('updated') else 'registered'}.{stays}")

    @commands.command("list")
    def list_(state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
        """List all relying parties, those of the configuration included."""
        listed = act(state, "relying-party list")["relying_parties"]
        if as_json:
            typer.echo(json.dumps(listed, indent=1, ensure_ascii=False))
            return
        for party in listed:
            standing = "suspended" if party["suspended"] else "active"
            how = "OAuth" if party["oauth"] else "sandbox key"
            typer.echo(f"{party['id']:<20} {standing:<10} {how:<12} {party['names']['en']}")

    @commands.command()
    def suspend(
        party: PartyId,
        state: State = DEFAULT_STATE,
        lift: Annotated[bool, typer.Option("--lift", help="Let it ask again.")] = False,
    ) -> None:
        """Suspend a relying party: it gets no token and no answer any more. Consents stay as they are."""
        act(state, "relying-party suspend", party_id=party, suspended=not lift)
        typer.echo(f"{party} is {'active again' if lift else 'suspended'}.")

    @commands.command()
    def invite(party: PartyId, state: State = DEFAULT_STATE) -> None:
        """Print a one-time code for somebody of its staff to enrol with; none while it is suspended."""
        typer.echo(act(state, "relying-party invite", party_id=party)["code"])
        typer.echo(_STAFF_CODE, err=True)

    return commands


def _document_commands(act: Act) -> typer.Typer:
    commands = typer.Typer(help="The documents that relying parties have registered.", no_args_is_help=True)

    @commands.command()
    def add(
        party: PartyId,
        file: Annotated[Path, typer.Argument(help="A GraphQL document, or a manifest of Apollo or Relay.")],
        state: State = DEFAULT_STATE,
    ) -> None:
        """Register a relying party's documents; from then on it may run them, by their ids too."""
        for given_id in act(state, "document add", party_id=party, manifest=_read_text(file))["ids"]:
            typer.echo(given_id)

    @commands.command("list")
    def list_(party: PartyId, state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
        """List a relying party's documents."""
        listed = act(state, "document list", party_id=party)["documents"]
        if as_json:
            typer.echo(json.dumps(listed, indent=1))
            return
        for given_id, text in listed.items():
            typer.echo(f"{given_id}  {' '.join(text.split())[:80]}")
        if not listed:
            typer.echo("No documents.")

    @commands.command()
    def remove(
        party: PartyId,
        document: Annotated[str, typer.Argument(help="The document's id.")],
        state: State = DEFAULT_STATE,
    ) -> None:
        """Take a document off the register: where only registered ones are run, this one is not any more."""
        act(state, "document remove", party_id=party, document_id=document)
        typer.echo(f"{document} is not registered any more.")

    return commands


def _keys_commands(act: Act) -> typer.Typer:
    commands = typer.Typer(help="The gateway's own signing keys.", no_args_is_help=True)

    @commands.command()
    def rotate(state: State = DEFAULT_STATE) -> None:
        """Make a new signing key; it is published at once and signs from in a moment on."""
        made = act(state, "keys rotate")
        typer.echo(f"{made['kid']} signs from {made['signs_from']}.")

    @commands.command("list")
    def list_(state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
        """List the keys that are published."""
        listed = act(state, "keys list")["keys"]
        if as_json:
            typer.echo(json.dumps(listed, indent=1))
            return
        for key in listed:
            typer.echo(f"{key['kid']}  signs from {key['signs_from']}")

    return commands


def _person_commands(act: Act) -> typer.Typer:
    commands = typer.Typer(help="People: what is done at a counter.", no_args_is_help=True)

    @commands.command()
    def invite(
        person: PersonId,
        state: State = DEFAULT_STATE,
        identity: Annotated[
            Path | None,
            typer.Option("--identity", metavar="FILE", help="Their identity record as JSON, as seen at the counter."),
        ] = None,
        correct: Annotated[
            bool, typer.Option("--correct", help="Their record is wrong even in both name and date of birth.")
        ] = False,
    ) -> None:
        """Print a one-time code for somebody at the counter; --identity enrols or corrects them first."""
        record = None if identity is None else _read_json(identity)
        made = act(state, "person invite", person_id=person, identity=record, correct=correct)
        typer.echo(made["code"])
        typer.echo(_CODE, err=True)
        if record is not None:
            typer.echo(record_words(person, is_new=made["is_new"], corrected=made["corrected"]), err=True)
        if made["is_card_long_over"]:
            typer.echo(_CARD_OVER, err=True)
        for other in made["namesakes"]:
            typer.echo(_NAMESAKE.format(other=other), err=True)

    @commands.command()
    def guardian(
        minor: Annotated[str, typer.Argument(help="The minor's id.")],
        guardian: Annotated[str, typer.Argument(help="The guardian's id.")],
        state: State = DEFAULT_STATE,
        end: Annotated[bool, typer.Option("--end", help="They are the guardian no longer.")] = False,
    ) -> None:
        """Record who decides for a minor, as seen at the counter."""
        act(state, "person guardian", minor_id=minor, guardian_id=guardian, ended=end)
        typer.echo(f"{guardian} {'no longer decides' if end else 'decides'} for {minor}.")

    return commands


def record_words(person: str, *, is_new: bool, corrected: Sequence[str]) -> str:
    """What became of a record: its fields by their names, without what they hold."""
    if is_new:
        return f"{person} is enrolled."
    changed = f"is corrected: {', '.join(corrected)}" if corrected else "stands as it was"
    return f"The record of {person} {changed}."


def _read_json(file: Path) -> Any:
    """Raises BadParameter that names the file, never what stands in it."""
    try:
        return json.loads(_read_text(file))
    except ValueError as error:
        raise typer.BadParameter(f"{file.name}: it cannot be read as JSON") from error


def _read_text(file: Path) -> str:
    """Raises BadParameter that names the file."""
    try:
        return typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file.name}: it cannot be read") from error
