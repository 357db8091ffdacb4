# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Uni3R's losses: what is unknown is left out, units do not matter, and the truth costs nothing."""

from dataclasses import replace

import pytest
import torch
from tiny_views import SEMANTICS, tiny, views

from gsocc_core import splat_to_image
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.spherical_harmonics import sh_colors
from gsocc_core.methods.uni3r_args import LossArgs, RenderArgs
from gsocc_core.methods.uni3r_losses import (
    camera_loss,
    in_metres,
    known_cameras,
    known_surface,
    rendered_losses,
    scene_unit_m,
    sure_error,
    surface_losses,
)
from gsocc_core.networks.camera_head import encode_cameras
from gsocc_core.splat.to_color import splat_to_color


def scene_of(sample):
    network = tiny().eval()
    with torch.no_grad():
        output = network.reconstruct(sample)
    ahead = output.scene.means + torch.tensor([0.0, 0.0, 1.0])
    return output.scene.replace(means=ahead), network.semantic_head.expand


def test_rendered_views_are_compared_one_by_one():
    sample = views(1, 2, targets=2)
    scene, expand = scene_of(sample)
    loss = LossArgs(photometric=2.0, semantic=0.5)
    found = rendered_losses(scene, [sample.targets], expand, loss, RenderArgs())
    cameras, _ = known_cameras(sample.targets)
    color = cosine = 0.0
    for v in range(2):
        ways = scene.means - cameras.T_ref_cam[:, v, None, :3, 3]
        one = scene.replace(features=torch.cat([sh_colors(scene.colors_sh, ways), scene.features], -1), colors_sh=None)
        seen = splat_to_image(one, cameras.map(lambda t, v=v: t[:, v : v + 1])).features[0, 0]
        color += (seen[..., :3] - sample.targets.images[0, v].movedim(0, -1) / 255).square().mean()
        spread = expand(seen[..., 3:]).movedim(-1, 0)
        teacher = sample.targets.features[0, v]
        cosine += (1 - torch.nn.functional.cosine_similarity(spread, teacher, dim=0)).mean()
    assert found["color"].item() == pytest.approx(2.0 * color.item() / 2, rel=1e-4)
    assert found["semantic"].item() == pytest.approx(0.5 * cosine.item() / 2, rel=1e-4)
    absolute = rendered_losses(scene, [sample.targets], expand, LossArgs(color_error="l1"), RenderArgs())
    assert absolute["color"] > found["color"] / 2


def test_views_without_a_camera_are_left_out():
    sample = views(1, 2, targets=2)
    scene, expand = scene_of(sample)
    loss = LossArgs(ssim=0.3)
    one = sample.targets.map(lambda t: t[:, :1])
    expected = rendered_losses(scene, [one], expand, loss, RenderArgs())
    lost = sample.targets.T_first_cam.clone()
    lost[:, 1] = torch.nan
    found = rendered_losses(scene, [replace(sample.targets, T_first_cam=lost)], expand, loss, RenderArgs())
    assert set(found) == {"color", "ssim", "semantic"}
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    nothing = replace(sample.targets, intrinsics=torch.full_like(sample.targets.intrinsics, torch.nan))
    assert all(v == 0 for v in rendered_losses(scene, [nothing], expand, loss, RenderArgs()).values())


def test_the_unit_of_the_network_changes_no_picture():
    sample = views(1, 2)
    scene, expand = scene_of(sample)
    unit = torch.tensor([0.25])
    small = scene.replace(means=scene.means * 4, scales=scene.scales * 4)
    args = ([sample.targets], expand, LossArgs(), RenderArgs())
    one, other = rendered_losses(scene, *args), rendered_losses(in_metres(small, unit), *args)
    for name in one:
        torch.testing.assert_close(one[name], other[name])


def test_the_unit_is_the_way_from_the_first_to_the_last_camera():
    sample = views(3, 3)
    T = sample.T_first_cam.clone()
    T[0, 2, :3, 3] = torch.tensor([3.0, 4.0, 0.0])
    T[1, 1, :3, 3] = torch.tensor([0.0, 0.0, 2.0])
    T[2, 2] = torch.nan
    valid = torch.tensor([[True, True, True], [True, True, False], [True, True, True]])
    sample = replace(sample, T_first_cam=T, valid=valid)
    assert scene_unit_m(sample, "baseline").tolist() == [5.0, 2.0, 1.0]
    assert scene_unit_m(sample, "metre").tolist() == [1.0] * 3
    assert scene_unit_m(views(1, 1), "baseline").tolist() == [1.0]  # one view has no baseline


@pytest.mark.parametrize("count", [1, 3])
def test_true_points_depth_and_cameras_cost_nothing(count):
    sample, unit = views(2, count), torch.tensor([0.5, 2.0])
    points, depth, posed = known_surface(sample, (16, 16))
    assert posed.all()
    uv, seen, _ = known_cameras(sample)[0].project(points[:, 0].flatten(1, 2))
    row, column = torch.meshgrid(torch.arange(16) + 0.5, torch.arange(16) + 0.5, indexing="ij")
    torch.testing.assert_close(uv[:, 0], torch.stack([column, row], -1).flatten(0, 1).expand(2, -1, -1))
    torch.testing.assert_close(seen[:, 0], sample.depth_m[:, 0].flatten(1))

    network = tiny(loss=LossArgs(points=1.0, depth=1.0, geometry=1.0)).eval()
    with torch.no_grad():
        output = network.reconstruct(sample)
    by_unit = unit[:, None, None, None]
    true = replace(
        output, points=points / by_unit[..., None], depth=depth / by_unit,
        points_confidence=torch.ones_like(depth), depth_confidence=torch.ones_like(depth),
    )  # fmt: skip
    perfect = surface_losses(true, sample, unit, network.loss_args)
    assert set(perfect) == {"geometry", "points", "depth"}
    assert all(value.item() == pytest.approx(0, abs=1e-5) for value in perfect.values())
    assert all(value > 1e-6 for value in surface_losses(output, sample, unit, network.loss_args).values())
    # The geometry loss knows no frame and no scale; the other two do.
    moved = surface_losses(replace(true, points=true.points * 3 - 1), sample, unit, network.loss_args)
    assert moved["geometry"].item() == pytest.approx(0, abs=1e-5)
    assert moved["points"] > 0.1

    poses = sample.T_first_cam.clone()
    poses[..., :3, 3] /= unit[:, None, None]
    code = encode_cameras(poses, sample.intrinsics, (16, 16))
    assert camera_loss((code, code), sample, unit).item() == pytest.approx(0, abs=1e-6)
    first, last = camera_loss((code + 1, code), sample, unit), camera_loss((code, code + 1), sample, unit)
    assert first.item() == pytest.approx(0.6 * last.item(), rel=1e-4)
    assert last.item() == pytest.approx(0.95, rel=1e-4)  # Huber of 1 with a knee at 0.1


def test_pixels_without_depth_are_left_out():
    sample = views(1, 2)
    holes = sample.depth_m.clone()
    holes[:, :, :8] = 0
    network = tiny().eval()
    with torch.no_grad():
        output = network.reconstruct(sample)
    unit = torch.ones(1)
    one = surface_losses(output, replace(sample, depth_m=holes), unit, network.loss_args)
    wrong = output.points.clone()
    wrong[:, :, :8] += 5
    other = surface_losses(replace(output, points=wrong), replace(sample, depth_m=holes), unit, network.loss_args)
    for name in one:
        torch.testing.assert_close(one[name], other[name])
    assert surface_losses(output, replace(sample, depth_m=None), unit, network.loss_args) == {}
    empty = surface_losses(output, replace(sample, depth_m=holes * 0), unit, network.loss_args)
    assert all(value == 0 for value in empty.values())


def test_a_head_is_sure_where_it_is_right():
    error, used = torch.tensor([0.1, 0.1, 9.0]), torch.tensor([True, True, False])
    best = torch.tensor([2.0, 2.0, 1.0])  # 0.2 / error
    loss = sure_error(error, best, used)
    assert loss.item() == pytest.approx(0.2 - 0.2 * 0.6931, abs=1e-4)
    assert sure_error(error, best * 1.1, used) > loss
    assert sure_error(error, best * 0.9, used) > loss


def test_without_semantics_colors_stay_the_same():
    sample = views(1, 2)
    scene, expand = scene_of(sample)
    both = rendered_losses(scene, [sample.targets], expand, LossArgs(), RenderArgs())
    alone = rendered_losses(scene, [sample.targets], expand, LossArgs(semantic=0.0), RenderArgs())
    bare = rendered_losses(scene, [replace(sample.targets, features=None)], expand, LossArgs(), RenderArgs())
    assert set(alone) == set(bare) == {"color"}
    torch.testing.assert_close(alone["color"], both["color"])
    torch.testing.assert_close(bare["color"], both["color"])


def test_context_views_are_rendered_only_where_asked_for():
    sample = views(1, 2)
    results = []
    for context in (True, False):
        network = tiny(render=RenderArgs(context=context)).eval()
        with torch.no_grad():
            results.append(network.training_losses(sample)["color"].item())
    assert results[0] != pytest.approx(results[1], rel=1e-4)
    with torch.no_grad():  # nothing else to look at
        network = tiny(render=RenderArgs(context=False), semantics=SEMANTICS).eval()
        assert torch.isfinite(network.training_losses(replace(sample, targets=None))["color"])


def test_what_no_gaussian_covers_shows_the_background():
    sample = views(1, 1)
    scene = Gaussians(
        torch.tensor([[[0.0, 0, 2]]]), torch.full((1, 1, 3), 0.1), torch.tensor([[[1.0, 0, 0, 0]]]),
        torch.full((1, 1), 0.9), torch.zeros(1, 1, 0), colors_sh=torch.zeros(1, 1, 1, 3),
    )  # fmt: skip
    behind = torch.tensor([[0.2, 0.4, 0.8]])
    shown = sample.targets
    height, width = shown.images.shape[-2:]
    seen = splat_to_color(scene, Cameras(shown.intrinsics, shown.T_first_cam, width, height))
    pictures = seen.colors + (1 - seen.alpha[..., None]) * behind
    expected = (pictures.movedim(-1, -3) - shown.images / 255).square().mean()
    loss = LossArgs(semantic=0.0)
    found = rendered_losses(scene, [shown], lambda f: f, loss, RenderArgs(), background=behind)
    torch.testing.assert_close(found["color"], expected)
    assert seen.alpha.max() > 0.3
    assert seen.alpha.min() == 0
    assert rendered_losses(scene, [shown], lambda f: f, loss, RenderArgs())["color"] != expected
