# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Image encoders on tiny random backbones of several families."""

import pytest
import torch

from gsocc_core.errors import ConfigError
from gsocc_core.networks.backbones import BackboneArgs, ImageEncoder, build_backbone

TINY = {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1], "layer_type": "basic"}


@pytest.mark.parametrize(
    ("model_type", "model_args"),
    [
        ("resnet", TINY),
        ("convnext", {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1]}),
        ("swin", {"embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4], "image_size": 64}),
    ],
)
def test_encoder_returns_one_map_per_stage(model_type, model_args):
    encoder = ImageEncoder(BackboneArgs(None, model_type, model_args, (1, 2, 3)), dim=10).eval()
    maps = encoder(torch.randint(0, 256, (2, 3, 3, 64, 96), dtype=torch.uint8))
    assert [tuple(m.shape) for m in maps] == [(2, 3, 10, 16, 24), (2, 3, 10, 8, 12), (2, 3, 10, 4, 6)]


def test_encoder_normalises_uint8_and_float_alike():
    encoder = ImageEncoder(BackboneArgs(model_args=TINY), dim=8).eval()
    images = torch.randint(0, 256, (1, 3, 32, 64), dtype=torch.uint8)
    for a, b in zip(encoder(images), encoder(images.float())):
        assert torch.equal(a, b)


def test_checkpointing_changes_memory_not_gradients():
    torch.manual_seed(0)
    plain = ImageEncoder(BackboneArgs(model_args=TINY), dim=8).train()
    saving = ImageEncoder(BackboneArgs(model_args=TINY, checkpointing=True), dim=8).train()
    saving.load_state_dict(plain.state_dict())
    images = torch.randint(0, 256, (2, 3, 32, 64), dtype=torch.uint8)
    for encoder in (plain, saving):
        sum(m.square().mean() for m in encoder(images)).backward()
    for a, b in zip(plain.parameters(), saving.parameters()):
        torch.testing.assert_close(a.grad, b.grad)


def test_unknown_backbone_is_a_clear_error():
    with pytest.raises(ConfigError, match="AutoBackbone"):
        build_backbone(BackboneArgs(model_type="no_such_model"))
