"""Whether settings of a gateway outside the sandbox are those of somebody who only tries it out."""

from collections.abc import Iterator

from gateway.doctor.finding import AttentionError
from gateway.settings import GatewaySettings
from gateway.settings_parts import AdmissionSettings, Consent, CostSettings, LaneSettings, Limits

TRIAL_TIMES = 10
"""From so many times a limit for the internet on, somebody only tries the gateway out, or should say why."""


def check_trial(given: GatewaySettings) -> str:
    """Names the keys that are far looser than for the internet. Raises AttentionError."""
    if given.sandbox.enabled:
        return "they are the sandbox's to choose"
    if loose := list(_loose(given)):
        raise AttentionError(f"{', '.join(loose)}: for trying out; leave them away, or lower them for the internet")
    return "none is left"


def check_notice(given: GatewaySettings) -> str:
    """Whether people are told where they can read what happens to their information. Raises AttentionError."""
    if not given.sandbox.enabled and given.consent.privacy_notice == Consent().privacy_notice:
        raise AttentionError("consent.privacy_notice: it is the sandbox's; say where people can read yours")
    return "it is said where people can read it"


def _loose(given: GatewaySettings) -> Iterator[str]:
    for key, default in Limits():
        if isinstance(default, int) and getattr(given.limits, key) >= TRIAL_TIMES * default:
            yield f"limits.{key}"
    if given.cost.budget_per_minute >= TRIAL_TIMES * CostSettings().budget_per_minute:
        yield "cost.budget_per_minute"
    for lane, usual in AdmissionSettings():
        if isinstance(usual, LaneSettings) and getattr(given.admission, lane).waiting >= TRIAL_TIMES * usual.waiting:
            yield f"admission.{lane}.waiting"
