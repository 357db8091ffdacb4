# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianFlowOcc, static part, at a tiny size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_frames import BACKBONE, CLASSES, GRID, NETWORK, frames

from gsocc_core import VoxelGrid, splat_to_voxels
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.grid_points import box_in_ego, to_grid
from gsocc_core.losses.lovasz import lovasz_softmax
from gsocc_core.methods.gaussianflowocc import GaussianFlowOcc
from gsocc_core.methods.gaussianflowocc_args import LossArgs, MemoryArgs, SplatArgs


def build(**loss):
    torch.manual_seed(0)
    return GaussianFlowOcc(CLASSES, GRID, (32, 64), BACKBONE, NETWORK, LossArgs(**loss), SplatArgs(threshold=0.1))


def on(grid, memory=None, **loss):
    torch.manual_seed(0)
    args = LossArgs(semantics=0.0, depth=0.0, **loss)
    return GaussianFlowOcc(CLASSES, grid, (32, 64), BACKBONE, NETWORK, args, SplatArgs(threshold=0.1), memory).eval()


def test_shapes_ranges_and_memory():
    model, batch = build(), frames()
    output = model(batch)
    scene = output.scene
    assert scene.batch_shape == (2,)
    assert scene.features.shape == (2, 60, 16)
    assert scene.scales.min() >= 0.2
    assert scene.scales.max() <= 1.0
    assert ((scene.opacities > 0) & (scene.opacities < 1)).all()
    assert model(batch, output.memory).memory.scene.means.shape == (2, 60, 3)
    assert not output.memory.scene.means.requires_grad
    grid = model.occupancy(output)
    assert grid.labels.shape == (2, *GRID.shape)
    finer = VoxelGrid((-4.0, -4.0, 0.0), (4.0, 4.0, 1.0), 0.5)
    assert model.occupancy(output, finer).labels.shape == (2, *finer.shape)


def test_the_same_weights_serve_any_number_of_cameras_and_missing_ones():
    model = build().eval()
    assert model(frames(v=3)).scene.means.shape == (2, 60, 3)
    batch = frames(b=1)
    blind = replace(batch, valid=torch.zeros_like(batch.valid))
    other = replace(blind, images=255 - blind.images)
    torch.testing.assert_close(model(blind).scene.features, model(other).scene.features)
    assert not torch.allclose(model(batch).scene.features, model(blind).scene.features)


def test_samples_of_a_batch_do_not_mix():
    model, batch = build().eval(), frames()
    alone = model(batch.map(lambda t: t[1:]))
    torch.testing.assert_close(model(batch).scene.features[1:], alone.scene.features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "keys"),
    [
        ({}, {"semantics", "depth"}),
        (
            {"alpha": 0.1, "depth_spread": 0.1, "depth_kind": "log_l1", "depth_render": "expected"},
            {"semantics", "depth", "depth_spread", "alpha"},
        ),
        ({"semantics": 0.0, "depth": 0.0, "occupied": 1.0, "voxel_classes": 1.0}, {"occupied", "voxel_classes"}),
        (
            {"semantics": 0.0, "depth": 0.0, "line_of_sight": 1.0, "sight_classes": 1.0},
            {"line_of_sight", "sight_classes"},
        ),
    ],
)
def test_each_loss_reaches_every_parameter_that_it_should(loss, keys):
    model, batch = build(**loss), frames()
    losses = model.losses(model(batch), batch)
    assert set(losses) == keys
    sum(losses.values()).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    silent = [name for name in silent if "convolution" not in name and "normalization" not in name]
    # The keys' bias of an attention shifts all scores alike, so its gradient is zero by construction.
    assert not [n for n in silent if "in_proj_bias" not in n and "backbone" not in n and "norms.3" not in n], silent


def test_invalid_views_do_not_count():
    model, batch = build(), frames()
    output = model(batch)
    t = batch.targets
    changed = replace(t, view_depth_m=torch.cat([t.view_depth_m[:, :1], t.view_depth_m[:, 1:] * 3], 1))
    first, second = model.losses(output, batch), model.losses(output, replace(batch, targets=changed))
    assert torch.equal(first["depth"], second["depth"])


def test_voxels_seen_before_count_beside_those_seen_now():
    model, batch = build(semantics=0.0, depth=0.0, occupied=1.0, voxel_classes=1.0), frames()
    output, t = model(batch), batch.targets
    half = t.mask_camera & (torch.rand(t.mask_camera.shape) < 0.5)

    def losses(now, before):
        return model.losses(output, replace(batch, targets=replace(t, mask_camera=now, mask_remembered=before)))

    whole, parted = losses(t.mask_camera, None), losses(half, t.mask_camera & ~half)
    assert whole == parted
    assert losses(half, None)["occupied"] != whole["occupied"]


def test_a_few_steps_lower_the_loss():
    torch.manual_seed(0)
    model, batch = build(semantics=1.0, depth=0.02, occupied=0.5, voxel_classes=0.5), frames()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    values = []
    for _ in range(12):
        loss = sum(model.losses(model(batch), batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.9 * values[0]


def test_missing_labels_and_wrong_sizes_are_clear_errors():
    model, batch = build(), frames()
    with pytest.raises(ConfigError, match="views with semantics"):
        model.losses(model(batch), replace(batch, targets=None))
    with pytest.raises(ConfigError, match="divisor"):
        GaussianFlowOcc(CLASSES, GRID, (32, 64), BACKBONE, replace(NETWORK, num_heads=3))
    with pytest.raises(ConfigError, match="class_weights"):
        GaussianFlowOcc(CLASSES, GRID, (32, 64), BACKBONE, NETWORK, LossArgs(class_weights=(1.0,)))


def lifted(level=1, **network):
    torch.manual_seed(0)
    return GaussianFlowOcc(CLASSES, GRID, (32, 64), BACKBONE, replace(NETWORK, lifted_level=level, **network))


def test_each_pixel_of_a_level_adds_a_gaussian_on_its_ray():
    """Without blocks the means of lifted Gaussians are where the rays lead, at depths within the range."""
    model, batch = lifted(num_blocks=0, lifted_depth_m=(2.0, 20.0)), frames(b=1, v=3)
    means = model(batch).scene.means[0, 60:].view(3, 4, 8, 3)  # level 1 has stride 8
    camera, depth_m, valid = batch.cameras.map(lambda t: t[:, 0]).project(means.view(1, -1, 3))
    for view in range(3):
        own = slice(view * 32, view * 32 + 32)
        expected = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(4.0), indexing="xy"), -1) * 8 + 4
        assert torch.allclose(camera[0, view, own], expected.view(-1, 2), atol=1e-3)
        assert valid[0, view, own].all()
        assert ((depth_m[0, view, own] > 2.0) & (depth_m[0, view, own] < 20.0)).all()


def test_lifted_gaussians_of_a_missing_picture_do_not_exist():
    model, batch = lifted(), frames(b=1, v=3)
    gone = replace(batch, valid=torch.tensor([[[True, False, True]]]))
    opacities = model(gone).scene.opacities[0]
    assert (opacities[60 + 32 : 60 + 64] == 0).all()
    assert (opacities[:60] > 0).all()
    assert (opacities[60 : 60 + 32] > 0).all()
    assert (opacities[60 + 64 :] > 0).all()


def test_lifted_depth_learns_from_rendering():
    model, batch = lifted(), frames()
    sum(model.losses(model(batch), batch).values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.lift.parameters())


def test_depth_labels_teach_where_lifted_gaussians_stand():
    """Nothing but the loss on distances: the median of each pixel comes to the depth of what it shows."""
    torch.manual_seed(0)
    network = replace(NETWORK, num_blocks=0, lifted_level=1, lifted_depth_m=(1.0, 40.0), lifted_bins=32)
    off = LossArgs(semantics=0.0, depth=0.0, lifted_depth=1.0)
    model, batch = GaussianFlowOcc(CLASSES, GRID, (32, 64), BACKBONE, network, off), frames(b=1, v=3)
    depth_m = torch.full((1, 1, 3, 32, 64), 5.0)
    depth_m[:, :, 1] = 12.0
    batch = replace(batch, targets=replace(batch.targets, view_cameras=batch.cameras, view_depth_m=depth_m))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        losses = model.losses(model(batch), batch)
        assert set(losses) == {"lifted_depth"}
        optimizer.zero_grad()
        losses["lifted_depth"].backward()
        optimizer.step()
    means = model(batch).scene.means[:, 60:]
    _, found_m, _ = batch.cameras.map(lambda t: t[:, 0]).project(means)
    for view, expected in enumerate([5.0, 12.0, 5.0]):
        own = found_m[0, view, view * 32 : (view + 1) * 32]
        assert (own / expected).log().abs().median() < 0.12  # a bin is 0.115 wide


def test_mean_iou_is_asked_for_over_free_space_and_all_classes():
    model, batch = build(semantics=0.0, depth=0.0, voxel_iou=2.0), frames()
    scene = model(batch).scene
    field = splat_to_voxels(scene, GRID)
    labels, known = batch.targets.labels, [CLASSES.free_id, *CLASSES.channel_ids]
    seen = batch.targets.mask_camera & torch.isin(labels, torch.tensor(known, dtype=torch.uint8))
    occupied = field.density.clamp(max=1.0)[seen][:, None]
    every = torch.cat([1 - occupied, occupied * field.features[seen].softmax(-1)], dim=-1)
    targets = [known.index(label) for label in labels[seen].tolist()]
    found = model.losses(model(batch), batch)
    assert set(found) == {"voxel_iou"}
    torch.testing.assert_close(found["voxel_iou"], 2 * lovasz_softmax(every, torch.tensor(targets)))
    few = build(semantics=0.0, depth=0.0, voxel_iou=2.0, voxel_iou_samples=200)
    drawn = [few.losses(few(batch), batch)["voxel_iou"].item() for _ in range(20)]
    assert len(set(drawn)) > 1
    assert np.mean(drawn) == pytest.approx(found["voxel_iou"].item(), rel=0.1)


def test_iou_of_occupancy_is_asked_for_over_free_and_occupied_voxels():
    model, batch = build(semantics=0.0, depth=0.0, occupied_iou=2.0), frames()
    field = splat_to_voxels(model(batch).scene, GRID)
    labels, known = batch.targets.labels, [CLASSES.free_id, *CLASSES.channel_ids]
    seen = batch.targets.mask_camera & torch.isin(labels, torch.tensor(known, dtype=torch.uint8))
    occupied = field.density.clamp(max=1.0)[seen][:, None]
    target = (labels[seen] != CLASSES.free_id).long()
    found = model.losses(model(batch), batch)
    assert set(found) == {"occupied_iou"}
    assert 0 < target.sum() < len(target)
    torch.testing.assert_close(
        found["occupied_iou"], 2 * lovasz_softmax(torch.cat([1 - occupied, occupied], -1), target)
    )


@pytest.mark.parametrize("per_pixel", [1, 2])
def test_class_labels_teach_the_gaussians_of_their_own_pixels(per_pixel):
    network = replace(NETWORK, num_blocks=0, lifted_level=1, lifted_bins=8, lifted_per_pixel=per_pixel)
    off = LossArgs(semantics=0.0, depth=0.0, lifted_classes=2.0)
    torch.manual_seed(0)
    model, batch = GaussianFlowOcc(CLASSES, GRID, (32, 64), BACKBONE, network, off), frames(b=1, v=3)
    labels = torch.full((1, 1, 3, 32, 64), CLASSES.ignore_id, dtype=torch.uint8)
    row, column = 2, 5
    labels[0, 0, 1, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = CLASSES.channel_ids[3]
    targets = replace(batch.targets, view_cameras=batch.cameras, view_semantics=labels)
    output = model(batch)
    found = model.losses(output, replace(batch, targets=targets))
    own = 60 + ((32 + row * 8 + column) * per_pixel)
    logits = output.scene.features[0, own : own + per_pixel]
    assert set(found) == {"lifted_classes"}
    torch.testing.assert_close(found["lifted_classes"], -2 * logits.log_softmax(-1)[:, 3].mean())


def test_losses_on_lifted_pixels_need_them():
    with pytest.raises(ConfigError, match="lifted_level"):
        GaussianFlowOcc(CLASSES, GRID, (32, 64), BACKBONE, NETWORK, LossArgs(lifted_classes=1.0))
    level = replace(NETWORK, lifted_level=1)
    with pytest.raises(ConfigError, match="lifted_bins"):
        GaussianFlowOcc(CLASSES, GRID, (32, 64), BACKBONE, level, LossArgs(lifted_depth=1.0))
    with pytest.raises(ConfigError, match="lifted_per_pixel"):
        replace(NETWORK, lifted_level=1, lifted_per_pixel=2)


@pytest.mark.parametrize(("key", "value"), [("lifted_level", 3), ("lifted_depth_m", (5.0, 5.0))])
def test_wrong_lifting_is_a_clear_error(key, value):
    with pytest.raises(ConfigError, match=f"network.{key}"):
        lifted(**{"level": value} if key == "lifted_level" else {key: value})


def test_means_begin_where_the_training_says():
    model = lifted(initial_means="surfaces")
    points = torch.rand(60, 3)
    model.begin(lambda count: points[:count])
    assert torch.equal(model.means.data, points)
    paper = lifted()
    before = paper.means.detach().clone()
    paper.begin(lambda count: points[:count])
    assert torch.equal(paper.means.data, before)


def test_line_of_sight_fills_surfaces_and_empties_the_air():
    model, batch = build(semantics=0.0, depth=0.0, line_of_sight=1.0), frames(b=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    values = []
    for _ in range(25):
        torch.manual_seed(1)
        loss = model.losses(model(batch), batch)["line_of_sight"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.8 * values[0]


T_EGO_GRID = ((0.0, 1.0, 0.0, 3.0), (-1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.5), (0.0, 0.0, 0.0, 1.0))
TURNED = replace(GRID, T_ego_grid=T_EGO_GRID)  # x of the grid to the right, as in SurroundOcc's labels
STRAIGHT = VoxelGrid(*box_in_ego(TURNED), 0.8)  # the same voxels along the axes of the ego frame


def along_ego(labels):
    """(B, X, Y, ...) on the turned grid -> the same voxels on the straight one."""
    return labels.transpose(1, 2).flip(2)


def test_a_grid_that_stands_askew_holds_the_same_scene():
    """Means begin inside it, and the same weights give the same scene, voxels and losses as on a straight grid."""
    turned, straight = (
        on(grid, memory=MemoryArgs(carried=40), occupied=1.0, voxel_classes=1.0, line_of_sight=1.0)
        for grid in (TURNED, STRAIGHT)
    )
    assert TURNED.index(to_grid(turned.means.detach(), TURNED))[1].all()
    assert not GRID.index(turned.means.detach())[1].all(), "the ego frame is not the grid's"
    straight.load_state_dict(turned.state_dict())
    on_turned = frames(b=1)
    labels, mask = on_turned.targets.labels, on_turned.targets.mask_camera
    targets = replace(on_turned.targets, labels=along_ego(labels), mask_camera=along_ego(mask))
    on_straight = replace(on_turned, targets=targets)
    outputs, losses = [], []
    for model, batch in ((turned, on_turned), (straight, on_straight)):
        posed = replace(batch, T_world_ego=torch.eye(4, dtype=torch.float64)[None])
        later = replace(posed, reference_stamp_ns=posed.reference_stamp_ns + 500_000_000)
        outputs.append(model(later, model(posed).memory))
        torch.manual_seed(3)
        losses.append(model.losses(outputs[-1], batch))
    torch.testing.assert_close(outputs[0].scene.means, outputs[1].scene.means, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(outputs[0].scene.opacities, outputs[1].scene.opacities, rtol=1e-4, atol=1e-4)
    assert int((outputs[0].scene.opacities > 0).sum()) > 60, "some of the memory lives on"
    a, b = turned.occupancy(outputs[0]).labels, straight.occupancy(outputs[1]).labels
    assert (along_ego(a) == b).float().mean() > 0.999
    assert (a != 17).any()
    for name, value in losses[0].items():
        assert value.item() == pytest.approx(losses[1][name].item(), rel=1e-2), name
