# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the labels of other key frames say about motion."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras


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
    means: Tensor,
    moved: Tensor,
    weights: Tensor,
    present: Tensor,
    other: Tensor,
    near_m: float = 2.0,
    reach_m: float = 8.0,
) -> Tensor:
    """Chamfer distance between the moved Gaussians of a class and the labelled points of that class at another time.

    A rendering feels a thing only where its footprint touches it, about a metre; a car moves five between key frames.
    The distance to the nearest labelled point pulls from further away, as in self-supervised scene flow (Wu et al.,
    "PointPWC-Net", ECCV 2020, eq. 4). Only Gaussians that lie on a thing now are asked to follow it.

    Args:
        means: (N, 3) Gaussians of the class, present ego frame, metres.
        moved: (N, 3) where they are at the other time.
        weights: (N,) 0..1, for instance opacities; no gradient flows through them.
        present: (P, 3) labelled points of the class now.
        other: (Q, 3) labelled points of the class at the other time.
        near_m: A Gaussian so near a present point lies on it.
        reach_m: Distances count up to this, so that what left the view does not pull.

    Returns:
        Scalar, metres; 0 when there is nothing to compare.

    Example:
        >>> car = torch.tensor([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]])
        >>> flow_alignment_loss(car, car + 1.0, torch.ones(2), car, car + 1.0).item()
        0.0
    """
    if not len(means) or not len(present) or not len(other):
        return moved.sum() * 0.0
    with torch.no_grad():
        on_thing = (torch.cdist(means, present).amin(1) < near_m) * weights
        seen_before = torch.cdist(other, present).amin(1) < reach_m
    distance = torch.cdist(moved, other)
    forth = distance.amin(1).clamp(max=reach_m)
    forth = (_huber(forth) * on_thing).sum() / on_thing.sum().clamp(min=1e-3)
    # Points may be served only by Gaussians that lie on a thing, else stray ones would all be pulled in.
    stray = (on_thing <= 0)[:, None]
    if bool(stray.all()):
        return forth
    back = distance.masked_fill(stray, reach_m).amin(0).clamp(max=reach_m)
    back = (_huber(back) * seen_before).sum() / seen_before.sum().clamp(min=1)
    return forth + back


def _huber(distance_m: Tensor, knee_m: float = 0.5) -> Tensor:
    return functional.smooth_l1_loss(distance_m, torch.zeros_like(distance_m), reduction="none", beta=knee_m)
