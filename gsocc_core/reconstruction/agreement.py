# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Whether views show the same place: what one saw must lie and look alike where another one looks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.methods.method import FoundViews

#: Largest relative difference of depth that counts as the same surface.
_SAME_DEPTH = 0.1
#: Fewer shared pixels tell nothing about their colours.
_LEAST_PIXELS = 16
#: Side of the squares whose mean colour counts as slow, pixels of the map.
_DETAIL_PX = 7


@dataclass(frozen=True)
class Agreement:
    """How well views agree with each other.

    Attributes:
        pairs: (V, V) 0..1, the share of a row's view that both lies (its points at the depth that the column's view
            sees there, by the estimated poses) and looks alike (times the correlation of the pictures' details there);
            0 on the diagonal.
    """

    pairs: Tensor

    @property
    def confidence(self) -> Tensor:
        """(V) 0..1: how well each view agrees with the one that it agrees with best."""
        return self.pairs.amax(1)

    def group(self, least: float) -> list[int]:
        """The largest group of views that hang together, in their order; of equal ones, that with the first view.

        Args:
            least: Least confidence of a view, and agreement of two that hang together.
        """
        left = [view for view, value in enumerate(self.confidence.tolist()) if value >= least]
        together = torch.maximum(self.pairs, self.pairs.T) >= least
        groups = []
        while left:
            group, reached = set(), [left[0]]
            while reached:
                view = reached.pop()
                group.add(view)
                reached += [other for other in left if other not in group and bool(together[view, other])]
            groups.append(sorted(group))
            left = [view for view in left if view not in group]
        return max(groups, key=len, default=[])


def view_agreement(found: FoundViews, images: Tensor, intrinsics: Tensor) -> Agreement:
    """Compare every view with every other one.

    Args:
        found: One sample (B = 1) of V views.
        images: (1, V, 3, H, W) 0..255, the network's pictures.
        intrinsics: (V, 3, 3) pixels of these, known or estimated.

    Returns:
        Zeros for a single view.
    """
    v, (h, w) = images.shape[1], found.map_size
    height, width = images.shape[-2:]
    small = _details(functional.adaptive_avg_pool2d(images[0].float(), (h, w)) / 255)
    points = found.scene.means[0].unflatten(0, (v, h, w))
    rig = Cameras(intrinsics.to(points), found.T_first_cam[0].to(points), width, height).resized(w, h)
    pairs = points.new_zeros(v, v)
    own = _own_depth(rig, points)
    for view in range(v):
        uv, depth, inside = rig.project(points[view].flatten(0, 1))  # (V, n, ...)
        cell = uv.floor().long().clamp(min=0)
        cell = torch.minimum(cell, cell.new_tensor([w - 1, h - 1]))
        there = torch.stack([own[u, cell[u, :, 1], cell[u, :, 0]] for u in range(v)])
        same = inside & ((depth - there).abs() < _SAME_DEPTH * there)
        mine = small[view].flatten(1)
        for other in range(v):
            if other == view or int(same[other].sum()) < _LEAST_PIXELS:
                continue
            theirs = small[other][:, cell[other, :, 1], cell[other, :, 0]]
            like = _correlation(mine[:, same[other]], theirs[:, same[other]])
            pairs[view, other] = same[other].float().mean() * like.clamp(min=0)
    return Agreement(pairs)


def _details(pictures: Tensor) -> Tensor:
    """Pictures (V, 3, h, w) without what changes slowly: any two rooms have a bright ceiling and a dark floor."""
    around = functional.pad(pictures, [_DETAIL_PX // 2] * 4, mode="replicate")
    return pictures - functional.avg_pool2d(around, _DETAIL_PX, stride=1)


def _own_depth(rig: Cameras, points: Tensor) -> Tensor:
    """(V, h, w) depth of each view's points along its own axis."""
    viewmats = rig.viewmats.to(points)
    moved = points.flatten(1, 2) @ viewmats[:, :3, :3].transpose(-1, -2) + viewmats[:, None, :3, 3]
    return moved[..., 2].unflatten(1, points.shape[1:3])


def _correlation(one: Tensor, two: Tensor) -> Tensor:
    """Of (3, n) colours, all channels together."""
    return (one * two).sum() / (one.norm() * two.norm()).clamp(min=1e-6)
