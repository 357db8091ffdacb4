# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Methods out of the fixed list, and the class prompts that some of them need."""

import pytest
import torch

from gsocc_core.errors import ConfigError
from gsocc_core.methods.build import build_method, prompts_use
from gsocc_core.synthetic.world.plain_things import CLASSES
from gsocc_core.text.class_prompts import ClassPrompts

from ..conftest import TINY_MODEL  # noqa: TID252 - tests are no package, the fixtures' constants live beside them
from ..worded import NAME, OPTIONAL, listed  # noqa: TID252

WORDS = ClassPrompts(("tar", "lawn", "sky"), ("road", "grass", "free"), torch.eye(3), "wordllama")


@pytest.fixture(autouse=True)
def _listed(monkeypatch):
    listed(monkeypatch)


def test_a_constructor_says_what_a_method_does_with_prompts():
    assert [prompts_use(name) for name in (NAME, OPTIONAL, "tpvformer")] == ["required", "optional", "unused"]
    with pytest.raises(ConfigError, match="one of gaussianflowocc, "):
        prompts_use("nerf")


def test_prompts_say_what_the_feature_channels_mean():
    method = build_method(NAME, {}, CLASSES, pretrained=False, prompts=WORDS)
    assert method.prompts is WORDS
    assert method.classes.channel_ids == (1, 2, 0)
    assert build_method(OPTIONAL, {}, CLASSES, pretrained=False, prompts=WORDS).prompts is WORDS
    assert build_method(OPTIONAL, {}, CLASSES, pretrained=False).prompts is None


def test_prompts_that_a_method_lacks_or_does_not_take_are_named():
    with pytest.raises(ConfigError, match="f.yaml: prompts: expected class prompts, since worded .*received none"):
        build_method(NAME, {}, CLASSES, pretrained=False, where="f.yaml")
    expected = "f.yaml: prompts: expected none, since gaussianflowocc takes no words, received 3 class prompts"
    with pytest.raises(ConfigError, match=expected):
        build_method("gaussianflowocc", TINY_MODEL, CLASSES, pretrained=False, prompts=WORDS, where="f.yaml")
    other = ClassPrompts(("tram",), ("tram",), torch.ones(1, 3), "wordllama")
    with pytest.raises(ConfigError, match="class prompts: tram: expected a class among free, road"):
        build_method(NAME, {}, CLASSES, pretrained=False, prompts=other)
    with pytest.raises(ConfigError, match="prompts: expected one of grid, telling, received an unknown key"):
        build_method(NAME, {"prompts": ["car"]}, CLASSES, pretrained=False, prompts=WORDS)
