# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What one key frame hands to the next, and how the next one sees it from where it stands."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import invert_rigid, multiply_quats, rotmat_to_quat, transform_points


@dataclass(frozen=True)
class StreamMemory:
    """A scene of B samples to look back at; a value, so that two streams at once do not meet.

    Attributes:
        scene: (B, N) Gaussians in the ego frame of ``reference_stamp_ns``; features are class logits.
        features: (B, N, D) what the network knows of each.
        dynamic: (B, N) bool: the Gaussian's class can move.
        seen: (B, N) bool: pictures show it, or did when it was made; the others are guesses.
        reference_stamp_ns: (B,) int64.
        T_world_ego: (B, 4, 4) float64 ego pose at that time, or None = unknown.
        valid: (B,) bool: the sample has a memory.
        scene_names: B names; a change means that the stream starts anew.
    """

    scene: Gaussians
    features: Tensor
    dynamic: Tensor
    seen: Tensor
    reference_stamp_ns: Tensor
    T_world_ego: Tensor | None
    valid: Tensor
    scene_names: tuple[str, ...] = ()

    def map(self, function: Any) -> StreamMemory:
        """Apply a tensor function to every tensor."""
        changes = {f.name: function(v) for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)}
        return replace(self, scene=self.scene.map(function), **changes)

    def has_place_in(self, frames: FrameSet) -> bool:
        """Whether both poses are known, of as many samples: without them nothing is usable."""
        known = self.T_world_ego is not None and frames.T_world_ego is not None
        return known and len(self.valid) == len(frames.images)

    def usable_for(self, frames: FrameSet, max_gap_s: float) -> Tensor:
        """(B,) bool: the memory is of the same scene, older, not too old, and both poses are known.

        A memory of another batch size is usable for none of the samples.
        """
        if not self.has_place_in(frames):
            return torch.zeros(len(frames.images), dtype=torch.bool, device=frames.images.device)
        gap_s = (frames.reference_stamp_ns[:, 0] - self.reference_stamp_ns) * 1e-9
        usable = self.valid & (gap_s > 0) & (gap_s <= max_gap_s)
        if self.scene_names and frames.scene_names:
            same = [a == b for a, b in zip(self.scene_names, frames.scene_names, strict=True)]
            usable = usable & torch.tensor(same, device=usable.device)
        return usable

    def seen_from(self, frames: FrameSet, move: bool = False) -> Gaussians:
        """The scene in the present ego frame.

        Args:
            frames: The present; moment 0 with ``T_world_ego``.
            move: Move the Gaussians by their velocities over the time between.

        Returns:
            (B, N) Gaussians.
        """
        assert self.T_world_ego is not None
        assert frames.T_world_ego is not None
        scene = self.scene
        means = scene.means
        if move and scene.velocities is not None:
            gap_s = (frames.reference_stamp_ns[:, 0] - self.reference_stamp_ns) * 1e-9
            means = means + scene.velocities * gap_s.to(means.dtype)[:, None, None]
        # In float64: world positions are large.
        T_now_then = (invert_rigid(frames.T_world_ego) @ self.T_world_ego).to(means.dtype)
        R = T_now_then[:, :3, :3]
        turn = rotmat_to_quat(R)[:, None].expand_as(scene.quats)
        velocities = None if scene.velocities is None else scene.velocities @ R.mT
        return scene.replace(
            means=transform_points(T_now_then, means), quats=multiply_quats(turn, scene.quats), velocities=velocities
        )
