# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc (Gan et al., ICCV 2025), first stage: depth and ego motion in metres from synchronised pictures alone.

One network sees single pictures and gives their depth. Another sees two pictures of each camera and gives one motion of
the rig. Together they warp neighbouring pictures into the present one, which leaves the scale open; cameras that
overlap close it, since the rig's calibration is in metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.methods.gaussianocc_pose_args import WHERE, CrossArgs, NeighbourArgs, PoseLossArgs, PoseNetworkArgs
from gsocc_core.methods.gaussianocc_pose_losses import PoseLosses
from gsocc_core.methods.gaussianocc_pose_network import PictureDepth
from gsocc_core.methods.learned_poses import LearnedPoses, RigMotion
from gsocc_core.methods.method import PoseMethod, Poses, ScaleSource
from gsocc_core.networks.backbones import BackboneArgs
from gsocc_core.networks.ego_motion import EgoMotion

#: The paper's depth network has a Swin backbone, its pose network ResNet-34.
_DEPTH = BackboneArgs(
    "microsoft/swin-tiny-patch4-window7-224", "swin",
    {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7}, (1, 2, 3, 4),
)  # fmt: skip
_MOTION = BackboneArgs(
    "microsoft/resnet-34", "resnet",
    {"depths": [3, 4, 6, 3], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}, (4,),
)  # fmt: skip


@dataclass(frozen=True)
class Output:
    """Result of :meth:`GaussianOccPose.forward`.

    Attributes:
        depth_m: (B, V, h, w) metres along the optical axis, at the size of the depth network's finest level.
        motion: Where the rig was at the moments of the views; None where the frame set has no pictures of any.
    """

    depth_m: Tensor
    motion: RigMotion | None


class GaussianOccPose(PoseMethod):
    """Depth of pictures and motion of the rig.

    Args:
        cameras: Names of the rig's cameras.
        image_size: (height, width) of the networks' pictures, pixels; the views have it too.
        backbone: Of the depth network: stages, finest first.
        motion_backbone: Of the pose network: one stage.
        network: Sizes.
        neighbours: Which neighbouring pictures a motion is read from.
        scale: What tells metres: ``calibration`` = the rig's overlaps alone, ``poses`` = the lengths of given motions
            too, ``odometry`` = those that an odometer counted too, ``mounting_height`` = the cameras' height above flat
            ground too, ``unknown`` = nothing need to.
        cross: How cameras are compared.
        loss: Loss weights.
        pretrained: Load the backbones' hub weights, if they have a hub id.

    Raises:
        ConfigError: values that do not fit each other.
    """

    TRAINING_ONLY = ("cross", "loss")

    def __init__(
        self,
        cameras: tuple[str, ...],
        image_size: tuple[int, int] = (224, 352),
        backbone: BackboneArgs | None = None,
        motion_backbone: BackboneArgs | None = None,
        network: PoseNetworkArgs | None = None,
        neighbours: NeighbourArgs | None = None,
        scale: ScaleSource = "calibration",
        cross: CrossArgs | None = None,
        loss: PoseLossArgs | None = None,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        if not cameras or len(set(cameras)) != len(cameras):
            raise ConfigError(WHERE, "cameras", "one or more different camera names", cameras)
        if scale not in (known := get_args(ScaleSource)):
            raise ConfigError(WHERE, "scale", f"one of {', '.join(known)}", scale)
        args = network or PoseNetworkArgs()
        self.cameras, self.image_size, self.scale = tuple(cameras), (image_size[0], image_size[1]), scale
        self.depth = PictureDepth(backbone or _DEPTH, args, pretrained)
        ego_motion = EgoMotion(motion_backbone or _MOTION, args.motion_dim, args.motion_scale, pretrained)
        self.learned = LearnedPoses(ego_motion, self.cameras, self.image_size, neighbours or NeighbourArgs())
        self._objective = PoseLosses(cross or CrossArgs(), loss or PoseLossArgs(), scale)

    def forward(self, frames: FrameSet, memory: None = None) -> Output:
        """Predict depth of the present pictures, and where the rig was at the moments of the views.

        Args:
            frames: Pictures; of the moments only 0 is read. Neighbours are the views of ``targets``.
            memory: Not used.

        Returns:
            Depth; and motion, if there are views with pictures.

        Raises:
            DataError: neighbours are too far apart in time, or the cameras of one moment are.
            ConfigError: other cameras or another picture size than the network knows.
        """
        del memory
        depth = self.depth(frames.images[:, 0], frames.cameras.map(lambda t: t[:, 0]))
        with_views = frames.targets is not None and frames.targets.view_images is not None
        if not with_views:
            return Output(depth, None)
        if self.training:
            self.learned.record(frames)
        return Output(depth, self.learned(frames))

    def losses(self, output: Output, frames: FrameSet) -> dict[str, Tensor]:
        """Weighted losses; see :class:`gsocc_core.methods.gaussianocc_pose_args.PoseLossArgs`.

        Raises:
            DataError: the frame set has no neighbouring pictures.
        """
        if output.motion is None or frames.targets is None:
            raise DataError(WHERE, "data.view_images", "pictures of the views, since poses are learned", "none")
        with torch.autocast(output.depth_m.device.type, enabled=False):
            motion = RigMotion(output.motion.T_ref_ego.float(), output.motion.T_ref_camera.float())
            return self._objective(output.depth_m.float(), motion, frames.targets)

    def check_frames(self, frames: FrameSet) -> None:
        """Raise ConfigError or DataError where a training could not learn from the rig, its views or their times."""
        if frames.camera_names != self.cameras:
            raise ConfigError(WHERE, "cameras", f"those of the data: {frames.camera_names}", self.cameras)
        self.learned.check_times(frames)
        self._objective.check_scale(frames)

    def check_moments(self, where: str, farthest_s: float, spread_s: float) -> None:
        """Raise DataError where no motion could be read from a sample's pictures."""
        self.learned.check_moments(where, farthest_s, spread_s)

    def poses(self, output: Output) -> Poses:
        """Poses and depth of an output.

        Raises:
            DataError: it was made without views.
        """
        if output.motion is None:
            raise DataError(WHERE, "data.view_images", "pictures of the views, to read a motion from", "none")
        return Poses(output.motion.T_ref_ego.double(), output.depth_m, self.scale)
