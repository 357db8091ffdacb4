# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Image encoders on tiny random backbones of several families."""

import pytest
import torch

from gsocc_core.errors import ConfigError
from gsocc_core.networks.backbones import BACKBONES, BackboneArgs, ImageEncoder, PictureMap, build_backbone

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


def test_clip_gives_patches_in_the_space_of_text():
    sizes = {"hidden_size": 16, "intermediate_size": 24, "projection_dim": 6, "num_hidden_layers": 2,
             "num_attention_heads": 2, "image_size": 32, "patch_size": 8}  # fmt: skip
    encoder = PictureMap(BackboneArgs(None, "clip_vision_model", sizes, (0,)), frozen=True).train()
    assert encoder.channels == 6
    images = torch.randint(0, 256, (2, 3, 24, 40), dtype=torch.uint8)
    found = encoder(images)
    assert found.shape == (2, 6, 3, 5)
    # A picture of one patch row: the class token's way, taken by a patch.
    clip = encoder.backbone.model
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.48145466, 0.4578275, 0.40821073),
                                                        (0.26862954, 0.26130258, 0.27577711)))  # fmt: skip
    pixels = (images / 255 - mean) / std
    tokens = clip.vision_model(pixel_values=pixels, interpolate_pos_encoding=True).last_hidden_state
    expected = clip.visual_projection(clip.vision_model.post_layernorm(tokens[1, 1 + 1 * 5 + 3]))
    torch.testing.assert_close(found[1, :, 1, 3], expected, atol=1e-4, rtol=1e-4)
    assert not any(p.requires_grad for p in encoder.parameters())
    for other in (ImageEncoder(BackboneArgs(None, "clip_vision_model", sizes, (0,)), dim=8), encoder):
        torch.testing.assert_close(other.mean, 255 * mean)
        torch.testing.assert_close(other.std, 255 * std)


def test_caffe_resnet_and_levels_beyond_it():
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1],
             "deformable": [False, False, True, True]}  # fmt: skip
    args = BackboneArgs(None, "caffe_resnet", sizes, (2, 3))
    encoder = ImageEncoder(args, dim=10, coarser=2, multiple=32).eval()
    assert len(encoder.backbone.stages) == 3, "the fourth would never be read"
    maps = encoder(torch.full((1, 3, 33, 64), 124, dtype=torch.uint8))
    assert [tuple(m.shape) for m in maps] == [(1, 10, 8, 8), (1, 10, 4, 4), (1, 10, 2, 2), (1, 10, 1, 1)]
    assert encoder.std.flatten().tolist() == [1.0, 1.0, 1.0]
    # Filled up with the mean: the same as pictures that have it there.
    filled = torch.full((1, 3, 64, 64), 124.0)
    filled[:, :, 33:] = encoder.mean
    for one, other in zip(maps, encoder(filled)):
        torch.testing.assert_close(one, other)
    with pytest.raises(ConfigError, match="backbone: hub_id: expected null: no hub has weights of caffe_resnet"):
        build_backbone(BackboneArgs("owner/name", "caffe_resnet", sizes))
    with pytest.raises(ConfigError, match="hidden_sizes, depths and deformable of one length"):
        build_backbone(BackboneArgs(None, "caffe_resnet", {**sizes, "depths": [1, 1]}))
    with pytest.raises(ConfigError, match="model_args.hidden_act"):
        BackboneArgs(None, "caffe_resnet", {"hidden_act": "relu"})


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
    for name in ("no_such_model", "timm_backbone"):
        with pytest.raises(ConfigError, match=f"backbone: model_type: expected one of bit, .*'{name}'"):
            BackboneArgs(model_type=name)


def test_sizes_that_make_no_model_are_a_clear_error():
    for wrong in ({"hidden_act": "no_such"}, {"depths": ["x"] * 4}):
        with pytest.raises(ConfigError, match="backbone: model_args"):
            build_backbone(BackboneArgs(model_args={**TINY, **wrong}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attn_implementation", "owner/kernel"), ("torch_dtype", "float16"), ("dtype", "float16"),
        ("auto_map", {"AutoBackbone": "owner/code--file.Class"}), ("_name_or_path", "owner/model"),
        ("quantization_config", {"load_in_8bit": True}), ("out_features", ["stage1"]), ("depths", {"a": 1}),
        ("depths", [[1]]),
    ],
)  # fmt: skip
def test_arguments_that_choose_code_are_refused(key, value):
    with pytest.raises(ConfigError, match=rf"backbone: model_args.{key}: expected (one of depths|a number)"):
        BackboneArgs(model_args={**TINY, key: value})


@pytest.mark.parametrize("model_type", BACKBONES)
def test_every_listed_argument_is_one_of_the_model(model_type):
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if model_type not in CONFIG_MAPPING:
        pytest.skip("this transformers does not know the model yet")
    assert BACKBONES[model_type] - set(CONFIG_MAPPING[model_type]().to_dict()) == set()
