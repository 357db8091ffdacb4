# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What GaussianOcc's first stage learns from: its own pictures a moment apart, and cameras that see the same place."""

from __future__ import annotations

from torch import Tensor

from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.losses.cross_view import CrossViewArgs, at_size, cross_view_loss
from gsocc_core.losses.metric_scale import GROUND_M, ground_depth, ground_error, length_error, lengths_of_poses
from gsocc_core.losses.photometric import reprojection_loss, smoothness_loss
from gsocc_core.losses.rig_overlap import OverlapArgs, RigOverlaps, eroded, overlap_pixels
from gsocc_core.methods.gaussianocc_pose_args import WHERE, CrossArgs, PoseLossArgs
from gsocc_core.methods.learned_poses import RigMotion
from gsocc_core.methods.method import ScaleSource

#: Sources of metres other than overlapping cameras.
ELSEWHERE: tuple[ScaleSource, ...] = ("poses", "odometry", "mounting_height")


class PoseLosses:
    """All losses of the first stage.

    Args:
        cross: How cameras are compared.
        weights: Weights of the losses.
        scale: What tells metres.

    Raises:
        ConfigError: metres are to come from something whose loss is off.
    """

    def __init__(self, cross: CrossArgs, weights: PoseLossArgs, scale: ScaleSource) -> None:
        if scale == "calibration" and not weights.cross:
            expected = f"loss.cross above 0, or scale: {', '.join(ELSEWHERE)} or unknown"
            raise ConfigError(WHERE, "scale", expected, "calibration, without loss.cross")
        if scale in ELSEWHERE and not weights.scale:
            raise ConfigError(WHERE, "loss.scale", f"above 0, since scale is {scale}", weights.scale)
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
            targets: Views with pictures; their poses count only where ``scale`` is ``poses``, their odometer where it
                is ``odometry``.

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
        if self.scale in ELSEWHERE:
            losses["scale"] = weights.scale * self._scale_error(depth, motion, targets)
        return losses

    def _scale_error(self, depth_m: Tensor, motion: RigMotion, targets: Targets) -> Tensor:
        """Against what ``scale`` names beside the rig; depth (B, V, H, W) at the views' size."""
        assert targets.view_cameras is not None
        assert targets.view_valid is not None
        if self.scale == "mounting_height":
            return ground_error(depth_m, targets.view_cameras.map(lambda t: t[:, 0]))
        if self.scale == "poses":
            lengths_m = lengths_of_poses(targets.view_cameras)
        elif targets.view_travelled_m is not None:
            lengths_m = targets.view_travelled_m[:, 1:].abs()
        else:
            raise DataError(WHERE, "targets.view_travelled_m", "an odometer, since scale is odometry", "none")
        return length_error(motion.T_ref_ego, lengths_m, targets.view_valid)

    def check_scale(self, frames: FrameSet) -> None:
        """Raise unless what ``scale`` names can tell metres.

        Args:
            frames: Any item of the data.

        Raises:
            ConfigError: the cameras share too few pixels, the poses of the data are unknown, they have no odometer, or
                no camera looks at ground near by.
        """
        targets = frames.targets
        if self.scale == "calibration":
            self._check_overlap(frames)
        if self.scale == "poses" and _poses_unknown(targets):
            raise _no_source("the poses of the data are unknown", self.scale)
        if self.scale == "odometry" and (targets is None or targets.view_travelled_m is None):
            raise _no_source("the data have no odometer (rosbag2_to_nuscenes --odometry TOPIC)", self.scale)
        if self.scale == "mounting_height" and not ground_depth(rig := _rig(frames)).isfinite().any():
            heights = rig.T_ego_cam[0, :, 2, 3].tolist()
            told = ", ".join(f"{name} {height:.2f} m" for name, height in zip(frames.camera_names, heights))
            why = f"no camera stands above the ground (z = 0) and looks at it within {GROUND_M:g} m"
            raise _no_source(why, f"{self.scale} ({told})")

    def _check_overlap(self, frames: FrameSet) -> None:
        height, width = self.cross.size or (frames.cameras.height, frames.cameras.width)
        shared = self.overlaps(_rig(frames).resized(width, height))[0]
        left = int(eroded(shared.any(1), self.cross.erosion_px).sum())
        if left < self.cross.least_px:
            pairs = overlap_pixels(shared, frames.camera_names)
            expected = (
                f"cameras that share at least {self.cross.least_px} px of {width} x {height}, eroded by "
                f"{self.cross.erosion_px}, or model.scale: {', '.join(ELSEWHERE[:-1])} or {ELSEWHERE[-1]}"
            )
            raise ConfigError(WHERE, "rig", expected, f"{left} px ({pairs})")


def _rig(frames: FrameSet) -> Cameras:
    """(1, V) calibration of the first sample."""
    return frames.cameras.map(lambda t: t[:1, 0])


def _poses_unknown(targets: Targets | None) -> bool:
    cameras = None if targets is None else targets.view_cameras
    return cameras is not None and cameras.T_ref_ego is not None and bool(cameras.T_ref_ego.isnan().any())


def _no_source(why: str, received: object) -> ConfigError:
    return ConfigError(WHERE, "scale", f"another source of metres, since {why}", received)
