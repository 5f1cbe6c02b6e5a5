"""The rule packs in use: those configured and those that any grant ever pinned, each checked when it is loaded."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Protocol

from connectors.interface import SourceAuthority
from gateway.errors import ConfigurationError
from gateway.reasoning import Reasoning
from gateway.store.rule_packs import keep_rule_packs
from gateway.store.writer import Writer
from resolvers.catalogue import DECISIONS, Purpose
from resolvers.errors import RulePackError
from resolvers.inputs import RULE_INPUTS
from resolvers.rule_pack import load_rule_pack
from resolvers.rules import RulePack


class Chosen(Protocol):
    """Which pack is current, and which are withdrawn."""

    @property
    def current(self) -> str: ...

    @property
    def withdrawn(self) -> tuple[str, ...]: ...


async def open_reasoning(
    configured: Mapping[str, bytes],
    chosen: Chosen,
    writer: Writer,
    *,
    purposes: Iterable[Purpose],
    today: Callable[[], date],
    now: Callable[[], datetime],
) -> Reasoning:
    """Reason over every pack that is configured or was ever pinned. Raises ConfigurationError."""
    loaded = {name: _load_pack(name, body) for name, body in configured.items()}
    current = loaded.get(chosen.current)
    withdrawn = frozenset(chosen.withdrawn)
    if current is None:
        raise ConfigurationError("rules.current: there is no such pack in config/rules")
    if current.sha256 in withdrawn:
        raise ConfigurationError("rules.withdrawn: the current pack is withdrawn")
    for purpose in purposes:
        if purpose.value not in current.purposes:
            raise ConfigurationError(f"rules.current: the pack has no section for {purpose.value}")
    bodies = {pack.sha256: configured[name] for name, pack in loaded.items()}
    packs = {pack.sha256: pack for pack in loaded.values()}
    for sha256, body in (await keep_rule_packs(writer, bodies, now=now())).items():
        if sha256 not in packs:
            packs[sha256] = _load_pack(sha256, body)
    return Reasoning(packs, current=current.sha256, withdrawn=withdrawn, today=today)


def _load_pack(name: str, body: bytes) -> RulePack:
    kinds = {name: rule_input.kind for name, rule_input in RULE_INPUTS.items()}
    try:
        pack = load_rule_pack(body, input_kinds=kinds)
    except RulePackError as error:
        raise ConfigurationError(f"rule pack {name}: {error}") from error
    for field_ in DECISIONS.values():
        rules = pack.purposes.get(field_.purpose.value)
        if rules is not None and set(rules.arguments) != {argument.name for argument in field_.arguments}:
            raise ConfigurationError(f"rule pack {name}: {field_.purpose.value}: arguments")
        if rules is not None and SourceAuthority.IMMIGRATION not in rules.match_over:
            raise ConfigurationError(f"rule pack {name}: {field_.purpose.value}: match_over needs IMMIGRATION")
    return pack
