# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Plain values against signatures: what fits is made, what does not is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsocc_core.arguments import keyword_arguments, positional_names, put, read_words
from gsocc_core.errors import ConfigError
from gsocc_core.methods.gausstr_args import DepthArgs
from gsocc_core.training.args import OptimizerArgs


@dataclass(frozen=True)
class Wheel:
    radius_m: float
    bolts: int = 5
    kind: Literal["steel", "alloy"] = "steel"

    def __post_init__(self) -> None:
        if self.radius_m <= 0:
            raise ConfigError("Wheel", "radius_m", "more than 0", self.radius_m)


def build(
    name: str,
    wheel: Wheel,
    spare: Wheel | None = None,
    box: tuple[float, float] = (1.0, 2.0),
    seats: tuple[int, ...] = (),
    size: tuple[float, float] | float = 1.0,
    extra: dict[str, Any] | None = None,
    diesel: bool = False,
) -> None:
    """A signature of every kind of type."""


GOOD = {"name": "van", "wheel": {"radius_m": 0.3}}


def test_values_take_their_types():
    content = {**GOOD, "spare": {"radius_m": "1e-1", "kind": "alloy"}, "box": [1, 2], "seats": [2, 3], "size": [1, 2]}
    made = keyword_arguments(build, content, "x.yaml")
    assert made["wheel"] == Wheel(0.3)
    assert made["spare"] == Wheel(0.1, kind="alloy")
    assert made["box"] == (1.0, 2.0)
    assert isinstance(made["box"][0], float)
    assert made["seats"] == (2, 3)
    assert made["size"] == (1.0, 2.0)
    assert keyword_arguments(build, {**GOOD, "size": 3, "spare": None}, "x")["size"] == 3.0


@pytest.mark.parametrize(
    ("change", "key", "expected", "received"),
    [
        ({"name": 3}, "name", "text", "3"),
        ({"wheel": {"radius_m": "wide"}}, "wheel.radius_m", "a number", "'wide'"),
        ({"wheel": {"radius_m": True}}, "wheel.radius_m", "a number", "True"),
        ({"wheel": {"radius_m": float("nan")}}, "wheel.radius_m", "a number", "nan"),
        ({"wheel": {"radius_m": -1.0}}, "wheel.radius_m", "more than 0", "-1.0"),
        ({"wheel": {"radius_m": 1.0, "bolts": 2.5}}, "wheel.bolts", "a whole number", "2.5"),
        ({"wheel": {"radius_m": 1.0, "bolt": 2}}, "wheel.bolt", "one of radius_m, bolts, kind", "did you mean bolts"),
        ({"wheel": {}}, "wheel.radius_m", "a number", "nothing"),
        ({"wheel": "round"}, "wheel", "keys among radius_m, bolts, kind", "'round'"),
        ({"spare": {"radius_m": 1.0, "kind": "gold"}}, "spare.kind", "one of steel, alloy", "'gold'"),
        ({"spare": 4}, "spare", "or null", "4"),
        ({"box": [1, 2, 3]}, "box", "a list of 2, each a number", "[1, 2, 3]"),
        ({"box": [1, "b"]}, "box[1]", "a number", "'b'"),
        ({"seats": 4}, "seats", "a list, each a whole number", "4"),
        ({"size": [1, "b"]}, "size[1]", "a number", "'b'"),
        ({"extra": [1]}, "extra", "a mapping or null", "[1]"),
        ({"diesel": "yes"}, "diesel", "true or false", "'yes'"),
        ({"colour": "red"}, "colour", "one of name, wheel", "an unknown key"),
    ],
)
def test_what_does_not_fit_is_named(change, key, expected, received):
    with pytest.raises(ConfigError) as caught:
        keyword_arguments(build, {**GOOD, **change}, "car.yaml")
    error = caught.value
    assert error.where == "car.yaml"
    assert error.key == key
    assert expected in str(error.expected)
    assert received in str(error.received)
    assert "\n" not in str(error)


def test_a_missing_argument_is_named_unless_partial():
    with pytest.raises(ConfigError, match="x.yaml: wheel: .*received nothing"):
        keyword_arguments(build, {"name": "van"}, "x.yaml")
    assert keyword_arguments(build, {"name": "van"}, "x.yaml", partial=True) == {"name": "van"}
    assert keyword_arguments(build, {"name": "van"}, "x.yaml", skip=("wheel",)) == {"name": "van"}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
                    max_leaves=8))  # fmt: skip
def test_nothing_but_a_config_error_comes_out(value):
    for key in ("wheel", "spare", "box", "seats", "size", "extra", "diesel", "name"):
        try:
            keyword_arguments(build, {**GOOD, key: value}, "x.yaml")
        except ConfigError as error:  # noqa: PERF203 - both outcomes are right
            assert error.key.startswith(key)  # noqa: PT017


def test_words_of_a_command_line():
    words = ["3", "--wheel.bolts", "4", "--box=1,2", "--spare.kind", "alloy", "--size", "[2, 3]", "--extra.a.b", "5"]
    values = dict(read_words([*words, "--diesel", "--wheel.radius-m=1e-1"], build, ["name"]))
    assert values == {
        "name": "3", "wheel.bolts": 4, "box": [1, 2], "spare.kind": "alloy", "size": [2, 3], "extra.a.b": 5,
        "diesel": True, "wheel.radius_m": "1e-1",
    }  # fmt: skip
    assert read_words(["--no-diesel", "--seats", "4", "--spare", "null"], build, ["name"]) == [
        ("diesel", False), ("seats", [4]), ("spare", None),
    ]  # fmt: skip
    assert read_words(["a.yaml"], build, ["config"], ["config"]) == [("config", "a.yaml")]


def test_the_first_words_may_be_a_list():
    def say(phrases: tuple[str, ...] = (), loud: bool = False) -> None: ...

    def add(numbers: tuple[int, ...] = ()) -> None: ...

    assert read_words(["two words", "no, 3", "--loud"], say, ["phrases"]) == [
        ("phrases", ["two words", "no, 3"]), ("loud", True),
    ]  # fmt: skip
    assert read_words(["a,b"], say, ["phrases"]) == [("phrases", ["a", "b"])]
    assert read_words(["1", "2"], add, ["numbers"]) == [("numbers", [1, 2])]


def test_a_list_of_texts_holds_texts_whatever_yaml_reads_in_them():
    def ask(model: str, phrases: tuple[str, ...] = (), scenes: list[str] | None = None) -> None: ...

    for text, members in (
        ("no", ["no"]), ("7", ["7"]), ("0004, b", ["0004", "b"]), ("#1", ["#1"]), ("a: b", ["a: b"]),
        ("it's", ["it's"]), ("'a,b', c", ["a,b", "c"]), ("[a, b]", ["a", "b"]), ("", []),
    ):  # fmt: skip
        assert read_words(["m", text], ask, ["model", "phrases"]) == [("model", "m"), ("phrases", members)]
        assert read_words(["m", "--scenes", text], ask, ["model", "phrases"]) == [("model", "m"), ("scenes", members)]
    assert read_words(["m", "--scenes", "null"], ask, ["model", "phrases"]) == [("model", "m"), ("scenes", None)]


def test_the_words_behind_the_first_may_be_a_list():
    def ask(model: str, phrases: tuple[str, ...], loud: bool = False) -> None: ...

    def drive(model: str, speed: float = 1.0, stops: tuple[str, ...] = ()) -> None: ...

    assert positional_names(ask) == ("model", "phrases")
    assert read_words(["m", "two words", "no, 3", "--loud"], ask, ["model", "phrases"]) == [
        ("model", "m"), ("phrases", ["two words", "no, 3"]), ("loud", True),
    ]  # fmt: skip
    assert read_words(["m", "a,b"], ask, ["model", "phrases"]) == [("model", "m"), ("phrases", ["a", "b"])]
    assert read_words(["m", "--phrases", "a"], ask, ["model", "phrases"]) == [("model", "m"), ("phrases", ["a"])]
    assert read_words(["m"], ask, ["model", "phrases"]) == [("model", "m")]
    assert positional_names(drive) == ("model",)
    with pytest.raises(ConfigError, match="town: expected --key value"):
        read_words(["m", "town"], drive, ["model"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--wheel.bolts", "many"], "wheel.bolts: expected a whole number, received 'many'"),
        (["--wheel.rim", "4"], "wheel.rim: expected one of"),
        (["--colour", "red"], "colour: expected one of"),
        (["--spare.kind", "gold"], "spare.kind: expected one of steel, alloy"),
        (["--box", "1,2,3"], "box: expected a list of 2"),
        (["--diesel=maybe"], "diesel: expected true or false"),
        (["van", "blue"], "blue: expected --key value"),
        (["--box"], "--box: expected a value, received nothing"),
    ],
)
def test_wrong_words_are_named(words, expected):
    with pytest.raises(ConfigError, match=f"^command line: {expected}"):
        read_words(words, build, ["name"])


def test_a_value_that_a_group_refuses_is_shown_as_it_was_read():
    def tune(optimizer: OptimizerArgs | None = None) -> None: ...

    with pytest.raises(ConfigError, match=r"optimizer.learning_rate: expected a positive number, received 0.0"):
        read_words(["--optimizer.learning_rate=0.0"], tune, ["x"])


def test_a_group_that_names_itself_is_named_once():
    def tune(depth: DepthArgs, size: int = 1) -> None: ...

    with pytest.raises(ConfigError, match="x.yaml: depth.model: expected a hub id or folder with source: model"):
        keyword_arguments(tune, {"depth": {"source": "model"}}, "x.yaml")


def test_put_keeps_what_stands_beside():
    content = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    put(content, "a.c.f", 4)
    put(content, "e", 5)
    put(content, "g.h", 6)
    assert content == {"a": {"b": 1, "c": {"d": 2, "f": 4}}, "e": 5, "g": {"h": 6}}
