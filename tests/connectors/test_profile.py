"""The shape of config/connectors.toml, and that the file in the tree has it."""

import copy
import tomllib
from datetime import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import connectors
from connectors.interface import SourceAuthority
from connectors.maintenance import MaintenanceWindow
from connectors.profile import Behaviour, ConnectorsConfig, Fault

FILE = Path(connectors.__file__).parent.parent / "config" / "connectors.toml"
Table = dict[str, Any]  # Any: what tomllib gives back


def a_config() -> Table:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def test_the_file_in_the_tree_is_valid_and_has_both_profiles() -> None:
    config = ConnectorsConfig.model_validate(a_config())
    assert set(config.profiles) == {"brisk", "realistic"}
    assert {authority.value.lower() for authority in SourceAuthority} == set(config.authorities)
    assert all(config.settings_of(authority).sandbox for authority in SourceAuthority)


def test_brisk_is_quick_and_without_faults() -> None:
    config = ConnectorsConfig.model_validate(a_config())
    for authority in SourceAuthority:
        assert config.behaviour("brisk", authority) == Behaviour()
    assert Behaviour().polls_until_done == (2, 2)
    assert config.poll_seconds("brisk") == 0.05


def test_realistic_is_the_table_of_the_domain() -> None:
    config = ConnectorsConfig.model_validate(a_config())
    immigration = config.behaviour("realistic", SourceAuthority.IMMIGRATION)
    assert (immigration.median_ms, immigration.latency_ms[1], immigration.error_rate) == (900, 6000, 0.02)
    assert immigration.fault_rates == {Fault.TEMPORARY: 0.01}
    assert immigration.maintenance == (MaintenanceWindow(since=time(3), until=time(4, 30)),)
    tax = config.behaviour("realistic", SourceAuthority.TAX)
    assert (tax.polls_until_done, tax.fault_rates) == ((3, 20), {Fault.SHIFT_JIS_PAGE: 0.03})
    assert config.poll_seconds("realistic") == 2
    assert config.behaviour("realistic", SourceAuthority.INSURANCE).max_per_second == 2


def test_an_authority_of_its_own_poll_interval_keeps_it() -> None:
    table = a_config()
    table["authorities"]["tax"]["poll_seconds"] = 9
    assert ConnectorsConfig.model_validate(table).poll_seconds("brisk") == 9


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [({}, 0.05), ({"poll_seconds": 9}, 9), ({"sandbox": False}, None), ({"sandbox": False, "poll_seconds": 9}, 9)],
)
def test_where_nobody_names_a_profile_a_sandbox_is_polled_as_the_usual_one_says(
    changes: Table, seconds: float | None
) -> None:
    table = a_config()
    table["authorities"]["tax"] |= {**changes, "allow_private": True}
    assert ConnectorsConfig.model_validate(table).usual_poll_seconds() == seconds


def test_an_authority_has_16_places_and_is_never_closed_unless_the_table_says_so() -> None:
    table = a_config()
    table["authorities"]["tax"] |= {"max_concurrent": 3, "maintenance": [{"since": time(20), "until": time(8)}]}
    config = ConnectorsConfig.model_validate(table)
    tax, labor = config.settings_of(SourceAuthority.TAX), config.settings_of(SourceAuthority.LABOR)
    assert (tax.max_concurrent, tax.maintenance) == (3, (MaintenanceWindow(since=time(20), until=time(8)),))
    assert (labor.max_concurrent, labor.maintenance) == (16, ())


def test_an_unknown_profile_is_named_as_such() -> None:
    with pytest.raises(ValueError, match="no profile"):
        ConnectorsConfig.model_validate(a_config()).behaviour("fast", SourceAuthority.TAX)


def _changed(path: str, value: object) -> Table:
    table = copy.deepcopy(a_config())
    *parents, last = path.split(".")
    inner = table
    for name in parents:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return table


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("surplus", 1),
        ("authorities.tax.surplus", 1),
        ("authorities.corporate", {}),
        ("authorities.tax.base_url", "http://tax.example.jp"),
        ("authorities.tax.base_url", "https://tax.example.jp"),  # a sandbox, and not on this machine
        ("authorities.tax.deadline_seconds", 0),
        ("authorities.tax.deadline_seconds", "soon"),
        ("authorities.tax.max_reply_bytes", 0),
        ("authorities.tax.max_reply_bytes", 2**40),
        ("authorities.tax.max_concurrent", 0),
        ("authorities.tax.max_concurrent", 257),
        ("authorities.tax.ca_file", "/nowhere/ca.pem"),
        ("authorities.tax.client_certificate_file", str(FILE)),
        ("authorities.tax.client_key_file", str(FILE)),
        ("authorities.tax.maintenance", [{"since": time(3), "until": time(3)}]),
        ("authorities.tax.maintenance", [{"since": time(3), "until": time(4), "days": ["MOON"]}]),
        ("authorities.tax.maintenance", [{"since": time(3), "until": time(4), "share": 1.0}]),
        ("profiles.brisk.tax.surplus", 1),
        ("profiles.brisk.tax.latency_ms", [120, 20]),
        ("profiles.brisk.tax.latency_ms", [-1, 20]),
        ("profiles.brisk.tax.median_ms", 500),
        ("profiles.brisk.tax.polls_until_done", [0, 2]),
        ("profiles.brisk.tax.error_rate", 1.5),
        ("profiles.brisk.tax.fault_rates", {"EARTHQUAKE": 1}),
        ("profiles.brisk.tax.maintenance", [{"since": time(3), "until": time(3)}]),
        ("profiles.brisk.corporate", {}),
        ("profiles.new", {}),
    ],
)
def test_a_wrong_or_unknown_key_is_refused(path: str, value: object) -> None:
    with pytest.raises(ValidationError):
        ConnectorsConfig.model_validate(_changed(path, value))


def test_all_four_authorities_must_be_there() -> None:
    table = a_config()
    del table["authorities"]["labor"]
    with pytest.raises(ValidationError, match="authorities"):
        ConnectorsConfig.model_validate(table)
