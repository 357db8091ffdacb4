# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the depth labels of views say about voxels: a ray is free up to its surface."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.grid_points import to_grid
from gsocc_core.geometry.voxels import VoxelGrid

#: Where inverse depth bends by more than this share of itself from pixel to pixel, no surface connects the pixels.
_SMOOTH = 0.12


def line_of_sight(
    grid: VoxelGrid, views: Cameras, depth_m: Tensor, density: int = 3, samples: int = 3, margin_m: float = 0.4
) -> tuple[Tensor, Tensor]:
    """Voxels that depth labels show to be occupied, and voxels of which they say anything.

    The voxel form of the line-of-sight losses of Urban Radiance Fields (Rematas et al., CVPR 2022, section 3.3): zero
    density before a surface, one at it. A rendered view asks for neither: it sees the footprint of a Gaussian and not
    its extent along the ray, so thin Gaussians that leave most voxels empty look right.

    Between pixels of one smooth surface, inverse depth (linear on a plane) is interpolated, else a road some tens of
    metres away would be a few stripes. The margin before a surface is measured along the surface's normal, else rays
    that graze a road would call its voxels free.

    Args:
        grid: Voxels; ``T_ego_grid`` is honoured.
        views: (B, V) pinhole cameras at the size of the labels.
        depth_m: (B, V, H, W) depth labels along the optical axis, metres; 0 = no label.
        density: Rays per pixel in either direction.
        samples: Points per ray between the camera and its surface, drawn anew at every call.
        margin_m: Points so close to the surface say nothing.

    Returns:
        occupied and seen: (B, X, Y, Z) bool; occupied voxels are seen.

    Raises:
        ConfigError: the cameras are no pinhole cameras.

    Example:
        >>> eye = torch.eye(4).expand(1, 1, 4, 4)
        >>> views = Cameras(torch.tensor([[[[3.0, 0, 1.5], [0, 3, 1.5], [0, 0, 1]]]]), eye, width=3, height=3)
        >>> grid = VoxelGrid((-0.5, -0.5, 0.0), (0.5, 0.5, 4.0), 1.0)
        >>> occupied, seen = line_of_sight(grid, views, torch.full((1, 1, 3, 3), 2.5))
        >>> occupied.flatten().tolist(), seen.flatten().tolist()
        ([False, False, True, False], [True, True, True, False])
    """
    if views.model != "pinhole" or views.distortion is not None:
        raise ConfigError("line_of_sight", "views", "pinhole cameras without distortion", views.model)
    known = depth_m > 0
    inverse = torch.where(known, 1.0 / depth_m.clamp(min=1e-3), 0.0)
    smooth = known & _smooth(inverse)
    dense = [_between(t, density) for t in (inverse, *_slopes(inverse))]
    connected = _between(smooth.to(inverse.dtype), density) > 1 - 1e-4
    pixel = torch.zeros_like(connected)
    pixel[..., ::density, ::density] = known  # a pixel at an edge stands for itself
    occupied = torch.zeros((len(depth_m), *grid.shape), dtype=torch.bool, device=depth_m.device)
    rows, columns = (torch.arange(n, device=depth_m.device) / density + 0.5 for n in connected.shape[-2:])
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    plane = torch.stack([u, v, torch.ones_like(u)], -1) @ torch.linalg.inv(views.intrinsics).mT[..., None, :, :]
    T = views.T_ref_cam

    def mark(volume: Tensor, places: Tensor, depths: Tensor) -> None:
        """Set the voxels at ``depths`` (K, S) of the rays ``places`` (B, V, h, w) bool."""
        sample, view = places.nonzero()[:, :2].unbind(-1)
        local = plane[places][:, None] * depths[..., None]
        points = torch.einsum("kij,ksj->ksi", T[sample, view, :3, :3], local) + T[sample, view, None, :3, 3]
        index, inside = grid.index(to_grid(points, grid))
        x, y, z = index[inside].unbind(-1)
        volume[sample[:, None].expand(inside.shape)[inside], x, y, z] = True

    solid = connected | pixel
    mark(occupied, solid, 1.0 / dense[0][solid][:, None])
    seen = occupied.clone()
    w, slope_u, slope_v = (t[solid] for t in dense)
    fx, fy = (views.intrinsics[..., i, i, None, None].expand(solid.shape)[solid] for i in (0, 1))
    x, y = plane[solid][:, :2].unbind(-1)
    # On a plane 1 / z = m . (x, y, 1), and a point at depth s of the ray is (1 - s / z) / |m| away from it.
    mx, my = slope_u * fx, slope_v * fy
    m = torch.stack([mx, my, w - x * mx - y * my], -1).norm(dim=-1)
    # At an edge no slope is known; a tenth of the ray keeps clear of most.
    reach = torch.where(connected[solid], 1 - margin_m * m, 0.9 - margin_m * w).clamp(min=0) / w
    steps = torch.arange(samples, device=w.device) + torch.rand((len(w), samples), device=w.device)
    mark(seen, solid, reach[:, None] * steps / samples)
    return occupied, seen


def surface_classes(grid: VoxelGrid, views: Cameras, depth_m: Tensor, semantics: Tensor, ignore_id: int) -> Tensor:
    """Class of every voxel that holds points of labelled pixels: that of most of them, the lowest id among equals.

    Args:
        grid: Voxels; ``T_ego_grid`` is honoured.
        views: (B, V) pinhole cameras at the size of the labels.
        depth_m: (B, V, H, W) depth labels along the optical axis, metres; 0 = no label.
        semantics: (B, V, H, W) uint8 class ids.
        ignore_id: Id of pixels without a label.

    Returns:
        (B, X, Y, Z) uint8 class ids; ``ignore_id`` where no labelled pixel shows anything.

    Example:
        >>> eye = torch.eye(4).expand(1, 1, 4, 4)
        >>> views = Cameras(torch.tensor([[[[3.0, 0, 1.5], [0, 3, 1.5], [0, 0, 1]]]]), eye, width=3, height=3)
        >>> grid = VoxelGrid((-1.0, -1.0, 0.0), (1.0, 1.0, 4.0), (2.0, 2.0, 1.0))
        >>> ids = torch.tensor([[[[4, 4, 4], [4, 4, 7], [7, 7, 255]]]], dtype=torch.uint8)
        >>> surface_classes(grid, views, torch.full((1, 1, 3, 3), 2.5), ids, 255).flatten().tolist()
        [255, 255, 4, 255]
    """
    origins, directions = views.rays()
    index, inside = grid.index(to_grid(origins + directions * depth_m[..., None], grid))
    used = inside & (depth_m > 0) & (semantics != ignore_id)
    sample = used.nonzero()[:, 0]
    x, y, z = index[used].unbind(-1)
    ids, shape = semantics[used].long(), grid.shape
    count = int(ids.max()) + 1 if len(ids) else 1
    place = ((sample * shape[0] + x) * shape[1] + y) * shape[2] + z
    voxels = len(depth_m) * shape[0] * shape[1] * shape[2]
    votes = torch.bincount(place * count + ids, minlength=voxels * count).view(len(depth_m), *shape, count)
    most, winner = votes.max(-1)
    return torch.where(most > 0, winner, ignore_id).to(torch.uint8)


def _smooth(inverse: Tensor) -> Tensor:
    """Pixels where inverse depth (..., H, W) bends little towards all four sides."""
    bends = []
    for dim in (-1, -2):
        bend = torch.zeros_like(inverse)
        bend.narrow(dim, 1, inverse.shape[dim] - 2).copy_(inverse.diff(dim=dim).diff(dim=dim).abs())
        bends.append(bend)
    return torch.maximum(*bends) < _SMOOTH * inverse


def _slopes(inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Change of (..., H, W) per pixel along u and v."""
    along_v, along_u = torch.gradient(inverse, dim=(-2, -1))
    return along_u, along_v


def _between(values: Tensor, density: int) -> Tensor:
    """Bilinear values (B, V, h, w) at ``density`` steps per pixel, from the first pixel's centre to the last one's."""
    height, width = (density * (n - 1) + 1 for n in values.shape[-2:])
    return functional.interpolate(values, (height, width), mode="bilinear", align_corners=True)
