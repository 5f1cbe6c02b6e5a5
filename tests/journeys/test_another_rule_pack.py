"""Rules are data: another pack decides otherwise without a line of Python, and never for consents given before."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from gateway.asking import read_example
from gateway.errors import ConfigurationError
from resolvers.catalogue import Purpose
from tests.conftest import Caller
from tests.gateway.sandboxes import changed, codes, copied_config, own_sandbox, settings_for

TENANCY = read_example(Purpose.TENANCY).replace("rules { id ", "rules { id title { en } ")
RENT = {"rentYenPerMonth": 62000}
OLD, NEW = "jp-2026.11.yaml", "jp-2027.01.yaml"
ONE_MORE_RULE = """
      - id: TN-08
        basis: { kind: PROJECT, source: "A rule of this test" }
        thresholds: { long_months: 600 }
        rows:
          - { when: { at_least: { tenure_months: long_months } }, result: PASS }
          - { otherwise: CONDITION, condition: ONE_MORE_RULE }
        texts:
          CONDITION: { en: "A rule that was added in a file.", ja: "ファイルに追加された規則。" }
        cures:
          - { for_results: [CONDITION, EVIDENCE], en: "Nothing helps.", ja: "ありません。" }
"""


def with_new_pack(config: Path) -> str:
    """Add a pack with another threshold and one more rule, and let new consents pin it. The old one's SHA-256."""
    old = config / "rules" / OLD
    text = old.read_text(encoding="utf-8")
    assert text.count("thresholds: { rents_a_year: 36 }") == 1
    text = text.replace("thresholds: { rents_a_year: 36 }", "thresholds: { rents_a_year: 1200 }")
    text = text.replace("name: JP-2026.11", "name: JP-2027.01").replace('version: "2026.11"', 'version: "2027.01"')
    before, mark, after = text.partition("\n  LENDING:\n")
    (config / "rules" / NEW).write_text(before.rstrip("\n") + "\n" + ONE_MORE_RULE + mark + after, encoding="utf-8")
    changed(config / "gateway.toml", f'current = "{OLD}"', f'current = "{NEW}"')
    return hashlib.sha256(old.read_bytes()).hexdigest()


async def tenancy(caller: Caller, token: str) -> dict[str, Any]:
    body = await caller.as_party("landlord", TENANCY, {**RENT, "consent": token})
    assert "errors" not in body
    return dict(body["data"]["subject"]["tenancy"])


def titles(decision: dict[str, Any]) -> dict[str, str]:
    return {rule["id"]: rule["title"]["en"] for rule in decision["rules"] if rule["title"]}


def results(decision: dict[str, Any]) -> dict[str, str]:
    return {rule["id"]: rule["result"] for rule in decision["rules"]}


async def test_a_consent_keeps_the_rules_it_was_shown_and_a_new_one_gets_the_new(tmp_path: Path) -> None:
    config, state = copied_config(tmp_path), tmp_path / "state"
    async with own_sandbox(settings_for(state, config=config)) as caller:
        given, _ = await caller.consent("P01", "landlord", "TENANCY", TENANCY, RENT)
        waiting = (await caller.preview("P01", "landlord", "TENANCY", TENANCY, RENT))["data"]["previewConsent"]["id"]
        before = await tenancy(caller, given)
    old_sha256 = with_new_pack(config)
    assert before["rulePack"] == {"name": "JP-2026.11", "version": "2026.11", "sha256": old_sha256}

    async with own_sandbox(settings_for(state, config=config)) as caller:
        assert await tenancy(caller, given) == before
        granted = await caller.as_person(
            "P01", "mutation($id: ID!) { grantConsent(preview: $id) { consentToken } }", {"id": waiting}
        )
        shown_before = await tenancy(caller, granted["data"]["grantConsent"]["consentToken"])
        assert shown_before == before, "the rules are those of the preview that the person saw"
        anew, _ = await caller.consent("P01", "landlord", "TENANCY", TENANCY, RENT)
        after = await tenancy(caller, anew)
    assert after["rulePack"]["name"] == "JP-2027.01"
    assert after["rulePack"]["sha256"] == hashlib.sha256((config / "rules" / NEW).read_bytes()).hexdigest()
    assert (before["outcome"], after["outcome"]) == ("ELIGIBLE", "NOT_ELIGIBLE_NOW")
    assert (results(before)["TN-05"], results(after)["TN-05"]) == ("PASS", "FAIL")
    assert "TN-08" not in results(before)
    assert results(after)["TN-08"] == "CONDITION"
    (added,) = [rule for rule in after["rules"] if rule["id"] == "TN-08"]
    assert (added["title"], titles(after)["TN-05"]) == (None, "Income and rent"), "a pack need not say"
    assert (added["condition"], added["explanation"]["en"]) == ("ONE_MORE_RULE", "A rule that was added in a file.")


async def test_a_pack_whose_file_is_gone_is_kept_for_the_consents_that_pin_it(tmp_path: Path) -> None:
    config, state = copied_config(tmp_path), tmp_path / "state"
    async with own_sandbox(settings_for(state, config=config)) as caller:
        given, _ = await caller.consent("P01", "landlord", "TENANCY", TENANCY, RENT)
    old_sha256 = with_new_pack(config)
    (config / "rules" / OLD).unlink()
    async with own_sandbox(settings_for(state, config=config)) as caller:
        decision = await tenancy(caller, given)
    assert (decision["rulePack"]["sha256"], decision["outcome"]) == (old_sha256, "ELIGIBLE")


async def test_a_withdrawn_pack_ends_its_consents(tmp_path: Path) -> None:
    config, state = copied_config(tmp_path), tmp_path / "state"
    async with own_sandbox(settings_for(state, config=config)) as caller:
        given, grant_id = await caller.consent("P01", "landlord", "TENANCY", TENANCY, RENT)
        await tenancy(caller, given)
    old_sha256 = with_new_pack(config)
    changed(config / "gateway.toml", "withdrawn = []", f'withdrawn = ["{old_sha256}"]')
    async with own_sandbox(settings_for(state, config=config)) as caller:
        ended = await caller.as_party("landlord", TENANCY, {**RENT, "consent": given})
        assert (ended["data"], codes(ended)) == ({"subject": None}, ["CONSENT_ENDED"])
        foreign = await caller.as_party("lender", TENANCY, {**RENT, "consent": given})
        assert codes(foreign) == ["CONSENT_INVALID"]
        seen = (await caller.as_person("P01", "{ me { grants { id status rulePack { name } } } }"))["data"]["me"]
        (own,) = [grant for grant in seen["grants"] if grant["id"] == grant_id]
        assert own["rulePack"] == {"name": "JP-2026.11"}
        assert own["status"] != "ACTIVE", "the person is not told that a consent lives which has ended"
        anew, _ = await caller.consent("P01", "landlord", "TENANCY", TENANCY, RENT)
        assert (await tenancy(caller, anew))["rulePack"]["name"] == "JP-2027.01"


async def test_nobody_is_shown_rules_that_are_withdrawn(tmp_path: Path) -> None:
    config = copied_config(tmp_path)
    sha256 = hashlib.sha256((config / "rules" / OLD).read_bytes()).hexdigest()
    changed(config / "gateway.toml", "withdrawn = []", f'withdrawn = ["{sha256}"]')
    with pytest.raises(ConfigurationError, match="rules"):
        async with own_sandbox(settings_for(tmp_path / "state", config=config)):
            pass


async def test_a_relying_party_that_is_no_longer_registered_is_a_stranger(tmp_path: Path) -> None:
    config, state = copied_config(tmp_path), tmp_path / "state"
    async with own_sandbox(settings_for(state, config=config)) as caller:
        token, grant_id = await caller.consent("P01", "landlord", "TENANCY", TENANCY, RENT)
        key = caller.running.keys["landlord"]
    parties = config / "relying_parties.toml"
    text = parties.read_text(encoding="utf-8")
    start, end = text.index("[landlord]"), text.index("[lender]")
    parties.write_text(text[:start] + text[end:], encoding="utf-8")
    async with own_sandbox(settings_for(state, config=config)) as caller:
        response = await caller.post(f"Bearer {key}", TENANCY, {**RENT, "consent": token})
        assert (response.status_code, codes(response.json())) == (401, ["TOKEN_INVALID"])
        seen = await caller.as_person("P01", "{ me { grants { id relyingParty { id } } accesses { kind } } }")
        assert [grant["id"] for grant in seen["data"]["me"]["grants"]] == [grant_id]
        assert (await caller.revoke("P01", grant_id))["data"]["revokeConsent"]["status"] == "REVOKED"
