# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Which views have a pose, and where they and their Gaussians are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from gsocc_core.geometry.gaussian_motion import move_gaussians
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.ground_plane import GroundPlane, find_ground
from gsocc_core.methods.method import FoundViews
from gsocc_core.reconstruction.agreement import Agreement
from gsocc_core.reconstruction.frame import upward
from gsocc_core.reconstruction.photos import Photo

#: Fainter Gaussians say nothing about the ground or about free space.
SURE = 0.3


def posed_views(photos: Sequence[Photo], agreement: Agreement, least: float) -> tuple[list[int], list[str]]:
    """Which pictures have a pose.

    Args:
        photos: At least one.
        agreement: Of all of them.
        least: Least confidence of a pose.

    Returns:
        Places of those that have one, the largest group that hangs together, and what is to be said of the others; the
        first picture alone where no two do.
    """
    confidence = agreement.confidence.tolist()
    kept = agreement.group(least)
    if len(photos) == 1:
        return [0], ["one picture: what it does not show is not there, and nothing confirms its depth"]
    if len(kept) < 2:
        text = f"the pictures show nothing in common (confidence at most {max(confidence):.2f}): low confidence, "
        return [0], [f"{text}no poses; only {photos[0].name} is shown"]
    lost = [photos[i].name for i in range(len(photos)) if i not in kept]
    if lost:
        some = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        return kept, [f"without overlap with those that are used, so without a pose and left out: {some}"]
    return kept, []


@dataclass(frozen=True)
class PlacedViews:
    """Views that have a pose, in one frame and one unit of length.

    Attributes:
        scene: (V * n) Gaussians, view after view.
        T: (V, 4, 4) the cameras.
        T_known: (V, 4, 4) known poses in the frame of the first view, metres; None = some are unknown.
        known: (V, 4, 4) known poses in their own world, NaN where unknown.
    """

    scene: Gaussians
    T: np.ndarray
    T_known: np.ndarray | None
    known: np.ndarray

    @classmethod
    def of(cls, found: FoundViews, kept: list[int], photos: Sequence[Photo]) -> PlacedViews:
        """Some views of the only sample of an output, in its frame and unit.

        Args:
            found: On the CPU.
            kept: Which views, at least one.
            photos: Of these.
        """
        each = found.map_size[0] * found.map_size[1]
        chosen = torch.cat([torch.arange(i * each, (i + 1) * each) for i in kept])
        known = np.stack([np.full((4, 4), np.nan) if p.T_world_cam is None else p.T_world_cam for p in photos])
        whole = bool(np.isfinite(known).all())
        first = np.linalg.inv(known[0]) if whole else None
        return cls(
            found.scene.map(lambda t: t[0, chosen]),
            found.T_first_cam[0, kept].double().numpy(),
            None if first is None else first @ known,
            known,
        )

    def in_ego(self, T_ego_scene_m: np.ndarray, unit_m: float) -> np.ndarray:
        """(V, 4, 4) poses of the cameras in the ego frame, metres."""
        scaled = self.T.copy()
        scaled[:, :3, 3] *= unit_m
        poses: np.ndarray = T_ego_scene_m @ scaled
        return poses

    def points(self) -> np.ndarray:
        """(N, 3) means of what is not faint."""
        return self.scene.means[self.scene.opacities >= SURE].double().numpy()

    def known_centers(self) -> np.ndarray | None:
        """(V, 3) known places of the cameras, metres; None = none is known."""
        return None if np.isnan(self.known).all() else self.known[:, :3, 3]

    def on_known_poses(self, unit_m: float) -> tuple[PlacedViews, GroundPlane | None]:
        """Every view's Gaussians moved along with its camera to where that is known to be; still in units."""
        assert self.T_known is not None
        target = self.T_known.copy()
        target[:, :3, 3] /= unit_m
        moves = torch.from_numpy(target @ np.linalg.inv(self.T))
        each = len(self.scene) // len(target)
        parts = [
            move_gaussians(self.scene.map(lambda t, i=i: t[i * each : (i + 1) * each]), move)
            for i, move in enumerate(moves)
        ]
        names = ("means", "scales", "quats", "opacities", "features", "colors_sh")
        joined = {n: torch.cat([getattr(p, n) for p in parts]) for n in names if getattr(parts[0], n) is not None}
        moved = replace(self, scene=Gaussians(**joined), T=target)
        return moved, find_ground(moved.points(), target[:, :3, 3], upward(target))
