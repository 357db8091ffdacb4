# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""YAML of any content is plain values or one clear line."""

import time

import pytest
import yaml

from gsocc_core.errors import ConfigError
from gsocc_core.yaml_files import MAX_DEPTH, load_yaml, parse_yaml, read_yaml


def test_files_that_are_no_mapping(tmp_path):
    path = tmp_path / "x.yaml"
    for content in ("a: [", "- 1", "", "\xff"):
        path.write_bytes(content.encode("latin1"))
        with pytest.raises(ConfigError, match="x.yaml: file: expected a recipe") as caught:
            read_yaml(path, "a recipe")
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="nowhere.yaml"):
        read_yaml(tmp_path / "nowhere.yaml", "a recipe")
    with pytest.raises(ConfigError, match="a recipe"):
        read_yaml(tmp_path, "a recipe")


def test_a_long_file_is_not_parsed(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\n" + "# a long comment\n" * 100_000)
    start = time.process_time()
    with pytest.raises(ConfigError, match="x.yaml: file: expected a recipe, of at most 1048576 bytes"):
        load_yaml(path, "a recipe")
    assert time.process_time() - start < 0.2


def test_aliases_and_merges_of_honest_files_work():
    text = "base: &base {a: 1, b: [1, 2]}\nuse: *base\nmore: {<<: *base, a: 3}\n"
    base = {"a": 1, "b": [1, 2]}
    assert parse_yaml(text) == {"base": base, "use": base, "more": {"a": 3, "b": [1, 2]}}
    assert parse_yaml("") is None
    for start, end in (("[", "]" * MAX_DEPTH), ("- ", "1"), ("{a: ", "}" * MAX_DEPTH)):
        assert parse_yaml(start * MAX_DEPTH + end)


def doubled(count):
    """Each alias stands for ten of the one before."""
    rows = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, count)]
    return "\n".join(["a0: &a0 [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]", *rows])


def merged(count):
    rows = [f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}]}}" for i in range(1, count)]
    return "\n".join(["m0: &m0 {a: 1}", *rows])


def chained(count):
    rows = [f"c{i}: &c{i} " + "[" * 20 + f"*c{i - 1}" + "]" * 20 for i in range(1, count)]
    return "\n".join(["c0: &c0 [1]", *rows])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 3000, "nested deeper than 50"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper than 50"),
        ("{a: " * 60 + "1" + "}" * 60, "nested deeper than 50"),
        ("- " * 3000 + "1", "nested deeper than 50"),
        ("\n".join(" " * i + "a:" for i in range(600)), "nested deeper than 50"),
        ("a: &a {b: *a}", "nested deeper than 50"),
        (chained(8), "nested deeper than 50"),
        (doubled(9), "more than 200000 values"),
        (merged(9), "more than 200000 values"),
        ("a: 2026-13-45", "ValueError"),
        ("a: !!int many", "ValueError"),
        ("a: !!timestamp today", "AttributeError"),
        ("a: !!bool perhaps", "KeyError"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("? [1, 2]\n: 3", "unhashable"),
        ("a: \x00", "special characters"),
        ("a: b: c", "mapping values"),
        ("--- 1\n--- 2", "single document"),
    ],
)
def test_hostile_text_is_a_yaml_error(text, message):
    start = time.process_time()
    with pytest.raises(yaml.YAMLError, match=message):
        parse_yaml(text)
    assert time.process_time() - start < 2
