# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The list of parameters, what it accepts, and that the documentation shows it."""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from gsocc_core.errors import ConfigError
from gsocc_ros.node.parameters import (
    DEMO_BUNDLE,
    PARAMETERS,
    NodeSettings,
    is_demo_bundle,
    parameter_file,
    parameter_table,
)
from gsocc_ros.node.uncalibrated_parameters import UNCALIBRATED_PARAMETERS, UncalibratedSettings
from gsocc_ros.share_files import find_share_file


def test_list_and_settings_agree():
    assert {p.name: p.default for p in PARAMETERS} == vars(NodeSettings())
    assert [p.name for p in PARAMETERS] == [f.name for f in fields(NodeSettings)]
    for parameter in PARAMETERS:
        assert parameter.check(parameter.default) is None
        assert parameter.description.endswith(".")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("stale_s", 0.0, "0.05 ... 3600"),
        ("stale_s", float("nan"), "0.05 ... 3600"),
        ("stale_s", 0, "0.05 ... 3600"),
        ("stale_s", "1", "a value of type double"),
        ("stale_s", True, "a value of type double"),
        ("image_depth", 0, "1 ... 100"),
        ("image_depth", 2.0, "a value of type integer"),
        ("image_depth", True, "a value of type integer"),
        ("image_reliability", "sometimes", "one of"),
        ("bundle", 3, "a value of type string"),
        ("bundel", "x", "one of"),
        ("queries", "dog", "a value of type string_array"),
        ("queries", ["dog", 3], "a value of type string_array"),
        ("query_threshold", 0.0, "0.01 ... 1"),
    ],
)
def test_wrong_values_name_the_parameter(name, value, expected):
    with pytest.raises(ConfigError, match=f"parameter {name}: expected {expected}"):
        NodeSettings.of({name: value})


def test_a_whole_number_is_taken_for_a_double():
    settings = NodeSettings.of({"stale_s": 2, "obstacle_low_m": 0})
    assert (settings.stale_s, settings.obstacle_low_m) == (2.0, 0.0)
    assert type(settings.stale_s) is float


def test_words_come_as_a_list_of_which_empty_ones_do_not_count():
    assert NodeSettings().standing_queries == NodeSettings.of({"queries": []}).standing_queries == ()
    settings = NodeSettings.of({"queries": ["dog", " ", "garden chair", ""]})
    assert settings.standing_queries == ("dog", "garden chair")
    assert settings == NodeSettings.of({"queries": ("dog", " ", "garden chair", "")})


def test_the_documentation_holds_the_table():
    text = (Path(__file__).parents[3] / "docs" / "node.md").read_text(encoding="utf-8")
    assert parameter_table() in text


def test_the_parameter_file_ships_and_holds_every_default():
    text = find_share_file("config/occupancy.params.yaml").read_text(encoding="utf-8")
    assert text == parameter_file()
    values = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert NodeSettings.of(values) == NodeSettings()
    plain = {p.name: list(p.default) if isinstance(p.default, tuple) else p.default for p in PARAMETERS}
    assert {name: type(value) for name, value in values.items()} == {name: type(v) for name, v in plain.items()}


def test_the_demo_bundle_ships():
    shipped = find_share_file(f"{DEMO_BUNDLE}/config.yaml")
    assert shipped.is_file()
    assert is_demo_bundle(shipped.parent.name)
    assert not is_demo_bundle("mine")


def test_parameters_of_the_uncalibrated_node_are_documented_and_checked():
    text = (Path(__file__).resolve().parents[3] / "docs" / "reconstruct.md").read_text(encoding="utf-8")
    assert parameter_table(UNCALIBRATED_PARAMETERS) in text
    defaults = {p.name: p.default for p in UNCALIBRATED_PARAMETERS}
    assert defaults == vars(UncalibratedSettings())
    settings = UncalibratedSettings.of(defaults | {"view_bundle": "x", "mounting_height_m": 1, "spacing_s": 0.25})
    assert (settings.hints.mounting_height_m, settings.choice.spacing_ns) == (1.0, 250_000_000)
    assert UncalibratedSettings.of(defaults | {"view_bundle": "x"}).hints.mounting_height_m is None
    with pytest.raises(ConfigError, match="parameter view_bundle: expected a bundle folder"):
        UncalibratedSettings.of(defaults)
    with pytest.raises(ConfigError, match=r"parameter moments: expected 1 ... 16, received 0"):
        UncalibratedSettings.of(defaults | {"view_bundle": "x", "moments": 0})
