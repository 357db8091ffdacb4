# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Uni3R at a tiny size: any number of views and any aspect, what views mean to each other, gradients and bad input."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_views import GAUSSIANS, NETWORK, tiny, views

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.methods.build import parse_arguments
from gsocc_core.methods.uni3r import Uni3R, stack_views
from gsocc_core.methods.uni3r_args import GaussianArgs, LossArgs, NetworkArgs, RenderArgs, SemanticArgs
from gsocc_core.yaml_files import read_yaml

PUBLISHED = {
    "encoder": 303_417_344,
    "attention.frame_blocks": 302_364_672,
    "attention.global_blocks": 302_364_672,
    "attention.camera_token": 2_048,
    "attention.register_token": 8_192,
    "attention.intrinsics_encoder": 10_240,
    "camera_head": 216_174_610,
    "point_head": 32_654_628,
    "depth_head": 32_654_562,
    "gaussian_head.dense": 32_950_528 - 37_888,
    "gaussian_head.picture": 37_888,
    "gaussian_head.attributes": 621_691,
    "semantic_head.reduction": 32_832,
    "semantic_head.expansion": 33_280,
}


#: As VGGT is trained, whose weights a training without them wants to begin from.
GEOMETRY_ALONE = LossArgs(photometric=0.0, semantic=0.0, geometry=0.0, points=1.0, camera=2.0)


def test_paper_size_has_the_published_numbers_in_every_part():
    with torch.device("meta"):
        network = Uni3R(pretrained=False)
    counts = dict.fromkeys(PUBLISHED, 0)
    for name, parameter in network.named_parameters():
        assert parameter.is_meta
        counts[next(part for part in PUBLISHED if name.startswith(part))] += parameter.numel()
    assert counts == PUBLISHED
    # The paper's losses reach neither the camera head nor the depth head.
    silent = {name.split(".")[0] for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert silent == {"encoder", "camera_head", "depth_head"}
    idle = [name for name, parameter in network.encoder.named_parameters() if not parameter.requires_grad]
    assert idle == ["backbone.embeddings.mask_token"]


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_one_network_takes_any_number_of_views_and_any_aspect(count, size):
    network, sample = tiny().eval(), views(1, count, size)
    with torch.no_grad():
        output = network.reconstruct(sample)
    height, width = size
    assert tuple(output.points.shape) == (1, count, height, width, 3)
    assert tuple(output.depth.shape) == (1, count, height, width)
    assert len(output.scene) == count * height * width
    assert tuple(output.scene.features.shape[2:]) == (4,)
    assert tuple(output.scene.colors_sh.shape[2:]) == (9, 3)
    assert tuple(output.T_first_cam.shape) == (1, count, 4, 4)
    torch.testing.assert_close(output.T_first_cam[:, 0], torch.eye(4)[None])
    assert tuple(output.intrinsics.shape) == (1, count, 3, 3)
    losses = network.losses(output, sample)
    assert set(losses) == {"color", "ssim", "semantic", "geometry", "points", "depth", "camera"}
    assert all(torch.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize("matching", [0, 2])
def test_the_first_view_is_the_reference_and_the_others_have_no_order(matching):
    network, sample, order = tiny(network=_with(matching=matching)).eval(), views(1, 4), [0, 3, 1, 2]
    _noisy(network)
    with torch.no_grad():
        plain = network(sample.images, sample.intrinsics, sample.features)
        swapped = network(*(t[:, order] for t in (sample.images, sample.intrinsics, sample.features)))
        other = network(*(t[:, [1, 0, 2, 3]] for t in (sample.images, sample.intrinsics, sample.features)))
    torch.testing.assert_close(swapped.points, plain.points[:, order], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(swapped.codes[-1], plain.codes[-1][:, order], atol=1e-5, rtol=1e-4)
    assert (other.points - plain.points[:, [1, 0, 2, 3]]).abs().max() > 2e-5
    assert (other.codes[-1] - plain.codes[-1][:, [1, 0, 2, 3]]).abs().max() > 1e-3


@pytest.mark.parametrize("matching", [0, 2])
def test_views_that_fill_up_a_batch_change_nothing(matching):
    network, sample = tiny(network=_with(matching=matching)).eval(), views(2, 3)
    _noisy(network)
    valid = torch.tensor([[True, True, False], [True, True, True]])
    empty = sample.images.clone()
    empty[0, 2] = 0
    with torch.no_grad():
        found = network(empty, sample.intrinsics, sample.features, valid)
        alone = network(sample.images[:1, :2], sample.intrinsics[:1, :2], sample.features[:1, :2])
    torch.testing.assert_close(found.points[:1, :2], alone.points, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.codes[-1][:1, :2], alone.codes[-1], atol=1e-5, rtol=1e-4)
    there = alone.scene.opacities.shape[1]
    for name in ("scales", "opacities", "features", "colors_sh"):
        one, other = getattr(found.scene, name)[:1, :there], getattr(alone.scene, name)
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
    opacities = found.scene.opacities.view(2, 3, -1)
    assert not opacities[0, 2].any()
    assert (opacities[1] > 0).all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": LossArgs()},
        {"loss": LossArgs(semantic=0.0, camera=0.1)},
        {"loss": GEOMETRY_ALONE},
        {"loss": LossArgs(photometric=0.0, semantic=0.0, geometry=0.0, camera=0.1)},
        {"semantics": SemanticArgs(6, 4, residual=False)},
        {"network": replace(NETWORK, intrinsics="none")},
        {"network": replace(NETWORK, matching=2)},
    ],
)
def test_every_parameter_that_can_learn_does(changes):
    network, sample = tiny(**changes), views()
    sum(network.training_losses(sample).values()).backward()
    idle = [n for n, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert idle == []
    assert all(p.grad is None for p in network.parameters() if not p.requires_grad)


def test_training_computes_what_its_losses_read_and_no_more(monkeypatch):
    whole, geometry, sample = tiny(), tiny(loss=GEOMETRY_ALONE), views()
    expected = whole.losses(whole.reconstruct(sample), sample)
    for network in (whole, geometry):
        if network is geometry:
            for part in (network.gaussian_head, network.depth_head):
                monkeypatch.setattr(part, "forward", None)
        found = network.training_losses(sample)
        for name, loss in found.items():
            weight = 1 if network is whole else getattr(GEOMETRY_ALONE, name) / getattr(whole.loss_args, name)
            torch.testing.assert_close(loss, weight * expected[name])
    assert set(found) == {"points", "camera"}


def test_it_learns():
    network, sample = tiny(), views(1, 2)
    optimizer = torch.optim.AdamW(network.parameter_groups(3e-3, backbone_factor=1.0))
    history = []
    for _ in range(12):
        losses = network.training_losses(sample)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(total.item())
    assert history[-1] < 0.8 * history[0]


def test_intrinsics_are_optional():
    sample = views(1, 2)
    unknown = torch.full_like(sample.intrinsics, torch.nan)
    network = tiny().eval()
    _noisy(network)
    with torch.no_grad():
        known, nan, none = (
            network(sample.images, K, sample.features).points for K in (sample.intrinsics, unknown, None)
        )
        torch.testing.assert_close(nan, none)
        assert (known - none).abs().max() > 2e-5
        without = tiny(network=_with(intrinsics="none")).eval()
        torch.testing.assert_close(
            without(sample.images, sample.intrinsics, sample.features).points,
            without(sample.images, None, sample.features).points,
        )
        dropping = tiny(network=_with(intrinsics_dropout=1.0)).train()
        torch.testing.assert_close(
            dropping(sample.images, sample.intrinsics, sample.features).points,
            dropping(sample.images, None, sample.features).points,
        )


def test_fewer_gaussians_than_pixels():
    network, sample = tiny(gaussians=GaussianArgs(stride=4, scale_factor=0.7, pixel_color=True)), views(1, 2)
    output = network.reconstruct(sample)
    assert tuple(output.points.shape) == (1, 2, 4, 4, 3)
    assert len(output.scene) == 32
    assert all(torch.isfinite(loss) for loss in network.losses(output, sample).values())


def test_features_are_no_input_without_the_residual():
    network, sample = tiny(semantics=SemanticArgs(6, 4, residual=False)).eval(), views(1, 2)
    with torch.no_grad():
        one = network(sample.images, sample.intrinsics)
        other = network(sample.images, sample.intrinsics, sample.features)
    torch.testing.assert_close(one.scene.features, other.scene.features)


def test_groups_are_the_published_ones():
    network = tiny()
    groups = network.parameter_groups(1e-3, 0.05)
    where = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    named = {name: where[id(p)] for name, p in network.named_parameters() if p.requires_grad}
    assert {group["betas"] for group in groups} == {(0.9, 0.95)}
    assert len(where) == len(named) == sum(len(group["params"]) for group in groups)
    assert named["encoder.backbone.embeddings.cls_token"] == pytest.approx((1e-4, 0))
    assert named["attention.global_blocks.1.qkv.weight"] == pytest.approx((1e-4, 0))
    assert named["attention.intrinsics_encoder.weight"] == pytest.approx((1e-3, 0))
    assert named["camera_head.branch2.weight"] == pytest.approx((1e-4, 0))
    assert named["point_head.smooth.weight"] == named["depth_head.smooth.weight"] == pytest.approx((1e-4, 0))
    assert named["gaussian_head.dense.smooth.weight"] == (1e-3, 0.05)
    assert named["gaussian_head.dense.smooth.bias"] == named["gaussian_head.dense.norm.weight"] == (1e-3, 0)
    assert named["semantic_head.expansion.weight"] == (1e-3, 0.05)


def test_bad_input_is_one_clear_line():
    network, sample = tiny().eval(), views(1, 2)
    K, features = sample.intrinsics, sample.features
    cases = [
        (r"images: expected .*at least one view, received \(1, 0, 3, 16, 16\)", (sample.images[:, :0], None, None)),
        (r"images: expected \(B, V, 3, H, W\)", (sample.images[0], None, None)),
        (r"images: expected height and width that are multiples of the patch, 4", (sample.images[..., :15, :], K)),
        (r"intrinsics: expected \(1, 2, 3, 3\), received \(1, 2, 4, 4\)",
         (sample.images, torch.eye(4).expand(1, 2, 4, 4), features)),
        (r"features: expected \(1, 2, 6, 'h', 'w'\), since semantics.residual is set, received None",
         (sample.images, K)),
        (r"features: expected \(1, 2, 6, 'h', 'w'\), received \(1, 2, 5, 8, 8\)",
         (sample.images, K, features[:, :, :5])),
        (r"valid: expected \(1, 2\), with the first view of every sample",
         (sample.images, K, features, torch.tensor([[False, True]]))),
    ]  # fmt: skip
    for message, arguments in cases:
        with pytest.raises(ShapeError, match=message) as caught:
            network(*arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(ShapeError, match=r"all of one size, received \(3, 4, 6\), \(3, 6, 4\)"):
        stack_views([torch.zeros(3, 4, 6), torch.zeros(3, 6, 4)])
    with pytest.raises(ShapeError, match="received none"):
        stack_views([])
    assert tuple(stack_views(list(sample.images[0])).shape) == (1, 2, 3, 16, 16)


@pytest.mark.parametrize(
    ("message", "build"),
    [
        (r"network.taps: expected four of 0 \.\.\. 3", lambda: NetworkArgs(depth=4)),
        ("network.depth: expected 1 or more, received 0", lambda: NetworkArgs(depth=0)),
        ("network.matching: expected 0 or more, received -1", lambda: NetworkArgs(matching=-1)),
        ("multiple of 8", lambda: NetworkArgs(head_width=20)),
        (r"gaussians.sh_degree: expected 0 \.\.\. 3, received 4", lambda: GaussianArgs(sh_degree=4)),
        ("gaussians.span: expected 0 < low < high", lambda: GaussianArgs(span=(1.0, 0.5))),
        ("loss.semantic: expected 0 or more, received -1", lambda: LossArgs(semantic=-1)),
        ("loss.geometry_keep", lambda: LossArgs(geometry_keep=0)),
        ("render.near_m, far_m", lambda: RenderArgs(near_m=5.0, far_m=1.0)),
        ("encoder: expected a width that 4 x 3 heads divide", lambda: tiny(network=_with(heads=3))),
        ("image_size: expected height and width", lambda: tiny(image_size=(18, 16))),
        ("multiples of the patch, 4, and of the stride, 3", lambda: tiny(gaussians=GaussianArgs(stride=3))),
    ],
)
def test_sizes_that_cannot_be_are_named(message, build):
    with pytest.raises((ConfigError, ShapeError), match=message):
        build()


def _with(**changes):
    return replace(NETWORK, **changes)


def _noisy(network):
    """Weights large enough for every path to show: learned scales and tokens start near 0."""
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "scale" in name or "token" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=g) * 0.5)


def test_the_shipped_configuration_is_the_papers_size():
    path = Path(__file__).parents[2] / "config/train/scannet_uni3r.yaml"
    content = read_yaml(path, "a configuration")
    arguments = parse_arguments("uni3r", content["model"], path, key="model")
    with torch.device("meta"):
        network = Uni3R(**arguments, pretrained=False)
    assert sum(parameter.numel() for parameter in network.parameters()) == sum(PUBLISHED.values()) == 1_223_289_299
    optimizer = content["optimizer"]
    groups = network.parameter_groups(*(optimizer[k] for k in ("learning_rate", "weight_decay", "backbone_factor")))
    rates = sorted((group["lr"], group["weight_decay"]) for group in groups)
    assert [value for pair in rates for value in pair] == pytest.approx([1e-5, 0, 1e-4, 0, 1e-4, 0.05])


def test_behind_the_scene_is_the_mean_colour_of_views_that_are_there():
    sample = views(2, 3)
    valid = torch.tensor([[True, True, True], [True, True, False]])
    network = tiny(gaussians=replace(GAUSSIANS, background="mean"))
    found = network(sample.images, sample.intrinsics, sample.features, valid).background
    seen = sample.images.double() / 255
    expected = torch.stack([seen[0].mean((0, 2, 3)), seen[1, :2].mean((0, 2, 3))])
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0)
    assert not tiny()(sample.images, sample.intrinsics, sample.features).background.any()


def test_the_first_training_of_rooms_has_the_network_of_the_second():
    built = []
    for name in ("rooms_uni3r_geometry", "rooms_uni3r"):
        path = Path(__file__).parents[2] / f"config/train/{name}.yaml"
        arguments = parse_arguments("uni3r", read_yaml(path, "a configuration")["model"], path, key="model")
        built.append(Uni3R(**arguments, pretrained=False))
    first, second = ({key: value.shape for key, value in one.state_dict().items()} for one in built)
    assert first == second
    assert (built[0].loss_args.renders, built[1].loss_args.renders) == (False, True)
