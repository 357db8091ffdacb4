# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the labels of other key frames say about motion."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras

#: A labelled point moves with the nearest Gaussian, if one is so near, metres.
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


def flow_alignment_loss(
    present: Tensor, offsets: Tensor, other: Tensor, reach_m: float = 8.0, least_weight: float = 0.5
) -> Tensor:
    """Chamfer distance between moved points of a class and the points of that class at another time.

    A rendering feels a thing only where its footprint touches it, about a metre; a car moves five between key frames.
    The distance to the nearest labelled point pulls from further away, as in self-supervised scene flow (Wu et al.,
    "PointPWC-Net", ECCV 2020, eq. 4). Both sides are labelled points, since Gaussians cover a thing too unevenly to be
    compared with its surface. A point counts the more the further it would be from the others if it did not move:
    most things stand still, and a network that cannot tell would call all of them parked.

    Args:
        present: (P, 3) labelled points of the class now, metres.
        offsets: (P, 3) how far each moves until the other time, metres.
        other: (Q, 3) labelled points of the class at the other time, same frame.
        reach_m: Distances count up to this, so that what left the view does not pull.
        least_weight: Weight of a point that fits without moving; each metre adds 1, up to 4.

    Returns:
        Scalar, metres; 0 when there is nothing to compare.

    Example:
        >>> car = torch.tensor([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]])
        >>> flow_alignment_loss(car, torch.ones(2, 3), car + 1.0).item()
        0.0
    """
    if not len(present) or not len(other):
        return offsets.sum() * 0.0
    with torch.no_grad():
        at_rest = torch.cdist(present, other)
        weights = [at_rest.amin(dim).clamp(max=4.0) + least_weight for dim in (1, 0)]
        weights[1] = weights[1] * (at_rest.amin(0) < reach_m)
    distance = torch.cdist(present + offsets, other)
    parts = [
        (_huber(distance.amin(dim).clamp(max=reach_m)) * weight).sum() / weight.sum().clamp(min=1.0)
        for dim, weight in zip((1, 0), weights)
    ]
    return parts[0] + parts[1]


def _huber(distance_m: Tensor, knee_m: float = 0.5) -> Tensor:
    return functional.smooth_l1_loss(distance_m, torch.zeros_like(distance_m), reduction="none", beta=knee_m)
