# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the labels of other key frames say about motion."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras

#: A Gaussian so near a labelled point lies on the thing, metres.
NEAR_M = 2.0


def labelled_points(views: Cameras, depth_m: Tensor, semantics: Tensor, class_id: int, limit: int = 512) -> Tensor:
    """Points of one class that the labels of one sample's views show.

    Args:
        views: (V,) cameras at the size of the labels.
        depth_m: (V, H, W) along the optical axis, metres; 0 = no label.
        semantics: (V, H, W) class ids.
        class_id: The class.
        limit: At most so many points, evenly picked.

    Returns:
        (P, 3) metres, in the frame that the cameras refer to.
    """
    used = (semantics == class_id) & (depth_m > 0)
    view, row, column = used.nonzero(as_tuple=True)
    if len(view) > limit:
        picks = torch.linspace(0, len(view) - 1, limit, device=view.device).round().long()
        view, row, column = view[picks], row[picks], column[picks]
    K, T = views.intrinsics[view], views.T_ref_cam[view]
    pixel = torch.stack([column + 0.5, row + 0.5, torch.ones_like(column) * 1.0], dim=-1).to(K)
    local = torch.linalg.solve(K, pixel[..., None])[..., 0] * depth_m[view, row, column][:, None]
    return (T[:, :3, :3] @ local[..., None])[..., 0] + T[:, :3, 3]


def flow_alignment_loss(moved: Tensor, weights: Tensor, present: Tensor, other: Tensor, reach_m: float = 8.0) -> Tensor:
    """Chamfer distance between moved Gaussians of a thing and the labelled points of its class at another time.

    A rendering feels a thing only where its footprint touches it, about a metre; a car moves five between key frames.
    The distance to the nearest labelled point pulls from further away, as in self-supervised scene flow (Wu et al.,
    "PointPWC-Net", ECCV 2020, eq. 4).

    Args:
        moved: (N, 3) Gaussians that lie on a thing of the class (within :data:`NEAR_M` of ``present``), where they
            are at the other time, metres.
        weights: (N,) 0..1, for instance opacities.
        present: (P, 3) labelled points of the class now.
        other: (Q, 3) labelled points of the class at the other time.
        reach_m: Distances count up to this, so that what left the view does not pull.

    Returns:
        Scalar, metres; 0 when there is nothing to compare.

    Example:
        >>> car = torch.tensor([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]])
        >>> flow_alignment_loss(car + 1.0, torch.ones(2), car, car + 1.0).item()
        0.0
    """
    if not len(moved) or not len(present) or not len(other):
        return moved.sum() * 0.0
    distance = torch.cdist(moved, other)
    forth = _huber(distance.amin(1).clamp(max=reach_m))
    forth = (forth * weights).sum() / weights.sum().clamp(min=1e-3)
    back = _huber(distance.amin(0).clamp(max=reach_m))
    seen_before = (torch.cdist(other, present).amin(1) < reach_m).to(back.dtype)
    return forth + (back * seen_before).sum() / seen_before.sum().clamp(min=1.0)


def _huber(distance_m: Tensor, knee_m: float = 0.5) -> Tensor:
    return functional.smooth_l1_loss(distance_m, torch.zeros_like(distance_m), reduction="none", beta=knee_m)
