# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the depth labels of views say about voxels: a ray is free up to its surface."""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.voxels import VoxelGrid


def line_of_sight(
    grid: VoxelGrid, views: Cameras, depth_m: Tensor, samples: int = 24, margin_m: float = 0.4
) -> tuple[Tensor, Tensor]:
    """Voxels that depth labels show to be occupied, and voxels of which they say anything.

    The voxel form of the line-of-sight losses of Urban Radiance Fields (Rematas et al., CVPR 2022, section 3.3): zero
    density before a surface, one at it. A rendered view asks for neither: it sees the footprint of a Gaussian and not
    its extent along the ray, so thin Gaussians that leave most voxels empty look right.

    Args:
        grid: Voxels, in the frame that the cameras refer to.
        views: (B, V) cameras at the size of the labels.
        depth_m: (B, V, H, W) depth labels, metres; 0 = no label.
        samples: Points per ray between the camera and its surface, drawn anew at every call.
        margin_m: So much of a ray before its surface says nothing.

    Returns:
        occupied and seen: (B, X, Y, Z) bool; occupied voxels are seen.

    Example:
        >>> eye = torch.eye(4).expand(1, 1, 4, 4)
        >>> views = Cameras(torch.tensor([[[[1.0, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]]]), eye, width=1, height=1)
        >>> grid = VoxelGrid((-0.5, -0.5, 0.0), (0.5, 0.5, 4.0), 1.0)
        >>> occupied, seen = line_of_sight(grid, views, torch.full((1, 1, 1, 1), 2.5))
        >>> occupied.flatten().tolist(), seen.flatten().tolist()
        ([False, False, True, False], [True, True, True, False])
    """
    origins, directions = views.rays()
    batch = torch.arange(len(depth_m), device=depth_m.device)[:, None, None, None].expand(depth_m.shape)
    used = depth_m > 0
    origins, directions, depth, batch = origins[used], directions[used], depth_m[used], batch[used]
    occupied = torch.zeros((len(depth_m), *grid.shape), dtype=torch.bool, device=depth_m.device)
    index, inside = grid.index(origins + directions * depth[:, None])
    x, y, z = index[inside].unbind(-1)
    occupied[batch[inside], x, y, z] = True

    seen = occupied.clone()
    steps = torch.arange(samples, device=depth.device) + torch.rand((len(depth), samples), device=depth.device)
    along = (depth - margin_m).clamp(min=0)[:, None] * steps / samples
    points = origins[:, None] + directions[:, None] * along[..., None]
    index, inside = grid.index(points)
    x, y, z = index[inside].unbind(-1)
    seen[batch[:, None].expand(inside.shape)[inside], x, y, z] = True
    return occupied, seen
