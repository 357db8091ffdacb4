# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where a rig was at the moments of a frame set, from its pictures instead of the data set's poses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.methods.gaussianocc_pose_args import NeighbourArgs
from gsocc_core.networks.ego_motion import EgoMotion, part_of_motion

#: Rigs are the same whose cameras stand and look alike: calibrations differ a little from drive to drive.
_SAME_M, _SAME_DEG, _SAME_FOCAL = 0.5, 10.0, 0.15


@dataclass(frozen=True)
class RigMotion:
    """Where a rig was.

    Attributes:
        T_ref_ego: (B, S, 4, 4) pose of the ego at the moment of each view in the present ego frame.
        T_ref_camera: (B, V, 4, 4) motion of the ego from each camera's own stamp to the reference stamp.
    """

    T_ref_ego: Tensor
    T_ref_camera: Tensor

    def place(self, cameras: Cameras) -> Cameras:
        """Cameras (B, S, V) of the views at these poses, whatever poses they had."""
        # One velocity: it does not matter in which order the two motions are made.
        return replace(cameras, T_ref_ego=self.T_ref_camera[:, None] @ self.T_ref_ego[:, :, None])

    def place_present(self, cameras: Cameras) -> Cameras:
        """Cameras (B, T, V) of a frame set with the present ones at these poses; earlier ones stay."""
        calibration = cameras.T_ego_cam
        motion = cameras.T_ref_ego
        if motion is None:
            motion = torch.eye(4, dtype=calibration.dtype, device=calibration.device).expand_as(calibration)
        return replace(cameras, T_ref_ego=torch.cat([self.T_ref_camera[:, None].to(motion), motion[:, 1:]], 1))


class LearnedPoses(nn.Module):
    """A pose network, the rig that it knows, and what it may be asked.

    Args:
        ego_motion: The network.
        cameras: Names of the rig's cameras.
        image_size: (height, width) of its pictures, pixels.
        args: Which neighbours.
    """

    rig_poses: Tensor
    rig_intrinsics: Tensor

    def __init__(
        self, ego_motion: EgoMotion, cameras: tuple[str, ...], image_size: tuple[int, int], args: NeighbourArgs
    ) -> None:
        super().__init__()
        self.ego_motion, self.cameras, self.image_size, self.args = ego_motion, cameras, image_size, args
        # The rig of the training, for those who take the network over; a plain guess until the first step.
        self.register_buffer("rig_poses", torch.zeros(len(cameras), 4, 4))
        self.register_buffer("rig_intrinsics", torch.zeros(len(cameras), 3, 3))

    def forward(self, frames: FrameSet) -> RigMotion:
        """Motions of a frame set's views.

        Args:
            frames: With ``targets`` that hold pictures of the present and its neighbours.

        Returns:
            In the dtype of the network.

        Raises:
            DataError: there are no neighbouring pictures, they are too far apart in time, or the cameras of one moment
                are.
            ConfigError: other cameras or another picture size than the network knows.
        """
        targets = self.check_times(frames)
        assert targets.view_images is not None
        assert targets.view_valid is not None
        assert targets.view_time_s is not None
        poses = self.ego_motion.neighbours(targets.view_images, targets.view_valid, targets.view_time_s)
        return RigMotion(poses, self._between_stamps(poses, frames, targets))

    def _between_stamps(self, poses: Tensor, frames: FrameSet, targets: Targets) -> Tensor:
        """(B, V, 4, 4) motion of the ego from each camera's stamp to the reference; it teaches nothing."""
        with torch.no_grad():
            apart = frames.camera_stamps_ns[:, 0] - frames.reference_stamp_ns[:, :1]
            seconds = apart.to(poses.dtype) * 1e-9
            if self.args.stamps == "ignored":
                seconds = torch.zeros_like(seconds)
            assert targets.view_time_s is not None
            assert targets.view_valid is not None
            time_s = targets.view_time_s.to(poses)[:, 1:]
            there = targets.view_valid[:, 1:].any(-1) & (time_s != 0)
            # Of a neighbour before the present the part is negative: the same velocity, asked for the other way round.
            part = seconds[:, None] / torch.where(there, time_s, 1.0)[..., None]
            moved = part_of_motion(poses[:, 1:, None].expand(-1, -1, seconds.shape[1], -1, -1), part)
            weight = there.to(poses)[..., None, None, None]
            mean = (moved * weight).sum(1) / weight.sum(1).clamp(min=1)
            still = torch.eye(4, dtype=poses.dtype, device=poses.device).expand_as(mean)
            # The mean of rotations this near to each other is one but for the square of their angle.
            return torch.where(there.any(1)[:, None, None, None], mean, still)

    def record(self, frames: FrameSet) -> None:
        """Take a frame set's rig for the one that the network knows."""
        height, width = self.image_size
        size = frames.cameras.intrinsics.new_tensor([width, height, 1.0])[:, None]
        with torch.no_grad():
            self.rig_poses.copy_(frames.cameras.T_ego_cam[0, 0])
            self.rig_intrinsics.copy_(frames.cameras.intrinsics[0, 0] / size)

    def check_rig(self, frames: FrameSet, where: object) -> None:
        """Raise unless a frame set's rig is the one that the network knows.

        Args:
            frames: Of the rig.
            where: The bundle of the network, for the error.

        Raises:
            ConfigError: other names or another number of cameras, one that stands or looks elsewhere by more than 0.5 m
                or 10 degrees or has another focal length by more than 15 %, or another picture size.
        """
        if frames.camera_names != self.cameras:
            received = f"{len(frames.camera_names)}: {', '.join(frames.camera_names)}"
            raise ConfigError(
                where, "rig", f"the {len(self.cameras)} cameras {', '.join(self.cameras)}, in this order", received
            )
        self._check_size(frames, where)
        for v, name in enumerate(self.cameras):
            if (difference := self._difference(frames, v)) is not None:
                raise ConfigError(where, "rig", f"{name} about where it was in the training", difference)

    def _difference(self, frames: FrameSet, v: int) -> str | None:
        mine, theirs = self.rig_poses[v].double().cpu(), frames.cameras.T_ego_cam[0, 0, v].double().cpu()
        apart = float((mine[:3, 3] - theirs[:3, 3]).norm())
        cosine = float(((mine[:3, :3].T @ theirs[:3, :3]).trace() - 1) / 2)
        turned = math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))
        focal = float(frames.cameras.intrinsics[0, 0, v, 0, 0]) / self.image_size[1]
        factor = focal / max(float(self.rig_intrinsics[v, 0, 0]), 1e-6)
        if apart <= _SAME_M and turned <= _SAME_DEG and abs(math.log(factor)) <= _SAME_FOCAL:
            return None
        return f"{apart:.2f} m and {turned:.0f} degrees away, focal length x {factor:.2f}"

    def _check_size(self, frames: FrameSet, where: object) -> None:
        targets = frames.targets
        if targets is None or targets.view_images is None:
            return
        if (size := tuple(targets.view_images.shape[-2:])) != self.image_size:
            raise ConfigError(where, "data.view_size", f"{self.image_size}, the pose network's pictures", size)

    def check_times(self, frames: FrameSet) -> Targets:
        """The views of a frame set, if a motion can be read from them.

        Raises:
            DataError: there are no neighbouring pictures, they are too far apart in time, or the cameras of one moment
                are.
            ConfigError: other cameras or another picture size than the network knows.
        """
        where, targets = f"sample {', '.join(frames.sample_tokens) or '?'}", frames.targets
        if targets is None or targets.view_images is None or targets.view_valid is None or targets.view_time_s is None:
            raise DataError(where, "data.view_images", "pictures of the views, since poses are learned", "none")
        if targets.view_images.shape[1] < 2:
            expected = "neighbours (data.view_sweeps, or data.views of 2 or more), since poses are learned"
            raise DataError(where, "data.view_sweeps", expected, "the present views alone")
        if targets.view_images.shape[2] != len(self.cameras):
            raise ConfigError(where, "cameras", f"{len(self.cameras)}", targets.view_images.shape[2])
        self._check_size(frames, where)
        stamps = frames.camera_stamps_ns[:, 0]
        spread_s = float((stamps.amax(1) - stamps.amin(1)).max()) * 1e-9
        self.check_moments(where, float(targets.view_time_s.abs().max()), spread_s)
        return targets

    def check_moments(self, where: str, farthest_s: float, spread_s: float) -> None:
        """Raise unless a motion can be read from pictures so far apart.

        Args:
            where: The sample, for the error.
            farthest_s: From the present to the farthest neighbour, seconds.
            spread_s: From the first of the present pictures to the last one, seconds.

        Raises:
            DataError: neighbours are too far apart in time, or the cameras of one moment are.
        """
        if farthest_s > self.args.most_s:
            expected = f"neighbours at most {self.args.most_s:g} s away, as the pose network was trained for"
            raise DataError(where, "views", expected, f"{farthest_s:.3f} s")
        if spread_s > self.args.most_spread_s:
            expected = f"cameras that are at most {self.args.most_spread_s:g} s apart"
            raise DataError(where, "camera stamps", expected, f"{spread_s:.3f} s: they are not synchronised")
