# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What GaussianOcc's first stage learns from: its own pictures a moment apart, and cameras that see the same place."""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.geometry.rigid import invert_rigid
from gsocc_core.losses.cross_view import CrossViewArgs, at_size, cross_view_loss
from gsocc_core.losses.photometric import reprojection_loss, smoothness_loss
from gsocc_core.losses.rig_overlap import OverlapArgs, RigOverlaps, eroded, overlap_pixels
from gsocc_core.methods.gaussianocc_pose_args import WHERE, CrossArgs, PoseLossArgs
from gsocc_core.methods.learned_poses import RigMotion
from gsocc_core.methods.method import ScaleSource

#: Ground is looked for up to this distance from a camera along its axis, metres.
_GROUND_M = 12.0


class PoseLosses:
    """All losses of the first stage.

    Args:
        cross: How cameras are compared.
        weights: Weights of the losses.
        scale: What tells metres.

    Raises:
        ConfigError: metres are to come from the rig, but nothing compares cameras.
    """

    def __init__(self, cross: CrossArgs, weights: PoseLossArgs, scale: ScaleSource) -> None:
        if scale == "calibration" and not weights.cross:
            expected = "loss.cross above 0, or scale: poses, mounting_height or unknown"
            raise ConfigError(WHERE, "scale", expected, "calibration, without loss.cross")
        self.cross, self.weights, self.scale = cross, weights, scale
        self.overlaps = RigOverlaps(OverlapArgs(cross.max_depth_m, cross.samples))
        self.drawing = CrossViewArgs(
            cross.scale_m, far_m=2 * cross.max_depth_m, mask_out=cross.mask_out, erosion_px=cross.erosion_px,
            holes=cross.holes, ssim=weights.ssim,
        )  # fmt: skip

    def __call__(self, depth_m: Tensor, motion: RigMotion, targets: Targets) -> dict[str, Tensor]:
        """Compute the weighted losses.

        Args:
            depth_m: (B, V, h, w) metres of the present pictures, at any size.
            motion: Where the rig was.
            targets: Views with pictures; their poses count only where ``scale`` is ``poses``.

        Returns:
            Scalars by name.
        """
        weights, pictures = self.weights, targets.view_images
        assert pictures is not None
        assert targets.view_cameras is not None
        assert targets.view_valid is not None
        cameras = motion.place(targets.view_cameras)
        usable = None if targets.view_usable is None else targets.view_usable[:, 0]
        present, now = pictures[:, 0].to(depth_m.dtype) / 255, cameras.map(lambda t: t[:, 0])
        depth, _, _ = at_size(depth_m, present, None, (pictures.shape[-2], pictures.shape[-1]))
        losses = {
            "photometric": weights.photometric * reprojection_loss(
                depth, pictures, cameras, targets.view_valid, auto_mask=weights.auto_mask, outside=weights.outside,
                ssim=weights.ssim, usable=usable,
            )
        }  # fmt: skip
        if weights.smoothness:
            losses["smoothness"] = weights.smoothness * smoothness_loss(depth, present)
        if weights.cross:
            size = self.cross.size or (cameras.height, cameras.width)
            small = at_size(depth_m, present, usable, size)
            seen = now.resized(size[1], size[0])
            shared, valid = self.overlaps(seen), targets.view_valid[:, 0]
            losses["cross"] = weights.cross * cross_view_loss(
                small[0], small[1], seen, valid, shared, small[2], self.drawing
            )
        if weights.scale and self.scale == "poses":
            losses["scale"] = weights.scale * length_error(motion.T_ref_ego, targets.view_cameras, targets.view_valid)
        if weights.scale and self.scale == "mounting_height":
            losses["scale"] = weights.scale * ground_error(depth, now)
        return losses

    def check_overlap(self, frames: FrameSet) -> None:
        """Raise unless the rig of a frame set can tell metres.

        Raises:
            ConfigError: cameras share too few pixels, and ``scale`` names nothing else.
        """
        if self.scale != "calibration":
            return
        height, width = self.cross.size or (frames.cameras.height, frames.cameras.width)
        rig = frames.cameras.map(lambda t: t[:1, 0]).resized(width, height)
        shared = self.overlaps(rig)[0]
        left = int(eroded(shared.any(1), self.cross.erosion_px).sum())
        if left < self.cross.least_px:
            pairs = overlap_pixels(shared, frames.camera_names)
            expected = (
                f"cameras that share at least {self.cross.least_px} px of {width} x {height}, eroded by "
                f"{self.cross.erosion_px}, or model.scale: poses or mounting_height"
            )
            raise ConfigError(WHERE, "rig", expected, f"{left} px ({pairs})")


def length_error(T_ref_ego: Tensor, given: Cameras, valid: Tensor) -> Tensor:
    """Difference of the lengths of motions from given ones, metres; directions stay free.

    Args:
        T_ref_ego: (B, S, 4, 4) poses of the ego, the first at the present.
        given: (B, S, V) cameras at given poses.
        valid: (B, S, V) bool.

    Returns:
        Scalar mean over the neighbours.
    """
    assert given.T_ref_ego is not None
    moved = (invert_rigid(given.T_ref_ego[:, :1]) @ given.T_ref_ego[:, 1:])[..., :3, 3].norm(dim=-1)  # (B, S - 1, V)
    both = (valid[:, :1] & valid[:, 1:]).to(moved)
    length = T_ref_ego[:, 1:, :3, 3].square().sum(-1).add(1e-12).sqrt()
    return ((length[..., None] - moved).abs() * both).sum() / both.sum().clamp(min=1)


def ground_error(depth_m: Tensor, cameras: Cameras) -> Tensor:
    """How far the predicted ground is from the height at which each camera is mounted, as |log of the ratio|.

    Pixels that would see flat ground (z = 0 in the ego frame) within 12 m are taken; what stands on it is outvoted,
    since the median over a picture counts.

    Args:
        depth_m: (B, V, H, W) metres.
        cameras: (B, V) at that size.

    Returns:
        Scalar mean over the cameras that would see any ground; 0 where none would.
    """
    still = Cameras(
        cameras.intrinsics, cameras.T_ego_cam, cameras.width, cameras.height, cameras.model, cameras.distortion
    )
    rays = still.rays_at(still.pixel_centres()) @ still.T_ego_cam[..., :3, :3].transpose(-1, -2)
    plane = -still.T_ego_cam[..., 2, 3, None] / rays[..., 2].clamp(max=-1e-6)
    ratio = (depth_m.flatten(-2) / plane.clamp(min=1e-3)).log()
    ratio = torch.where((rays[..., 2] < 0) & (plane <= _GROUND_M), ratio, torch.nan)
    middle = ratio.nanmedian(-1).values.abs()
    known = middle.isfinite()
    return torch.where(known, middle, 0.0).sum() / known.sum().clamp(min=1)
