# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a method receives: pictures of all cameras at one or several times, and, in training, what should come out."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.rigid import invert_rigid

_T = TypeVar("_T", bound="Targets | FrameSet")


def _map_tensors(value: _T, function: Any) -> _T:
    changes: dict[str, Any] = {}
    for field in fields(value):
        item = getattr(value, field.name)
        if isinstance(item, Tensor):
            changes[field.name] = function(item)
        elif is_dataclass(item) and hasattr(item, "map"):
            changes[field.name] = item.map(function)
    return replace(value, **changes)


@dataclass(frozen=True)
class Targets:
    """Supervision of one sample; every part is optional.

    Views are S times V pictures at S moments: the present, neighbouring key frames, then the cameras' pictures between
    key frames, which have no labels. Their cameras refer to the same present ego frame as the input; where the pose of
    a neighbouring view is unknown, its ``T_ref_ego`` is NaN.

    Attributes:
        labels: (B, X, Y, Z) uint8 voxel class ids, free space included; ignore_id = no label.
        mask_camera: (B, X, Y, Z) bool: voxel seen by the present cameras.
        mask_lidar: (B, X, Y, Z) bool: voxel seen by the LiDAR.
        mask_remembered: (B, X, Y, Z) bool: voxel hidden from the present cameras and seen by those of an earlier key
            frame; None = not asked for.
        view_cameras: Cameras (B, S, V) at the size of the view labels.
        view_semantics: (B, S, V, H, W) uint8 class ids; ignore_id = no label, free_id = sky, if asked for.
        view_depth_m: (B, S, V, H, W) float32 metres along the optical axis; 0 = no label.
        view_valid: (B, S, V) bool: the view exists.
        view_time_s: (B, S) float32 seconds from the present reference stamp.
        view_features: (B, S, V, D, h, w) float32 features of the views' pictures from a foundation model, at any size;
            a vector of zeros = no label.
        view_images: (B, S, V, 3, H, W) uint8 RGB pictures of the views, at the size of ``view_cameras``.
        view_usable: (B, S, V, H, W) bool: the pixel shows the surroundings, not the robot itself; None = all do.
        view_travelled_m: (B, S, V) float32 metres that an odometer counted from each camera's present picture to the
            view's, negative = before it, NaN = unknown; None = there is no odometer.
    """

    labels: Tensor | None = None
    mask_camera: Tensor | None = None
    mask_lidar: Tensor | None = None
    mask_remembered: Tensor | None = None
    view_cameras: Cameras | None = None
    view_semantics: Tensor | None = None
    view_depth_m: Tensor | None = None
    view_valid: Tensor | None = None
    view_time_s: Tensor | None = None
    view_features: Tensor | None = None
    view_images: Tensor | None = None
    view_usable: Tensor | None = None
    view_travelled_m: Tensor | None = None

    def map(self, function: Any) -> Targets:
        """Apply a tensor function to every tensor."""
        return _map_tensors(self, function)


@dataclass(frozen=True)
class FrameSet:
    """A batch of surround pictures: B samples, T moments (index 0 is the present), V cameras.

    Attributes:
        images: (B, T, V, 3, H, W) uint8 or float32 0..255, RGB.
        cameras: Cameras (B, T, V) of the network's picture size; ``cameras.T_ref_ego`` leads from each camera's own
            stamp to the present reference stamp, and is the identity where the motion is unknown.
        camera_names: V names.
        camera_stamps_ns: (B, T, V) int64.
        reference_stamp_ns: (B, T) int64; [:, 0] is the time that output and ground truth refer to.
        T_ref_ego: (B, T, 4, 4) ego pose at each moment's reference stamp in the present ego frame, composed in float64.
        valid: (B, T, V) bool: the picture is there.
        pose_valid: (B, T) bool: the pose of that moment is known.
        targets: Supervision, or None.
        sample_tokens: B tokens of the present samples, for reports.
        scene_names: B scene names; streaming memory resets where they change.
        T_world_ego: (B, 4, 4) float64 ego pose at the present reference stamp, in a world that stays the same along a
            drive, so that a method can move its memory to the present; None = unknown.
        depth_m: (B, T, V, h, w) float32 metres along the optical axis of the same camera, at the size of the pictures
            or a whole fraction of it; 0 = unknown. None = no depth is given.
        features: (B, T, V, D, h, w) float32 features of the pictures from a foundation model, at any size; a vector of
            zeros = unknown. None = not given.
        usable: (B, T, V, H, W) bool: the pixel shows the surroundings, not the robot itself; None = all do.
    """

    images: Tensor
    cameras: Cameras
    camera_names: tuple[str, ...]
    camera_stamps_ns: Tensor
    reference_stamp_ns: Tensor
    T_ref_ego: Tensor
    valid: Tensor
    pose_valid: Tensor
    targets: Targets | None = None
    sample_tokens: tuple[str, ...] = ()
    scene_names: tuple[str, ...] = ()
    T_world_ego: Tensor | None = None
    depth_m: Tensor | None = None
    features: Tensor | None = None
    usable: Tensor | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 6 or self.images.shape[3] != 3:
            raise ShapeError("FrameSet", "images", "(B, T, V, 3, H, W)", tuple(self.images.shape))
        b, t, v = self.images.shape[:3]
        expected = {
            "camera_stamps_ns": (b, t, v), "reference_stamp_ns": (b, t), "T_ref_ego": (b, t, 4, 4),
            "valid": (b, t, v), "pose_valid": (b, t),
        }  # fmt: skip
        for key, shape in expected.items():
            if tuple(getattr(self, key).shape) != shape:
                raise ShapeError("FrameSet", key, shape, tuple(getattr(self, key).shape))
        if tuple(self.cameras.intrinsics.shape[:3]) != (b, t, v):
            raise ShapeError("FrameSet", "cameras", (b, t, v), tuple(self.cameras.intrinsics.shape[:3]))
        if self.T_world_ego is not None and tuple(self.T_world_ego.shape) != (b, 4, 4):
            raise ShapeError("FrameSet", "T_world_ego", (b, 4, 4), tuple(self.T_world_ego.shape))
        self._check_inputs()
        if len(self.camera_names) != v:
            raise ShapeError("FrameSet", "camera_names", f"{v} names", self.camera_names)

    def _check_inputs(self) -> None:
        b, t, v, _, height, width = self.images.shape
        if (depth := self.depth_m) is not None:
            fits = depth.ndim == 5 and tuple(depth.shape[:3]) == (b, t, v)
            if not fits or height % depth.shape[3] or width % depth.shape[4]:
                expected = f"({b}, {t}, {v}, {height}, {width}), or a whole fraction of the last two"
                raise ShapeError("FrameSet", "depth_m", expected, tuple(depth.shape))
        if self.features is not None and (self.features.ndim != 6 or tuple(self.features.shape[:3]) != (b, t, v)):
            raise ShapeError("FrameSet", "features", f"({b}, {t}, {v}, D, h, w)", tuple(self.features.shape))
        if self.usable is not None and tuple(self.usable.shape) != (b, t, v, height, width):
            raise ShapeError("FrameSet", "usable", (b, t, v, height, width), tuple(self.usable.shape))

    def map(self, function: Any) -> FrameSet:
        """Apply a tensor function to every tensor, cameras and targets included."""
        return _map_tensors(self, function)

    def moment(self, index: int) -> FrameSet:
        """One moment by itself, as if it were the present: cameras and poses refer to its own ego frame.

        Args:
            index: 0 = the present, 1 ... T - 1 = earlier key frames.

        Returns:
            A frame set with T = 1. Targets stay with the present; other moments have none.
        """
        one = slice(index, index + 1)
        pose = self.T_ref_ego[:, one]
        cameras = self.cameras.map(lambda t: t[:, one])
        T_world_ego = self.T_world_ego
        if index:
            motion = pose[:, :, None] if cameras.T_ref_ego is None else cameras.T_ref_ego
            cameras = replace(cameras, T_ref_ego=(invert_rigid(pose)[:, :, None] @ motion).expand_as(cameras.T_ego_cam))
            if T_world_ego is not None:
                T_world_ego = T_world_ego @ pose[:, 0].to(T_world_ego.dtype)
        return replace(
            self,
            images=self.images[:, one],
            cameras=cameras,
            camera_stamps_ns=self.camera_stamps_ns[:, one],
            reference_stamp_ns=self.reference_stamp_ns[:, one],
            T_ref_ego=torch.eye(4, dtype=pose.dtype, device=pose.device).expand_as(pose),
            valid=self.valid[:, one],
            pose_valid=self.pose_valid[:, one],
            targets=None if index else self.targets,
            T_world_ego=T_world_ego,
            depth_m=None if self.depth_m is None else self.depth_m[:, one],
            features=None if self.features is None else self.features[:, one],
            usable=None if self.usable is None else self.usable[:, one],
        )

    def to(self, device: Any, non_blocking: bool = False) -> FrameSet:
        """Move every tensor to a device."""
        return self.map(lambda value: value.to(device, non_blocking=non_blocking))
