# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Losses of Uni3R: rendered views against their pictures and a teacher's features, heads against known surfaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.view_sets import ViewSet
from gsocc_core.losses.aligned_features import cosine_loss
from gsocc_core.losses.photometric import ssim_dissimilarity
from gsocc_core.losses.point_prior import point_prior_loss
from gsocc_core.methods.uni3r_args import WHERE, LossArgs, RenderArgs, SemanticArgs
from gsocc_core.networks.camera_head import encode_cameras
from gsocc_core.splat.to_color import splat_to_color

#: Weight of the logarithm that keeps a head from being sure of nothing, and of each step of the camera head beside the
#: next (VGGT, section 3.4).
_CONFIDENCE_WEIGHT, _STEP_DECAY = 0.2, 0.6
#: Below this distance between first and last camera, views count as taken from one place, metres.
_LEAST_BASELINE_M = 0.01


class Predicted(Protocol):
    """What the losses read of an output, in the network's unit; see :class:`gsocc_core.methods.uni3r.Output`."""

    @property
    def points(self) -> Tensor:
        """(B, V, h, w, 3) in the first camera's frame."""

    @property
    def points_confidence(self) -> Tensor:
        """(B, V, h, w), above 1."""

    @property
    def depth(self) -> Tensor | None:
        """(B, V, h, w) along the optical axes; None = not computed, where no loss reads it."""

    @property
    def depth_confidence(self) -> Tensor | None:
        """(B, V, h, w), above 1; None likewise."""

    @property
    def codes(self) -> tuple[Tensor, ...]:
        """One (B, V, 9) per step of the camera head."""


def known_cameras(views: ViewSet) -> tuple[Cameras, Tensor]:
    """The views' cameras, and which of them are known.

    Returns:
        (B, V) cameras in the first camera's frame, a plain one in place of each that is not known, and (B, V) bool.
    """
    height, width = views.images.shape[-2:]
    good = views.intrinsics_known & views.pose_known & views.valid
    plain = views.intrinsics.new_tensor([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]])
    eye = torch.eye(4, dtype=views.T_first_cam.dtype, device=views.T_first_cam.device)
    chosen = good[..., None, None]
    intrinsics, poses = torch.where(chosen, views.intrinsics, plain), torch.where(chosen, views.T_first_cam, eye)
    return Cameras(intrinsics, poses, width, height), good


def scene_unit_m(views: ViewSet, unit: str) -> Tensor:
    """How many metres the network's unit of length has in each sample.

    Args:
        views: Context views.
        unit: ``baseline`` = the distance between the first and the last camera, or a metre where that is not known or
            below a centimetre; ``metre``.

    Returns:
        (B).
    """
    poses = views.T_first_cam
    one = torch.ones_like(poses[:, 0, 0, 0])
    if unit == "metre":
        return one
    last = (views.valid.long().cumsum(-1)).argmax(-1)
    baseline = (poses[torch.arange(len(last)), last, :3, 3] - poses[:, 0, :3, 3]).norm(dim=-1)
    return torch.where(baseline > _LEAST_BASELINE_M, baseline, one)


def in_metres(scene: Gaussians, unit_m: Tensor) -> Gaussians:
    """(B, N) Gaussians in units of ``unit_m`` (B) metres -> the same in metres."""
    factor = unit_m.to(scene.means)[:, None, None]
    return scene.replace(means=scene.means * factor, scales=scene.scales * factor)


def check_labels(views: ViewSet, loss: LossArgs, semantics: SemanticArgs, render: RenderArgs) -> None:
    """Raise unless a sample holds what the losses compare with; a loss without labels would be silently left out.

    Args:
        views: One sample.
        loss: Weights.
        semantics: The teacher's channels, and whether its features are an input.
        render: Whether context views are rendered.

    Raises:
        ConfigError: labels are missing, or features have other channels than the teacher's.
    """
    sample = f"sample of {', '.join(views.scene_names) or 'the data'}"
    looked_at = ([] if views.targets is None else [views.targets]) + (
        [views] if render.context or views.targets is None else []
    )
    posed = any(bool(known_cameras(one)[1].any()) for one in looked_at)
    surface = views.depth_m is not None and bool((views.depth_m > 0).any() & views.intrinsics_known.any())
    known = bool(views.pose_known.any())
    features = [one.features for one in looked_at]
    for names, good, labels in (
        (("photometric", "ssim", "semantic"), posed, "intrinsics and poses of the rendered views"),
        (("semantic",), all(one is not None for one in features), "data.features_dir"),
        (("geometry", "points", "depth"), surface, "depth and intrinsics of the context views"),
        (("points", "camera"), known, "poses of the context views"),
    ):
        used = [name for name in names if getattr(loss, name)]
        if used and not good:
            raise ConfigError(WHERE, f"loss.{used[0]}", f"0, or {labels} to learn it from", f"none in a {sample}")
    if semantics.residual and views.features is None:
        raise ConfigError(WHERE, "semantics.residual", "false, or data.features_dir", f"no features in a {sample}")
    used_features = [one for one in (*features, views.features) if one is not None]
    if used_features and (loss.semantic or semantics.residual):
        channels = used_features[0].shape[2]
        if channels != semantics.teacher_dim:
            raise ConfigError(
                WHERE, "semantics.teacher_dim", f"{channels}, as features of the data", semantics.teacher_dim
            )
    if not any(
        getattr(loss, name) for name in ("photometric", "ssim", "semantic", "geometry", "points", "depth", "camera")
    ):
        raise ConfigError(WHERE, "loss", "a weight above 0", "none")


def rendered_losses(
    scene: Gaussians,
    sets: Sequence[ViewSet],
    expand: Callable[[Tensor], Tensor],
    loss: LossArgs,
    render: RenderArgs,
    background: Tensor | None = None,
) -> dict[str, Tensor]:
    """Weighted losses of rendered views.

    Args:
        scene: (B, N) Gaussians with colours, metres, in the first context camera's frame.
        sets: Sets of views to look at; those without a known camera are left out.
        expand: Rendered features (..., H, W, C) -> the teacher's space (..., h, w, D).
        loss: Weights.
        render: Near and far.
        background: (B, 3) colour behind the scene, 0..1; None = black.

    Returns:
        Scalars ``color``, ``ssim`` and ``semantic``, as far as their weights are not 0; means over all views.
    """
    sums: dict[str, list[Tensor]] = {}
    total = scene.means.new_zeros(())
    for views in sets:
        cameras, good = known_cameras(views)
        share = good.to(scene.means).sum()
        total = total + share
        compared = bool(loss.semantic) and views.features is not None
        visible = scene if compared else scene.replace(features=scene.features[..., :0])
        seen = splat_to_color(visible, cameras, near=render.near_m, far=render.far_m)
        colors, target = seen.on(background).movedim(-1, -3), views.images.to(scene.means) / 255
        weight = good[..., None, None, None].to(scene.means)
        if loss.photometric:
            error = (colors - target).square() if loss.color_error == "mse" else (colors - target).abs()
            sums.setdefault("color", []).append(loss.photometric * (error * weight).mean((-3, -2, -1)).sum())
        if loss.ssim:
            error = ssim_dissimilarity(colors, target) * weight
            sums.setdefault("ssim", []).append(loss.ssim * error.mean((-3, -2, -1)).sum())
        if compared and views.features is not None:
            labels = views.features * weight
            error = cosine_loss(expand(seen.features).flatten(0, 1), labels.flatten(0, 1))
            sums.setdefault("semantic", []).append(loss.semantic * error * share)
    return {name: torch.stack(parts).sum() / total.clamp(min=1) for name, parts in sums.items()}


def known_surface(views: ViewSet, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Points and depth of the context pictures where depth and intrinsics are known.

    Args:
        views: With depth.
        size: (h, w) of the result: the nearest pixel's depth at the middle of each coarser one.

    Returns:
        Points (B, V, h, w, 3) in the first camera's frame, in their own camera's where its pose is unknown; their depth
        (B, V, h, w), 0 = unknown, both in metres; and (B, V) bool: the pose is known.
    """
    assert views.depth_m is not None
    height, width = size
    cameras, _ = known_cameras(views)
    known = views.intrinsics_known
    plain = torch.where(known[..., None, None], views.intrinsics, cameras.intrinsics)
    rig = Cameras(plain, cameras.T_ego_cam, cameras.width, cameras.height).resized(width, height)
    depth = functional.interpolate(views.depth_m.float(), size, mode="nearest-exact")
    depth = torch.where((known & views.valid)[..., None, None], depth, 0.0)
    origins, directions = rig.rays()
    return origins + depth[..., None] * directions, depth, views.pose_known


def surface_losses(output: Predicted, views: ViewSet, unit_m: Tensor, loss: LossArgs) -> dict[str, Tensor]:
    """Weighted losses of the point and depth heads against known depth; none where there is no depth.

    Confidence in the geometry loss is the inverse of depth: whatever measures it is surest of what is near.

    Args:
        output: Of the network, in units.
        views: Context views.
        unit_m: (B) metres per unit.
        loss: Weights.

    Returns:
        Scalars ``geometry``, ``points`` and ``depth``, as far as their weights are not 0.
    """
    if views.depth_m is None or not (loss.geometry or loss.points or loss.depth):
        return {}
    size = (output.points.shape[2], output.points.shape[3])
    points, depth, posed = known_surface(views, size)
    unit = unit_m[:, None, None, None]
    losses: dict[str, Tensor] = {}
    if loss.geometry:
        confidence = torch.where(depth > 0, 1 / depth.clamp(min=1e-6), 0.0)
        flat = (output.points.flatten(0, 1).flatten(1, 2), points.flatten(0, 1).flatten(1, 2))
        confidence = confidence.flatten(0, 1).flatten(1)
        losses["geometry"] = loss.geometry * point_prior_loss(*flat, confidence, loss.geometry_keep)
    if loss.points:
        error = (output.points - points / unit[..., None]).norm(dim=-1)
        used = (depth > 0) & posed[..., None, None]
        losses["points"] = loss.points * sure_error(error, output.points_confidence, used)
    if loss.depth:
        assert output.depth is not None
        assert output.depth_confidence is not None
        error = (output.depth - depth / unit).abs()
        losses["depth"] = loss.depth * sure_error(error, output.depth_confidence, depth > 0)
    return losses


def sure_error(error: Tensor, confidence: Tensor, used: Tensor) -> Tensor:
    """Mean over used pixels of confidence times error less 0.2 times the confidence's logarithm (VGGT, eq. 3)."""
    value = confidence * error - _CONFIDENCE_WEIGHT * confidence.log()
    return torch.where(used, value, 0.0).sum() / used.sum().clamp(min=1)


def camera_loss(codes: Sequence[Tensor], views: ViewSet, unit_m: Tensor) -> Tensor:
    """Huber error of the camera head's numbers over all its steps, the last one counting most (VGGT, section 3.4).

    Args:
        codes: One (B, V, 9) per step.
        views: Context views; those without a known camera are left out.
        unit_m: (B) metres per unit.

    Returns:
        Scalar; 0 without any known camera.
    """
    cameras, good = known_cameras(views)
    poses = cameras.T_ego_cam.clone()
    poses[..., :3, 3] = poses[..., :3, 3] / unit_m[:, None, None]
    target = encode_cameras(poses, cameras.intrinsics, (cameras.height, cameras.width)).to(codes[-1])
    count = good.sum().clamp(min=1)
    total = codes[-1].new_zeros(())
    for step, code in enumerate(reversed(codes)):
        error = functional.smooth_l1_loss(code, target, reduction="none", beta=0.1).mean(-1)
        total = total + _STEP_DECAY**step * torch.where(good, error, 0.0).sum() / count
    return total
