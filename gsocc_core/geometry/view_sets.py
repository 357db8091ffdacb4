# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Several pictures of one static scene by cameras whose poses a method does not get: context views and target views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from gsocc_core.errors import ShapeError


@dataclass(frozen=True)
class ViewSet:
    """A batch of B samples of V views each. Context views come first in ``targets``' own set: see there.

    Poses refer to the optical frame (x right, y down, z ahead) of the sample's first context view; they are composed in
    float64 and rounded once. A method that reconstructs without poses reads ``T_first_cam`` of targets, and that of the
    context only in losses and scores.

    Attributes:
        images: (B, V, 3, H, W) uint8 or float32 0 ... 255, RGB.
        intrinsics: (B, V, 3, 3) float32, pixels of ``images``; all NaN where unknown.
        T_first_cam: (B, V, 4, 4) float32 pose of each camera in the first context camera's frame, metres; all NaN where
            unknown, which everything is where the first context view's own pose is unknown.
        valid: (B, V) bool: the view exists; False where a batch of samples with different numbers of views was filled
            up. What is not there is 0 in ``images``, NaN in the cameras and without a label elsewhere.
        depth_m: (B, V, H, W) float32 metres along the optical axis; 0 = no label. None = not read.
        semantics: (B, V, H, W) uint8 class ids of the data set's table; its ``ignore_id`` = no label. None = not read.
        name_ids: (B, V, H, W) int16 rows of the data set's ``names``; -1 = no name. None = there are none.
        features: (B, V, D, h, w) float32 features of a foundation model, at any size; a vector of zeros = no label.
            None = not read.
        overlap: (B, V) float32 share of each context view's known surface that some other context view sees too;
            NaN where depth or poses are unknown. None = not computed.
        T_world_first: (B, 4, 4) float64 pose of the first context camera in the scene's world; NaN where unknown.
        targets: The views that shall be rendered, of the same samples; None = none. Their own ``targets`` is None.
        scene_names: B scene names, for reports.
        frame_names: Per sample the names of its views, without those that were filled up.

    Raises:
        ShapeError: shapes do not fit.
    """

    images: Tensor
    intrinsics: Tensor
    T_first_cam: Tensor
    valid: Tensor
    depth_m: Tensor | None = None
    semantics: Tensor | None = None
    name_ids: Tensor | None = None
    features: Tensor | None = None
    overlap: Tensor | None = None
    T_world_first: Tensor | None = None
    targets: ViewSet | None = None
    scene_names: tuple[str, ...] = ()
    frame_names: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.images.ndim != 5 or self.images.shape[2] != 3:
            raise ShapeError("ViewSet", "images", "(B, V, 3, H, W)", tuple(self.images.shape))
        b, v, _, height, width = self.images.shape
        wanted: dict[str, tuple[int, ...]] = {
            "intrinsics": (b, v, 3, 3), "T_first_cam": (b, v, 4, 4), "valid": (b, v), "depth_m": (b, v, height, width),
            "semantics": (b, v, height, width), "name_ids": (b, v, height, width), "overlap": (b, v),
            "T_world_first": (b, 4, 4),
        }  # fmt: skip
        for key, shape in wanted.items():
            value = getattr(self, key)
            if value is not None and tuple(value.shape) != shape:
                raise ShapeError("ViewSet", key, shape, tuple(value.shape))
        if self.features is not None and (self.features.ndim != 5 or tuple(self.features.shape[:2]) != (b, v)):
            raise ShapeError("ViewSet", "features", f"({b}, {v}, D, h, w)", tuple(self.features.shape))
        if self.targets is not None:
            if self.targets.targets is not None:
                raise ShapeError("ViewSet", "targets.targets", "None", "a set of views")
            if self.targets.images.shape[0] != b:
                raise ShapeError("ViewSet", "targets", f"{b} samples", self.targets.images.shape[0])

    @property
    def intrinsics_known(self) -> Tensor:
        """(B, V) bool."""
        return self.intrinsics.isfinite().all(-1).all(-1)

    @property
    def pose_known(self) -> Tensor:
        """(B, V) bool."""
        return self.T_first_cam.isfinite().all(-1).all(-1)

    def map(self, function: Callable[[Tensor], Tensor]) -> ViewSet:
        """Apply a tensor function to every tensor, those of the targets included."""
        changes: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                changes[field.name] = function(value)
            elif isinstance(value, ViewSet):
                changes[field.name] = value.map(function)
        return replace(self, **changes)

    def to(self, device: Any, non_blocking: bool = False) -> ViewSet:
        """Move every tensor to a device."""
        return self.map(lambda value: value.to(device, non_blocking=non_blocking))

    def mirrored(self) -> ViewSet:
        """The same views of the mirrored scene: every map left for right, its x axes turned round, targets too."""
        flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=self.T_first_cam.dtype)).to(self.images.device)
        intrinsics = self.intrinsics.clone()
        intrinsics[..., 0, 2] = self.images.shape[-1] - intrinsics[..., 0, 2]
        intrinsics[..., 0, 1] = -intrinsics[..., 0, 1]
        parts = {key: getattr(self, key) for key in ("images", "depth_m", "semantics", "name_ids", "features")}
        maps: dict[str, Any] = {key: None if value is None else value.flip(-1) for key, value in parts.items()}
        world = self.T_world_first
        return replace(
            self,
            **maps,
            intrinsics=intrinsics,
            T_first_cam=flip @ self.T_first_cam @ flip,
            T_world_first=None if world is None else flip.to(world) @ world @ flip.to(world),
            targets=None if self.targets is None else self.targets.mirrored(),
        )

    def without_intrinsics(self) -> ViewSet:
        """The same views, their intrinsics unknown; targets keep theirs, which rendering needs."""
        return replace(self, intrinsics=torch.full_like(self.intrinsics, torch.nan))


#: What fills up a sample that has fewer views than others of its batch.
_FILLED = {
    "images": 0, "intrinsics": torch.nan, "T_first_cam": torch.nan, "valid": 0, "depth_m": 0, "semantics": 255,
    "name_ids": -1, "features": 0, "overlap": torch.nan,
}  # fmt: skip


def collate_views(samples: list[ViewSet]) -> ViewSet:
    """Batch samples along B. Those with fewer views are filled up with views whose ``valid`` is False.

    Args:
        samples: At least one, of one picture size, and all with the same optional parts.

    Returns:
        One set of views.

    Raises:
        ShapeError: sizes of pictures or features differ, or one sample has a part that another lacks.

    Example:
        >>> one = ViewSet(torch.ones(1, 1, 3, 4, 4), torch.eye(3)[None, None], torch.eye(4)[None, None],
        ...               torch.ones(1, 1, dtype=torch.bool))
        >>> two = ViewSet(*(torch.cat([t, t], 1) for t in (one.images, one.intrinsics, one.T_first_cam, one.valid)))
        >>> collate_views([one, two]).valid
        tensor([[ True, False],
                [ True,  True]])
    """
    first = samples[0]
    changes: dict[str, Any] = {}
    for field in fields(ViewSet):
        values = [getattr(sample, field.name) for sample in samples]
        if isinstance(values[0], tuple):
            changes[field.name] = tuple(item for value in values for item in value)
            continue
        there = [value is not None for value in values]
        if not any(there):
            continue
        if not all(there):
            raise ShapeError("collate_views", field.name, "in all samples of a batch, or in none", there)
        if isinstance(values[0], ViewSet):
            changes[field.name] = collate_views(values)
        else:
            changes[field.name] = _joined(field.name, values)
    return replace(first, **changes)


def _joined(name: str, values: list[Tensor]) -> Tensor:
    """Tensors of all samples along B, those with fewer views filled up."""
    if name not in _FILLED:
        return torch.cat(values)
    if len({value.shape[2:] for value in values}) > 1:
        raise ShapeError("collate_views", name, "one size in all samples", [tuple(v.shape[2:]) for v in values])
    views = max(value.shape[1] for value in values)
    whole = values[0].new_full((sum(len(v) for v in values), views, *values[0].shape[2:]), _FILLED[name])
    at = 0
    for value in values:
        whole[at : at + len(value), : value.shape[1]] = value
        at += len(value)
    return whole
