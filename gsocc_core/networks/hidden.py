# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the present pictures say of a place: that something stands before it, that they see through it, or nothing.

Closed forms of few Gaussians, without a rasteriser: every size is known beforehand.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.constants import constant
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import quat_to_rotmat


def behind_m(cameras: Cameras, valid: Tensor, depth_m: Tensor, points_m: Tensor) -> Tensor:
    """How far points lie behind what the pictures show.

    Args:
        cameras: (B, V) of any size.
        valid: (B, V) bool: the picture is there.
        depth_m: (B, V, h, w) metres along the optical axis to what each picture shows, infinite = nothing.
        points_m: (B, N, 3) metres, in the frame that the cameras refer to.

    Returns:
        (B, N) metres along the optical axis, the least of all pictures that hold the point: about 0 on a surface,
        below 0 where a picture sees through the point, infinite beyond all pictures.

    Example:
        >>> camera = Cameras(torch.eye(3)[None, None], torch.eye(4)[None, None], width=1, height=1)
        >>> points = torch.tensor([[[0.5, 0.5, 1.0], [2.0, 2.0, 4.0], [0.5, 0.5, -1.0]]])
        >>> behind_m(camera, torch.ones(1, 1, dtype=torch.bool), torch.full((1, 1, 1, 1), 2.0), points).tolist()
        [[-1.0, 2.0, inf]]
    """
    height, width = depth_m.shape[-2:]
    uv, distance, inside = cameras.project(points_m)
    cell = (uv / constant((cameras.width, cameras.height), uv) * constant((width, height), uv)).nan_to_num()
    column, row = (cell[..., i].long().clamp(0, n - 1) for i, n in ((0, width), (1, height)))
    shown = depth_m.flatten(2).gather(2, row * width + column)
    return torch.where(inside & valid[..., None], distance - shown, torch.inf).amin(1)


@torch.no_grad()
def depth_shown(
    scene: Gaussians, cameras: Cameras, size: tuple[int, int], count: int = 512, least: float = 0.25
) -> Tensor:
    """Depth to the first Gaussian that a pixel shows.

    Along a ray a Gaussian is densest where its Mahalanobis distance is least.

    Args:
        scene: (B, N) Gaussians in the frame that the cameras refer to.
        cameras: (B, V).
        size: (h, w) of the answer.
        count: The most opaque Gaussians, so many of them, are looked at.
        least: Opacity times density at that point from which a Gaussian counts.

    Returns:
        (B, V, h, w) metres along the optical axis; infinite where nothing is met.
    """
    opacity, means, whiten = _most_opaque(scene, count)
    origins, directions = cameras.resized(size[1], size[0]).rays()  # (B, V, h, w, 3), one metre of depth long
    shape = directions.shape[:-1]
    o, d = (t.expand(*shape, 3).flatten(1, 3) for t in (origins, directions))
    local_o = torch.einsum("bkij,brj->brki", whiten, o) - torch.einsum("bkij,bkj->bki", whiten, means)[:, None]
    local_d = torch.einsum("bkij,brj->brki", whiten, d)
    along, square = (local_o * local_d).sum(-1), local_d.square().sum(-1)
    depth = -along / square
    density = opacity[:, None] * torch.exp(-0.5 * (local_o.square().sum(-1) - along.square() / square))
    return torch.where((density >= least) & (depth > 0), depth, torch.inf).amin(-1).view(shape)


def density_at(scene: Gaussians, points_m: Tensor, count: int = 512) -> Tensor:
    """(B, M) sums of opacity times density of the most opaque Gaussians at points (B, M, 3), metres."""
    opacity, means, whiten = _most_opaque(scene, count)
    local = torch.einsum("bkij,bmj->bmki", whiten, points_m) - torch.einsum("bkij,bkj->bki", whiten, means)[:, None]
    return (opacity[:, None] * torch.exp(-0.5 * local.square().sum(-1))).sum(-1)


def _most_opaque(scene: Gaussians, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Opacities (B, K), means (B, K, 3) and whitening matrices S^-1 R^T (B, K, 3, 3)."""
    opacity, best = scene.opacities.topk(min(count, scene.opacities.shape[1]), dim=1)
    means, scales, quats = (
        t.gather(1, best[..., None].expand(-1, -1, t.shape[-1])) for t in (scene.means, scene.scales, scene.quats)
    )
    return opacity, means, quat_to_rotmat(quats).mT / scales.clamp(min=1e-3)[..., None]
