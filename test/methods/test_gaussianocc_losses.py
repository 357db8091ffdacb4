# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What GaussianOcc renders of its vertices, and its losses, against the published arithmetic written out."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_frames import GRID
from tiny_gaussianocc import FREE, batch, build
from torch.nn import functional

from gsocc_core.geometry.rigid import transform_points
from gsocc_core.losses.photometric import reprojection_loss, smoothness_loss
from gsocc_core.methods.gaussianocc_losses import class_weights
from gsocc_core.splat import splat_to_image


def test_losses_are_those_of_the_paper():
    data = batch()
    frequencies = tuple(float(i) for i in range(18))
    model = build(
        loss={"semantics": 0.02, "smoothness": 0.001, "depth": 0.5, "class_frequencies": list(frequencies)},
    )  # fmt: skip
    output = model(data)
    losses = model.losses(output, data)
    assert set(losses) == {"photometric", "smoothness", "semantics", "depth", "entropy", "variation"}
    logits, targets = output.logits, data.targets
    present = targets.view_cameras.map(lambda t: t[:, 0])
    small = present.resized(22, 8)
    rendering = splat_to_image(model.vertices(logits, small, (0.2, 40.0)), small, near=0.2, far=40.0)
    depth = torch.where(rendering.alpha > 0, rendering.depth, 30.0).clamp(0.2, 30.0)
    large = functional.interpolate(depth, (16, 32), mode="bilinear")
    photometric = reprojection_loss(large, targets.view_images, targets.view_cameras, targets.view_valid)
    torch.testing.assert_close(losses["photometric"], photometric)
    # The robot's own body, in the lower half of the pictures, is no surrounding.
    usable = torch.ones(targets.view_depth_m.shape, dtype=torch.bool)
    usable[..., 8:, :] = False
    masked = model.losses(output, replace(data, targets=replace(targets, view_usable=usable)))["photometric"]
    arguments = large, targets.view_images, targets.view_cameras, targets.view_valid
    torch.testing.assert_close(masked, reprojection_loss(*arguments, usable=usable[:, 0]))
    assert (masked - photometric).abs() > 1e-4
    pictures = targets.view_images[:, 0].float() / 255
    torch.testing.assert_close(losses["smoothness"], 0.001 * smoothness_loss(large, pictures))
    # Cross-entropy pixel by pixel, weights 1 / sqrt(frequency) over their mean.
    raw = [0.0] + [1 / math.sqrt(f) for f in frequencies[1:]]
    weights = torch.tensor(raw) * 18 / sum(raw)
    assert class_weights(frequencies, 18) == pytest.approx(weights.tolist())
    share = rendering.features.clone()
    share[..., FREE] += 1 - rendering.alpha
    torch.testing.assert_close(share.sum(-1), torch.ones_like(share[..., 0]), atol=1e-4, rtol=0)
    total = norm = 0.0
    # Row i of 8 stands for rows 2i and 2i + 1 of 16; the nearest middle is the later one.
    labels = targets.view_semantics[:, 0, :, 1::2][..., ((torch.arange(22) + 0.5) * 32 / 22).long()]
    for b, v, i, j in np.ndindex(*labels.shape):
        label = int(labels[b, v, i, j])
        if label not in (0, 255):
            total += weights[label] * -share[b, v, i, j, label].clamp(min=1e-4).log()
            norm += weights[label]
    torch.testing.assert_close(losses["semantics"], 0.02 * total / norm, atol=1e-4, rtol=1e-3)
    o = 1 - logits[..., FREE].sigmoid()
    torch.testing.assert_close(losses["entropy"], 0.1 * (-o * (o + 1e-8).log()).mean())
    steps = [(logits[:, 1:] - logits[:, :-1]).abs().mean(), (logits[:, :, 1:] - logits[:, :, :-1]).abs().mean(),
             (logits[:, :, :, 1:] - logits[:, :, :, :-1]).abs().mean()]  # fmt: skip
    torch.testing.assert_close(losses["variation"], 0.1 * sum(steps) / 3)
    found = functional.interpolate(targets.view_depth_m[:, 0], (8, 22), mode="nearest-exact")
    used = found > 0
    error = (depth[used].clamp(min=0.1).log() - found[used].clamp(min=0.1).log()).abs().mean()
    torch.testing.assert_close(losses["depth"], 0.5 * error)


def test_the_original_is_there_by_name():
    """Raw logits on nothing, accumulated depth, unlabelled pixels as sky, and a label by the largest logit."""
    data = batch()
    changes = {"gaussians": {"classes": "logits", "decision": "argmax", "least_opacity": 0.0},
               "render": {"depth": "accumulated"}, "loss": {"unlabelled": "free", "outside": "border"}}  # fmt: skip
    model = build(**changes)
    output = model(data)
    view = model._objective.view(output.logits, data.targets.view_cameras.map(lambda t: t[:, 0]))
    small = data.targets.view_cameras.map(lambda t: t[:, 0]).resized(22, 8)
    scene = output.scene.replace(features=output.logits.flatten(1, 3))
    rendering = splat_to_image(scene, small, near=0.2, far=40.0, depth="accumulated")
    torch.testing.assert_close(view.scores, rendering.features, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(view.depth_m, rendering.depth.clamp(0.2, 30.0), atol=1e-4, rtol=1e-4)
    semantics = model._objective._semantics(view.scores, data.targets)
    sky = replace(data.targets, view_semantics=torch.where(data.targets.view_semantics == 255, FREE,
                                                           data.targets.view_semantics))  # fmt: skip
    ours = build(**{**changes, "loss": {"unlabelled": "ignored"}})
    torch.testing.assert_close(semantics, ours._objective._semantics(view.scores, sky))
    assert not torch.isclose(semantics, ours._objective._semantics(view.scores, data.targets))
    model.eval()
    labels = model.occupancy(model(data)).labels
    best = model.contracted.read_voxels(model(data).logits, GRID).argmax(-1)
    assert torch.equal(labels, best.to(torch.uint8))


@pytest.mark.parametrize("renderer", ["splat", "volume"])
def test_closed_depth_is_right_only_where_the_surface_is_opaque(renderer):
    """What a wall 6 m ahead lets pass counts as the limit, so a faint one seems far; expected depth is as before."""
    cameras = batch(b=1).targets.view_cameras.map(lambda t: t[:, 0, :1])
    seen = {}
    for depth in ("expected", "closed"):
        changes = {"renderer": renderer, "depth": depth, "limit_m": 12.0, "samples": 60}
        model = build(render=changes)
        x = model.contracted.centers[..., 0]
        for name, logit in (("opaque", -8.0), ("faint", 3.0)):
            logits = torch.zeros(1, 16, 16, 8, 18)
            logits[..., FREE] = torch.where((x > 5.5) & (x < 9.0), logit, 12.0)
            view = model._objective.view(logits, cameras)
            seen[depth, name] = view.depth_m[0, 0, 4, 11].item(), view.scores[0, 0, 4, 11, FREE].exp().item()
    assert seen["closed", "opaque"][0] == pytest.approx(seen["expected", "opaque"][0], abs=0.1)
    (near, _), (far, free) = seen["expected", "faint"], seen["closed", "faint"]
    assert free > 0.3
    assert far == pytest.approx((1 - free) * near + free * 12.0, abs=0.02)
    assert far > near + 1.0


@pytest.mark.parametrize(("renderer", "field"), [("splat", "true"), ("splat", "published"), ("volume", "true")])
def test_spread_is_how_far_apart_what_stops_each_ray_stands(renderer, field):
    """Camera by camera, with depth and its square as features; two walls cost more than one."""
    data = batch(b=1)
    cameras = data.targets.view_cameras.map(lambda t: t[:, 0])
    model = build(render={"renderer": renderer, "field_of_view": field, "samples": 40}, loss={"spread": 0.5})
    output = model(data)
    got = model.losses(output, data)["spread"]
    if renderer == "splat" and field == "true":
        small = cameras.resized(22, 8)
        scene = model.vertices(output.logits, small, (0.2, 40.0))
        parts = []
        for v in range(3):
            one = small.map(lambda t, v=v: t[:, v : v + 1])
            z = transform_points(one.viewmats[:, 0], scene.means)[..., 2]
            seen = splat_to_image(
                scene.replace(features=torch.stack([z, z * z], -1)), one, near=0.2, far=40.0, depth="accumulated"
            )
            first, second = seen.features.double().unbind(-1)
            alpha = seen.alpha.double()
            relative = second / alpha - (first / alpha) ** 2
            parts.append(torch.where(alpha > 0.01, alpha * relative / (first / alpha) ** 2, 0.0))
        torch.testing.assert_close(got.double(), 0.5 * torch.cat(parts).mean(), atol=1e-5, rtol=1e-3)
    x = model.contracted.centers[..., 0]
    found = []
    layers = x[:, 0, 0]
    near, far = layers[(layers > 3.0) & (layers < 10.0)][[0, -1]]
    for walls in (x == near, (x == near) | (x == far)):
        logits = torch.zeros(1, 16, 16, 8, 18)
        logits[..., FREE] = torch.where(walls, -0.5, 12.0)
        found.append(model._objective.view(logits, cameras.map(lambda t: t[:, :1])).spread.item())
    assert found[1] > found[0] + 0.005
    assert build(loss={"spread": 0.0}).losses(output, data).get("spread") is None


def test_samples_between_vertices_render_the_same_wall():
    """A wall 6 m ahead: both renderers find it, and the volume's numbers are those of a ray written out."""
    model = build(render={"renderer": "volume", "samples": 60, "limit_m": 12.0, "far_m": 60.0})
    splat = build(render={"limit_m": 12.0, "far_m": 60.0})
    vertices = model.contracted.centers
    logits = torch.zeros(1, 16, 16, 8, 18)
    wall = (vertices[..., 0] > 5.5) & (vertices[..., 0] < 9.0)
    logits[..., FREE] = torch.where(wall, -8.0, 8.0)
    logits[..., 4] = 6.0 * wall
    cameras = batch(b=1).targets.view_cameras.map(lambda t: t[:, 0, :1])
    volume, other = model._objective.view(logits, cameras), splat._objective.view(logits, cameras)
    middle = (0, 0, 4, 11)
    assert other.depth_m[middle].item() == pytest.approx(6.5, abs=1.0)
    assert volume.depth_m[middle].item() == pytest.approx(5.0, abs=1.2)
    assert volume.scores[middle].argmax() == other.scores[middle].argmax() == 4
    origins, directions = cameras.resized(22, 8).rays()
    start, towards = origins[middle].double(), directions[middle].double()
    step, passed, depth, weight, share = (12.0 - 0.2) / 60, 1.0, 0.0, 0.0, torch.zeros(18, dtype=torch.float64)
    for k in range(60):
        t = 0.2 + (k + 0.5) * step
        found = model.contracted.read(logits.double(), (start + t * towards).view(1, 1, 1, 3))[0, 0, 0, 0]
        opacity = 1 - found[FREE].sigmoid().item()
        alpha = 1 - (1 - opacity) ** (step * towards.norm().item() / 0.8)
        depth, weight = depth + passed * alpha * t, weight + passed * alpha
        share[:FREE] += passed * alpha * found[:FREE].softmax(-1)
        passed *= 1 - alpha
    share[FREE] += 1 - weight
    assert volume.depth_m[middle].item() == pytest.approx(depth / weight, abs=1e-3)
    torch.testing.assert_close(volume.scores[middle].exp().double(), share.clamp(min=1e-4), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("renderer", ["splat", "volume"])
def test_losses_reach_every_parameter(renderer):
    model, data = build(render={"renderer": renderer}), batch()
    losses = model.losses(model(data), data)
    assert all(value.isfinite() and value > 0 for value in losses.values())
    sum(losses.values()).backward()
    silent = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().any())]
    assert not [name for name in silent if "stages.backbone" not in name], silent
    assert any(p.grad is not None and p.grad.abs().any() for p in model.backbone.stages.parameters())
    # Depth learns from pictures alone.
    model.zero_grad()
    model.losses(model(data), data)["photometric"].backward()
    assert model.decoder.last[0].weight.grad[FREE].abs().max() > 0


def test_a_few_steps_lower_every_loss():
    model, data = build(), batch(b=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    history = []
    for _ in range(12):
        optimizer.zero_grad()
        losses = model.losses(model(data), data)
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    assert history[-1]["semantics"] < 0.95 * history[0]["semantics"]
    assert sum(history[-1].values()) < 0.95 * sum(history[0].values())
