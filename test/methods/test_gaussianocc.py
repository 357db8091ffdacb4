# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc at a tiny size, its network against the published arithmetic written out, and what it is made of."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_frames import BACKBONE, GRID, surround_cameras
from tiny_gaussianocc import CLASSES, FREE, PLAIN, batch, build
from torch.nn import functional

from gsocc_core import OCC3D_NUSCENES, Camera, Gaussians, VoxelGrid
from gsocc_core.arguments import keyword_arguments
from gsocc_core.data.args import DataArgs
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.rigid import quat_to_rotmat
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.inference.predictor import OccupancyPredictor
from gsocc_core.methods.build import build_method
from gsocc_core.methods.gaussianocc import GaussianOcc
from gsocc_core.methods.gaussianocc_args import GaussianArgs
from gsocc_core.methods.gaussianocc_losses import class_weights
from gsocc_core.methods.gaussianocc_vertices import published_heights
from gsocc_core.networks.lifting import lift_pictures
from gsocc_core.splat import splat_to_image
from gsocc_core.training.initial_weights import start_from
from gsocc_core.yaml_files import read_yaml

ROOT = Path(__file__).parents[2]


def norm2d(x):
    return (x - x.mean((-2, -1), keepdim=True)) / (x.var((-2, -1), keepdim=True, unbiased=False) + 1e-5).sqrt()


def norm3d(x, module):
    shape = (1, -1, 1, 1, 1)
    scaled = (x - module.running_mean.view(shape)) / (module.running_var.view(shape) + 1e-5).sqrt()
    return scaled * module.weight.view(shape) + module.bias.view(shape)


def encoded(model, images):
    """The picture encoder, section 3.1 of the paper, layer by layer."""
    stages = model.backbone.stages
    fine, coarse = stages.backbone((images.float() - stages.mean) / stages.std).feature_maps
    x = torch.cat([functional.interpolate(coarse, scale_factor=2, mode="bilinear"), fine], 1)
    for block in (model.backbone.joined, model.backbone.finer):
        for conv in (block[0], block[3]):
            x = norm2d(functional.conv2d(x, conv.weight, padding=1)).relu()
        if block is model.backbone.joined:
            x = functional.interpolate(x, scale_factor=2, mode="bilinear")
    return torch.einsum("mchw,dc->mdhw", x, model.backbone.out.weight[..., 0, 0]) + model.backbone.out.bias.view(
        -1, 1, 1
    )


def decoded(decoder, x):
    """Stem, residual pair, three hourglasses with their cross-skips, head."""

    def convolved(x, block, stride=1):
        return norm3d(functional.conv3d(x, block[0].weight, None, stride, 1), block[1])

    def enlarged(x, block):
        return norm3d(functional.conv_transpose3d(x, block[0].weight, None, 2, 1, 1), block[1])

    x = convolved(convolved(x, decoder.stem[0]).relu(), decoder.stem[2]).relu()
    x = x + convolved(convolved(x, decoder.pair[0]).relu(), decoder.pair[2])
    one, two, three = decoder.hourglasses
    down1 = convolved(convolved(x, one.shrink, 2).relu(), one.halved).relu()
    deep = convolved(convolved(down1, one.further, 2).relu(), one.quartered).relu()
    up1 = (enlarged(deep, one.up) + down1).relu()
    first = enlarged(up1, one.out) + x
    down2 = (convolved(convolved(first, two.shrink, 2).relu(), two.halved) + up1).relu()
    deep = convolved(convolved(down2, two.further, 2).relu(), two.quartered).relu()
    up2 = (enlarged(deep, two.up) + down1).relu()
    second = enlarged(up2, two.out) + x
    down3 = (convolved(convolved(second, three.shrink, 2).relu(), three.halved) + up2).relu()
    deep = convolved(convolved(down3, three.further, 2).relu(), three.quartered).relu()
    up3 = (enlarged(deep, three.up) + down1).relu()
    x = enlarged(up3, three.out) + x
    for block in decoder.head:
        x = convolved(x, block[0]).relu()
    return convolved(x, decoder.last)


def lifted_by_hand(maps, cameras, valid, point):
    """(C,) mean over the cameras that see a point, bilinear between pixel middles."""
    total, count = torch.zeros(maps.shape[1]), 0
    for v in range(len(maps)):
        camera = cameras.map(lambda t, v=v: t[v])
        T = camera.T_ref_cam.inverse()
        x, y, z = (T[:3, :3] @ point + T[:3, 3]).tolist()
        if z <= 0.01 or not valid[v]:
            continue
        (fx, _, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
        u, w = fx * x / z + cx, fy * y / z + cy
        if not (0 <= u < cameras.width and 0 <= w < cameras.height):
            continue
        count += 1
        height, width = maps.shape[-2:]
        column, row = u * width / cameras.width - 0.5, w * height / cameras.height - 0.5
        for i in (math.floor(row), math.floor(row) + 1):
            for j in (math.floor(column), math.floor(column) + 1):
                weight = (1 - abs(row - i)) * (1 - abs(column - j))
                total += weight * maps[v, :, min(max(i, 0), height - 1), min(max(j, 0), width - 1)]
    return total / max(count, 1)


def test_the_network_is_the_published_one():
    model, data = build(), batch()
    model(data)  # running statistics of batch norms, else they hide a norm at the wrong place
    model.eval()
    with torch.no_grad():
        logits = model(data).logits
        assert logits.shape == (2, 16, 16, 8, 18)
        maps = encoded(model, data.images[:, 0].flatten(0, 1)).unflatten(0, (2, 3))
        assert maps.shape == (2, 3, 6, 16, 32), "twice the size of the finer stage"
        points = model.contracted.centers.flatten(0, 2)
        for b in range(2):
            cameras = data.cameras.map(lambda t, b=b: t[b, 0])
            lifted = lift_pictures(maps, data.cameras.map(lambda t: t[:, 0]), data.valid[:, 0], points)
            for n in range(0, len(points), 61):
                expected = lifted_by_hand(maps[b], cameras, data.valid[b, 0], points[n])
                torch.testing.assert_close(lifted[b, :, n], expected, atol=1e-4, rtol=1e-4)
        volume = lifted.unflatten(-1, (16, 16, 8))
        expected = decoded(model.decoder, volume).movedim(1, -1)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_the_published_lifting_reads_beside_and_counts_what_is_not_zero():
    g = torch.Generator().manual_seed(3)
    cameras = surround_cameras(1, 1, 2, 64, 32).map(lambda t: t[:, 0])
    maps = torch.randn(1, 2, 4, 8, 16, generator=g)
    points = torch.tensor([[6.0, 1.0, 1.2], [-5.0, 0.5, 2.0], [9.0, -7.4, 1.5], [0.0, 0.0, 9.0]])
    exact, published = (
        lift_pictures(maps, cameras, torch.ones(1, 2, dtype=torch.bool), points, r) for r in ("exact", "published")
    )
    # Camera 0, first point: x ahead 6 m, y 1 m to the left, z 0.3 m below; f = 38.4 px of 64, map of 16.
    u, w = (38.4 * -1 / 6 + 32) / 4, (38.4 * 0.3 / 6 + 16) / 4
    column, row = u * 16 / 15 - 0.5, w * 8 / 7 - 0.5
    total = torch.zeros(4)
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            total += (1 - abs(row - i)) * (1 - abs(column - j)) * maps[0, 0, :, i, j]
    torch.testing.assert_close(published[0, :, 0], total, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(exact[0, :, 0], total, atol=1e-3)
    assert not exact[0, :, 3].any(), "seen by nobody"
    # At the border: half a pixel beyond the upper left still counts, half a pixel before the lower right fades to 0.
    camera = surround_cameras(1, 1, 1, 64, 32).map(lambda t: t[:, 0])
    T, ones = camera.T_ego_cam[0, 0], torch.ones(1, 1, dtype=torch.bool)
    ahead = torch.tensor([[-33.0 / 38.4, 0.0, 1.0], [29.5 / 38.4, 0.0, 1.0], [31.0 / 38.4, 0.0, 1.0]])
    edge = lift_pictures(torch.ones(1, 1, 1, 8, 16), camera, ones, ahead @ T[:3, :3].T + T[:3, 3], "published")
    columns = torch.tensor([-0.25, 15.375, 15.75]) * 16 / 15 - 0.5
    shares = torch.stack([1 + columns[0], 16 - columns[1], columns[2] * 0])
    torch.testing.assert_close(edge[0, 0], shares.clamp(max=1), atol=1e-4, rtol=1e-4)
    maps[:, :, 0] = 0.0
    silent = lift_pictures(maps, cameras, torch.ones(1, 2, dtype=torch.bool), points, "published")
    assert not silent[0, 0].any()
    with pytest.raises(ConfigError, match="rule: expected exact or published"):
        lift_pictures(maps, cameras, torch.ones(1, 2, dtype=torch.bool), points, "mean")


def test_a_vertex_is_a_ball_as_opaque_as_it_is_not_free():
    model, data = build(gaussians={"least_opacity": 0.0}).eval(), batch(b=1)
    output = model(data)
    scene = output.scene
    assert len(scene) == 16 * 16 * 8
    torch.testing.assert_close(scene.means[0], model.contracted.centers.flatten(0, 2))
    logits = output.logits.flatten(1, 3)
    torch.testing.assert_close(scene.opacities, 1 - logits[..., FREE].sigmoid())
    torch.testing.assert_close(scene.features[..., :FREE], logits[..., :FREE].softmax(-1))
    assert not scene.features[..., FREE].any()
    distance = scene.means.norm(dim=-1, keepdim=True)
    assert torch.equal(scene.scales, torch.where(distance > 20, 1.5, 0.5).expand_as(scene.scales))
    raw = build(gaussians={"least_opacity": 0.0, "classes": "logits"}).eval()
    assert torch.equal(raw(data).scene.features, raw(data).logits.flatten(1, 3))
    # The published radii: 0.8 m beyond 60 m, 1.6 m beyond 80 m.
    assert GaussianArgs().far_scales_m == ((60.0, 0.8), (80.0, 1.6))


def test_what_is_left_out_is_faint_or_seen_by_nobody_and_changes_no_picture():
    model, data = build(gaussians={"least_opacity": 0.3}), batch(b=2)
    with torch.no_grad():
        logits = 2 * torch.randn(2, 16, 16, 8, 18, generator=torch.Generator().manual_seed(1))
        everything = build(gaussians={"least_opacity": 0.0}).vertices(logits)
        cameras = data.targets.view_cameras.map(lambda t: t[:, 0, :1])
        kept = model.vertices(logits, cameras, (0.2, 40.0))
        assert ((kept.opacities >= 0.3) | (kept.opacities == 0)).all()
        ahead = (kept.opacities > 0).sum(1)
        opaque = (everything.opacities >= 0.3).sum(1)
        assert (ahead < opaque / 2).all(), "one camera of 80 degrees looks ahead"
        strong = everything.replace(opacities=torch.where(everything.opacities >= 0.3, everything.opacities, 0.0))
        pictures = [splat_to_image(g, cameras, near=0.2, far=40.0) for g in (kept, strong)]
        for name in ("features", "depth", "alpha"):
            assert torch.equal(getattr(pictures[0], name), getattr(pictures[1], name)), name


def test_published_heights_scale_the_second_row_of_the_jacobian():
    g = torch.Generator().manual_seed(2)
    cameras = surround_cameras(1, 1, 2, 32, 18).map(lambda t: t[:, 0].double())
    means = torch.tensor([[6.0, 1.0, 1.2], [8.0, -2.0, 3.0], [4.0, 0.5, 0.2]], dtype=torch.float64)[None]
    quats = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64).expand(1, 3, 4)
    balls = Gaussians(means, torch.full((1, 3, 3), 0.3).double(), quats, torch.ones(1, 3).double(),
                      torch.rand(1, 3, 2, generator=g).double())  # fmt: skip
    flat, each = published_heights(balls, cameras)
    assert each.intrinsics.shape == (2, 1, 3, 3)
    ratio = 18 / 32  # square pixels: the published tangent is too large by the aspect
    for b, n in [(0, 0), (0, 1), (0, 2)]:
        T = each.viewmats[b, 0]
        x, y, z = (T[:3, :3] @ means[0, n] + T[:3, 3]).tolist()
        fx, fy = 0.6 * 32, 0.6 * 32
        J = torch.tensor([[fx / z, 0, -fx * x / z**2], [0, fy / z, -fy * y / z**2]], dtype=torch.float64)
        R = T[:3, :3] @ quat_to_rotmat(flat.quats[b, n])
        shape = R @ torch.diag(flat.scales[b, n] ** 2) @ R.T
        wanted = torch.diag(torch.tensor([1.0, ratio]).double()) @ J
        torch.testing.assert_close(J @ shape @ J.T, 0.09 * wanted @ wanted.T, atol=1e-6, rtol=1e-5)
    model = build(render={"field_of_view": "published"})
    logits = torch.randn(1, 16, 16, 8, 18, generator=g)
    many = batch(b=1).targets.view_cameras.map(lambda t: t[:, 0])
    thin, full = model._objective.view(logits, many), build()._objective.view(logits, many)
    assert thin.depth_m.shape == full.depth_m.shape
    assert (thin.depth_m - full.depth_m).abs().mean() > 0.01


def test_a_voxel_is_what_the_logits_between_vertices_say():
    model, data = build().eval(), batch(b=1)
    output = model(data)
    logits = model.contracted.read_voxels(3 * output.logits, GRID)
    result = model.occupancy(replace(output, logits=3 * output.logits))
    for cell in [(0, 0, 0), (5, 9, 2), (19, 19, 3), (10, 3, 1)]:
        one = logits[(0, *cell)]
        opacity = 1 - one[FREE].sigmoid()
        expected = one[:FREE].argmax() if opacity >= 0.5 else FREE
        assert result.labels[(0, *cell)] == expected
        sure = opacity * one[:FREE].softmax(-1).max() if opacity >= 0.5 else 1 - opacity
        torch.testing.assert_close(result.confidence[(0, *cell)], sure)
    far = VoxelGrid((40.0, -4.0, 0.0), (48.0, 4.0, 2.0), 2.0)
    assert model.occupancy(output, far).labels.shape == (1, *far.shape)


@pytest.mark.parametrize("contrast", [1.0, 4.0])
def test_the_first_opacity_and_contrast_are_those_asked_for(contrast):
    # The last batch norm gives every channel of a batch mean 0 and deviation 1 before its weight and bias.
    for first, opacity in ((0.1, 0.1), (0.3, 0.3), (None, 0.5)):
        model = build(network={"first_opacity": first, "first_contrast": contrast})
        logits = model(batch()).logits.detach()
        assert model.vertices.opacities(logits).mean().item() == pytest.approx(opacity, abs=0.06)
        deviations = logits.flatten(0, 3).std(0)
        torch.testing.assert_close(deviations[:FREE], torch.full((FREE,), contrast), atol=0.05, rtol=0)
        assert deviations[FREE].item() == pytest.approx({1.0: 1.0, 4.0: 2.0}[contrast], abs=0.03)


def test_pictures_that_are_missing_and_cameras_in_any_order():
    model, data = build().eval(), batch(b=1)
    one_gone = replace(data, valid=torch.tensor([[[True, False, True]]]))
    images = one_gone.images.clone()
    images[:, :, 1] = 255 - images[:, :, 1]
    assert torch.equal(model(one_gone).logits, model(replace(one_gone, images=images)).logits)
    turned = replace(data, images=data.images.roll(1, 2), cameras=data.cameras.map(lambda t: t.roll(1, 2)))
    torch.testing.assert_close(model(data).logits, model(turned).logits, atol=1e-4, rtol=1e-4)
    alone = model(batch(b=1, v=1))
    assert alone.logits.isfinite().all()
    losses = model.losses(alone, batch(b=1, v=1))
    assert losses["photometric"].item() == 0.0, "the only camera has no neighbour"
    both = model(batch())
    torch.testing.assert_close(both.logits[1:], model(batch().map(lambda t: t[1:])).logits, atol=1e-4, rtol=1e-4)


def test_a_bundle_predicts_the_same_and_knows_no_losses(tmp_path):
    model = build().eval()
    save_bundle(tmp_path / "b", "gaussianocc", PLAIN, model, "# tiny\n", half=False)
    predictor = OccupancyPredictor.load(tmp_path / "b", device="cpu")
    stored = (tmp_path / "b" / "config.yaml").read_text()
    assert "gaussians" in stored
    assert "loss" not in stored
    assert "render" not in stored
    K, T = np.array([[60.0, 0, 50], [0, 60, 25], [0, 0, 1]]), np.eye(4)
    T[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    cameras = [Camera("a", K, T, 100, 50), Camera("b", K, T, 100, 50)]
    result = predictor.predict([np.full((50, 100, 3), 90, np.uint8), None], cameras)
    assert result.grid.labels.shape == GRID.shape
    data = replace(batch(), targets=None)
    assert torch.equal(predictor.method(data).logits, model(data).logits)
    other = build_method("gaussianocc", PLAIN, CLASSES.with_channels((17, 4, 11)), pretrained=False)
    report = start_from(other, "gaussianocc", tmp_path / "b")
    assert not report.left
    assert torch.equal(other.decoder.last[0].weight, model.decoder.last[0].weight[[17, 4, 11]])
    assert torch.equal(other.decoder.last[1].bias, model.decoder.last[1].bias[[17, 4, 11]])


def test_using_the_network_never_waits_for_a_gpu():
    """On the meta device nothing has a value: .item(), .cpu(), nonzero or a mask as an index would fail."""
    model = build().eval().to("meta")
    output = model(replace(batch(), targets=None).to("meta"))
    assert model.occupancy(output).labels.device.type == "meta"
    with pytest.raises(RuntimeError):
        output.logits.sum().item()


def test_the_paper_configuration_has_the_published_size():
    """Encoder 38.76 M; the 3D part is 2.12 M with two heads that nothing reads, 1.93 M without."""
    config = read_yaml(ROOT / "config" / "train" / "nuscenes_gaussianocc.yaml", "a training")
    with torch.device("meta"):
        model = build_method("gaussianocc", config["model"], OCC3D_NUSCENES, pretrained=False)
    counts = [sum(p.numel() for p in part.parameters() if p.requires_grad) for part in (model.backbone, model.decoder)]
    assert counts == [38_758_528, 1_925_924]
    assert model.contracted.shape == (300, 300, 24)
    assert len(model.vertices.means) == 2_160_000
    data = keyword_arguments(DataArgs, config["data"], "config")
    assert data["view_sweeps"] == (-1, 1)
    published = class_weights(tuple(map(float, config["model"]["loss"]["class_frequencies"])), 18)
    assert published[0] == published[12] == 0.0
    assert np.mean(published) == pytest.approx(1.0)


def test_what_does_not_fit_is_named():
    model, data = build(), batch()
    output = model(data)
    for change, match in (
        ({"view_images": None}, "data.view_images: expected pictures or labels"),
        ({"view_semantics": None}, "data.semantics_dir: expected"),
        ({"view_cameras": None}, "targets: expected views"),
    ):
        with pytest.raises(DataError, match=match):
            model.losses(output, replace(data, targets=replace(data.targets, **change)))
    single = data.targets.map(lambda t: t[:, :1] if t.ndim > 2 and t.shape[1] == 2 else t)
    single = replace(single, labels=None, mask_camera=None)
    with pytest.raises(DataError, match="data.view_sweeps: expected neighbours"):
        model.losses(output, replace(data, targets=single))
    with pytest.raises(DataError, match="targets: expected views"):
        model.losses(output, replace(data, targets=None))
    with pytest.raises(ConfigError, match="channels: expected one for free space"):
        GaussianOcc(CLASSES.with_channels((1, 2)), GRID, (32, 64), BACKBONE, pretrained=False)
    for changes, match in (
        ({"backbone": {"out_indices": [1, 2, 3]}}, "out_indices: expected two stages"),
        ({"network": {"vertices": [16, 16, 6]}}, "vertices: expected multiples of 4"),
        ({"network": {"vertices": None}}, r"vertices: expected multiples of 4; \(30, 30, 6\)"),
        ({"network": {"first_opacity": 1.0}}, "first_opacity: expected between 0 and 1"),
        ({"network": {"first_contrast": 0.0}}, "first_contrast: expected a positive number"),
        ({"gaussians": {"scale_m": 0.0}}, "scale_m: expected positive"),
        ({"gaussians": {"least_opacity": 1.0}}, "least_opacity: expected 0 <= value < 1"),
        ({"render": {"far_m": 1.0}}, "far_m: expected"),
        ({"render": {"near_m": 50.0}}, "near_m, limit_m: expected"),
        ({"render": {"size": [0, 4]}}, "size: expected positive"),
        ({"render": {"samples": 0}}, "samples: expected 1"),
        ({"render": {"renderer": "volume", "field_of_view": "published"}}, "field_of_view: expected true"),
        ({"loss": {"photometric": 0, "semantics": 0}}, "loss: expected photometric, semantics or depth"),
        ({"loss": {"class_frequencies": [1.0, 2.0]}}, "class_frequencies: expected 18 numbers"),
    ):
        with pytest.raises(ConfigError, match=match):
            build(**changes)
